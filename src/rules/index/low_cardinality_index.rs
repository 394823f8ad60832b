use crate::advice::index_ddl::{NewIndex, Removal, drop_if_valid};
use crate::db::quote_literal;
use crate::facts::{Column, Facts, Index, Namer, Statistics, Table, TableKind};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count};

pub static RULE: Rule = Rule {
    id: "low_cardinality_index",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A plain btree on one column of a table with at least min_rows rows, where planner statistics know at most \
                max_distinct values. Either some of them, each of at most max_selective_fraction of the rows, are rare, or all \
                that is not null is: then a partial index of these serves, provided that the other values are too frequent for \
                any index (a quarter of the rows or more) or no scan has used this one; or nothing is rare and no scan has used \
                it. It is not unique, backs no constraint, and is not what a foreign key's lookup needs. Partitions are not \
                judged.",
    effect: "For a value that a large part of the rows has, reading the table is cheaper than reading the index; yet every write \
             maintains entries for all of them.",
    workaround: "Index the rare value alone, with the columns that its queries sort or filter by.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-partial.html",
        "https://www.postgresql.org/docs/17/view-pg-stats.html",
    ],
    options: &[
        OptionSpec::number("min_rows", (10_000.0, "rows"), (10_000.0, 1e12), "Smaller tables are not judged."),
        OptionSpec::number("max_distinct", (10.0, "values"), (1.0, 100.0), "With more values the index is selective."),
        OptionSpec::number(
            "max_selective_fraction",
            (0.05, "fraction of rows"),
            (0.0, 0.5),
            "A value that is not more frequent is worth a partial index.",
        ),
        OptionSpec::number(
            "min_statistics_days",
            (7.0, "days"),
            (0.0, 3650.0),
            "How long statistics must have counted for an index without scans to be unused.",
        ),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::RelationNames],
    cases: &[
        Case {
            name: "a rare state",
            setup: "create table t (id int, state text); insert into t select g, case when g % 50 = 0 then 'it''s open' else \
                    'done' end from generate_series(1, 20000) g; create index on t (state); analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "mostly null",
            setup: "create table t (id int, flag boolean); insert into t select g, case when g % 50 = 0 then g % 100 = 0 end \
                    from generate_series(1, 20000) g; create index on t (flag); analyze t; select dbre.configure_rule('low_cardinality_index', options => \
                    '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no rare value, never scanned",
            setup: "create table t (id int, flag boolean); insert into t select g, g % 2 = 0 from generate_series(1, 20000) g; \
                    create index on t (flag); analyze t; select dbre.configure_rule('low_cardinality_index', options => \
                    '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no rare value, but scans use it",
            setup: "create table t (id int, flag boolean); insert into t select g, g % 2 = 0 from generate_series(1, 20000) g; \
                    create index on t (flag); analyze t; set enable_seqscan = off; select id from t where flag limit 1",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "two rare states",
            setup: "create table t (id int, state text); insert into t select g, case when g % 50 = 0 then 'open' when g % 70 = \
                    0 then 'failed' else 'done' end from generate_series(1, 20000) g; create index on t (state); analyze t; set \
                    enable_seqscan = off; select id from t where state = 'failed' limit 1",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a rare state, and one that is neither rare nor frequent, with scans",
            setup: "create table t (id int, state text); insert into t select g, case when g % 50 = 0 then 'open' when g % 10 = \
                    0 then 'failed' else 'done' end from generate_series(1, 20000) g; create index on t (state); analyze t; set \
                    enable_seqscan = off; select id from t where state = 'failed' limit 1",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "many values, few rows, a partial index, more columns, or a foreign key that needs it",
            setup: "create table p (id int primary key); insert into p select generate_series(0, 3); create table t (id int, \
                    many int, flag boolean, ref int references p); insert into t select g, g % 500, g % 50 = 0, g % 4 from \
                    generate_series(1, 20000) g; create index on t (many); create index on t (flag) where flag; create index \
                    on t (flag, id); create index on t (ref); create table small (flag boolean); insert into small select g % \
                    50 = 0 from generate_series(1, 500) g; create index on small (flag); analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let (min_rows, max_distinct) = (options.number("min_rows"), options.number("max_distinct"));
    let max_fraction = options.number("max_selective_fraction");
    let observed = facts.observed_days(options.number("min_statistics_days")).is_ok();
    let mut findings = Vec::new();
    for (table, index) in catalog.indexes() {
        let [key] = index.keys.as_slice() else { continue };
        let Some(rows) = table.rows.filter(|rows| rows.0 as f64 >= min_rows) else { continue };
        let eligible = table.kind == TableKind::Plain
            && !table.is_partition()
            && &*index.method == "btree"
            && index.is_plain()
            && index.included.is_empty()
            && catalog.serves_only_queries(table, index);
        let (true, Some(column)) = (eligible, table.column(key.attribute)) else { continue };
        let Some(statistics) = facts.column_statistics().of(table.oid, key.attribute) else { continue };
        if !statistics.fixed_distinct().is_some_and(|distinct| (1.0..=max_distinct).contains(&distinct)) {
            continue;
        }
        let rare = RarePart::of(column, statistics, max_fraction);
        // Scans may have been for a value that is neither rare nor frequent: then the index is right as it is.
        let dispensable = rare.as_ref().is_some_and(|rare| rare.others_are_frequent);
        let unused = observed && index.scans.0 == 0;
        if !dispensable && !unused {
            continue;
        }
        findings.push(finding(facts, table, index, column, statistics, rows, rare, &mut namer));
    }
    Ok(findings)
}

/// From this fraction of the rows on the planner reads the table rather than an index, unless the table is in its order.
const FREQUENT: f64 = 0.25;

/// The part of the rows that is worth an index: a predicate and its fraction.
struct RarePart {
    predicate: String,
    fraction: f64,
    others_are_frequent: bool,
}

impl RarePart {
    fn of(column: &Column, statistics: &Statistics, max_fraction: f64) -> Option<RarePart> {
        let filled = 1.0 - statistics.null_fraction;
        if filled <= max_fraction {
            let predicate = format!("{} IS NOT NULL", column.name);
            return Some(RarePart { predicate, fraction: filled, others_are_frequent: true });
        }
        let frequencies = statistics.most_common_frequencies.iter().map(|frequency| f64::from(*frequency));
        let values = statistics.most_common_values.iter().zip(frequencies);
        let (rare, others): (Vec<_>, Vec<_>) = values.partition(|(_, frequency)| *frequency <= max_fraction);
        let literals: Vec<_> = rare.iter().map(|(value, _)| quote_literal(value)).collect();
        let predicate = match literals.as_slice() {
            [] => return None,
            [only] => format!("{} = {only}", column.name),
            several => format!("{} IN ({})", column.name, several.join(", ")),
        };
        Some(RarePart {
            predicate,
            fraction: rare.iter().map(|(_, frequency)| frequency).sum(),
            others_are_frequent: others.iter().all(|(_, frequency)| *frequency >= FREQUENT),
        })
    }
}

#[allow(clippy::too_many_arguments, reason = "what the check has found out, once")]
fn finding(
    facts: &Facts,
    table: &Table,
    index: &Index,
    column: &Column,
    statistics: &Statistics,
    rows: Count,
    rare: Option<RarePart>,
    namer: &mut Namer,
) -> Finding {
    let catalog = facts.catalog();
    let name = table.index_name(index);
    let bytes = index.bytes();
    let removal = Removal::of(table, index);
    let distinct = statistics.fixed_distinct().unwrap_or_default();
    let mut after = Bytes(0);
    let mut fix_sql = removal.fix_sql;
    let mut rollback = removal.rollback;
    let mut locks = removal.risk;
    let mut advice = "No value is rare enough for a partial index, and no scan has used it".to_string();
    if let Some(rare) = &rare {
        let specification = format!("USING btree ({}) WHERE {}", column.name, rare.predicate);
        let new = NewIndex { unique: false, specification, columns: vec![&column.name] };
        let creation = new.creation(catalog, namer, table, |_, _| false);
        after = Bytes((bytes.0 as f64 * rare.fraction) as u64);
        fix_sql = format!("{}\n{}", creation.fix_sql, drop_if_valid(&creation.name, &name));
        let after = Some(drop_if_valid(&name, &creation.name));
        rollback = Rollback::Recreate { before: None, index: index.oid, after };
        locks = "The new index is built concurrently; to drop the old one takes ACCESS EXCLUSIVE on the table for a moment, and \
                 gives up after 2 seconds of waiting. Where the new one could not be built, the old one stays."
            .to_string();
        advice = format!(
            "Only {:.1}% of the rows have {}: an index of these alone serves",
            rare.fraction * 100.0,
            rare.predicate
        );
    }
    Finding {
        severity: RULE.severity,
        weight: bytes.0,
        summary: format!("Index {name} has {distinct:.0} distinct values for {} and costs {bytes}", rows.of("row")),
        cause: format!(
            "Planner statistics know {distinct:.0} values of {}. For the frequent ones the planner reads the table instead. \
             {advice}.",
            column.name
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "table_rows": rows,
            "distinct_values": distinct,
            "null_fraction": statistics.null_fraction,
            "most_common_values": statistics.most_common_values,
            "most_common_frequencies": statistics.most_common_frequencies,
            "index_bytes": bytes,
            "index_scans": index.scans,
            "rare_fraction": rare.as_ref().map(|rare| rare.fraction),
        },
        impact: object! { "disk_bytes": change((bytes, "measured"), (after, "estimated")) },
        fix_sql: Some(fix_sql),
        app_fix: rare.map(|rare| {
            format!(
                "SQLAlchemy: Index(…, {:?}, postgresql_where=text({:?})) in place of index=True.",
                column.name.raw(),
                rare.predicate
            )
        }),
        risk: format!("Queries for the other values can no longer use an index on {}. {locks}", column.name),
        rollback,
        verify_sql: Some(removal.verify_sql),
        object: name.to_string(),
    }
}
