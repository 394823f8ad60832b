-- $1 oid[]: relations that a migration concerns. $2 oid[]: those among them that nobody else has locked.
select
    a.attrelid,
    a.attnum,
    a.attname::text,
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    a.atttypid,
    a.atttypmod,
    a.attcollation,
    a.attnotnull,
    case when a.attrelid = any ($2) then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
    a.attidentity::text,
    a.attgenerated::text,
    d.oid is not null
from pg_catalog.pg_attribute a
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any ($1) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
