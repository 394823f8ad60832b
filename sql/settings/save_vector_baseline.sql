insert into dbre.vector_recall_baselines (
    index_name, index_oid, index_file, definition, table_name, k, ef_search, probes, iterative_scan, most_scanned, rerank,
    filter, query_text, search_path, sample, seed, source, queries, recall, recall_low, recall_high, recalls,
    query_hash, pages, latency_p50_ms, exact_p50_ms, rows_estimated
)
select
    $1, $2, pg_catalog.pg_relation_filenode($2), pg_catalog.pg_get_indexdef($2), $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25
on conflict (index_name, k, ef_search, probes, iterative_scan, most_scanned, rerank, filter, query_text) do update set
    index_oid = excluded.index_oid,
    index_file = excluded.index_file,
    definition = excluded.definition,
    table_name = excluded.table_name,
    search_path = excluded.search_path,
    sample = excluded.sample,
    seed = excluded.seed,
    source = excluded.source,
    queries = excluded.queries,
    recall = excluded.recall,
    recall_low = excluded.recall_low,
    recall_high = excluded.recall_high,
    recalls = excluded.recalls,
    query_hash = excluded.query_hash,
    pages = excluded.pages,
    latency_p50_ms = excluded.latency_p50_ms,
    exact_p50_ms = excluded.exact_p50_ms,
    rows_estimated = excluded.rows_estimated,
    saved_at = excluded.saved_at,
    saved_by = excluded.saved_by
