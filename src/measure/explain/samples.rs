//! Whether columns that a condition compares together depend on each other, looked up in rows from random blocks.

use crate::db;
use crate::facts::plan::{Node, OperandKind, conjuncts};
use crate::facts::{Catalog, Explained, PlanOrigin, Sample, Table};
use crate::measure::time_limit::TimeLimit;
use std::time::{Duration, Instant};

const ROWS: f64 = 30_000.0;
/// Where the time for proofs is short.
const FEWER_ROWS: f64 = 5_000.0;
/// One that takes longer reads a table that is mostly empty.
const LEAST_TIME: Duration = Duration::from_millis(500);
const MOST_SAMPLES: usize = 3;
const MOST_COLUMNS: usize = 4;

/// For scans whose estimate is off and that compare several columns of one table for equality; the worst first.
pub fn draw(explained: &Explained, catalog: &Catalog, deadline: Instant) -> Vec<Sample> {
    let plan = &explained.plan;
    if !matches!(explained.origin, PlanOrigin::Run | PlanOrigin::Stopped { .. }) {
        return Vec::new();
    }
    let mut scans: Vec<(f64, usize)> = (0..plan.nodes.len())
        .filter(|node| plan.nodes[*node].relation.is_some() && plan.is_misestimated(*node))
        .filter_map(|node| Some((plan.estimate_error(node)?, node)))
        .collect();
    scans.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut samples: Vec<Sample> = Vec::new();
    for (_, node) in scans {
        let late = Instant::now() > deadline;
        if samples.len() == MOST_SAMPLES || (late && !samples.is_empty()) {
            break;
        }
        let Some(table) = explained.tables[node].and_then(|oid| catalog.known(oid)) else { continue };
        let Some(rows) = explained.statistics_of(node).and_then(|known| known.rows) else { continue };
        let columns = equated(&plan.nodes[node], table);
        if columns.len() >= 2 && rows > 0.0 {
            // Types that cannot be sorted, tables that may not be read, and those that are mostly empty give no sample.
            let number = if late { FEWER_ROWS } else { ROWS };
            let drawn = || {
                let _limit = TimeLimit::start(deadline.saturating_duration_since(Instant::now()).max(LEAST_TIME));
                sample(node, table, columns, (number, rows))
            };
            samples.extend(db::undone(drawn, TimeLimit::was_reached).ok().flatten());
        }
    }
    samples
}

/// Attribute numbers of the columns that the node compares with a value for equality.
fn equated(node: &Node, table: &Table) -> Vec<i16> {
    let mut columns = Vec::new();
    for conjunct in node.conditions().flat_map(conjuncts) {
        let is_equality = matches!(conjunct.operator.as_deref(), Some("=" | "= ANY" | "IS NULL"));
        if !is_equality || conjunct.negated || conjunct.right.as_ref().is_some_and(|right| !right.columns().is_empty())
        {
            continue;
        }
        let mut left = &conjunct.left;
        while let OperandKind::Cast { of, .. } = &left.kind {
            left = of;
        }
        if let OperandKind::Column { name, .. } = &left.kind {
            let column = table.columns.iter().find(|column| column.name.raw() == name);
            columns.extend(column.map(|column| column.number));
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns.truncate(MOST_COLUMNS);
    columns
}

fn sample(node: usize, table: &Table, columns: Vec<i16>, (drawn, of): (f64, f64)) -> Option<Sample> {
    let percent = (100.0 * drawn / of).clamp(0.0001, 100.0);
    let names = table.column_names(&columns);
    let rows = format!(
        "select {} from {} tablesample system ({percent}) limit {drawn}",
        names.iter().zip(1..).map(|(name, place)| format!("{name} as c{place}")).collect::<Vec<_>>().join(", "),
        table.name,
    );
    let all: Vec<String> = (1..=names.len()).map(|place| format!("c{place}")).collect();
    let together = format!("row({})", all.join(", "));
    // A value that was drawn once says nothing of what follows from it.
    let dependencies = all.iter().map(|column| {
        format!(
            "(select sum(g.n) filter (where g.d = 1) / sum(g.n) from \
             (select count(*)::float8 as n, count(distinct {together})::float8 as d from drawn group by {column}) g \
             where g.n > 1)"
        )
    });
    let sql = format!(
        "with drawn as materialized ({rows}) \
         select count(*)::float8, array[{}]::float8[], count(distinct {together})::float8, \
         coalesce(greatest({}), 0)::float8 from drawn",
        all.iter().map(|column| format!("count(distinct {column})")).collect::<Vec<_>>().join(", "),
        dependencies.collect::<Vec<_>>().join(", "),
    );
    let read = db::read(&sql, &[], |row| Sample {
        node,
        columns: columns.clone(),
        rows: row.take(),
        distinct: row.take(),
        distinct_together: row.take(),
        dependency: row.take(),
    });
    read.into_iter().find(|sample| sample.rows > 0.0)
}
