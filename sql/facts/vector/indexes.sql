-- Indexes of pgvector's access methods on the tables $1.
select
    i.indrelid,
    i.indexrelid,
    n.nspname::text,
    c.relname::text,
    am.amname::text,
    options.m,
    options.ef_construction,
    options.lists,
    -- 0: an expression
    i.indkey[0],
    i.indexprs::text,
    pg_catalog.pg_get_indexdef(i.indexrelid, 1, false),
    oc.opcname::text,
    exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_opclass'::pg_catalog.regclass and d.objid = oc.oid and d.deptype = 'e'
            and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
    ),
    pg_catalog.pg_get_expr(i.indpred, i.indrelid),
    i.indisvalid,
    i.indisready,
    c.relkind = 'I',
    h.inhparent,
    c.relpages,
    pg_catalog.pg_relation_filepath(c.oid),
    -- -1: never vacuumed or analyzed
    c.reltuples::float8,
    pg_catalog.pg_stat_get_numscans(i.indexrelid),
    pg_catalog.pg_get_indexdef(i.indexrelid)
from pg_catalog.pg_extension e
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
    and d.classid = 'pg_catalog.pg_am'::pg_catalog.regclass and d.deptype = 'e'
join pg_catalog.pg_am am on am.oid = d.objid and am.amname in ('hnsw', 'ivfflat')
join pg_catalog.pg_class c on c.relam = am.oid and c.relkind in ('i', 'I')
join pg_catalog.pg_index i on i.indexrelid = c.oid and i.indrelid = any ($1)
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_opclass oc on oc.oid = i.indclass[0]
left join pg_catalog.pg_inherits h on c.relispartition and h.inhrelid = c.oid
cross join lateral (
    select
        max(o.option_value::int4) filter (where o.option_name = 'm') as m,
        max(o.option_value::int4) filter (where o.option_name = 'ef_construction') as ef_construction,
        max(o.option_value::int4) filter (where o.option_name = 'lists') as lists
    from pg_catalog.pg_options_to_table(c.reloptions) o
) options
where e.extname = 'vector'
order by i.indrelid, i.indexrelid
