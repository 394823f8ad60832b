-- Roles and databases whose new sessions load pg_dbre.
select exists (
    select
    from pg_catalog.pg_db_role_setting s
    cross join unnest(s.setconfig) as setting
    where
        s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
        and setting ~ '^(session|local)_preload_libraries=(.*[ ,"/])?pg_dbre(\.so)?([ ,"]|$)'
)
