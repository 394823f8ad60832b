-- Valid indexes of the tables $1 (OIDs), key by key.
select
    i.indexrelid,
    i.indrelid,
    m.amname::text,
    i.indisunique,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid),
    k.position <= i.indnkeyatts,
    i.indkey[k.position - 1],
    case when i.indkey[k.position - 1] = 0 then pg_catalog.pg_get_indexdef(i.indexrelid, k.position, false) end,
    case when not o.opcdefault then pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.opcname) end,
    case when l.oid <> coalesce(a.attcollation, t.typcollation)
        then pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) end,
    coalesce(i.indoption[k.position - 1] & 1 = 1, false),
    coalesce(i.indoption[k.position - 1] & 2 = 2, false)
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
cross join lateral pg_catalog.generate_series(1, i.indnatts) k (position)
left join pg_catalog.pg_opclass o on o.oid = i.indclass[k.position - 1]
left join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.position - 1]
left join pg_catalog.pg_attribute x on a.attnum is null and x.attrelid = i.indexrelid and x.attnum = k.position
left join pg_catalog.pg_type t on t.oid = x.atttypid
left join pg_catalog.pg_collation l on l.oid = i.indcollation[k.position - 1]
left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
where i.indrelid = any ($1) and i.indisvalid and i.indisready
order by i.indexrelid, k.position
