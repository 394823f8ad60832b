create function dbre.snapshot_index_advice(
    query text default null,
    budget text default null,
    workload text default null,
    queries text[] default null,
    weigh_by text default 'total_time',
    max_indexes_per_table int default 5,
    max_queries int default 1000,
    min_benefit_percent float8 default 1,
    drop_indexes boolean default true,
    parameters text default 'sampled',
    schemas text[] default null,
    time_limit interval default '30 s',
    search_path text default pg_catalog.current_setting('search_path')
)
returns timestamptz
begin atomic
    insert into dbre.index_advice_snapshots (taken_at, findings)
    select
        pg_catalog.now(),
        coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(advice) order by advice.step), '[]')
    from dbre.index_advice(
        query => query,
        budget => budget,
        workload => workload,
        queries => queries,
        weigh_by => weigh_by,
        max_indexes_per_table => max_indexes_per_table,
        max_queries => max_queries,
        min_benefit_percent => min_benefit_percent,
        drop_indexes => drop_indexes,
        parameters => parameters,
        schemas => schemas,
        time_limit => time_limit,
        search_path => search_path
    ) advice
    on conflict (taken_at) do update set findings = excluded.findings;
    delete from dbre.index_advice_snapshots
    where taken_at not in (select s.taken_at from dbre.index_advice_snapshots s order by s.taken_at desc limit 20);
    select pg_catalog.now();
end;
