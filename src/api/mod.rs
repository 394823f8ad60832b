//! The SQL functions: validate arguments, run, return rows.

mod advice;
mod arguments;
mod check;
mod explain;
mod index_advice;
mod query_findings;
mod report;
mod rules;
mod settings;
mod validate_index;
mod what_if;

pgrx::extension_sql_file!("../../sql/tables.sql", name = "tables", requires = [finding::severity]);
pgrx::extension_sql_file!("../../sql/types/advice.sql", name = "advice", requires = [finding::severity]);
pgrx::extension_sql_file!("../../sql/views/findings.sql", name = "findings", requires = [check::check]);
pgrx::extension_sql_file!("../../sql/views/rules.sql", name = "rules", requires = [rules::rules]);
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
        settings::unsuppress
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
        validate_index::validate_index,
        what_if::what_if
    ]
);
pgrx::extension_sql_file!("../../sql/grants.sql", name = "grants", finalize);
