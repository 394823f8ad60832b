-- $1 oid[]: tables of a plan, with the objects that CREATE STATISTICS made for them.
select
    e.stxrelid,
    pg_catalog.format('%I.%I', n.nspname, e.stxname),
    e.stxkeys::pg_catalog.int2[],
    pg_catalog.pg_get_statisticsobjdef_expressions(e.oid),
    'm' = any (e.stxkind),
    exists (
        select
        from pg_catalog.pg_stats_ext v
        where v.statistics_schemaname = n.nspname and v.statistics_name = e.stxname
    )
from pg_catalog.pg_statistic_ext e
join pg_catalog.pg_namespace n on n.oid = e.stxnamespace
where e.stxrelid = any ($1)
order by e.oid
