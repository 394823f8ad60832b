//! The SQL functions: validate arguments, run, return rows.

mod activity_history;
mod advice;
mod arguments;
mod bursts;
mod cascade;
mod check;
mod explain;
mod index_advice;
mod lock_tree;
mod log_findings;
mod long_running;
mod migration;
mod migration_dry_run;
mod migration_plan;
mod migration_rollback;
mod migration_round_trip;
mod n_plus_one;
mod pgbouncer_pressure;
mod pool_pressure;
mod pool_sizing;
mod query_findings;
mod recorded_plans;
mod report;
mod rules;
mod sample_activity;
mod settings;
mod slow_queries;
mod validate_index;
mod vector_drift;
mod vector_index_advice;
mod vector_indexes;
mod vector_queries;
mod vector_recall;
mod vector_tune;
mod what_if;
mod workload_findings;

pgrx::extension_sql_file!("../../sql/tables.sql", name = "tables", requires = [finding::severity]);
pgrx::extension_sql_file!("../../sql/types/advice.sql", name = "advice", requires = [finding::severity]);
pgrx::extension_sql_file!("../../sql/views/findings.sql", name = "findings", requires = [check::check]);
pgrx::extension_sql_file!("../../sql/views/rules.sql", name = "rules", requires = [rules::rules]);
pgrx::extension_sql_file!(
    "../../sql/views/slow_queries.sql",
    name = "slow_queries",
    requires = [slow_queries::slow_queries]
);
pgrx::extension_sql_file!(
    "../../sql/views/n_plus_one_bursts.sql",
    name = "n_plus_one_bursts",
    requires = [bursts::n_plus_one_bursts]
);
pgrx::extension_sql_file!(
    "../../sql/views/vector_indexes.sql",
    name = "vector_indexes",
    requires = ["tables", vector_indexes::vector_indexes]
);
pgrx::extension_sql_file!("../../sql/views/lock_tree.sql", name = "lock_tree", requires = [lock_tree::lock_tree]);
pgrx::extension_sql_file!(
    "../../sql/views/long_running.sql",
    name = "long_running",
    requires = [long_running::long_running]
);
pgrx::extension_sql_file!(
    "../../sql/views/activity_history.sql",
    name = "activity_history",
    requires = [activity_history::activity_history]
);
pgrx::extension_sql_file!(
    "../../sql/functions/missing_fk_indexes.sql",
    name = "missing_fk_indexes",
    requires = [check::check]
);
pgrx::extension_sql_file!(
    "../../sql/functions/plan_findings.sql",
    name = "plan_findings_of_jsonb",
    requires = [explain::plan_findings]
);
pgrx::extension_sql_file!(
    "../../sql/functions/snapshot_index_advice.sql",
    name = "snapshot_index_advice",
    requires = ["tables", index_advice::index_advice]
);
pgrx::extension_sql_file!(
    "../../sql/views/last_index_advice.sql",
    name = "last_index_advice",
    requires = ["tables", "advice"]
);
pgrx::extension_sql_file!(
    "../../sql/comments.sql",
    name = "comments",
    requires = [
        "findings",
        "rules",
        "missing_fk_indexes",
        "snapshot_index_advice",
        "last_index_advice",
        index_advice::suggest_index,
        query_findings::query_findings,
        n_plus_one::n_plus_one,
        validate_index::validate_index,
        what_if::what_if,
        explain::explain_findings,
        explain::plan_findings,
        explain::plan_nodes,
        "plan_findings_of_jsonb",
        check::rule_runs,
        report::report,
        settings::configure_rule,
        settings::reset_rule,
        settings::suppress,
        settings::unsuppress,
        "slow_queries",
        slow_queries::snapshot_workload,
        workload_findings::workload_findings,
        "n_plus_one_bursts",
        bursts::n_plus_one_recording,
        bursts::reset_n_plus_one_bursts,
        log_findings::log_findings,
        migration::migration_findings,
        migration::migration_steps,
        migration_plan::migration_plan,
        cascade::cascade_impact,
        cascade::cascade_findings,
        migration_dry_run::migration_dry_run,
        migration_round_trip::migration_round_trip,
        migration_rollback::migration_rollback,
        vector_index_advice::vector_index_advice,
        "vector_indexes",
        vector_recall::vector_recall,
        vector_tune::vector_tune,
        vector_queries::vector_capture,
        vector_queries::forget_vector_queries,
        vector_drift::vector_drift,
        pool_pressure::pool_pressure,
        pool_sizing::pool_sizing,
        "lock_tree",
        "long_running",
        sample_activity::sample_activity,
        "activity_history",
        activity_history::activity_recording,
        activity_history::start_activity_history,
        activity_history::stop_activity_history,
        pgbouncer_pressure::pgbouncer_pressure,
    ]
);
pgrx::extension_sql_file!(
    "../../sql/function_settings.sql",
    name = "function_settings",
    requires = [
        check::check,
        check::rule_runs,
        report::report,
        index_advice::index_advice,
        index_advice::suggest_index,
        explain::plan_findings,
        query_findings::query_findings,
        n_plus_one::n_plus_one,
        validate_index::validate_index,
        what_if::what_if,
        slow_queries::slow_queries,
        slow_queries::snapshot_workload,
        workload_findings::workload_findings,
        log_findings::log_findings,
        migration::migration_findings,
        migration::migration_steps,
        migration_plan::migration_plan,
        cascade::cascade_impact,
        cascade::cascade_findings,
        migration_rollback::migration_rollback,
        vector_index_advice::vector_index_advice,
        vector_indexes::vector_indexes,
        vector_recall::vector_recall,
        vector_drift::vector_drift,
        vector_tune::vector_tune,
        pool_pressure::pool_pressure,
        pool_sizing::pool_sizing,
        lock_tree::lock_tree,
        long_running::long_running,
        pgbouncer_pressure::pgbouncer_pressure,
    ]
);
pgrx::extension_sql_file!("../../sql/grants.sql", name = "grants", finalize);
