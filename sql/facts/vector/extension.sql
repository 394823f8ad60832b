-- pgvector, and the version that its control file names, where that is another one and there is a way to it.
select
    e.extversion,
    n.nspname::text,
    (
        select a.default_version
        from pg_catalog.pg_available_extensions() a
        where a.name = e.extname and a.default_version <> e.extversion
            and exists (
                select from pg_catalog.pg_extension_update_paths(e.extname) p
                where p.source = e.extversion and p.target = a.default_version and p.path is not null
            )
    )::text
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector'
