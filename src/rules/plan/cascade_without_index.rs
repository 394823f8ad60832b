use crate::advice::plan_weight::{Explains, shown};
use crate::facts::plan::Trigger;
use crate::facts::query::WriteKind;
use crate::facts::{Catalog, Explained, Facts, ForeignKey, Namer, PlanOrigin, Table};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::rules::foreign_key_without_index::solution;
use crate::units::{BLOCK, Bytes, rounded};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "cascade_without_index",
    category: "plan",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The statement deletes from a table, or changes its keys, that a foreign key references, and no index of the \
                referencing table finds the rows of a key. What the triggers of the foreign key took is measured, or, where the \
                statement was not run to its end, the cost of reading the child once for each row is estimated.",
    effect: "The server looks for the children of each row by reading the whole child table. EXPLAIN shows that below the plan, \
             as the time of a trigger of the table deleted from, and never names the child.",
    workaround: "Create the index on the referencing columns.",
    sources: &[
        "https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK",
        "https://www.postgresql.org/docs/17/using-explain.html#USING-EXPLAIN-ANALYZE",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "a delete that cascades, run",
            setup: "create table parent (id int primary key); create table child (id int primary key, parent_id int references \
                    parent on delete cascade); insert into parent select generate_series(1, 5000); insert into child select \
                    g, 1 + g % 5000 from generate_series(1, 100000) g; vacuum analyze parent; vacuum analyze child; create \
                    table example as select 'delete from parent where id <= 20' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a delete that cascades, planned only",
            setup: "create table parent (id int primary key); create table child (id int primary key, parent_id int references \
                    parent on delete cascade); insert into parent select generate_series(1, 5000); insert into child select \
                    g, 1 + g % 5000 from generate_series(1, 100000) g; vacuum analyze parent; vacuum analyze child; create \
                    table example as select 'delete from parent where id <= 20' as query, false as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a partitioned parent, and a child of a child",
            setup: "create table parent (id int primary key) partition by range (id); create table parent_1 partition of parent \
                    for values from (0) to (1000); create table parent_2 partition of parent for values from (1000) to (9000); \
                    create table child (id int primary key, parent_id int references parent); insert into parent select \
                    generate_series(1, 5000); insert into child select g, 1 + g % 1000 from generate_series(1, 100000) g; \
                    vacuum analyze parent; vacuum analyze child; create table example as select 'delete from parent where id > \
                    4960' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the child has its index, or is empty, and columns that are no key change",
            setup: "create table parent (id int primary key, v int); create table child (id int primary key, parent_id int \
                    references parent on delete cascade); create index on child (parent_id); create table none (id int primary \
                    key, parent_id int references parent); create table other (id int primary key, v int); create table of_other \
                    (id int primary key, other_id int references other); insert into parent select g, g from \
                    generate_series(1, 5000) g; insert into child select g, 1 + g % 5000 from generate_series(1, 100000) g; \
                    insert into other select g, g from generate_series(1, 5000) g; insert into of_other select g, 1 + g % 5000 \
                    from generate_series(1, 50000) g; vacuum analyze; create table example as select 'with d as (delete from \
                    parent where id <= 20 returning id) update other set v = v + 1 where id in (select id from d)' as query, \
                    true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let mut measured: BTreeMap<(u32, &str), (&ForeignKey, f64, f64)> = BTreeMap::new();
    for trigger in &facts.explained().plan.triggers {
        let Some((key, ms)) = enforced(facts, trigger).zip(trigger.ms) else { continue };
        if lacks_index(catalog, key) {
            // Each partition has a trigger of its own.
            let entry = measured.entry((key.child, key.name.raw())).or_insert((key, 0.0, 0.0));
            (entry.1, entry.2) = (entry.1 + ms, entry.2 + trigger.calls);
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    if measured.is_empty() && !fired(facts.explained()) {
        findings.extend(awaited(facts).into_iter().filter_map(|(key, rows)| expected(facts, &mut namer, key, rows)));
    }
    for (key, ms, calls) in measured.into_values() {
        let explains = Explains::by_ms(facts.explained(), ms);
        let spent = format!("{} for {} rows", explains.told(), shown(calls));
        if let Some(mut finding) = finding(facts, &mut namer, key, explains, &spent) {
            finding.evidence.extend(object! { "trigger_ms": rounded(ms), "trigger_calls": calls });
            finding.impact =
                object! { "trigger_ms": change((rounded(ms), "measured"), (rounded(calls * LOOKUP_MS), "estimated")) };
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// What looking up the children of a row through an index takes, with the call of its trigger.
const LOOKUP_MS: f64 = 0.03;

/// Triggers fire at the end.
fn fired(explained: &Explained) -> bool {
    match explained.origin {
        PlanOrigin::Run => true,
        PlanOrigin::Planned | PlanOrigin::Stopped { .. } => false,
        PlanOrigin::Given => explained.is_measured(),
    }
}

/// The foreign key to the trigger's table that the trigger enforces. None: it is another's, or not known for certain.
fn enforced<'a>(facts: &'a Facts, trigger: &Trigger) -> Option<&'a ForeignKey> {
    let (catalog, constraint) = (facts.catalog(), trigger.constraint.as_deref()?);
    // The other side's trigger: it looks for the parent of a new child.
    if trigger.name.starts_with("RI_ConstraintTrigger_c") {
        return None;
    }
    let changed = changed(facts).into_iter().filter(|(_, table)| table.name.name.raw() == trigger.relation);
    let mut keys: Vec<&ForeignKey> = Vec::new();
    for (_, table) in changed {
        for above in with_ancestors(catalog, table) {
            keys.extend(catalog.foreign_keys_to(above.oid).filter(|key| is_name_of(constraint, key.name.raw())));
        }
    }
    keys.dedup_by_key(|key| (key.child, key.name.raw()));
    let exact = keys.iter().position(|key| key.name.raw() == constraint);
    match (exact, keys.as_slice()) {
        (Some(position), _) => Some(keys[position]),
        (None, [only]) => Some(only),
        _ => None,
    }
}

/// A partition's copy of a constraint has its name, with a number where that is taken.
fn is_name_of(constraint: &str, declared: &str) -> bool {
    constraint.strip_prefix(declared).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'))
}

/// Tables that the statement changes, with the node that does.
fn changed(facts: &Facts) -> Vec<(usize, &Table)> {
    let explained = facts.explained();
    let known = |i: usize| {
        let read = explained.plan.subtree(i).chain([i]).filter_map(|j| explained.tables[j]);
        read.filter_map(|oid| facts.catalog().known(oid)).map(|table| (i, table)).collect::<Vec<_>>()
    };
    let changes = (0..explained.plan.nodes.len()).filter(|i| explained.plan.nodes[*i].kind == "ModifyTable");
    changes.flat_map(known).collect()
}

fn with_ancestors<'a>(catalog: &'a Catalog, table: &'a Table) -> impl Iterator<Item = &'a Table> {
    std::iter::successors(Some(table), |table| catalog.known(table.parent?))
}

/// Foreign keys without an index that the statement's deletes have to look through, with the rows that it is to delete. A
/// statement that was only planned has no node that deletes: its plan is that of finding the rows.
fn awaited(facts: &Facts) -> Vec<(&ForeignKey, f64)> {
    let (explained, catalog) = (facts.explained(), facts.catalog());
    let plan = &explained.plan;
    let planned = explained.write.as_ref().filter(|write| write.kind == WriteKind::Delete);
    let planned = planned.filter(|_| !plan.nodes.iter().any(|node| node.kind == "ModifyTable"));
    let mut deletes: Vec<(u32, f64)> =
        planned.zip(plan.nodes.first()).map(|(write, root)| (write.table, root.rows)).into_iter().collect();
    for (i, node) in plan.nodes.iter().enumerate().filter(|(_, node)| node.operation.as_deref() == Some("Delete")) {
        let given = node.children.iter().filter(|child| plan.nodes[**child].relationship.name().is_none());
        deletes.extend(explained.tables[i].map(|table| (table, given.map(|child| plan.nodes[*child].rows).sum())));
    }
    let mut awaited: Vec<(&ForeignKey, f64)> = Vec::new();
    for (target, rows) in deletes {
        let Some(target) = catalog.known(target) else { continue };
        for table in with_ancestors(catalog, target) {
            awaited.extend(
                catalog.foreign_keys_to(table.oid).filter(|key| lacks_index(catalog, key)).map(|key| (key, rows)),
            );
        }
    }
    awaited
}

/// A small child is read at once.
fn lacks_index(catalog: &Catalog, key: &ForeignKey) -> bool {
    const SMALL: Bytes = Bytes(64 * Bytes::KIB);
    !catalog.is_covered(key) && catalog.bytes(catalog.table(key.child)) > SMALL
}

/// The planner counts no triggers: their cost is that of scanning the child for each row.
fn expected(facts: &Facts, namer: &mut Namer, key: &ForeignKey, rows: f64) -> Option<Finding> {
    const TUPLE_COST: f64 = 0.0125;
    let catalog = facts.catalog();
    let child = catalog.table(key.child);
    let child_rows = catalog.rows(child)?.0 as f64;
    let scan = catalog.bytes(child).0 as f64 / BLOCK + child_rows * TUPLE_COST;
    let plan_cost = facts.explained().plan.nodes.first().map_or(0.0, |root| root.total_cost);
    let cost = scan * rows.max(1.0);
    let share = cost / (cost + plan_cost);
    let whole = Explains::by_cost(facts.explained(), 0.0);
    let explains = Explains { share, whole: cost + plan_cost, ..whole };
    let spent = format!("about {} reads of {}, one for each row to delete", shown(rows.max(1.0)), child.name);
    let mut finding = finding(facts, namer, key, explains, &spent)?;
    finding.cause += " The planner's cost does not count triggers: this is reckoned from the size of the child and the rows that \
                      are to go.";
    finding.evidence.extend(object! { "estimated_rows": rows, "estimated_scan_cost": rounded(scan) });
    finding.impact =
        object! { "trigger_cost": change((rounded(cost), "estimated"), (rounded(rows.max(1.0) * 8.0), "estimated")) };
    Some(finding)
}

fn finding(facts: &Facts, namer: &mut Namer, key: &ForeignKey, explains: Explains, spent: &str) -> Option<Finding> {
    let catalog = facts.catalog();
    let severity = explains.severity()?;
    let (child, parent) = (catalog.table(key.child), catalog.table(key.parent));
    let solution = solution(catalog, namer, key)?;
    let columns = child.columns_of(&key.child_columns);
    Some(Finding {
        severity,
        object: columns.clone(),
        weight: explains.weight(),
        summary: format!("Foreign key {} on {columns} has no index: {spent}", key.name),
        cause: format!(
            "For each row of {} that goes, or changes its key, the trigger of {} (ON DELETE {}) looks for the children in {}. No index begins with \
             the key's columns, so it reads all of the child.{}",
            parent.name,
            key.name,
            key.on_delete.sql(),
            child.name,
            solution.cause,
        ),
        evidence: object! {
            "node": format!("trigger of {} on {}", key.name, parent.name),
            "relation": child.name.to_string(),
            "constraint_name": key.name.raw(),
            "share": rounded(explains.share),
            "basis": explains.basis.name(),
            "execution_ms": facts.explained().plan.execution_ms().map(rounded),
            "child_bytes": catalog.bytes(child),
            "child_rows": catalog.rows(child),
        },
        fix_sql: solution.fix_sql,
        app_fix: solution.app_fix,
        risk: solution.risk,
        rollback: solution.rollback,
        verify_sql: solution.verify_sql,
        ..Finding::that_changes_nothing()
    })
}
