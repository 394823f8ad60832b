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
