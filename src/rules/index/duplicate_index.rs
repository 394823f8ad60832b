use crate::advice::index_ddl::Removal;
use crate::facts::{Facts, Index, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::cmp::Reverse;

pub static RULE: Rule = Rule {
    id: "duplicate_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Two valid indexes of one table agree in access method, key columns or expressions, operator classes and their \
                parameters, collations, sort order, predicate and INCLUDE columns. One of them backs no constraint and no \
                replica identity, no foreign key depends on it, and it guarantees no uniqueness that the other does not.",
    effect: "Every write maintains both, both take disk, memory and vacuum time, and no query is faster for it.",
    workaround: "Drop one of them.",
    sources: &["https://www.postgresql.org/docs/17/indexes-examine.html"],
    options: &[],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "the same twice",
            setup: "create table t (a int, b text); create index one on t (a, b desc); create index two on t (a, b desc)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a plain index beside the primary key's",
            setup: "create table t (a int primary key); create index again on t (a)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "same expression, predicate and INCLUDE columns in another order",
            setup: "create table t (a text, b int, c int); create index one on t (lower(a)) include (b, c) where b > 0; create \
                    index two on t (lower(a)) include (c, b) where b > 0",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "three alike: one stays",
            setup: "create table t (a int); create index on t (a); create index on t (a); create unique index on t (a)",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "they differ in order, class, collation, predicate, expression, method or INCLUDE",
            setup: "create table t (a text); create index on t (a); create index on t (a desc); create index on t (a \
                    text_pattern_ops); create index on t (a collate \"C\"); create index on t (a) where a <> ''; create index \
                    on t (lower(a)); create index on t (upper(a)); create index on t using hash (a); create table u (a int, b \
                    int); create index on u (a) include (b); create index on u (a)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "both back a constraint, or are a replica identity",
            setup: "create table t (a int primary key, unique (a)); create table u (a int not null, b int); create unique \
                    index one on u (a); alter table u replica identity using index one; create table v (a int unique, b int \
                    references v (a)); create index on v (b)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "uniqueness that the other does not guarantee",
            setup: "create table t (a int, unique (a) deferrable); create unique index on t (a); create table u (a int); \
                    create unique index on u (a) nulls not distinct; create unique index on u (a)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "on a partitioned table it is the parent's index",
            setup: "create table t (a int, b int) partition by range (a); create table t_1 partition of t for values from (0) \
                    to (9); create index one on t (b); create index two on t (b)",
            finds: 1,
            fix_clears: true,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let catalog = facts.catalog();
    let findings = catalog.indexes().filter_map(|(table, index)| {
        let twin = twin_that_stays(table, index)?;
        let (name, kept) = (table.index_name(index), table.index_name(twin));
        let bytes = catalog.index_bytes(table, index);
        let removal = Removal::of(table, index);
        Some(Finding {
            severity: RULE.severity,
            weight: bytes.0,
            summary: format!("Index {name} is the same as {kept} and costs {bytes}"),
            cause: format!(
                "Both are {} indexes on {}({}) with the same options{}. {kept} serves every query that {name} does.",
                index.method,
                table.name,
                table.key_listing(index),
                guarantee(twin),
            ),
            evidence: object! {
                "table": table.name.to_string(),
                "kept_index": kept.to_string(),
                "kept_constraint": twin.constraint.as_ref().map(|name| name.raw()),
                "index_bytes": bytes,
                "index_scans": catalog.scans(table, index),
                "kept_index_scans": catalog.scans(table, twin),
            },
            impact: object! { "disk_bytes": change((bytes, "measured"), (0, "estimated")) },
            fix_sql: Some(removal.fix_sql),
            app_fix: Some(model_fix(table, index)),
            risk: removal.risk,
            rollback: removal.rollback,
            verify_sql: Some(removal.verify_sql),
            object: name.to_string(),
        })
    });
    Ok(findings.collect())
}

fn guarantee(twin: &Index) -> String {
    match &twin.constraint {
        Some(constraint) => format!("; {constraint} is a constraint"),
        None if twin.unique => "; the other one is unique".to_string(),
        None => String::new(),
    }
}

fn model_fix(table: &Table, index: &Index) -> String {
    format!(
        "Remove Index({:?}) or index=True on {} from the model, or the next Alembic autogenerate creates it again.",
        index.name.raw(),
        table.key_listing(index),
    )
}

/// The twin that is worth more than `index`; of several the most worth.
pub fn twin_that_stays<'a>(table: &'a Table, index: &Index) -> Option<&'a Index> {
    if !index.is_usable() || !index.is_droppable() || !table.is_maintained() {
        return None;
    }
    table
        .indexes
        .iter()
        .filter(|twin| {
            twin.oid != index.oid && twin.is_usable() && twin.same_structure(index) && guarantees(twin, index)
        })
        .max_by_key(|twin| worth(twin))
        .filter(|twin| !guarantees(index, twin) || worth(twin) > worth(index) || !twin.is_droppable())
}

/// `twin` keeps out all the rows that `index` keeps out, as early.
fn guarantees(twin: &Index, index: &Index) -> bool {
    !index.unique
        || (twin.unique && twin.nulls_not_distinct == index.nulls_not_distinct && (twin.immediate || !index.immediate))
}

fn worth(index: &Index) -> (bool, bool, bool, u64, Reverse<u32>) {
    (!index.is_droppable(), index.unique, index.clustered, index.scans.0, Reverse(index.oid))
}
