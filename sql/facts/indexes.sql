-- Indexes of tables, partitioned tables and materialized views. Where another session has locked the table exclusively,
-- nothing is printed: that would wait for it.
-- pg_relation_filepath() reads the catalogs for each relation: it is left to those that are not in the usual folder.
with folder as materialized (
    select pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath('pg_catalog.pg_class'), '[^/]*$', '') as path
)
select
    i.indrelid,
    i.indexrelid,
    c.relname::text,
    c.relkind = 'I',
    am.amname::text,
    i.indisunique,
    i.indnullsnotdistinct,
    i.indisprimary,
    i.indimmediate,
    i.indisvalid,
    i.indisready,
    i.indisreplident,
    i.indisclustered,
    i.indnkeyatts,
    i.indkey::pg_catalog.int2[],
    i.indcollation::pg_catalog.oid[],
    i.indclass::pg_catalog.oid[],
    i.indoption::pg_catalog.int2[],
    case when i.indexprs is not null and l.locked is null then pg_catalog.pg_get_expr(i.indexprs, i.indrelid) end,
    case when i.indpred is not null and l.locked is null then pg_catalog.pg_get_expr(i.indpred, i.indrelid) end,
    o.options,
    -- Only where a fix is made of it: printing a definition opens the table.
    case when (c.relkind = 'I' or not i.indisvalid) and l.locked is null then pg_catalog.pg_get_indexdef(i.indexrelid) end,
    c.relpages,
    case when c.relfilenode = 0 or c.reltablespace <> 0 or c.relpersistence = 't'
        then pg_catalog.pg_relation_filepath(c.oid)
        else folder.path || c.relfilenode
    end,
    case when c.reltuples >= 0 then c.reltuples::float8 end,
    pg_catalog.pg_stat_get_numscans(i.indexrelid),
    h.inhparent,
    k.conname::text,
    f.conindid is not null,
    case when c.reloptions is not null then (
        select option.option_value::int4
        from pg_catalog.pg_options_to_table(c.reloptions) option
        where option.option_name = 'fillfactor'
    ) end,
    c.reloptions is null or not exists (
        select from pg_catalog.pg_options_to_table(c.reloptions) option
        where option.option_name = 'deduplicate_items' and not option.option_value::boolean
    ),
    b.building is not null,
    l.locked is not null
from folder
cross join pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_class t on t.oid = i.indrelid and t.relkind in ('r', 'p', 'm')
join pg_catalog.pg_am am on am.oid = c.relam
left join pg_catalog.pg_inherits h on c.relispartition and h.inhrelid = c.oid
left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
left join (
    select distinct conindid from pg_catalog.pg_constraint where contype = 'f'
) f on f.conindid = i.indexrelid
left join (
    select a.attrelid, pg_catalog.string_agg(a.attnum || a.attoptions::text, ' ' order by a.attnum) as options
    from pg_catalog.pg_attribute a
    where a.attoptions is not null
    group by a.attrelid
) o on o.attrelid = i.indexrelid
-- CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY hold this lock on the table from beginning to end; so do VACUUM and
-- ANALYZE, which build nothing.
left join (
    select distinct relation as building
    from pg_catalog.pg_locks
    where locktype = 'relation' and mode = 'ShareUpdateExclusiveLock' and granted
        and pid is distinct from pg_catalog.pg_backend_pid()
        and pid not in (
            select pid from pg_catalog.pg_stat_progress_vacuum
            union all
            select pid from pg_catalog.pg_stat_progress_analyze
        )
        and database = (select db.oid from pg_catalog.pg_database db where db.datname = pg_catalog.current_database())
) b on b.building = i.indrelid
left join (
    select distinct relation as locked
    from pg_catalog.pg_locks
    where locktype = 'relation' and mode = 'AccessExclusiveLock' and pid is distinct from pg_catalog.pg_backend_pid()
        and database = (select db.oid from pg_catalog.pg_database db where db.datname = pg_catalog.current_database())
) l on l.locked = i.indrelid
