-- The fact queries are large and run once: compiling them costs more than it saves. Values printed into findings (index
-- predicates, common values) must mean the same wherever they are pasted.
do $$
declare
    reading regprocedure;
begin
    foreach reading in array array[
        'dbre.check(text[], text[], text[], dbre.severity)',
        'dbre.rule_runs(text[], text[], text[])',
        'dbre.report(text, text[], text[], text[], dbre.severity)',
        'dbre.index_advice(text, text, text, text[], text, int, int, float8, boolean, text, text[], interval, text)',
        'dbre.suggest_index(regclass, text[])',
        'dbre.query_findings(text, text)',
        'dbre.n_plus_one(int, interval)',
        'dbre.validate_index(regclass, text[], text)',
        'dbre.what_if(text, text[], regclass[], text[], int, text)',
        'dbre.plan_findings(text)',
        'dbre.slow_queries()',
        'dbre.snapshot_workload()',
        'dbre.workload_findings(int, interval, timestamptz)',
        'dbre.log_findings(timestamptz, text[])',
        'dbre.migration_findings(text, boolean, bigint, text, text)',
        'dbre.migration_steps(text, boolean, text)',
        'dbre.migration_plan(text, text, boolean, bigint, interval, integer, text)',
        'dbre.cascade_impact(regclass, text, boolean)',
        'dbre.cascade_findings(regclass, text, boolean)',
        'dbre.migration_rollback(text, text)',
        'dbre.vector_index_advice(regclass, float8, int, text, text, int, bigint, interval)',
        'dbre.vector_drift(regclass, int, interval)',
        'dbre.vector_indexes()',
        'dbre.vector_recall(regclass, int, int, text, text, int[], int[], text, int, int, interval, boolean, text)',
        'dbre.vector_tune(regclass, float8, int, int, text, text, float8, boolean, int, int, interval, text)',
        'dbre.lock_tree()',
        'dbre.long_running()',
        'dbre.pgbouncer_pressure(text, interval)',
        'dbre.pool_pressure(text, text)',
        'dbre.pool_sizing(int, numeric, int, int, numeric, int, text, boolean, text, int, numeric)'
    ]::regprocedure[] loop
        execute format('alter function %s set jit = off', reading);
        execute format('alter function %s set datestyle = ISO', reading);
        execute format('alter function %s set intervalstyle = postgres', reading);
        execute format('alter function %s set extra_float_digits = 3', reading);
    end loop;
end
$$;
