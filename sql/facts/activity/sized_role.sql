-- The role and the database (OIDs $1 and $2) as far as they limit connections, and what is set for both together.
select
    r.rolname::text,
    r.rolconnlimit,
    r.rolsuper,
    r.rolcanlogin,
    d.datname::text,
    d.datconnlimit,
    (
        select s.setconfig
        from pg_catalog.pg_db_role_setting s
        where s.setrole = r.oid and s.setdatabase = d.oid
    )
from pg_catalog.pg_roles r, pg_catalog.pg_database d
where r.oid = $1 and d.oid = $2
