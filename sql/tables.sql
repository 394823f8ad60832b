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
