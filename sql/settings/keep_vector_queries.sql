insert into dbre.vector_queries (
    captured_at, relation, index, key, operator, vector_type, query_vector, k, rows, k_short, joined, filter, filter_columns,
    ef_search, probes, iterative_scan, ms, query_id, role
)
select
    timestamptz '2000-01-01 00:00:00+00' + r.at * interval '1 microsecond',
    r.relation,
    nullif(r.index, 0),
    r.key,
    r.operator,
    coalesce((select t.typname from pg_catalog.pg_type t where t.oid = r.vector_type), ''),
    r.query_vector,
    r.k,
    r.rows,
    r.k_short,
    r.joined,
    r.filter,
    array(
        select a.attname::text
        from pg_catalog.pg_attribute a
        where a.attrelid = r.scanned and a.attnum = any (r.columns)
        order by a.attnum
    ),
    r.ef_search,
    r.probes,
    r.iterative_scan,
    r.ms,
    nullif(r.query_id, 0),
    pg_catalog.pg_get_userbyid(r.role)
from pg_catalog.jsonb_to_recordset($1) as r (
    at bigint,
    relation oid,
    scanned oid,
    index oid,
    key text,
    operator text,
    vector_type oid,
    query_vector text,
    k bigint,
    rows bigint,
    k_short boolean,
    joined boolean,
    filter text,
    columns int2[],
    ef_search int,
    probes int,
    iterative_scan text,
    ms float8,
    query_id bigint,
    role oid
)
