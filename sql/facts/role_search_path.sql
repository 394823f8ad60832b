-- The search_path that sessions of the role $1 begin with in this database.
select coalesce(
    (
        select pg_catalog.substr(setting, pg_catalog.length('search_path=') + 1)
        from pg_catalog.pg_db_role_setting r
        cross join pg_catalog.unnest(r.setconfig) setting
        where r.setrole in ($1, 0)
            and r.setdatabase in ((select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()), 0)
            and setting like 'search_path=%'
        order by r.setrole <> 0 and r.setdatabase <> 0 desc, r.setrole <> 0 desc, r.setdatabase <> 0 desc
        limit 1
    ),
    (select reset_val from pg_catalog.pg_settings where name = 'search_path')
)
