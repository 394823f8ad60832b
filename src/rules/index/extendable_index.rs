use super::missing_index;
use crate::advice::index_ddl::{drop_if_valid, verify_valid};
use crate::facts::Facts;
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "extendable_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The search of dbre.index_advice() has chosen an index that begins as an existing one does and serves more, and \
                proved by planning the whole workload without the existing one that nothing needs that any longer.",
    effect: "Two indexes that begin alike cost two writes, twice the disk and cache, where one would do.",
    workaround: "Create the longer index, then drop the one it replaces: fix_sql does both, and drops only when the new one is \
                 valid.",
    sources: &["https://www.postgresql.org/docs/17/indexes-multicolumn.html"],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames, Need::IndexAdvice],
    cases: &[
        Case {
            name: "an index on the filter, and an order that it lacks",
            setup: "create table t (id int primary key, a int, at int); insert into t select g, g % 20, g from \
                    generate_series(1, 100000) g; create index t_a on t (a); vacuum analyze t; create table workload as select \
                    * from (values ('select * from t where a = 7 order by at desc limit 5', 1000, 9.0), ('select id from t \
                    where a = 3 and at between 5 and 900', 10, 2.0)) w (query, calls, mean_ms)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the existing index is unique",
            setup: "create table t (id int primary key, a int unique, at int); insert into t select g, g, g from \
                    generate_series(1, 100000) g; vacuum analyze t; create table workload as select 'select at from t where a \
                    between 7 and 5000' as query, 100 as calls, 9.0 as mean_ms",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let (advice, catalog) = (facts.index_advice(), facts.catalog());
    let mut namer = facts.relation_names().namer();
    let steps = advice.selection.steps.iter().enumerate();
    let findings = steps.filter_map(|(place, step)| {
        let table = catalog.known(step.candidate.table)?;
        let creation = missing_index::creation(facts, &mut namer, table, step);
        let index = table.index(missing_index::replaced(advice, place)?)?;
        let (old, new) = (table.index_name(index), creation.name.clone());
        let (old_bytes, new_bytes) = (catalog.index_bytes(table, index), Bytes(step.bytes));
        let drop_new = creation.rollback_sql.clone();
        let mut finding = missing_index::finding(facts, place, table, creation);
        finding.evidence.extend(object! { "replaced_index": old.to_string(), "replaced_index_bytes": old_bytes });
        finding.impact.extend(object! { "disk_bytes": change((old_bytes, "measured"), (new_bytes, "estimated")) });
        finding.fix_sql = finding.fix_sql.map(|create| format!("{create}\n{}", drop_if_valid(&new, &old)));
        Some(Finding {
            severity: RULE.severity,
            summary: format!("{}, and replace {old}", finding.summary),
            cause: format!("{} No query of the workload needs {old} any longer.", finding.cause),
            risk: format!(
                "{} Dropping {old} takes ACCESS EXCLUSIVE on the table{} for a moment, with a lock_timeout of 2 s. Queries that are \
                 not in the workload, and replicas, may use it: the new index serves them too.",
                finding.risk,
                if index.partitioned { " and every partition" } else { "" },
            ),
            rollback: Rollback::Recreate { before: None, index: index.oid, after: Some(drop_new) },
            verify_sql: Some(verify_valid(&new)),
            object: old.to_string(),
            ..finding
        })
    });
    Ok(findings.collect())
}
