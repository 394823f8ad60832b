use crate::advice::index_ddl::Removal;
use crate::advice::index_selection::{Candidate, UselessIndex};
use crate::facts::query::{ConditionKind, Part, QueryShape};
use crate::facts::{Facts, Index, Source, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Skip, Verdict};
use crate::units::{Bytes, rounded};

pub static RULE: Rule = Rule {
    id: "index_without_use",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Planned without the index, and without all others of these findings, no query of the workload that \
                dbre.index_advice() was given costs more than it does with them. The index backs no constraint, is not unique, \
                is not what a foreign key's lookup needs, takes at least min_index_bytes, and was either never scanned or is in \
                some plan of the workload as things are: scans that the workload does not explain come from elsewhere. Only of a workload with times: \
                a list of texts says nothing of what else runs.",
    effect: "Every write maintains it, for no query of the workload.",
    workaround: "Look at the replicas, and ask for jobs that run seldom: neither is in the workload. Then drop it.",
    sources: &["https://www.postgresql.org/docs/17/indexes-examine.html"],
    options: &[OptionSpec::bytes("min_index_bytes", 64 * Bytes::KIB, "Smaller indexes are not worth a finding.")],
    needs: &[Need::Catalog, Need::IndexAdvice],
    cases: &[
        Case {
            name: "two queries, and an index that neither uses",
            setup: "create table t (id int primary key, a int, b int, c int); insert into t select g, g % 5000, g % 5000, g \
                    from generate_series(1, 50000) g; create index t_a on t (a); create index t_b on t (b); vacuum analyze t; \
                    create table workload as select 'select c from t where a = 7' as query, 100 as calls, 0.1 as mean_ms",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "each is used",
            setup: "create table t (id int primary key, a int, b int, c int); insert into t select g, g % 5000, g % 5000, g \
                    from generate_series(1, 50000) g; create index t_a on t (a); create index t_b on t (b); vacuum analyze t; \
                    create table workload as select * from (values ('select c from t where a = 7', 100, 0.1), ('select c from \
                    t where b = 7', 100, 0.1)) w (query, calls, mean_ms)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (advice, catalog) = (facts.index_advice(), facts.catalog());
    if advice.source == Source::Texts {
        return Err(Skip("a list of queries says nothing of what else needs an index".to_string()));
    }
    if !advice.selection.complete {
        return Err(Skip("time was up before all of the workload was planned without it".to_string()));
    }
    let min_bytes = options.bytes("min_index_bytes");
    let replaced = |useless: &UselessIndex| {
        useless.replaced_by.is_some_and(|place| super::missing_index::replaced(advice, place) == Some(useless.oid))
    };
    let useless = advice.selection.useless.iter().filter(|useless| !replaced(useless));
    let findings = useless.filter_map(|useless| {
        let (table, index) = catalog.indexes().find(|(_, index)| index.oid == useless.oid)?;
        let parts: Vec<u32> = catalog.parts(table, index).iter().map(|part| part.oid).chain([index.oid]).collect();
        let planned = || advice.queries.iter().any(|query| query.indexes.iter().any(|used| parts.contains(used)));
        // Scans that no plan of the workload explains come from something that is not in it.
        let explained = catalog.scans(table, index).0 == 0 || planned();
        let large = catalog.index_bytes(table, index).0 >= min_bytes;
        (large && explained && !is_fallback(facts, table, index)).then(|| finding(facts, table, index, useless))
    });
    Ok(findings.collect())
}

/// Some query asks for single values of the index's first column, and neither this index nor a new one that begins with the
/// column is in its plan: should the plan turn out wrong, the index is what there is to fall back on.
fn is_fallback(facts: &Facts, table: &Table, index: &Index) -> bool {
    let advice = facts.index_advice();
    let Some(first) = index.key_attributes().next().filter(|column| *column > 0) else { return false };
    let asks = |shape: &QueryShape| {
        shape.references.iter().filter(|reference| reference.table == table.oid).any(|reference| {
            reference.conditions.iter().any(|condition| {
                condition.part == Part::Column(first)
                    && matches!(condition.kind, ConditionKind::Equality | ConditionKind::Membership)
            })
        })
    };
    let begins = |candidate: &Candidate| {
        candidate.table == table.oid
            && candidate.predicate.is_none()
            && candidate.keys.first().is_some_and(|key| key.part == Part::Column(first))
    };
    advice.queries.iter().zip(&advice.selection.queries).any(|(query, cost)| {
        let Some(cost) = cost else { return false };
        let served = cost.steps.iter().any(|step| begins(&advice.selection.steps[*step].candidate))
            || cost.existing_used.iter().any(|used| {
                let other = table.index(*used).filter(|other| other.oid != index.oid);
                other.is_some_and(|other| other.key_attributes().next() == Some(first))
            });
        asks(&query.shape) && !served
    })
}

fn finding(facts: &Facts, table: &Table, index: &Index, useless: &UselessIndex) -> Finding {
    let (advice, catalog) = (facts.index_advice(), facts.catalog());
    let (name, removal) = (table.index_name(index), Removal::of(table, index));
    let bytes = catalog.index_bytes(table, index);
    let scans = catalog.scans(table, index);
    Finding {
        severity: RULE.severity,
        weight: bytes.0,
        summary: format!("No query of the workload needs index {name}, which costs {bytes}"),
        cause: format!(
            "All {} queries were planned without it: none costs more. Not known: scans on replicas, jobs that are not in the \
             workload, queries that could not be planned ({}). It has been scanned {} since statistics count.",
            advice.queries.len(),
            advice.not_planned.len(),
            scans.of("time"),
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "key": table.key_listing(index),
            "index_bytes": bytes,
            "index_scans": scans,
            "largest_rise_percent": rounded(useless.largest_rise_percent),
            "queries_not_planned": advice.not_planned.len(),
            "workload": advice.summary(),
        },
        impact: object! { "disk_bytes": change((bytes, "measured"), (0, "estimated")) },
        fix_sql: Some(removal.fix_sql),
        app_fix: Some(removal.app_fix),
        risk: format!("Check idx_scan in pg_stat_user_indexes on every replica first. {}", removal.risk),
        rollback: removal.rollback,
        verify_sql: Some(removal.verify_sql),
        object: name.to_string(),
    }
}
