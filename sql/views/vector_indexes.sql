create view dbre.vector_indexes as
select
    i.*,
    b.recall as baseline_recall,
    b.k as baseline_k,
    b.saved_at as baseline_saved_at
from dbre.vector_indexes() i
left join lateral (
    select recall, k, saved_at
    from dbre.vector_recall_baselines
    where index_name = i.index_name and filter is null
    order by saved_at desc, ef_search, probes
    limit 1
) b on true;
