use crate::advice::statements::MIN_ROWS;
use crate::facts::statement_tree::{
    Distinct, Expression, Fixed, From, ItemKind, Kind, LockWait, Select, Volatility, missing_key,
};
use crate::facts::{Catalog, Facts, Statement, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "limit_without_deterministic_order",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query has LIMIT, and its ORDER BY leaves open which of several rows comes first: no unique key of its tables \
                follows from the columns sorted by, the columns compared for equality and the joins. Without ORDER BY only where \
                the result is sent to the client and the limit is not 1. Medium with OFFSET, otherwise low. Silent where the \
                rows that tie are the same in all output columns, where statistics say that hardly any do, for SKIP LOCKED, for distances (vector search), and for tables \
                that have fewer than min_rows rows.",
    effect: "Rows that tie come in any order, which changes with the plan, with vacuum and with concurrent scans: a row shows up \
             on two pages, another on none, and tests fail now and then.",
    workaround: "End the ORDER BY with a unique key.",
    sources: &["https://www.postgresql.org/docs/17/queries-limit.html"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Statement],
    cases: &[
        Case {
            name: "pages by a column that is not unique",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id, day from t order by day \
                    desc limit 20 offset 40' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no order at all",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id, day from t limit $1' as \
                    query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a unique column that may be null, twice",
            setup: "create table t (id int primary key, code int unique); insert into t select g, nullif(g % 10, 0) * 0 + g from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id from t where id in (select \
                    id from t order by code limit 5) order by code limit 20' as query",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a join fans out",
            setup: "create table t (id int primary key); insert into t select generate_series(1, 20000); create table u (t_id int \
                    not null, n int); insert into u select 1 + g % 20000, g from generate_series(1, 40000) g; analyze t, u; create \
                    table example as select 'select t.id, u.n from t join u on u.t_id = t.id order by t.id limit 20' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a unique key, by equality, through joins and groups",
            setup: "create table t (id int primary key, tenant int not null, code text not null, day date, unique (tenant, \
                    code)); insert into t select g, g % 7, g::text, current_date - g % 100 from generate_series(1, 20000) g; \
                    create table u (id int primary key, t_id int not null); insert into u select g, g from generate_series(1, \
                    20000) g; analyze t, u; create table example as select 'with w as (select tenant, count(*) as n from t group \
                    by tenant order by n desc, tenant limit 3) select u.id, t.day, (select x.day from t x where x.tenant = \
                    u.t_id order by x.code limit 1) from u left join t on t.id = u.t_id where t.tenant = 1 order by t.day, u.id \
                    limit 10' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the output is what is sorted by; any row will do",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select day from t where exists \
                    (select 1 from t u where u.day > t.day limit 1) and id in (select id from t order by day limit 5 for update \
                    skip locked) order by day limit 3' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a time that hardly ties",
            setup: "create table t (id int primary key, at timestamptz); insert into t select g, now() - g * interval '1 s' from \
                    generate_series(1, 20000) g; create index on t (at); analyze t; create table example as select 'select id \
                    from t order by at desc limit 20' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "one row by its key, and a small table",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; create table u (id int); insert into u values (1), (2); analyze t, u; create \
                    table example as select 'select id, day, (select id from u limit 1) from t where id = $1 limit 5' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Of the rows, for ties not to be worth a word.
const NEARLY_ALL: f64 = 0.99;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_rows = options.number("min_rows") as u64;
    let top = statement.query.as_ref().filter(|_| statement.write.is_none());
    let findings = statement.selects().into_iter().enumerate().filter_map(|(number, query)| {
        let (item, table, rows) = is_open(query, catalog)?;
        let shown = top.is_some_and(|top| std::ptr::eq(top, query));
        let limit = query.limit.as_ref().and_then(Expression::number);
        let concerns = rows.0 >= min_rows && (!query.order_by.is_empty() || shown && limit != Some(1.0));
        let concerns = concerns && !hardly_ties(facts, query, table, rows);
        concerns.then(|| finding(statement, catalog, (number, query), (item, table, rows)))
    });
    Ok(findings.collect())
}

/// The largest table of a query whose first rows are not determined.
fn is_open<'a>(query: &Select, catalog: &'a Catalog) -> Option<(usize, &'a Table, Count)> {
    let limited = query.limit.as_ref().is_some_and(|limit| !limit.is_null_constant()) && !query.with_ties;
    let skips = query.locks.iter().any(|lock| lock.wait == LockWait::SkipLocked);
    let wanted = query.order_by.iter().any(|key| is_volatile(&key.expression) || is_distance(&key.expression));
    let unknown = query.set_operation.is_some() || query.returns_sets || query.grouping_sets;
    if !limited || skips || wanted || unknown || query.is_one_group() {
        return None;
    }
    let sorted = || query.order_by.iter().map(|key| &key.expression);
    let fixed = Fixed::given(query, catalog, sorted());
    let is_fixed = |expression: &Expression| fixed.expression(expression) || sorted().any(|key| same(key, expression));
    let determined = match (&query.distinct, query.group_by.as_slice()) {
        (Distinct::All, _) | (_, []) => query.targets.iter().all(|target| is_fixed(&target.expression)),
        (_, groups) => groups.iter().all(is_fixed),
    };
    if determined || fixed.all_items(query) {
        return None;
    }
    let tables = query.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item)).map(|item| {
        let table = query.table(catalog, item).filter(|_| is_whole(&query.items[item].kind))?;
        Some((item, table, catalog.rows(table)?))
    });
    // Of what is no table, keys are not known.
    tables.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|(.., rows)| *rows)
}

fn is_whole(kind: &ItemKind) -> bool {
    matches!(kind, ItemKind::Relation { inherited: false, sampled: false, .. })
}

fn is_volatile(expression: &Expression) -> bool {
    expression.any(|part| match &part.kind {
        Kind::Function(call) => call.volatility == Volatility::Volatile,
        _ => false,
    })
}

/// `embedding <-> $1`: an index that sorts by it serves no further column, and distances hardly tie.
fn is_distance(expression: &Expression) -> bool {
    matches!(&expression.bare().kind, Kind::Operator(operator) if operator.name.starts_with('<') && operator.comparison.is_none())
}

/// An output column, or a key of GROUP BY, is at one place of the text, wherever the tree has it.
fn same(a: &Expression, b: &Expression) -> bool {
    a.location.is_some() && a.location == b.location
}

/// By the planner statistics, a column sorted by has a value of its own in nearly every row: a time, mostly.
fn hardly_ties(facts: &Facts, query: &Select, table: &Table, rows: Count) -> bool {
    let distinct =
        |column: i16| facts.column_statistics().of(table.oid, column).map(|known| known.distinct(rows.0 as f64));
    let alone = query.from.iter().flat_map(From::items).count() == 1;
    let mut columns = query.order_by.iter().filter_map(|key| key.expression.column());
    alone
        && columns
            .any(|column| distinct(column.attribute).is_some_and(|distinct| distinct >= NEARLY_ALL * rows.0 as f64))
}

fn named(expression: &Expression) -> String {
    expression.column().map_or_else(|| "an expression".to_string(), |column| column.name.clone())
}

fn finding(
    statement: &Statement,
    catalog: &Catalog,
    (number, query): (usize, &Select),
    (item, table, rows): (usize, &Table, Count),
) -> Finding {
    let offset = query.offset.as_ref().is_some_and(|offset| offset.number() != Some(0.0));
    let sorted: Vec<String> = query.order_by.iter().map(|key| named(&key.expression)).collect();
    let fixed = Fixed::given(query, catalog, query.order_by.iter().map(|key| &key.expression));
    let names = missing_key(table, item, &fixed).map(|key| table.column_names(&key).join(", "));
    let order = match query.order_by.is_empty() {
        true => "there is no ORDER BY".to_string(),
        false => "no unique key follows from what ORDER BY sorts by".to_string(),
    };
    let mend = match &names {
        Some(names) => format!("End the ORDER BY with {names} of {}.", table.name),
        None => {
            format!("{} has no unique key on columns that are never NULL: add one, and sort by it last.", table.name)
        }
    };
    // A query of several that does so is told apart by its place.
    let place = if number == 0 { table.name.to_string() } else { format!("{}, subquery {number}", table.name) };
    let location = query.limit.as_ref().and_then(|limit| limit.location);
    Finding {
        severity: if offset { RULE.severity } else { Severity::low },
        object: statement.object(&place),
        weight: rows.0,
        summary: format!("Which rows of {} LIMIT takes is left open: {order}", table.name),
        cause: format!(
            "LIMIT cuts the rows where several of {} may tie, and {order}. Tied rows come in the order in which the plan happens \
             to find them{}",
            table.name,
            if offset { ", so that pages overlap or miss rows." } else { "." }
        ),
        evidence: object! {
            "query": statement.excerpt(None),
            "position": statement.position(location),
            "order_by": sorted,
            "unique_key": names,
            "table": table.name.to_string(),
            "table_rows": rows,
        },
        app_fix: Some(mend),
        ..Finding::that_changes_nothing()
    }
}
