use crate::facts::Facts;
use crate::facts::statement_tree::Source;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "query_not_analyzed",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The server could not analyze the query that dbre.query_findings() was given, for a table, column, function or type \
                is not there.",
    effect: "Only what the text alone tells is judged: rules that need keys, types or sizes are silent, and say nothing about \
             whether the query is well.",
    workaround: "Ask in the database where the query runs, with the search_path that it runs with.",
    sources: &["https://www.postgresql.org/docs/17/ddl-schemas.html#DDL-SCHEMAS-PATH"],
    options: &[],
    needs: &[Need::Statement],
    cases: &[
        Case {
            name: "a table that is not there",
            setup: "create table example as select 'select a from gone where b = 1' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "which the other parser does not take either",
            setup: "create table example as select 'select a from gone where (a, b) overlaps (c, d)' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a table that is there",
            setup: "create table t (a int); create table example as select 'select a from t' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let statement = facts.statement();
    let (why, parser) = match &statement.source {
        Source::Analyzed => return Ok(Vec::new()),
        Source::Parsed { why } => (why, None),
        Source::Unknown { why, parser } => (why, Some(parser)),
    };
    let rest = match parser {
        None => "Its text alone was judged.".to_string(),
        Some(parser) => format!("Nor could its text be read without the server ({parser}): nothing was judged."),
    };
    Ok(vec![Finding {
        severity: RULE.severity,
        object: statement.object(""),
        summary: format!("The query could not be analyzed: {}", why.message),
        cause: format!("The server says {} (SQLSTATE {}). {rest}", why.message, why.sqlstate),
        evidence: object! {
            "query": statement.excerpt(None),
            "sqlstate": why.sqlstate,
            "message": why.message,
            "parser": parser,
        },
        ..Finding::that_changes_nothing()
    }])
}
