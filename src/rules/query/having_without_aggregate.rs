use crate::advice::rewrite::having;
use crate::advice::statements::{self, MIN_ROWS, advise, is_deterministic, largest};
use crate::facts::statement_tree::{Expression, Kind, Select};
use crate::facts::{Catalog, Facts};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "having_without_aggregate",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "HAVING compares columns of GROUP BY with constants, without an aggregate, in a query over a table of more than \
                min_rows.",
    effect: "Readers look for the aggregate. PostgreSQL itself evaluates such a condition before it groups; other databases, \
             and a HAVING that comes to hold a volatile function or a subquery, group the rows first that are then thrown away.",
    workaround: "Say it in WHERE.",
    sources: &["https://www.postgresql.org/docs/17/sql-select.html#SQL-HAVING"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a key and an aggregate",
            setup: "create table t (id int primary key, a text, b int); insert into t select g, nullif(g % 9, 4)::text, g % 5 \
                    from generate_series(1, 12000) g; vacuum analyze; create table example as select 'select a, b, count(*) \
                    from t where id > 10 group by a, b having a <> ''2'' and (b = 1 or b is null or b in (3, 4)) and count(*) > \
                    5 order by a, b' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "aggregates, grouping sets and expressions",
            setup: "create table t (id int primary key, a text, b int); insert into t select g, (g % 9)::text, g % 5 from \
                    generate_series(1, 12000) g; vacuum analyze; create table example as select 'select 1 from (select a from t \
                    group by a having count(*) > 3) x, (select a from t group by rollup (a) having a <> ''2'') y, (select a from \
                    t group by a having lower(a) <> ''2'' or max(b) > 2) z' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let mut findings = Vec::new();
    for select in statement.selects() {
        let Some(having) = select.having.as_ref().filter(|_| !select.group_by.is_empty() && !select.grouping_sets)
        else {
            continue;
        };
        let conditions: Vec<&Expression> =
            having.conjuncts().into_iter().filter(|condition| is_on_keys(condition, select, catalog)).collect();
        let (false, Some((table, rows))) =
            (conditions.is_empty(), largest(select, catalog, options.number("min_rows")))
        else {
            continue;
        };
        let location = conditions.iter().find_map(|condition| statements::place(condition));
        let mut finding = statements::finding(statement, "HAVING", location);
        finding.severity = RULE.severity;
        finding.weight = rows.0;
        finding.summary = "HAVING has a condition without an aggregate, which is WHERE".to_string();
        finding.cause =
            "The condition names columns of GROUP BY and constants alone: it is the same for all rows of a group. \
                         PostgreSQL moves it to WHERE itself, so that only the reader gains."
                .to_string();
        finding.evidence.append(&mut object! { "largest_table": table.name.to_string(), "largest_table_rows": rows });
        let places: BTreeSet<usize> = conditions
            .iter()
            .flat_map(|condition| condition.all())
            .filter(|part| matches!(part.kind, Kind::Column(_)))
            .filter_map(|part| part.location)
            .collect();
        advise(&mut finding, having::rewrite(&statement.text, &places), "Move the condition from HAVING to WHERE.");
        findings.push(finding);
    }
    Ok(findings)
}

/// Comparisons of grouped columns with constants, which hold for all equal values or for none.
fn is_on_keys(condition: &Expression, select: &Select, catalog: &Catalog) -> bool {
    let is_key = |expression: &Expression| {
        let Some(column) = expression.column() else { return false };
        let collation = select
            .table(catalog, column.item)
            .and_then(|table| table.column(column.attribute))
            .map(|definition| definition.collation);
        collation.is_some_and(is_deterministic) && select.group_by.iter().any(|key| key.column() == Some(column))
    };
    let is_plain = |expression: &Expression| {
        expression.all().iter().all(|part| match &part.kind {
            Kind::Constant(_) | Kind::Parameter(_) | Kind::Array(_) => true,
            Kind::Cast(cast) => cast.implicit,
            _ => false,
        })
    };
    match &condition.kind {
        Kind::And(parts) | Kind::Or(parts) => parts.iter().all(|part| is_on_keys(part, select, catalog)),
        Kind::Not(part) => is_on_keys(part, select, catalog),
        Kind::IsNull { argument, .. } => is_key(argument),
        Kind::AnyArray { operator, left, array, .. } => {
            operator.builtin && operator.comparison.is_some() && is_key(left) && is_plain(array)
        }
        Kind::Operator(operator) if operator.builtin && operator.comparison.is_some() => match operator.sides() {
            Some((left, right)) => is_key(left) && is_plain(right) || is_plain(left) && is_key(right),
            None => false,
        },
        _ => false,
    }
}
