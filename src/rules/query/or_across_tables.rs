use crate::advice::rewrite::union;
use crate::advice::statements::{
    self, MIN_ROWS, advise, comparison, fixed_columns, is_indexed, is_volatile, items_named, joins_are_inner, large,
};
use crate::facts::statement_tree::{Distinct, Expression, Fixed, Item, ItemKind, Kind, Select};
use crate::facts::{Catalog, Facts, Table};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, listing};

pub static RULE: Rule = Rule {
    id: "or_across_tables",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "WHERE has an OR whose sides compare indexed columns of different tables of a join with constants; each of these \
                tables has at least min_rows rows, and no other condition finds their rows by an index.",
    effect: "Neither index can be used, for a row that fails one side may pass the other: the tables are joined whole, and the \
             condition is tested afterwards.",
    workaround: "A UNION of two queries, each with one side, uses both indexes. It returns the same rows where the output has a \
                 unique key of each table.",
    sources: &["https://www.postgresql.org/docs/17/indexes-bitmap-scans.html"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "keys of both tables in the output",
            setup: "create table a (id int primary key, x int, y int); create table b (id int primary key, a int, z text); insert \
                    into a select g, nullif(g % 2000, 5), g % 3 from generate_series(1, 12000) g; insert into b select g, \
                    nullif(g % 6000, 9), g % 3000 from generate_series(1, 12000) g; create index on a (x); create index on b \
                    (z); vacuum analyze; create table example as select 'select a.id, b.id, x from a join b on b.a = a.id where \
                    (a.x = 7 or b.z = ''7'') and a.y > 0' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one table, no index, small tables, or another condition that finds the rows",
            setup: "create table a (id int primary key, x int, y int); create table b (id int primary key, a int, z int); create \
                    table small (id int primary key, x int); create index on small (x); insert into a select g, g % 2000, g % 3 \
                    from generate_series(1, 12000) g; insert into b select g, g % 6000, g % 3000 from generate_series(1, 12000) \
                    g; create index on a (x); create index on b (z); vacuum analyze; create table example as select 'select (select \
                    count(*) from a where x = 1 or y = 2), (select count(*) from a join b on b.a = a.id where a.y = 7 or b.z = \
                    7), (select count(*) from a join small s on s.id = a.id where a.x = 7 or s.x = 7), (select count(*) from a \
                    join b on b.a = a.id where (a.x = 7 or b.z = 7) and a.id = 3)' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let min_rows = options.number("min_rows");
    let mut findings = Vec::new();
    for select in statement.selects() {
        for conjunct in select.condition.iter().flat_map(Expression::conjuncts) {
            let Some(tables) = sides(conjunct, select, catalog, min_rows) else { continue };
            let names: Vec<String> = tables.iter().map(|(table, _)| table.name.to_string()).collect();
            let mut finding =
                statements::finding(statement, &format!("OR over {}", listing(&names)), statements::place(conjunct));
            finding.severity = RULE.severity;
            finding.weight = tables.iter().map(|(_, rows)| rows.0).max().unwrap_or_default();
            finding.summary = format!("OR over columns of {}: no index serves it", listing(&names));
            finding.cause =
                "The sides of OR are on different tables, so that all rows are joined before it can be tested. That a \
                             UNION is cheaper is not proved by planning here; dbre.explain_findings() does."
                    .to_string();
            finding.evidence.append(&mut object! {
                "tables": names,
                "table_rows": tables.iter().map(|(_, rows)| rows).collect::<Vec<_>>(),
            });
            let whole =
                statement.query.as_ref().is_some_and(|query| std::ptr::eq(query, select)) && statement.write.is_none();
            let rewritten = match (whole && has_all_keys(select, catalog), statements::place(conjunct)) {
                (true, Some(place)) => union::split_or(&statement.text, place),
                _ => None,
            };
            advise(
                &mut finding,
                rewritten,
                "Query each side by itself and take the UNION, with a unique key of every table in the output.",
            );
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// The tables that the two sides of an OR are on, if each side alone could use an index.
fn sides<'a>(
    conjunct: &Expression,
    select: &Select,
    catalog: &'a Catalog,
    min_rows: f64,
) -> Option<Vec<(&'a Table, Count)>> {
    let Kind::Or(parts) = &conjunct.kind else { return None };
    let [left, right] = parts.as_slice() else { return None };
    let fixed = Fixed::of(select, catalog);
    let side = |part: &Expression| -> Option<(usize, (&'a Table, Count))> {
        let items = items_named(part);
        let item = *items.first().filter(|first| items.iter().all(|item| item == *first))?;
        let (table, rows) = large(select, catalog, item, min_rows)?;
        let indexed = part.conjuncts().into_iter().filter_map(comparison).filter_map(|(side, ..)| side.column());
        let mut indexed = indexed.filter(|column| is_indexed(table, column.attribute));
        indexed.next()?;
        let found_otherwise = fixed_columns(select, &fixed, item).iter().any(|column| is_indexed(table, *column));
        (!fixed.item(item) && !found_otherwise).then_some((item, (table, rows)))
    };
    let ((first, left), (second, right)) = (side(left)?, side(right)?);
    (first != second).then(|| vec![left, right])
}

/// No two rows of the output are equal, and UNION can compare them.
fn has_all_keys(select: &Select, catalog: &Catalog) -> bool {
    let plain = matches!(select.distinct, Distinct::No)
        && !select.has_aggregates
        && select.group_by.is_empty()
        && !select.returns_sets
        && select.windows.is_empty()
        && select.order_by.is_empty()
        && select.limit.is_none()
        && select.from.iter().all(joins_are_inner)
        && !is_volatile(select);
    // Of bool, numbers, text, dates and times, uuid: all can be compared.
    let comparable = [16, 20, 21, 23, 25, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2950];
    let comparable = select.targets.iter().all(|target| comparable.contains(&target.expression.type_oid));
    let relation =
        |item: &Item| matches!(item.kind, ItemKind::Relation { inherited: false, sampled: false, .. } | ItemKind::Join);
    let outputs = select.targets.iter().map(|target| &target.expression);
    let keys = select.items.iter().all(relation) && Fixed::given(select, catalog, outputs).all_items(select);
    plain && comparable && keys
}
