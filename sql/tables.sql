create table dbre.rule_settings (
    rule text primary key,
    enabled boolean,
    severity dbre.severity,
    options jsonb not null default '{}' check (jsonb_typeof(options) = 'object')
);
comment on table dbre.rule_settings is
    'How rules differ from their defaults in this database; written by dbre.configure_rule() and dbre.reset_rule()';
comment on column dbre.rule_settings.enabled is 'null: as the rule declares';
comment on column dbre.rule_settings.severity is 'severity of all findings of the rule; null: as the rule finds';
comment on column dbre.rule_settings.options is 'values that differ from the defaults shown by dbre.rules';

create table dbre.suppressions (
    fingerprint text,
    rule text,
    object_pattern text,
    reason text not null,
    until timestamptz,
    created_at timestamptz not null default now(),
    created_by text not null default session_user,
    check ((fingerprint is null) = (rule is not null) and (rule is null) = (object_pattern is null)),
    unique nulls not distinct (fingerprint, rule, object_pattern)
);
comment on table dbre.suppressions is
    'Findings that are known and accepted, by fingerprint or by rule and object; written by dbre.suppress() and dbre.unsuppress()';
comment on column dbre.suppressions.fingerprint is 'of the one finding that is suppressed';
comment on column dbre.suppressions.object_pattern is 'LIKE pattern on the object of findings of the rule';
comment on column dbre.suppressions.until is 'when the finding shows again; null: never';

select pg_catalog.pg_extension_config_dump('dbre.rule_settings', '');
select pg_catalog.pg_extension_config_dump('dbre.suppressions', '');

create table dbre.index_advice_snapshots (
    taken_at timestamptz primary key,
    findings jsonb not null check (jsonb_typeof(findings) = 'array')
);
comment on table dbre.index_advice_snapshots is
    'What dbre.index_advice() answered, the last 20 times that dbre.snapshot_index_advice() asked it';
comment on column dbre.index_advice_snapshots.findings is 'array of the rows of dbre.index_advice()';
select pg_catalog.pg_extension_config_dump('dbre.index_advice_snapshots', '');

create table dbre.workload_snapshots (
    taken_at timestamptz primary key,
    statements bigint not null,
    calls float8 not null,
    total_ms float8 not null
);
comment on table dbre.workload_snapshots is
    'When the counters of pg_stat_statements were kept, the last 20 times, by dbre.snapshot_workload()';
comment on column dbre.workload_snapshots.statements is 'how many had been counted in this database';
comment on column dbre.workload_snapshots.calls is 'of all statements, those that functions ran left out';
comment on column dbre.workload_snapshots.total_ms is 'of all statements, those that functions ran left out';
select pg_catalog.pg_extension_config_dump('dbre.workload_snapshots', '');

create table dbre.workload_snapshot_statements (
    taken_at timestamptz not null references dbre.workload_snapshots on delete cascade,
    query_id bigint not null,
    role text not null,
    top_level boolean not null,
    since timestamptz not null,
    calls bigint not null,
    total_ms float8 not null,
    deviation_ms float8 not null,
    rows bigint not null,
    blocks bigint not null,
    read_blocks bigint not null,
    temp_blocks bigint not null,
    wal_bytes float8 not null,
    primary key (taken_at, query_id, role, top_level)
);
comment on table dbre.workload_snapshot_statements is
    'The counters of each statement of this database at a snapshot of dbre.workload_snapshots; texts are not kept';
comment on column dbre.workload_snapshot_statements.query_id is 'queryid in pg_stat_statements';
comment on column dbre.workload_snapshot_statements.top_level is 'not run by a function';
comment on column dbre.workload_snapshot_statements.since is 'since when the entry had counted';
comment on column dbre.workload_snapshot_statements.deviation_ms is 'of the execution time, of the population';
comment on column dbre.workload_snapshot_statements.blocks is 'shared blocks, found in shared_buffers or read';
comment on column dbre.workload_snapshot_statements.read_blocks is 'shared blocks read from outside of shared_buffers';
comment on column dbre.workload_snapshot_statements.temp_blocks is 'temporary blocks written';
select pg_catalog.pg_extension_config_dump('dbre.workload_snapshot_statements', '');

create table dbre.vector_queries (
    id bigint generated always as identity primary key,
    captured_at timestamptz not null,
    relation regclass not null,
    index regclass,
    key text not null,
    operator text not null,
    vector_type text not null,
    query_vector text not null,
    k bigint,
    rows bigint,
    k_short boolean not null,
    joined boolean not null,
    filter text,
    filter_columns text[] not null,
    ef_search int,
    probes int,
    iterative_scan text,
    ms float8 not null,
    query_id bigint,
    role text not null
);
create index on dbre.vector_queries (relation, key, operator);
comment on table dbre.vector_queries is
    'Searches for vectors that clients really made: of each table, key and operator a random sample of those of the last dbre.vector_queries_retention. Vectors and filters can be personal data: only the owner and pg_monitor read them, dbre.forget_vector_queries() deletes them, and pg_dump leaves them out';
comment on column dbre.vector_queries.captured_at is 'when the statement began';
comment on column dbre.vector_queries.relation is 'the table; of a partition, the partitioned table at the top';
comment on column dbre.vector_queries.index is 'the HNSW or IVFFlat index that served the search, of partitions the first; null: none, so that it was exact';
comment on column dbre.vector_queries.key is
    'what is compared, as PostgreSQL prints it with an empty search_path and without outer parentheses of an index: embedding, (embedding)::public.halfvec(3)';
comment on column dbre.vector_queries.operator is 'without schema: <->, <#>, <=>, <+>, <~>, <%>';
comment on column dbre.vector_queries.vector_type is 'of the query: vector, halfvec, sparsevec or bit';
comment on column dbre.vector_queries.k is 'LIMIT and OFFSET together; null: the search has no LIMIT';
comment on column dbre.vector_queries.rows is 'that reached LIMIT, those skipped by OFFSET among them; of several times in one statement, the last; null: not known';
comment on column dbre.vector_queries.k_short is 'the search had no more rows, and fewer than k';
comment on column dbre.vector_queries.joined is 'there is a join or an aggregate between search and LIMIT, so that rows are not those of the search';
comment on column dbre.vector_queries.filter is
    'conditions on the table with their values, joined by AND; null: none, or some that are not kept (too long, a subquery, a volatile function), as filter_columns then shows';
comment on column dbre.vector_queries.ef_search is 'hnsw.ef_search when the statement ended; null: no HNSW index was used';
comment on column dbre.vector_queries.probes is 'ivfflat.probes when the statement ended; null: no IVFFlat index was used';
comment on column dbre.vector_queries.iterative_scan is 'hnsw.iterative_scan or ivfflat.iterative_scan when the statement ended; null: no such index was used';
comment on column dbre.vector_queries.ms is 'of the whole statement';
comment on column dbre.vector_queries.query_id is 'queryid in pg_stat_statements; null: statements have no ids';
comment on column dbre.vector_queries.role is 'whose rights the search had';

create table dbre.vector_query_counts (
    relation oid,
    key text,
    operator text,
    searches float8 not null,
    primary key (relation, key, operator)
);
comment on table dbre.vector_query_counts is
    'How many searches dbre.vector_queries is the sample of: of those that have ended since, and are not older than it';
comment on column dbre.vector_query_counts.searches is 'captured; estimated once older ones have gone';

create table dbre.vector_recall_baselines (
    index_name text not null,
    index_oid oid not null,
    index_file oid not null,
    definition text not null,
    table_name text not null,
    k int not null,
    ef_search int,
    probes int,
    iterative_scan text,
    most_scanned int,
    rerank int,
    filter text,
    query_text text,
    search_path text not null,
    sample int not null,
    seed int not null,
    source text not null,
    queries int not null,
    recall float8 not null,
    recall_low float8 not null,
    recall_high float8 not null,
    recalls float8[] not null,
    query_hash bigint not null,
    pages float8 not null,
    latency_p50_ms float8 not null,
    exact_p50_ms float8 not null,
    rows_estimated float8,
    saved_at timestamptz not null default now(),
    saved_by text not null default session_user,
    unique nulls not distinct (index_name, k, ef_search, probes, iterative_scan, most_scanned, rerank, filter, query_text)
);
comment on table dbre.vector_recall_baselines is
    'What dbre.vector_recall(…, save => true) has measured, last of each index, k, setting, filter and queries; dbre.vector_drift() measures it again';
comment on column dbre.vector_recall_baselines.index_oid is 'when it was saved; after a restore the index is found by its name';
comment on column dbre.vector_recall_baselines.index_file is 'pg_relation_filenode() when it was saved: another one was built since';
comment on column dbre.vector_recall_baselines.most_scanned is 'hnsw.max_scan_tuples or ivfflat.max_probes, where an iterative scan ends';
comment on column dbre.vector_recall_baselines.query_text is 'argument queries; null: captured queries or sampled rows, as source says. Like filter it is run with the rights of who calls dbre.vector_drift(): grant insert only to whom you trust so far';
comment on column dbre.vector_recall_baselines.search_path is 'in which filter and query_text are read';
comment on column dbre.vector_recall_baselines.queries is 'that were searched for, at most sample';
comment on column dbre.vector_recall_baselines.recall_low is 'with recall_high a 95% confidence interval';
comment on column dbre.vector_recall_baselines.recalls is 'of each query, in their order';
comment on column dbre.vector_recall_baselines.query_hash is
    'of the query vectors: if they are the same ones later, each is compared with itself';
comment on column dbre.vector_recall_baselines.pages is 'that a search by the index touched, mean';
comment on column dbre.vector_recall_baselines.rows_estimated is 'of the table; null: nothing has been counted';
select pg_catalog.pg_extension_config_dump('dbre.vector_recall_baselines', '');
