use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

/// Evidence names so many.
const SHOWN: usize = 50;

pub static RULE: Rule = Rule {
    id: "vector_columns_not_read",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Vector columns or indexes could not be looked at: locked by another session, no privilege, row security, an operator \
                class that is none of pgvector's, or the time was up.",
    effect: "What only stored vectors show (mixed dimensions, zero vectors, lengths, half precision) is not judged there.",
    workaround: "Call it as a role that may read the tables, at another time, or with a larger time_limit.",
    sources: &["https://www.postgresql.org/docs/17/ddl-priv.html"],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a materialized view without data",
            setup: "create extension vector; create table t (a vector(2)); create materialized view m as select a from t with no data",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all can be read",
            setup: "create extension vector; create table t (a vector(2)); create materialized view m as select a from t",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let left_out = &facts.vectors().left_out;
    let Some(first) = left_out.first() else { return Ok(Vec::new()) };
    Ok(vec![Finding {
        object: "vector columns".to_string(),
        summary: match left_out.len() {
            1 => format!("Not looked at: {first}"),
            many => format!("Not looked at: {first}, and {} more", Count(many as u64 - 1)),
        },
        cause: "Findings that need stored vectors are not complete: silence about these says nothing.".to_string(),
        evidence: object! {
            "left_out": left_out.iter().take(SHOWN).collect::<Vec<_>>(),
            "left_out_count": left_out.len(),
        },
        ..Finding::that_changes_nothing()
    }])
}
