use crate::advice::rewrite::not_in;
use crate::advice::statements::{self, Nullable, nullable, place};
use crate::facts::statement_tree::{Comparison, Expression, Kind, Select, Statement, SubLink, SubLinkKind};
use crate::facts::{Catalog, ColumnStatistics, Facts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "not_in_nullable",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "NOT IN, or <> ALL, has a list with NULL in it, or a subquery whose output can be NULL: its column has no NOT NULL \
                and no condition of the subquery refuses NULL, or it comes from the far side of an outer join. Of severity \
                medium where the statistics know of no NULL in the column.",
    effect: "With one NULL among the values, NOT IN is true for no row: the query returns nothing, without an error. It cannot be \
             planned as an anti-join either.",
    workaround: "NOT EXISTS says what is meant. Or exclude NULL in the subquery, or give the column NOT NULL.",
    sources: &[
        "https://www.postgresql.org/docs/17/functions-subquery.html#FUNCTIONS-SUBQUERY-NOTIN",
        "https://wiki.postgresql.org/wiki/Don't_Do_This#Don.27t_use_NOT_IN",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Statement],
    cases: &[
        Case {
            name: "a nullable column, and a list with NULL",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int references a, y int \
                    not null); insert into a select g, g % 7 from generate_series(1, 300) g; insert into b select g, nullif(g % \
                    5 * 3, 0), g % 11 from generate_series(1, 200) g; vacuum analyze; create table example as select 'select id \
                    from a where id not in (select a from b where y > 3) and x not in (1, null)' as query",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "the far side of an outer join",
            setup: "create table a (id int primary key); create table b (id int primary key, a int not null); create table \
                    example as select 'select id from a where id <> all (select b.a from a c left join b on b.a = c.id)' as \
                    query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no NULL can be there",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int, y int not null); \
                    create table example as select 'select id from a where id not in (select a from b where a is not null) and \
                    id not in (select y from b) and x not in (1, 2) and id not in (select a from b where a > 3) and id not in \
                    (select b.a from a c join b on b.a = c.id) and id in (select a from b)' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let statement = facts.statement();
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        for part in select.expressions().into_iter().flat_map(Expression::all) {
            let found = match excluded(part) {
                Some(Excluded::Query(link)) => {
                    of_query(statement, facts.catalog(), facts.column_statistics(), part, link)
                }
                Some(Excluded::List) => Some(of_list(statement, part)),
                None => None,
            };
            findings.extend(found.filter(|found| findings.iter().all(|other| other.object != found.object)));
        }
    }
    Ok(findings)
}

enum Excluded<'a> {
    Query(&'a SubLink),
    List,
}

fn excluded(part: &Expression) -> Option<Excluded<'_>> {
    match &part.kind {
        Kind::Not(argument) => match &argument.kind {
            Kind::SubLink(link) if link.kind == SubLinkKind::Any => {
                is_test(link, Comparison::Equal).then_some(Excluded::Query(link))
            }
            _ => None,
        },
        Kind::SubLink(link) if link.kind == SubLinkKind::All => {
            is_test(link, Comparison::NotEqual).then_some(Excluded::Query(link))
        }
        Kind::AnyArray { operator, all: true, array, .. } if operator.comparison == Some(Comparison::NotEqual) => {
            match &array.bare().kind {
                Kind::Array(elements) if elements.iter().any(Expression::is_null_constant) => Some(Excluded::List),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_test(link: &SubLink, wanted: Comparison) -> bool {
    let of = |part: &Expression| matches!(&part.kind, Kind::Operator(operator) if operator.comparison == Some(wanted));
    link.test.as_deref().is_some_and(|test| test.conjuncts().into_iter().all(of))
}

fn of_query(
    statement: &Statement,
    catalog: &Catalog,
    statistics: &ColumnStatistics,
    part: &Expression,
    link: &SubLink,
) -> Option<Finding> {
    let (output, why) = output(&link.query, catalog)?;
    let (what, fraction) = match why {
        Nullable::Constant => ("NULL is one of its values".to_string(), Some(1.0)),
        Nullable::OuterJoin => ("an outer join fills it with NULL where there is no match".to_string(), None),
        Nullable::Column { table, attribute } => {
            let fraction = statistics.of(table, attribute).map(|statistics| statistics.null_fraction);
            (format!("{} has no NOT NULL", catalog.known(table)?.columns_of(&[attribute])), fraction)
        }
    };
    let mut finding = statements::finding(statement, &format!("NOT IN, {what}"), part.location);
    finding.severity = if fraction == Some(0.0) { Severity::medium } else { RULE.severity };
    finding.summary = format!("NOT IN over a subquery that can return NULL: {what}");
    let now = match fraction {
        Some(0.0) => " The statistics know of no NULL there now.".to_string(),
        Some(share) if share < 1.0 => format!(" The statistics know of NULL in {:.1}% of its rows.", share * 100.0),
        _ => String::new(),
    };
    finding.cause = format!(
        "As soon as the subquery returns one NULL, NOT IN is true for no row, for nothing is known to differ from NULL: {what}.{now} \
         NOT EXISTS only asks for equal values; it keeps rows whose own value is NULL, which NOT IN drops."
    );
    finding.evidence.append(&mut object! { "nullable": what });
    if let Some(fraction) = fraction {
        finding.evidence.insert("null_fraction".to_string(), json!(fraction));
    }
    let meant = output.and_then(|place| not_in::rewrite_subquery(&statement.text, place));
    meant_instead(
        &mut finding,
        meant,
        "Write NOT EXISTS (SELECT 1 FROM … WHERE … = …), or add IS NOT NULL to the subquery.",
    );
    Some(finding)
}

/// The place of the subquery's first output, and why some output can be NULL.
fn output(query: &Select, catalog: &Catalog) -> Option<(Option<usize>, Nullable)> {
    if query.set_operation.is_some() {
        let arms = query.items.iter().filter_map(statements::subquery);
        return arms.filter_map(|arm| output(arm, catalog)).next();
    }
    let first = query.targets.first().and_then(|target| place(&target.expression));
    let why = query.targets.iter().find_map(|target| nullable(&target.expression, query, catalog))?;
    Some((first, why))
}

fn of_list(statement: &Statement, part: &Expression) -> Finding {
    let mut finding = statements::finding(statement, "NOT IN, a list with NULL", part.location);
    finding.severity = RULE.severity;
    finding.summary = "NOT IN with NULL in its list is true for no row".to_string();
    finding.cause =
        "Nothing is known to differ from NULL, so that no row fulfills the condition, whatever else the list holds."
            .to_string();
    let meant = not_in::rewrite_list(&statement.text);
    meant_instead(&mut finding, meant, "Leave NULL out of the list, and say IS NOT NULL where that was meant.");
    finding
}

/// Not `rewritten_query`: it returns the rows that were meant, not those that the query returns.
fn meant_instead(finding: &mut Finding, meant: Option<String>, otherwise: &str) {
    finding.app_fix = Some(match &meant {
        Some(text) => format!("What was meant, if NULL is to exclude nothing: {text}"),
        None => otherwise.to_string(),
    });
    if let Some(text) = meant {
        finding.evidence.insert("intended_query".to_string(), json!(text));
    }
}
