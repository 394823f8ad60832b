-- Baselines, of one index or of all ($1 is null), each with the index as it is now: that of the OID, if it is still one of the same
-- name or table, else that of the name.
select b.index_name,
       b.index_file,
       b.definition,
       b.k,
       b.ef_search,
       b.probes,
       b.iterative_scan,
       b.most_scanned,
       b.rerank,
       b.filter,
       b.query_text,
       b.search_path,
       b.sample,
       b.seed,
       b.source,
       b.recall,
       b.recall_low,
       b.recall_high,
       b.recalls,
       b.query_hash,
       b.pages,
       b.latency_p50_ms,
       b.rows_estimated,
       b.saved_at,
       now.oid,
       now.name,
       pg_catalog.pg_relation_filenode(now.oid)
from dbre.vector_recall_baselines b
left join lateral (
    select c.oid, named.name
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_index i on i.indexrelid = c.oid
    join pg_catalog.pg_class t on t.oid = i.indrelid
    join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
    cross join lateral (select pg_catalog.format('%I.%I', n.nspname, c.relname) as name) named
    where named.name = b.index_name
        or c.oid = b.index_oid and pg_catalog.format('%I.%I', tn.nspname, t.relname) = b.table_name
    order by c.oid = b.index_oid desc
    limit 1
) now on true
where $1 is null or now.oid = $1
order by b.index_name, b.saved_at, b.k, b.ef_search, b.probes
