use crate::advice::plan_weight::{Explains, shown};
use crate::facts::plan::Trigger;
use crate::facts::{Facts, ForeignKey};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "slow_trigger",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A trigger took at least min_share of the statement's time. One that looks for children of a foreign key without an \
                index is cascade_without_index's. Of severity low where it enforces a constraint.",
    effect: "The statement waits for what its triggers do row by row; the nodes of its plan do not show it.",
    workaround: "Do the work once for the statement (FOR EACH STATEMENT with REFERENCING … TABLE), spare it rows that it does not \
                 concern (WHEN, UPDATE OF), or do it later, from a queue.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-createtrigger.html",
        "https://www.postgresql.org/docs/17/populate.html#POPULATE-RM-FKEYS",
    ],
    options: &[
        OptionSpec::number(
            "min_share",
            (0.2, "of the execution's time"),
            (0.0, 1.0),
            "Triggers that take less are left alone.",
        ),
        OptionSpec::number(
            "min_trigger_ms",
            (50.0, "ms"),
            (0.0, 3_600_000.0),
            "Triggers that take less are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a trigger that counts the table for each row",
            setup: "create table t (id int primary key, v int); create table total (rows bigint); insert into total values (0); \
                    create function count_rows() returns trigger language plpgsql as $$ begin update total set rows = (select \
                    count(*) from t); return null; end $$; create trigger count_rows after insert on t for each row execute \
                    function count_rows(); alter table t disable trigger count_rows; insert into t select g, g from \
                    generate_series(1, 20000) g; alter table t enable trigger count_rows; vacuum analyze t; create table example \
                    as select 'insert into t select g, g from generate_series(20001, 20300) g' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a trigger that does next to nothing, and the checks of a foreign key",
            setup: "create table p (id int primary key); insert into p select generate_series(1, 1000); create table t (id int \
                    primary key, v int references p); insert into t select g, 1 + g % 1000 from generate_series(1, 5000) g; create \
                    trigger only_changes before update on t for each row execute function suppress_redundant_updates_trigger(); \
                    vacuum analyze t; create table example as select 'update t set v = v % 1000 + 1 where id <= 500' as query, true \
                    as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    // What is said of the checks of a new child is for large loads.
    const LOAD: f64 = 1000.0;
    let slow = merged(facts).into_iter().filter(|trigger| !is_of_child(trigger) || trigger.calls >= LOAD);
    let slow = slow.filter_map(|trigger| {
        let ms = trigger.ms.filter(|ms| *ms >= options.number("min_trigger_ms"))?;
        let explains = Explains::by_ms(facts.explained(), ms);
        (explains.share >= options.number("min_share")).then(|| finding(facts, &trigger, ms, explains)).flatten()
    });
    Ok(slow.collect())
}

/// The triggers that are this rule's; those of partitions together, under the name of their table.
fn merged(facts: &Facts) -> Vec<Trigger> {
    let (plan, catalog) = (&facts.explained().plan, facts.catalog());
    let has_index = |constraint: &str| {
        keys_of(facts, constraint).all(|key| catalog.is_covered(key) || !catalog.can_be_covered(key))
    };
    let mut merged: Vec<Trigger> = Vec::new();
    for trigger in &plan.triggers {
        let constraint = trigger.constraint.as_deref();
        if !is_of_child(trigger) && constraint.is_some_and(|constraint| !has_index(constraint)) {
            continue;
        }
        let mut tables = catalog.all_tables().filter(|table| table.name.name.raw() == trigger.relation);
        let partition = tables.next().filter(|table| table.is_partition() && tables.next().is_none());
        let mut trigger = trigger.clone();
        if let Some(partition) = partition {
            let root = std::iter::successors(Some(partition), |table| catalog.known(table.parent?)).last();
            trigger.relation = root.map_or(trigger.relation, |root| root.name.name.raw().to_string());
            trigger.constraint = trigger.constraint.map(|name| without_number(&name).to_string());
        }
        let same = |other: &&mut Trigger| {
            let named = match (&other.constraint, &trigger.constraint) {
                (Some(one), Some(two)) => one == two && is_of_child(other) == is_of_child(&trigger),
                (None, None) => other.name == trigger.name,
                _ => false,
            };
            named && other.relation == trigger.relation
        };
        match merged.iter_mut().find(same) {
            Some(other) => {
                other.ms = other.ms.zip(trigger.ms).map(|(one, two)| one + two);
                other.calls += trigger.calls;
            }
            None => merged.push(trigger),
        }
    }
    merged
}

/// The foreign keys of the name, or those that a partition's copy of the name may come from.
fn keys_of<'a>(facts: &'a Facts, constraint: &str) -> impl Iterator<Item = &'a ForeignKey> {
    let name = without_number(constraint).to_string();
    facts.catalog().foreign_keys().filter(move |key| without_number(key.name.raw()) == name)
}

/// It looks for the parent of a new child.
fn is_of_child(trigger: &Trigger) -> bool {
    trigger.name.starts_with("RI_ConstraintTrigger_c")
}

/// Partitions' copies of a constraint are numbered.
fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_')
}

fn finding(facts: &Facts, trigger: &Trigger, ms: f64, explains: Explains) -> Option<Finding> {
    let name = trigger.constraint.as_ref().unwrap_or(&trigger.name);
    let severity = explains.severity()?;
    let (calls, each) = (shown(trigger.calls), ms / trigger.calls.max(1.0));
    let (cause, severity) = match &trigger.constraint {
        None => (
            format!(
                "The trigger was called {calls} times, {each:.2} ms each. EXPLAIN does not look inside: ask \
                 dbre.explain_findings() about the statements of its function."
            ),
            severity,
        ),
        Some(_) if is_of_child(trigger) => (
            "Each new or changed row looks for the row that its foreign key references: that is what the constraint is for. Of a \
             large load, most of it can be spared: drop the foreign key, load, and add it again NOT VALID, then VALIDATE it."
                .to_string(),
            // What constraints are for has its price.
            Severity::low,
        ),
        Some(constraint) if keys_of(facts, constraint).next().is_none() => (
            format!(
                "It enforces {constraint}, which is not in this database, in {each:.2} ms for each row. A lookup by an index takes a \
                 few hundredths of a millisecond: where it takes more than one, the referencing table most often has no index on \
                 the columns of the key. pg_constraint says where it ran which table that is; the plan does not."
            ),
            if each >= 1.0 { severity } else { Severity::low },
        ),
        Some(_) => (
            "It enforces a foreign key, and its lookups have their index: the time goes into the rows that it has to change or \
             check, and into the indexes and triggers of those. Delete children first, in batches, so that locks are short."
                .to_string(),
            Severity::low,
        ),
    };
    Some(Finding {
        severity,
        object: format!("trigger {name} on {}", trigger.relation),
        weight: explains.weight(),
        summary: format!("Trigger {name} on {} took {} in {calls} calls", trigger.relation, explains.told()),
        cause,
        evidence: object! {
            "node": format!("trigger {name} on {}", trigger.relation),
            "relation": trigger.relation,
            "share": rounded(explains.share),
            "basis": explains.basis.name(),
            "trigger_ms": rounded(ms),
            "trigger_calls": trigger.calls,
            "ms_each": rounded(each),
            "execution_ms": facts.explained().plan.execution_ms().map(rounded),
        },
        ..Finding::that_changes_nothing()
    })
}
