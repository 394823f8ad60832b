use crate::advice::rewrite::exists;
use crate::advice::statements::{self, MIN_ROWS, advise, is_volatile, largest};
use crate::facts::statement_tree::{Comparison, Expression, Kind, Select, SubLinkKind};
use crate::facts::{Catalog, Facts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "count_for_existence",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A count is compared with 0 or 1 so that only the existence of a row matters, over a table of at least min_rows \
                rows of which no unique key selects one row.",
    effect: "count() reads every row that matches; EXISTS stops at the first, and can be planned as a join.",
    workaround: "Ask with EXISTS, or NOT EXISTS.",
    sources: &["https://www.postgresql.org/docs/17/functions-subquery.html#FUNCTIONS-SUBQUERY-EXISTS"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a correlated count in WHERE",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int, y int); insert into a \
                    select g, g % 7 from generate_series(1, 300) g; insert into b select g, nullif(g % 500, 3), g % 11 from \
                    generate_series(1, 12000) g; vacuum analyze; create table example as select 'select id from a where (select \
                    count(*) from b where b.a = a.id and y = 4) > 0 and x < 5' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a count of a column that is missing, in the output, and a whole query",
            setup: "create table b (id int primary key, a int); insert into b select g, nullif(g % 5, 1) from \
                    generate_series(1, 12000) g; vacuum analyze; create table example as select 'select count(a) = 0 as none \
                    from b where id > 20000' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the number matters, the table is small, or there is one row at most",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int); insert into a select \
                    g, g % 7 from generate_series(1, 300) g; insert into b select g, g % 500 from generate_series(1, 12000) g; \
                    vacuum analyze; create table example as select 'select id from a where (select count(*) from b where b.a = \
                    a.id) > 1 and (select count(*) from a c where c.x = a.x) > 0 and (select count(*) from b where b.id = a.id) \
                    = 0' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statement = facts.statement();
    let min_rows = options.number("min_rows");
    // All counts in the text are rewritten at once.
    let safe =
        statement.query.as_ref().is_some_and(|query| !is_volatile(query) && !counts_rows(query, facts.catalog()));
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        for part in select.expressions().into_iter().flat_map(Expression::all) {
            let Some(counted) = counted(part, select) else { continue };
            let Some((table, rows)) = largest(counted, facts.catalog(), min_rows) else { continue };
            let mut finding = statements::finding(statement, &format!("count of {}", table.name), part.location);
            if findings.iter().any(|other| other.object == finding.object) {
                continue;
            }
            finding.severity = RULE.severity;
            finding.weight = rows.0;
            finding.summary =
                format!("A count over {} ({}) only asks whether there is a row", table.name, rows.of("row"));
            finding.cause = "The count is compared with 0 or 1: nothing depends on how many rows there are, and still all that \
                             match are read. EXISTS stops at the first. How much that saves is not proved by planning here; \
                             dbre.explain_findings() does."
                .to_string();
            finding.evidence.append(&mut object! { "table": table.name.to_string(), "table_rows": rows });
            let rewritten = if safe { exists::rewrite(&statement.text) } else { None };
            advise(
                &mut finding,
                rewritten,
                "Ask with EXISTS (SELECT 1 FROM … WHERE …), or NOT EXISTS, in place of the count.",
            );
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// The query whose rows are counted only to see whether there are some.
fn counted<'a>(comparison: &'a Expression, select: &'a Select) -> Option<&'a Select> {
    let (side, how, number) = statements::comparison(comparison).or_else(|| of_constants(comparison))?;
    let asks = matches!(
        (how, number.number()?),
        (Comparison::Greater | Comparison::NotEqual | Comparison::Equal | Comparison::LessOrEqual, 0.0)
            | (Comparison::GreaterOrEqual | Comparison::Less, 1.0)
    );
    let counted = match &side.bare().kind {
        Kind::SubLink(link) if link.kind == SubLinkKind::Scalar => match link.query.targets.as_slice() {
            [target] if is_count(&target.expression) => &*link.query,
            _ => return None,
        },
        Kind::Aggregate(_) if is_count(side) && select.targets.len() == 1 => select,
        _ => return None,
    };
    let plain = counted.is_one_group() && counted.having.is_none() && counted.set_operation.is_none();
    (asks && plain && counted.limit.is_none() && counted.offset.is_none()).then_some(counted)
}

/// An uncorrelated subquery has one value, as the number has.
fn of_constants(expression: &Expression) -> Option<(&Expression, Comparison, &Expression)> {
    let Kind::Operator(operator) = &expression.kind else { return None };
    let (left, right) = operator.sides()?;
    match right.number() {
        Some(_) => Some((left, operator.comparison?, right)),
        None => Some((right, statements::turned(operator.comparison?), left)),
    }
}

fn is_count(expression: &Expression) -> bool {
    matches!(&expression.bare().kind, Kind::Aggregate(call) if call.builtin && call.name == "count" && call.level == 0)
}

/// count() takes a row of NULLs for a value, IS NOT NULL does not.
fn counts_rows(query: &Select, catalog: &Catalog) -> bool {
    let is_row = |argument: &Expression| catalog.type_of(argument.type_oid).is_none_or(|type_| type_.category == 'C');
    let mut parts = query.selects().into_iter().flat_map(Select::expressions).flat_map(Expression::all);
    parts.any(|part| is_count(part) && part.parts().into_iter().any(is_row))
}
