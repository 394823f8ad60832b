use crate::advice::rewrite::grouped_join;
use crate::advice::statements::{
    self, MIN_ROWS, advise, is_deterministic, is_indexed, is_volatile, large, outer_columns, rows_left,
};
use crate::facts::statement_tree::{
    Column, Expression, Fixed, From, Kind, Select, Statement, SubLink, SubLinkKind, at_most_one_row,
};
use crate::facts::{Catalog, ColumnStatistics, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "correlated_subquery_per_row",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A scalar subquery is tied to the query around it by an equality, and that query reads, by the statistics, \
                at least min_rows rows of a table; a subquery in the output of a query with LIMIT is left alone. Of severity high \
                where the subquery's table has at least min_rows rows too and no index on the column; low where the \
                subquery looks up one row by a unique key.",
    effect: "The planner runs a scalar subquery once for each row; it cannot turn it into a hash or merge join.",
    workaround: "Compute the aggregate for all keys at once, grouped, and LEFT JOIN it; count becomes coalesce(…, 0).",
    sources: &["https://www.postgresql.org/docs/17/queries-table-expressions.html#QUERIES-SUBQUERIES"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Statement],
    cases: &[
        Case {
            name: "a count for each row, without an index",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int, y int); insert into a \
                    select g, nullif(g % 7, 2) from generate_series(1, 11000) g; insert into b select g, nullif(g % 50, 3), g % 11 \
                    from generate_series(1, 400) g; vacuum analyze; create table example as select 'select a.id, x, (select \
                    count(*) from b where b.a = a.x and y < 9) from a' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a sum with a default, in WHERE",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int, y int); insert into a \
                    select g, nullif(g % 7, 2) from generate_series(1, 11000) g; insert into b select g, nullif(g % 50, 3), \
                    nullif(g % 11, 4) from generate_series(1, 400) g; create index on b (a); vacuum analyze; create table example \
                    as select 'select id from a where (select coalesce(sum(y), 0) from b where a = x) > 5' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a lookup by a unique key",
            setup: "create table a (id int primary key, b_id int); create table b (id int primary key, name text); insert into a \
                    select g, nullif(g % 70, 2) from generate_series(1, 11000) g; insert into b select g, nullif('n' || g, 'n9') \
                    from generate_series(1, 40) g; vacuum analyze; create table example as select 'select id, (select name from \
                    b where b.id = a.b_id) from a' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few rows, a limit, EXISTS, or no correlation",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int); create index on a (x); \
                    insert into a select g, g % 5000 from generate_series(1, 11000) g; insert into b select g, g from \
                    generate_series(1, 400) g; vacuum analyze; create table example as select '(select (select count(*) from b \
                    where b.a = a.x) from a limit 5) union all select (select count(*) from b where b.a = a.x) from a where id = \
                    3 union all select (select count(*) from b where b.a = a.x) from a where x = 3 union all select (select count(*) from b \
                    where b.a = a.x) from a, a one where one.id = 3 and a.x = one.x union all select id from a \
                    where exists (select from b where b.a = a.x) and x > (select min(a) from b)' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let min_rows = options.number("min_rows");
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        let Some((table, rows)) = read_whole(select, catalog, facts.column_statistics(), min_rows) else { continue };
        let outputs = select.targets.iter().map(|target| &target.expression);
        let saved: Vec<*const Expression> = match select.limit.is_some() {
            // LIMIT stops before the output of the other rows is made, unless they are sorted by it.
            true => outputs.flat_map(Expression::all).map(std::ptr::from_ref).collect(),
            false => Vec::new(),
        };
        for part in select.expressions().into_iter().flat_map(Expression::all) {
            if saved.contains(&std::ptr::from_ref(part)) {
                continue;
            }
            let Kind::SubLink(link) = &part.kind else { continue };
            if link.kind != SubLinkKind::Scalar || !link.correlated {
                continue;
            }
            let found = judged(statement, catalog, select, link, (table, rows), min_rows);
            findings.extend(found.filter(|found| findings.iter().all(|other| other.object != found.object)));
        }
    }
    Ok(findings)
}

/// The table of which the query reads so many rows that a subquery for each counts.
fn read_whole<'a>(
    select: &Select,
    catalog: &'a Catalog,
    statistics: &ColumnStatistics,
    min_rows: f64,
) -> Option<(&'a Table, Count)> {
    let fixed = Fixed::of(select, catalog);
    let items = select.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item));
    let read = items.filter_map(|item| {
        let left = rows_left(select, catalog, statistics, item)?;
        large(select, catalog, item, min_rows).filter(|_| left >= min_rows)
    });
    read.max_by_key(|(_, rows)| *rows)
}

fn judged(
    statement: &Statement,
    catalog: &Catalog,
    select: &Select,
    link: &SubLink,
    (table, rows): (&Table, Count),
    min_rows: f64,
) -> Option<Finding> {
    let inner = &*link.query;
    let pairs: Vec<(&Expression, &Expression)> = inner.conjuncts().into_iter().filter_map(correlation).collect();
    let (key, _) = pairs.first()?;
    let column = key.column()?;
    let inner_table = inner.table(catalog, column.item)?;
    let one_row = !inner.has_aggregates && at_most_one_row(inner, catalog);
    let indexed =
        pairs.iter().filter_map(|(key, _)| key.column()).any(|column| is_indexed(inner_table, column.attribute));
    let large_inner = large(inner, catalog, column.item, min_rows).is_some();
    let mut finding = statements::finding(
        statement,
        &format!("a subquery on {}", inner_table.columns_of(&[column.attribute])),
        key.location,
    );
    finding.severity = match (one_row, indexed) {
        (true, _) => Severity::low,
        (false, false) if large_inner => Severity::high,
        _ => RULE.severity,
    };
    finding.weight = rows.0;
    finding.summary =
        format!("A subquery on {} runs once for each row of {} ({})", inner_table.name, table.name, rows.of("row"));
    finding.cause = format!(
        "It is a value tied to each row by an equality, which the planner cannot join{} What the join saves is not proved by \
         planning here; dbre.explain_findings() does.",
        match (one_row, indexed) {
            (true, _) => ": each run looks up one row.",
            (false, true) => ": each run searches an index and reads what it finds.",
            (false, false) => ", and no index is on the column: each run reads the whole table.",
        }
    );
    finding.evidence.append(&mut object! {
        "table": table.name.to_string(),
        "table_rows": rows,
        "subquery_table": inner_table.name.to_string(),
        "subquery_table_rows": catalog.rows(inner_table),
        "subquery_column_is_indexed": indexed,
    });
    let rewritten = rewritten(statement, catalog, select, link);
    advise(
        &mut finding,
        rewritten,
        "Group the subquery's table by the column, aggregate it once, and LEFT JOIN the result.",
    );
    Some(finding)
}

/// The statement with a join in place of the subquery, where that is the same.
fn rewritten(statement: &Statement, catalog: &Catalog, select: &Select, link: &SubLink) -> Option<String> {
    let inner = &*link.query;
    let pairs: Vec<(&Expression, &Expression)> = inner.conjuncts().into_iter().filter_map(correlation).collect();
    let one_row = !inner.has_aggregates && at_most_one_row(inner, catalog);
    let whole = statement.query.as_ref().is_some_and(|query| std::ptr::eq(query, select)) && statement.write.is_none();
    let builtin = |part: &Expression| !matches!(&part.kind, Kind::Operator(operator) if !operator.builtin);
    let exact = whole
        && inner.targets.iter().all(|target| target.expression.all().into_iter().all(builtin))
        && !is_volatile(inner)
        && inner.children().is_empty()
        && pairs.iter().all(|pair| is_same_equality(pair, inner, select, catalog))
        && has_exact_value(inner);
    exact.then(|| grouped_join::rewrite(&statement.text, &places(inner, select), one_row)).flatten()
}

/// The same for a statement that has one such subquery.
pub fn rewritten_only(statement: &Statement, catalog: &Catalog) -> Option<String> {
    let select = statement.query.as_ref()?;
    let parts = select.expressions().into_iter().flat_map(Expression::all);
    let mut links = parts.filter_map(|part| match &part.kind {
        Kind::SubLink(link) if link.kind == SubLinkKind::Scalar && link.correlated => Some(link),
        _ => None,
    });
    let link = links.next()?;
    let correlated = link.query.conjuncts().into_iter().any(|conjunct| correlation(conjunct).is_some());
    (links.next().is_none() && correlated).then(|| rewritten(statement, catalog, select, link)).flatten()
}

/// The column of the subquery and the column around it that are compared.
fn correlation(conjunct: &Expression) -> Option<(&Expression, &Expression)> {
    let (left, right) = conjunct.equality()?;
    [(left, right), (right, left)]
        .into_iter()
        .find(|(key, other)| key.column().is_some() && outer_column(other).is_some())
}

fn outer_column(expression: &Expression) -> Option<&Column> {
    match &expression.bare().kind {
        Kind::Column(column) if column.level == 1 => Some(column),
        _ => None,
    }
}

/// Grouping by the column makes one group of exactly what equals one outer value: of one type and, for text, collation.
fn is_same_equality(
    (key, other): &(&Expression, &Expression),
    inner: &Select,
    outer: &Select,
    catalog: &Catalog,
) -> bool {
    let collation = |select: &Select, column: &Column| {
        let table = select.table(catalog, column.item)?;
        Some(table.column(column.attribute)?.collation)
    };
    let integers = [20, 21, 23];
    let (one, two) = (key.bare().type_oid, other.bare().type_oid);
    let (Some(key), Some(other)) = (key.column(), outer_column(other)) else { return false };
    let plain = [collation(inner, key), collation(outer, other)];
    (one == two || integers.contains(&one) && integers.contains(&two))
        && plain.into_iter().all(|collation| collation.is_some_and(is_deterministic))
}

/// Sums of floating point numbers depend on the order of rows.
fn has_exact_value(inner: &Select) -> bool {
    let is_float = |argument: &Expression| [700, 701].contains(&argument.type_oid);
    let mut all = inner.targets.iter().flat_map(|target| target.expression.all());
    all.all(|part| match &part.kind {
        Kind::Aggregate(call) => call.builtin && !call.arguments.iter().any(is_float),
        _ => true,
    })
}

/// Where the subquery names columns of the query around it, and what that calls their tables.
fn places(inner: &Select, outer: &Select) -> BTreeMap<usize, String> {
    let mut places = BTreeMap::new();
    outer_columns(inner, 1, &mut |column, place| {
        let name = outer.items.get(column.item).map(|item| item.name.clone());
        places.extend(place.zip(name));
    });
    places
}
