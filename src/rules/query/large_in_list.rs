use crate::advice::rewrite::array::{self, Elements};
use crate::advice::statements::{self, advise};
use crate::facts::Facts;
use crate::facts::statement_tree::{Comparison, Expression, Kind};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "large_in_list",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "An IN or NOT IN list on a table's column has at least min_elements elements; of severity medium from ten times as \
                many.",
    effect: "Each element is parsed and analyzed on its own, and each length of the list is another statement: prepared plans are \
             not reused, and pg_stat_statements spreads one query over many entries.",
    workaround: "Bind one array: = ANY ($1). Of many thousand keys, join with unnest($1) or a temporary table.",
    sources: &[
        "https://www.postgresql.org/docs/17/functions-comparisons.html#FUNCTIONS-COMPARISONS-ANY-SOME",
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
    ],
    options: &[OptionSpec::number("min_elements", (100.0, "elements"), (2.0, 1e6), "Shorter lists are left alone.")],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "numbers and texts",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, nullif(g % 700, 3), 'v' || g % \
                    400 from generate_series(1, 3000) g; vacuum analyze; create table example as select format('select id from \
                    t where a in (%s) and b not in (%s)', (select string_agg(g::text, ', ') from generate_series(1, 150) g), \
                    (select string_agg(quote_literal('v' || g), ', ') from generate_series(1, 120) g)) as query",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "short lists, arrays and lists that are no condition on a column",
            setup: "create table t (id int primary key, a int); create table example as select format('select id from t where a \
                    in (1, 2, 3) and a = any (''{%s}''::int[]) and 7 in (%1$s)', (select string_agg(g::text, ', ') from \
                    generate_series(1, 150) g)) as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let min_elements = options.number("min_elements");
    let mut findings = Vec::new();
    for select in statement.selects() {
        for part in select.expressions().into_iter().flat_map(Expression::all) {
            let Kind::AnyArray { operator, all, left, array } = &part.kind else { continue };
            let (Kind::Array(elements), Some(column)) = (&array.bare().kind, left.column()) else { continue };
            let Some(table) = select.table(catalog, column.item) else { continue };
            if (elements.len() as f64) < min_elements {
                continue;
            }
            let listed = matches!(
                (operator.comparison, all),
                (Some(Comparison::Equal), false) | (Some(Comparison::NotEqual), true)
            );
            let name = table.columns_of(&[column.attribute]);
            let (word, any) = if *all { ("NOT IN", "<> ALL") } else { ("IN", "= ANY") };
            let mut finding = statements::finding(statement, &format!("{word} on {name}"), part.location);
            finding.severity =
                if elements.len() as f64 >= 10.0 * min_elements { Severity::medium } else { RULE.severity };
            finding.weight = elements.len() as u64;
            finding.summary = format!("{word} on {name} lists {} elements", elements.len());
            finding.cause =
                "The list is part of the text: every length of it is another statement for prepared plans and for \
                             pg_stat_statements, and every element is parsed by itself."
                    .to_string();
            finding.evidence.append(&mut object! { "column": name, "elements": elements.len() });
            let rewritten = match (elements_of(left.bare().type_oid), statements::place(left)) {
                (Some(kind), Some(place)) if listed => array::rewrite(&statement.text, place, kind),
                _ => None,
            };
            let bound = format!("Bind one array in place of the list: {any} ($1).");
            advise(&mut finding, rewritten, &bound);
            findings.push(finding);
        }
    }
    Ok(findings)
}

fn elements_of(type_oid: u32) -> Option<Elements> {
    match type_oid {
        21 | 23 => Some(Elements::Integer),
        20 => Some(Elements::Bigint),
        25 | 1043 => Some(Elements::Text),
        2950 => Some(Elements::Uuid),
        _ => None,
    }
}
