-- PUBLIC gets nothing; pg_monitor reads. Changing settings stays with the owner until granted.
revoke all on all functions in schema dbre from public;
grant usage on schema dbre to pg_monitor;
grant select on all tables in schema dbre to pg_monitor;
grant execute on function
    dbre.check(text[], text[], text[], dbre.severity),
    dbre.rule_runs(text[], text[], text[]),
    dbre.rules(),
    dbre.report(text, text[], text[], text[], dbre.severity),
    dbre.missing_fk_indexes(text[]),
    dbre.what_if(text, text[], regclass[], text[], int, text),
    dbre.index_advice(text, text, text, text[], text, int, int, float8, boolean, text, text[], interval, text),
    dbre.suggest_index(regclass, text[]),
    dbre.explain_findings(text, boolean, text[], boolean, boolean, interval, text),
    dbre.plan_findings(text),
    dbre.plan_findings(jsonb),
    dbre.plan_nodes(text, boolean, text[], boolean, interval, text, text),
    dbre.query_findings(text, text),
    dbre.n_plus_one(int, interval),
    dbre.validate_index(regclass, text[], text),
    dbre.slow_queries(),
    dbre.workload_findings(int, interval, timestamptz),
    dbre.n_plus_one_bursts(),
    dbre.n_plus_one_recording(),
    dbre.log_findings(timestamptz, text[]),
    dbre.migration_findings(text, boolean, bigint, text, text),
    dbre.migration_steps(text, boolean, text),
    dbre.migration_plan(text, text, boolean, bigint, interval, integer, text),
    dbre.cascade_impact(regclass, text, boolean),
    dbre.cascade_findings(regclass, text, boolean),
    dbre.migration_rollback(text, text),
    dbre.vector_index_advice(regclass, float8, int, text, text, int, bigint, interval),
    dbre.vector_drift(regclass, int, interval),
    dbre.vector_indexes(),
    dbre.vector_recall(regclass, int, int, text, text, int[], int[], text, int, int, interval, boolean, text),
    dbre.vector_tune(regclass, float8, int, int, text, text, float8, boolean, int, int, interval, text),
    dbre.vector_capture(),
    dbre.lock_tree(),
    dbre.long_running(),
    dbre.sample_activity(interval, interval, text),
    dbre.activity_history(),
    dbre.activity_recording(),
    dbre.pgbouncer_pressure(text, interval),
    dbre.pool_pressure(text, text),
    dbre.pool_sizing(int, numeric, int, int, numeric, int, text, boolean, text, int, numeric)
to pg_monitor;
revoke usage on type dbre.severity, dbre.advice from public;
grant usage on type dbre.severity, dbre.advice to pg_monitor;
