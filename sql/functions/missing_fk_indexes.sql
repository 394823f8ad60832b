create function dbre.missing_fk_indexes(
    schemas text[] default null,
    out constraint_name text,
    out child text,
    out parent text,
    out columns text[],
    out on_delete text,
    out on_update text,
    out child_bytes bigint,
    out child_rows bigint,
    out parent_bytes bigint,
    out parent_rows bigint,
    out index_bytes bigint,
    out fingerprint text,
    out rule text,
    out severity dbre.severity,
    out category text,
    out object text,
    out summary text,
    out cause text,
    out evidence jsonb,
    out impact jsonb,
    out fix_sql text,
    out app_fix text,
    out risk text,
    out rollback_sql text,
    out verify_sql text
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        k.constraint_name,
        f.evidence ->> 'child',
        k.parent,
        array(select jsonb_array_elements_text(f.evidence -> 'columns')),
        k.on_delete,
        k.on_update,
        (f.evidence ->> 'child_bytes')::bigint,
        (f.evidence ->> 'child_rows')::bigint,
        k.parent_bytes,
        k.parent_rows,
        (f.evidence ->> 'index_bytes')::bigint,
        f.*
    from dbre.check(rules => array['foreign_key_without_index'], schemas => schemas) f
    cross join jsonb_to_recordset(f.evidence -> 'foreign_keys') k (
        constraint_name text,
        parent text,
        on_delete text,
        on_update text,
        parent_bytes bigint,
        parent_rows bigint
    )
$$;
