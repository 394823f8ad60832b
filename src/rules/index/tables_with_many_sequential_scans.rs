use crate::facts::{Facts, Table, TableKind};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, listing};

pub static RULE: Rule = Rule {
    id: "tables_with_many_sequential_scans",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A table, with all its partitions, of at least min_table_bytes and min_rows has had at least min_scans sequential \
                scans, at least the fraction min_share of all its scans, and each read on average at least min_read_fraction \
                of the rows. Of severity high from 1 GB on.",
    effect: "Each scan reads all of the table, fills the cache with it, and takes longer as it grows.",
    workaround: "Find the statements that filter the table and index what they filter by. Statements that need most of the rows \
                 are right to scan.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-ALL-TABLES-VIEW"],
    options: &[
        OptionSpec::bytes("min_table_bytes", 10 * Bytes::MIB, "Smaller tables are read fast."),
        OptionSpec::number("min_rows", (10_000.0, "rows"), (1.0, 1e12), "Smaller tables are not judged."),
        OptionSpec::number("min_scans", (100.0, "scans"), (1.0, 1e12), "Fewer sequential scans may be maintenance."),
        OptionSpec::number(
            "min_share",
            (0.5, "fraction of scans"),
            (0.0, 1.0),
            "Of all scans of the table and its indexes.",
        ),
        OptionSpec::number(
            "min_read_fraction",
            (0.2, "fraction of rows"),
            (0.0, 1.0),
            "Scans that stop early (LIMIT) read less. Each worker of a parallel scan counts as a scan of its part.",
        ),
    ],
    needs: &[Need::Catalog, Need::Workload],
    cases: &[
        Case {
            name: "always read whole",
            setup: "create extension pg_stat_statements; create table t (id int primary key, customer int, \"Kind of\" text, \
                    filler text); insert into t select g, g % 100, 'x', repeat('x', 1000) from generate_series(1, 12000) g; \
                    analyze t; create function look() returns void language plpgsql as 'begin for i in 1..100 loop perform \
                    count(*) from t where customer = i; end loop; end'; set pg_stat_statements.track = 'all'; select look(); \
                    select count(*) from t where \"Kind of\" > 'y' and customer in (1, 2)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "read by index, small, or seldom",
            setup: "create table t (id int primary key, filler text); insert into t select g, repeat('x', 1000) from \
                    generate_series(1, 12000) g; analyze t; create function look() returns void language plpgsql as 'begin for \
                    i in 1..300 loop perform from t where id = i; if i % 2 = 0 then perform count(*) from t where filler = \
                    ''y''; end if; end loop; end'; select look(); create table small (id int); insert into small select \
                    generate_series(1, 100); analyze small; create table seldom (id int, filler text); insert into seldom \
                    select id, filler from t; analyze seldom; select count(*) from seldom where filler = 'y'",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let findings = catalog
        .tables()
        .filter(|table| table.kind != TableKind::MaterializedView && !table.is_partition() && table.is_maintained())
        .filter_map(|table| {
            let reads = Reads::of(facts, table)?;
            reads.exceed(options).then(|| finding(facts, table, &reads))
        });
    Ok(findings.collect())
}

struct Reads {
    bytes: Bytes,
    rows: Count,
    /// Tables that hold the rows: a scan is of one of them.
    leaves: usize,
    sequential_scans: Count,
    rows_read: Count,
    index_scans: Count,
}

impl Reads {
    fn of(facts: &Facts, table: &Table) -> Option<Reads> {
        let catalog = facts.catalog();
        let leaves = catalog.leaves(table);
        Some(Reads {
            bytes: catalog.bytes(table),
            rows: catalog.rows(table)?,
            leaves: leaves.len(),
            sequential_scans: catalog.total(table, |leaf| leaf.statistics.sequential_scans),
            rows_read: catalog.total(table, |leaf| leaf.statistics.rows_read_sequentially),
            index_scans: leaves.iter().flat_map(|leaf| &leaf.indexes).map(|index| index.scans).sum(),
        })
    }

    fn exceed(&self, options: &Options) -> bool {
        let scans = self.sequential_scans.0 as f64;
        let rows_of_a_leaf = self.rows.0 as f64 / self.leaves.max(1) as f64;
        self.bytes.0 >= options.bytes("min_table_bytes")
            && self.rows.0 as f64 >= options.number("min_rows")
            && scans >= options.number("min_scans")
            && scans >= options.number("min_share") * (scans + self.index_scans.0 as f64)
            && self.rows_per_scan() >= options.number("min_read_fraction") * rows_of_a_leaf
    }

    fn rows_per_scan(&self) -> f64 {
        self.rows_read.0 as f64 / (self.sequential_scans.0 as f64).max(1.0)
    }
}

fn finding(facts: &Facts, table: &Table, reads: &Reads) -> Finding {
    let filters: Vec<_> = facts.workload().filters_of(table).collect();
    let shown: Vec<_> = filters
        .iter()
        .filter_map(|filter| {
            let column = &table.column(filter.column)?.name;
            Some(format!("{column} {} ({})", filter.operator, Count(filter.calls).of("call")))
        })
        .collect();
    let workload = match (shown.is_empty(), facts.workload().known) {
        (false, _) => format!("Statements in pg_stat_statements filter it by {}.", listing(&shown)),
        (true, true) => format!(
            "No statement in pg_stat_statements filters it by a column; {} could not be read.",
            Count(facts.workload().not_parsed).of("statement")
        ),
        (true, false) => {
            "pg_stat_statements is not installed here: with it, this names the columns to index.".to_string()
        }
    };
    Finding {
        severity: if reads.bytes.0 >= Bytes::GIB { Severity::high } else { RULE.severity },
        weight: reads.bytes.0,
        summary: format!(
            "Table {} ({}) had {} and {}{}",
            table.name,
            reads.bytes,
            reads.sequential_scans.of("sequential scan"),
            reads.index_scans.of("index scan"),
            if reads.leaves > 1 { format!(" over its {} partitions", reads.leaves) } else { String::new() }
        ),
        cause: format!(
            "Each sequential scan read {} on average, of {} in all. {workload} An index helps where a filter leaves few rows: \
             which one is for the statements to say, so that none is created here.",
            Count(reads.rows_per_scan() as u64).of("row"),
            reads.rows.of("row"),
        ),
        evidence: object! {
            "table_bytes": reads.bytes,
            "table_rows": reads.rows,
            "sequential_scans": reads.sequential_scans,
            "rows_per_sequential_scan": reads.rows_per_scan().round(),
            "index_scans": reads.index_scans,
            "filter_columns": filters.iter().filter_map(|filter| {
                Some(serde_json::json!({
                    "column": table.column(filter.column)?.name.raw(),
                    "operator": filter.operator,
                    "calls": filter.calls,
                }))
            }).collect::<Vec<_>>(),
        },
        impact: object! {},
        fix_sql: None,
        app_fix: None,
        risk: "An index on the wrong column costs every write and helps no read.".to_string(),
        rollback: Rollback::None,
        verify_sql: Some(format!(
            "SELECT seq_scan, seq_tup_read, idx_scan FROM pg_catalog.pg_stat_all_tables WHERE relid = {}::pg_catalog.regclass;",
            crate::db::quote_literal(&table.name.to_string())
        )),
        object: table.name.to_string(),
    }
}
