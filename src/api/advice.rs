//! Functions that answer with findings in an order, `setof dbre.advice`.

use crate::engine::Run;
use crate::finding::severity;
use pgrx::JsonB;
use serde_json::Value;

/// A function that returns `setof advice`: the attribute needs to see the columns.
macro_rules! advice {
    (
        $(#[$documentation:meta])*
        sql: $sql:tt,
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block
    ) => {
        $(#[$documentation])*
        #[pg_extern(stable, sql = $sql, requires = ["advice"])]
        #[allow(clippy::type_complexity, clippy::too_many_arguments, reason = "options with defaults, the columns of advice")]
        pub fn $name($($argument: $type),*) -> TableIterator<
            'static,
            (
                name!(step, i32),
                name!(fingerprint, String),
                name!(rule, &'static str),
                name!(severity, severity),
                name!(category, &'static str),
                name!(object, String),
                name!(summary, String),
                name!(cause, String),
                name!(evidence, JsonB),
                name!(impact, JsonB),
                name!(fix_sql, Option<String>),
                name!(app_fix, Option<String>),
                name!(risk, String),
                name!(rollback_sql, Option<String>),
                name!(verify_sql, Option<String>),
            ),
        > {
            TableIterator::new($crate::api::advice::rows($body))
        }
    };
}
pub(super) use advice;

/// A finding's columns where other rows have none of them, and further columns.
macro_rules! finding_and {
    ($finding:expr, $($further:expr),* $(,)?) => {{
        let (step, fingerprint, rule, severity, category, object, summary, cause, evidence, impact, fix, app, risk, back, verify) =
            $finding;
        (
            step, Some(fingerprint), Some(rule), Some(severity), category, object, summary, Some(cause), evidence, Some(impact), fix,
            app, Some(risk), back, verify, $($further),*
        )
    }};
}
pub(super) use finding_and;

pub type Row = (
    i32,
    String,
    &'static str,
    severity,
    &'static str,
    String,
    String,
    String,
    JsonB,
    JsonB,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    Option<String>,
);

/// The findings as they come, numbered.
pub fn rows(run: Run) -> Vec<Row> {
    let rows = run.findings.into_iter().zip(1..).map(|(reported, step)| {
        let finding = reported.finding;
        (
            step,
            reported.fingerprint,
            reported.rule.id,
            finding.severity,
            reported.rule.category,
            finding.object,
            finding.summary,
            finding.cause,
            JsonB(Value::Object(finding.evidence)),
            JsonB(Value::Object(finding.impact)),
            finding.fix_sql,
            finding.app_fix,
            finding.risk,
            reported.rollback_sql,
            finding.verify_sql,
        )
    });
    rows.collect()
}
