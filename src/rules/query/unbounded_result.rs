use crate::advice::statements::MIN_ROWS;
use crate::facts::statement_tree::{
    Column, Distinct, From, ItemKind, JoinKind, Select, SetKind, SetOperation, SetPart,
};
use crate::facts::{Catalog, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use std::cell::Cell;

pub static RULE: Rule = Rule {
    id: "unbounded_result",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A SELECT sends all rows of a table with at least min_rows rows to the client: it has no LIMIT, no GROUP BY, \
                DISTINCT or aggregate, and no condition; what it is joined with takes no row from it, being outer joined or the other side of \
                a foreign key. Views are not looked into.",
    effect: "Time, memory of the client and network traffic grow with the table; the driver holds the whole result before the \
             application sees its first row.",
    workaround: "Fetch what is needed: a condition, or page by page with ORDER BY on a unique key and LIMIT. For an export, stream \
                 with a server-side cursor or COPY.",
    sources: &[
        "https://www.postgresql.org/docs/17/queries-limit.html",
        "https://www.postgresql.org/docs/17/sql-declare.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "all rows of a table",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select id, a from t order by a' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "in a subquery, an arm and a join",
            setup: "create table t (id int primary key, u_id int); create table u (id int primary key); insert into t select g, g \
                    from generate_series(1, 20000) g; analyze t, u; create table example as select 'with w as (select t.id from \
                    t left join u on u.id = t.u_id) select 0 as id union all select id from w' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a page",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select id, a from t order by id limit 100' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a condition, in the query or in a join",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select x.id from t x join t y on y.id = x.a and y.a = 7' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a join along a foreign key",
            setup: "create table u (id int primary key); insert into u select generate_series(1, 100); create table t (id int \
                    primary key, u_id int not null references u); insert into t select g, 1 + g % 100 from generate_series(1, \
                    20000) g; analyze t, u; create table example as select 'select t.id from t join u on u.id = t.u_id' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a join that looks up few rows",
            setup: "create table t (id int primary key); insert into t select generate_series(1, 20000); create table u (t_id int \
                    not null references t); insert into u values (1), (2); analyze t, u; create table example as select 'select \
                    t.id from u join t on t.id = u.t_id' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "an aggregate",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select count(*) from t' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "what is inserted elsewhere, a small table",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; create \
                    table u (id int, a int); analyze t, u; create table example as select 'insert into u select id, a from t' \
                    as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a small table",
            setup: "create table t (id int primary key); insert into t select generate_series(1, 100); analyze t; create table \
                    example as select 'select id from t' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_rows = options.number("min_rows") as u64;
    let Some(query) = statement.query.as_ref().filter(|_| statement.write.is_none()) else { return Ok(Vec::new()) };
    let found = whole_table(query, catalog, min_rows, &[], &Cell::new(MOST_QUERIES)).map(|(table, rows)| {
        let bytes = catalog.bytes(table);
        Finding {
            severity: RULE.severity,
            object: statement.object(&table.name.to_string()),
            weight: bytes.0,
            summary: format!("The query sends all {} of {} to the client", rows.of("row"), table.name),
            cause: format!(
                "Nothing in the query limits how many rows of {} it returns: no LIMIT, no condition, no grouping. The table has \
                 about {} in {bytes}, and every call takes longer as it grows.",
                table.name,
                rows.of("row")
            ),
            evidence: object! {
                "query": statement.excerpt(None),
                "table": table.name.to_string(),
                "table_rows": rows,
                "table_bytes": bytes,
            },
            app_fix: Some(
                "Add a condition, or page with .order_by(<unique key>).limit(<n>); to export all rows, stream them: \
                 connection.execution_options(yield_per=1000)."
                    .to_string(),
            ),
            ..Finding::that_changes_nothing()
        }
    });
    Ok(found.into_iter().collect())
}

/// How many queries are looked into: each WITH query that names another twice doubles them.
const MOST_QUERIES: u32 = 1000;

/// A table all of whose rows are in the result; `around` are the queries around this one, innermost first; `left`: how many
/// more may be looked into.
fn whole_table<'a>(
    query: &Select,
    catalog: &'a Catalog,
    min_rows: u64,
    around: &[&Select],
    left: &Cell<u32>,
) -> Option<(&'a Table, Count)> {
    left.set(left.get().checked_sub(1)?);
    let reduced = query.limit.is_some()
        || query.has_aggregates
        || query.grouping_sets
        || !query.group_by.is_empty()
        || !matches!(query.distinct, Distinct::No)
        || query.with.iter().any(|with| with.writes);
    if reduced {
        return None;
    }
    let items = match &query.set_operation {
        Some(operation) => appended(operation),
        None => query.from.iter().flat_map(From::items).collect(),
    };
    let kept: Vec<usize> = items.into_iter().filter(|item| keeps_all_rows_of(query, catalog, *item)).collect();
    kept.into_iter().find_map(|item| match &query.items[item].kind {
        ItemKind::Relation { sampled: false, .. } => {
            let table = query.table(catalog, item)?;
            let rows = catalog.rows(table).filter(|rows| rows.0 >= min_rows)?;
            Some((table, rows))
        }
        ItemKind::Subquery(subquery) => whole_table(subquery, catalog, min_rows, &[&[query], around].concat(), left),
        ItemKind::With { level, position } => {
            let around = [&[query], around].concat();
            let with = around.get(*level)?.with.get((*position)?)?;
            if with.recursive { None } else { whole_table(&with.query, catalog, min_rows, &around[*level..], left) }
        }
        _ => None,
    })
}

/// Joins are outer joins from it, or follow foreign keys from it; there is no other condition.
fn keeps_all_rows_of(query: &Select, catalog: &Catalog, item: usize) -> bool {
    let in_from = |from: &From| from.items().contains(&item);
    let mut open = query.conjuncts();
    let mut followed = vec![item];
    while let Some((position, parent)) = open.iter().enumerate().find_map(|(position, condition)| {
        let (left, right) = condition.equality()?;
        let (left, right) = (left.column()?, right.column()?);
        let follows = |from: &Column, to: &Column| {
            followed.contains(&from.item) && from.item != to.item && is_foreign_key(query, catalog, from, to)
        };
        let parent = if follows(left, right) { Some(right.item) } else { follows(right, left).then_some(left.item) };
        Some((position, parent?))
    }) {
        open.swap_remove(position);
        followed.push(parent);
    }
    open.is_empty() && query.from.iter().filter(|from| in_from(from)).all(|from| is_preserved(from, item))
}

/// No outer join leaves rows of the item out.
fn is_preserved(from: &From, item: usize) -> bool {
    let From::Join { kind, left, right, .. } = from else { return true };
    let on_left = left.items().contains(&item);
    let kept = match kind {
        JoinKind::Inner | JoinKind::Full => true,
        JoinKind::Left => on_left,
        JoinKind::Right => !on_left,
    };
    kept && is_preserved(if on_left { left } else { right }, item)
}

/// Every row has its match.
fn is_foreign_key(query: &Select, catalog: &Catalog, from: &Column, to: &Column) -> bool {
    let (Some(child), Some(parent)) = (query.table(catalog, from.item), query.table(catalog, to.item)) else {
        return false;
    };
    let not_null = child.column(from.attribute).is_some_and(|column| column.not_null);
    not_null
        && catalog.foreign_keys_of(child.oid).any(|key| {
            key.parent == parent.oid && key.child_columns == [from.attribute] && key.parent_columns == [to.attribute]
        })
}

/// The arms of UNION ALL.
fn appended(operation: &SetOperation) -> Vec<usize> {
    if operation.kind != SetKind::Union || !operation.all {
        return Vec::new();
    }
    let arms = |part: &SetPart| match part {
        SetPart::Arm(item) => vec![*item],
        SetPart::Operation(operation) => appended(operation),
    };
    [arms(&operation.left), arms(&operation.right)].concat()
}
