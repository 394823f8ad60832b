-- $1 oid[]: tables of a plan. Counts are those of the last VACUUM or ANALYZE, and of the cumulative statistics.
select
    c.oid,
    case when c.reltuples >= 0 then c.reltuples::float8 end,
    c.relpages::float8,
    c.relallvisible::float8,
    coalesce(pg_catalog.pg_stat_get_live_tuples(c.oid), 0)::float8,
    coalesce(pg_catalog.pg_stat_get_dead_tuples(c.oid), 0)::float8,
    coalesce(pg_catalog.pg_stat_get_mod_since_analyze(c.oid), 0)::float8,
    (extract(epoch from pg_catalog.now() - greatest(
        pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)
    )) / 86400)::float8,
    (extract(epoch from pg_catalog.now() - greatest(
        pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)
    )) / 86400)::float8,
    pg_catalog.row_security_active(c.oid),
    pg_catalog.pg_has_role(c.relowner, 'USAGE')
from pg_catalog.pg_class c
where c.oid = any ($1)
