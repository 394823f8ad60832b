use crate::advice::rewrite::semi_join;
use crate::advice::statements::{self, MIN_ROWS, advise, is_volatile, joins_are_inner, large};
use crate::facts::statement_tree::{Distinct, Expression, Fixed, From, ItemKind, Kind, Select, unique_indexes};
use crate::facts::{Catalog, Facts, Table};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "distinct_over_fan_out",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "SELECT DISTINCT over inner joins whose output comes from one table alone, with a unique key of it that is never \
                NULL; the joined tables can have several rows for one of it, and one table has at least min_rows rows.",
    effect: "The join makes a row for every match, only for DISTINCT to sort or hash them and throw all but one away.",
    workaround: "EXISTS asks for a match without making rows: no DISTINCT is needed.",
    sources: &["https://www.postgresql.org/docs/17/functions-subquery.html#FUNCTIONS-SUBQUERY-EXISTS"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "customers with orders",
            setup: "create table customer (id int primary key, name text); create table orders (id int primary key, customer_id \
                    int, total int); create table item (id int primary key, order_id int not null); insert into customer select \
                    g, nullif('n' || g % 7, 'n3') from generate_series(1, 300) g; insert into orders select g, nullif(g % 400, \
                    0), g % 90 from generate_series(1, 12000) g; insert into item select g, g % 5000 from generate_series(1, \
                    6000) g; vacuum analyze; create table example as select 'select distinct c.id, name from customer c join \
                    orders o on customer_id = c.id, item where item.order_id = o.id and total > 80 and c.id < 250 order by 2, \
                    1' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "output of both sides, no key, or at most one match",
            setup: "create table customer (id int primary key, name text); create table orders (id int primary key, customer_id \
                    int, total int); insert into orders select g, g % 300, g % 90 from generate_series(1, 12000) g; vacuum \
                    analyze; create table example as select 'select 1 from (select distinct c.id, o.total from customer c join \
                    orders o on o.customer_id = c.id) a, (select distinct c.name from customer c join orders o on o.customer_id \
                    = c.id) b, (select distinct o.id from orders o join customer c on o.customer_id = c.id) c, (select distinct \
                    c.id from customer c left join orders o on o.customer_id = c.id) d' as query",
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
        let Some((kept, table)) = kept(select, catalog) else { continue };
        let items: Vec<usize> = select.from.iter().flat_map(From::items).collect();
        let largest =
            items.iter().filter_map(|item| large(select, catalog, *item, min_rows)).max_by_key(|(_, rows)| *rows);
        let Some((largest, rows)) = largest else { continue };
        let others: Vec<String> =
            items.iter().filter(|item| **item != kept).map(|item| select.items[*item].name.clone()).collect();
        let mut finding = statements::finding(statement, &format!("DISTINCT of {}", table.name), None);
        finding.severity = RULE.severity;
        finding.weight = rows.0;
        finding.summary =
            format!("DISTINCT removes the rows that joining {} to {} makes", listing(&others), table.name);
        finding.cause = format!(
            "All output comes from {}, with a unique key of it: rows repeat only because {} can match several times. How much \
             EXISTS saves is not proved by planning here; dbre.explain_findings() does.",
            table.name,
            listing(&others)
        );
        finding.evidence.append(&mut object! {
            "table": table.name.to_string(),
            "joined": others,
            "largest_table": largest.name.to_string(),
            "largest_table_rows": rows,
        });
        let whole = statement.query.as_ref().is_some_and(|query| std::ptr::eq(query, select));
        let rewritten = match whole && statement.write.is_none() {
            true => semi_join::rewrite(&statement.text, &select.items[kept].name, &places(select, kept)),
            false => None,
        };
        advise(&mut finding, rewritten, "Drop DISTINCT and the joins, and ask with EXISTS (SELECT 1 FROM … WHERE …).");
        findings.push(finding);
    }
    Ok(findings)
}

/// The only table of which there is output, if its rows repeat by the joins alone.
fn kept<'a>(select: &Select, catalog: &'a Catalog) -> Option<(usize, &'a Table)> {
    let plain = matches!(select.distinct, Distinct::All)
        && !select.has_aggregates
        && select.group_by.is_empty()
        && !select.returns_sets
        && select.windows.is_empty()
        && select.from.iter().all(joins_are_inner)
        && !is_volatile(select);
    let tables =
        select.items.iter().all(|item| matches!(item.kind, ItemKind::Relation { sampled: false, .. } | ItemKind::Join));
    let outputs: BTreeSet<usize> =
        select.targets.iter().flat_map(|target| statements::items_named(&target.expression)).collect();
    let (true, true, [kept]) = (plain, tables, &Vec::from_iter(outputs)[..]) else { return None };
    let table = select.table(catalog, *kept)?;
    let is_output = |number: i16| {
        let is_it =
            |expression: &Expression| expression.column().is_some_and(|c| c.item == *kept && c.attribute == number);
        select.targets.iter().any(|target| is_it(&target.expression))
    };
    let has_key = unique_indexes(table).filter(|index| index.predicate.is_none()).any(|index| {
        index
            .key_attributes()
            .all(|number| is_output(number) && table.column(number).is_some_and(|column| column.not_null))
    });
    let inherited = matches!(select.items[*kept].kind, ItemKind::Relation { inherited: true, .. });
    let given = Fixed::given(select, catalog, columns(select, *kept).into_iter());
    let others = select.from.iter().flat_map(From::items).filter(|item| item != kept);
    let fans_out = others.into_iter().any(|item| !given.item(item));
    (has_key && !inherited && fans_out).then_some((*kept, table))
}

/// All places where the query names a column of the item.
fn columns(select: &Select, item: usize) -> Vec<&Expression> {
    let all = select.expressions().into_iter().flat_map(Expression::all);
    all.filter(|part| matches!(&part.kind, Kind::Column(column) if column.level == 0 && column.item == item)).collect()
}

/// Where columns of the other items are named.
fn places(select: &Select, kept: usize) -> BTreeSet<usize> {
    let all = select.expressions().into_iter().flat_map(Expression::all);
    let others =
        all.filter(|part| matches!(&part.kind, Kind::Column(column) if column.level == 0 && column.item != kept));
    others.filter_map(|part| part.location).collect()
}
