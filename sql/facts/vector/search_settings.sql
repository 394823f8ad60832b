-- pgvector's settings of roles in this database: those of a role, and as role 0 those of all others. What is set for this
-- session's own role is not what others begin with.
with named (name) as (
    values ('hnsw.ef_search'), ('hnsw.iterative_scan'), ('ivfflat.probes'), ('ivfflat.iterative_scan')
),
configured as (
    select r.setrole, r.setdatabase, n.name, pg_catalog.substr(setting, pg_catalog.length(n.name) + 2) as value
    from pg_catalog.pg_db_role_setting r
    cross join pg_catalog.unnest(r.setconfig) setting
    join named n on pg_catalog.starts_with(setting, n.name || '=')
    where r.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
),
own (role) as (
    select oid from pg_catalog.pg_roles where rolname = session_user
),
of_roles as (
    -- What is set for a role in this database goes before what is set for it anywhere, and both before the database's own.
    select distinct on (c.setrole, c.name) c.setrole, c.name, c.value
    from configured c
    where c.setrole <> 0
    order by c.setrole, c.name, c.setdatabase <> 0 desc
)
select r.setrole::bigint, r.name, r.value
from of_roles r
union all
select
    0,
    n.name,
    coalesce(
        (select c.value from configured c where c.setrole = 0 and c.setdatabase <> 0 and c.name = n.name),
        case
            when exists (select from configured c where c.name = n.name and c.setrole in (select role from own))
            then s.boot_val
            else s.reset_val
        end
    )
from named n
join pg_catalog.pg_settings s on s.name = n.name
