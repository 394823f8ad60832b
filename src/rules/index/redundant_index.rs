use super::duplicate_index::twin_that_stays;
use crate::advice::index_ddl::Removal;
use crate::facts::{Catalog, Facts, Index, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "redundant_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The key of a btree that is not unique is the beginning of another valid btree's key of the same table, with the \
                same operator classes, collations, sort order and predicate; or both keys are the same and the other has more \
                INCLUDE columns. The other one returns all its columns, is at most max_size_ratio times as large, and has been \
                scanned if this one has. Nothing depends on this one, and it is no duplicate_index.",
    effect: "Every write maintains both, both take disk, memory and vacuum time; the longer one answers the same queries.",
    workaround: "Drop the shorter one.",
    sources: &["https://www.postgresql.org/docs/17/indexes-multicolumn.html"],
    options: &[OptionSpec::number(
        "max_size_ratio",
        (10.0, "ratio"),
        (1.0, 1000.0),
        "How many times as large the longer index may be: scanning it reads more.",
    )],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "a prefix",
            setup: "create table t (a int, b int); create index short on t (a); create index long on t (a, b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a prefix of the primary key, and of one that is a prefix itself",
            setup: "create table t (a int, b int, c int, primary key (a, b, c)); create index one on t (a); create index two \
                    on t (a, b)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "the same key with fewer INCLUDE columns",
            setup: "create table t (a int, b int, c int); create index on t (a) include (b); create index on t (a) include \
                    (b, c)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "not leading, another order, class, predicate or method; unique; INCLUDE columns that the longer one lacks",
            setup: "create table t (a int, b text, c int); create index on t (b); create index on t (a, b); create index on t \
                    (a desc); create index on t (b text_pattern_ops, a); create index on t (c) where a > 0; create index on t \
                    (c, a); create unique index on t (c); create index on t using hash (a); create table u (a int, b int, c \
                    int); create index on u (a) include (c); create index on u (a, b)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the longer one is much larger",
            setup: "create table t (a int, b text); insert into t select g % 10, repeat(md5(g::text), 20) from \
                    generate_series(1, 5000) g; create index on t (a); create index on t (a, b); select \
                    dbre.configure_rule('redundant_index', options => '{\"max_size_ratio\": 5}')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let max_ratio = options.number("max_size_ratio");
    let without_twin = catalog.indexes().filter(|(table, index)| twin_that_stays(table, index).is_none());
    let findings = without_twin.filter_map(|(table, index)| {
        let longer = successor(catalog, table, index, max_ratio)?;
        let (name, kept) = (table.index_name(index), table.index_name(longer));
        let bytes = catalog.index_bytes(table, index);
        let kept_bytes = catalog.index_bytes(table, longer);
        let removal = Removal::of(table, index);
        let (key, longer_key) = (table.key_listing(index), table.key_listing(longer));
        Some(Finding {
            severity: RULE.severity,
            weight: bytes.0,
            summary: format!("Index {name} on ({key}) is covered by {kept} on ({longer_key}) and costs {bytes}"),
            cause: format!(
                "A btree serves every query on the beginning of its key: {kept} can take over from {name}. It is {kept_bytes}, \
                 so that a scan of it reads somewhat more.",
            ),
            evidence: object! {
                "table": table.name.to_string(),
                "kept_index": kept.to_string(),
                "index_bytes": bytes,
                "kept_index_bytes": kept_bytes,
                "index_scans": catalog.scans(table, index),
                "kept_index_scans": catalog.scans(table, longer),
            },
            impact: object! { "disk_bytes": change((bytes, "measured"), (0, "estimated")) },
            fix_sql: Some(removal.fix_sql),
            app_fix: Some(format!("Remove Index({:?}) or index=True on {key} from the model.", index.name.raw())),
            risk: removal.risk,
            rollback: removal.rollback,
            verify_sql: Some(removal.verify_sql),
            object: name.to_string(),
        })
    });
    Ok(findings.collect())
}

/// The longest index that can take over and has no such index itself, so that following every finding loses nothing.
fn successor<'a>(catalog: &Catalog, table: &'a Table, index: &Index, max_ratio: f64) -> Option<&'a Index> {
    if !index.is_usable() || !index.is_droppable() || index.unique || !table.is_maintained() {
        return None;
    }
    let bytes = catalog.index_bytes(table, index).0 as f64;
    let scanned = catalog.scans(table, index).0 > 0;
    table
        .indexes
        .iter()
        .filter(|longer| longer.is_usable() && index.is_prefix_of(longer))
        .filter(|longer| catalog.index_bytes(table, longer).0 as f64 <= bytes * max_ratio)
        .filter(|longer| catalog.scans(table, longer).0 > 0 || !scanned)
        .filter(|longer| successor(catalog, table, longer, max_ratio).is_none())
        .max_by_key(|longer| longer.keys.len())
}
