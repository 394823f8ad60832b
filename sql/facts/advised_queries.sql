-- Calls and mean time, in ms, of the queries that index advice has seen, when it last saw them.
select distinct on (q.query_id)
    q.query_id,
    q.calls,
    q.mean_ms
from dbre.index_advice_snapshots s
cross join lateral pg_catalog.jsonb_array_elements(s.findings) finding
cross join lateral pg_catalog.jsonb_to_recordset(
    case when pg_catalog.jsonb_typeof(finding.value -> 'evidence' -> 'queries_helped') = 'array'
        then finding.value -> 'evidence' -> 'queries_helped'
        else '[]'
    end
) q (query_id bigint, calls float8, mean_ms float8)
where q.query_id is not null and q.calls is not null and q.mean_ms is not null
order by q.query_id, s.taken_at desc
