use crate::advice::index_ddl::Removal;
use crate::facts::{Facts, TableKind};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "index_on_small_table",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A btree or hash index on a table of at most max_table_bytes that has rows, was counted by ANALYZE or VACUUM, and \
                has been there for at least min_table_age_days. The index is not unique, backs no constraint or replica \
                identity, and is not what a foreign key's lookup needs. Partitions are not judged.",
    effect: "Postgres reads a few pages as fast as an index; writes maintain it, and updates of its columns cannot be HOT.",
    workaround: "Drop it, unless the table is about to grow.",
    sources: &["https://www.postgresql.org/docs/17/indexes-examine.html"],
    options: &[
        OptionSpec::bytes("max_table_bytes", 64 * Bytes::KIB, "Larger tables are not small."),
        OptionSpec::number(
            "min_table_age_days",
            (7.0, "days"),
            (0.0, 3650.0),
            "A younger table may still be filled. The age is that of its file.",
        ),
    ],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "ten rows",
            setup: "create table t (a int primary key, b int); insert into t select g, g from generate_series(1, 10) g; create \
                    index on t (b); analyze t; select dbre.configure_rule('index_on_small_table', options => \
                    '{\"min_table_age_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a young table",
            setup: "create table t (a int, b int); insert into t select g, g from generate_series(1, 10) g; create index on t \
                    (b); analyze t",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "empty, large, unique, of another method, or what a foreign key needs",
            setup: "create table empty (a int); create index on empty (a); create table large (a int); insert into large \
                    select generate_series(1, 10000); create index on large (a); create table t (a int primary key, b int, c \
                    int references t, d tsvector); insert into t select g, g from generate_series(1, 10) g; create unique \
                    index on t (b); create index on t (c); create index on t using gin (d); analyze; select \
                    dbre.configure_rule('index_on_small_table', options => '{\"min_table_age_days\": 0}')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let (max_bytes, min_age) = (options.bytes("max_table_bytes"), options.number("min_table_age_days"));
    let findings = catalog.indexes().filter_map(|(table, index)| {
        let rows = table.rows.filter(|rows| rows.0 > 0)?;
        let small = table.kind == TableKind::Plain
            && !table.is_partition()
            && table.bytes().0 <= max_bytes
            && table.file.age_days.is_some_and(|age| age >= min_age)
            && matches!(&*index.method, "btree" | "hash")
            && catalog.serves_only_queries(table, index);
        if !small {
            return None;
        }
        let name = table.index_name(index);
        let removal = Removal::of(table, index);
        Some(Finding {
            severity: RULE.severity,
            weight: index.bytes().0,
            summary: format!("Index {name} is on a table of {} ({})", table.bytes(), rows.of("row")),
            cause: format!(
                "{} takes {}: reading it whole costs about as much as descending the index. Updates of ({}) have to write the \
                 index too.",
                table.name,
                table.bytes(),
                table.key_listing(index),
            ),
            evidence: object! {
                "table": table.name.to_string(),
                "table_bytes": table.bytes(),
                "table_rows": rows,
                "table_age_days": table.file.age_days.map(|age| (age * 10.0).round() / 10.0),
                "index_bytes": index.bytes(),
                "index_scans": index.scans,
            },
            impact: object! { "disk_bytes": change((index.bytes(), "measured"), (0, "estimated")) },
            fix_sql: Some(removal.fix_sql),
            app_fix: Some(removal.app_fix),
            risk: format!("Keep it if the table is to grow. {}", removal.risk),
            rollback: removal.rollback,
            verify_sql: Some(removal.verify_sql),
            object: name.to_string(),
        })
    });
    Ok(findings.collect())
}
