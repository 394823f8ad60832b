-- Planner statistics, as far as pg_stats shows them to the caller, of the columns that parameters are compared with, where
-- their printed values are values of the parameter's type, too. $1: numbers of the parameters, $2 and $3: tables and columns,
-- $4: types of the parameters.
with parameter as (
    select
        u.number,
        n.nspname,
        c.relname,
        c.relkind,
        a.attname,
        -- column = any ($1): the elements are what is compared
        f.is_array,
        case when f.is_array then t.typelem else t.oid end as type,
        coalesce(nullif(d.typbasetype, 0), d.oid) as column_type
    from rows from (
        pg_catalog.unnest($1::int4[]),
        pg_catalog.unnest($2::int8[]),
        pg_catalog.unnest($3::int2[]),
        pg_catalog.unnest($4::int8[])
    ) u (number, relid, attnum, type)
    join pg_catalog.pg_class c on c.oid = u.relid::oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum
    join pg_catalog.pg_type d on d.oid = a.atttypid
    join pg_catalog.pg_type t on t.oid = u.type::oid
    cross join lateral (select t.typcategory = 'A' and d.typcategory <> 'A' as is_array) f
)
select
    p.number,
    p.is_array,
    v.common,
    v.frequencies,
    v.bounds
from parameter p
-- OFFSET 0 has the view looked up by name for each column; joined, it would compute privileges for every column there is.
cross join lateral (
    select *
    from pg_catalog.pg_stats v
    where v.schemaname = p.nspname and v.tablename = p.relname and v.attname = p.attname and v.inherited = (p.relkind = 'p')
    offset 0
) s
cross join lateral (
    select
        coalesce(s.most_common_vals::text::text[], '{}') as common,
        coalesce(s.most_common_freqs, '{}') as frequencies,
        coalesce(s.histogram_bounds::text::text[], '{}') as bounds
) v
where p.type = p.column_type
    -- The input functions of the server's own types say whether a text is valid; those of others may raise an error.
    or p.type < 16384 and not exists (
        select
        from pg_catalog.unnest(v.common || v.bounds) value
        where not pg_catalog.pg_input_is_valid(value, pg_catalog.format_type(p.type, null))
    )
order by p.number
