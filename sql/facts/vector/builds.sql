-- Builds of pgvector's indexes that run now in this database, by the caller or by roles whose statistics he may see; of others
-- neither table nor access method is known.
select
    p.pid,
    p.relid,
    n.nspname::text,
    i.relname::text,
    am.amname::text,
    p.phase,
    p.blocks_done,
    p.blocks_total,
    p.tuples_done,
    p.tuples_total,
    extract(epoch from pg_catalog.clock_timestamp() - a.query_start)::float8,
    (select count(*) from pg_catalog.pg_stat_activity w where w.leader_pid = p.pid)
from pg_catalog.pg_stat_progress_create_index p
-- The row of an index that is not built concurrently is not visible yet: its access method is known from here.
left join pg_catalog.pg_stat_get_progress_info('CREATE INDEX') s on s.pid = p.pid
left join pg_catalog.pg_am am on am.oid = s.param9::pg_catalog.oid
left join pg_catalog.pg_class i on i.oid = p.index_relid
left join pg_catalog.pg_namespace n on n.oid = i.relnamespace
left join pg_catalog.pg_stat_activity a on a.pid = p.pid
where p.datname = pg_catalog.current_database()
    and p.pid <> pg_catalog.pg_backend_pid()
    and (p.relid is null or am.amname in ('hnsw', 'ivfflat'))
order by p.pid
