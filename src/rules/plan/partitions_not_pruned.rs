use crate::advice::plan_conditions::is_constant;
use crate::advice::plan_weight::{Explains, finding};
use crate::advice::sargable::{Parts, form_of};
use crate::facts::plan::{Conjunct, OperandKind, Plan, conjuncts};
use crate::facts::{Column, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "partitions_not_pruned",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_partitions partitions of a table that hold rows were scanned under conditions, and at least \
                min_empty_share of them returned nothing. Of a query that was not run, a condition on the partition key that the \
                planner cannot use.",
    effect: "The query looks into all partitions for what is in a few: it takes longer with each that is added.",
    workaround: "Add a condition on the partition key, bare, with a value of its type. Where queries never have one, the table is \
                 partitioned by the wrong column for them.",
    sources: &["https://www.postgresql.org/docs/17/ddl-partitioning.html#DDL-PARTITION-PRUNING"],
    options: &[
        OptionSpec::number("min_partitions", (4.0, "partitions"), (2.0, 1e9), "Fewer are left alone."),
        OptionSpec::number(
            "min_empty_share",
            (0.5, "of the partitions scanned"),
            (0.0, 1.0),
            "Where more return rows they are needed.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a cast of the partition key",
            setup: "create table t (id int, at timestamptz, v text) partition by range (at); do $$ begin for i in 0..11 loop execute \
                    format('create table t_%s partition of t for values from (%L) to (%L)', i, timestamptz '2024-01-01' + i * \
                    interval '1 month', timestamptz '2024-01-01' + (i + 1) * interval '1 month'); end loop; end $$; insert into t \
                    select g, timestamptz '2024-01-01' + g % 360 * interval '1 day', md5(g::text) from generate_series(1, 50000) g; \
                    vacuum analyze t; create table example as select 'select * from t where at::date = date ''2024-05-05''' as query, \
                    true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no condition on the partition key",
            setup: "create table t (id int, at date, v text) partition by range (at); do $$ begin for i in 0..11 loop execute \
                    format('create table t_%s partition of t for values from (%L) to (%L)', i, date '2024-01-01' + i * 30, date \
                    '2024-01-01' + (i + 1) * 30); end loop; end $$; insert into t select g, date '2024-01-01' + g / 140, md5(g::text) \
                    from generate_series(1, 50000) g; vacuum analyze t; create table example as select 'select * from t where id = \
                    4711' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "pruned when planned and when run, and rows from all of them",
            setup: "create table t (id int, at date, v text) partition by range (at); do $$ begin for i in 0..11 loop execute \
                    format('create table t_%s partition of t for values from (%L) to (%L)', i, date '2024-01-01' + i * 30, date \
                    '2024-01-01' + (i + 1) * 30); end loop; end $$; insert into t select g, date '2024-01-01' + g / 140, md5(g::text) \
                    from generate_series(1, 50000) g; vacuum analyze t; create table example as select 'select * from t where at = \
                    date ''2024-05-05'' union all select * from t where at = (select date ''2024-05-06'' offset 0) union all select * \
                    from t where id % 100 = 7' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let appends =
        (0..plan.nodes.len()).filter(|node| ["Append", "Merge Append"].contains(&plan.nodes[*node].kind.as_str()));
    Ok(appends.filter_map(|append| judge(facts, options, append)).collect())
}

/// A finding of this rule tells of the condition that the scan tests: the key is not bare in it.
pub fn tells_of(facts: &Facts, scan: usize) -> bool {
    let plan = &facts.explained().plan;
    let append = plan.ancestors(scan).find(|above| plan.nodes[*above].kind.ends_with("Append"));
    // Looking at all partitions for each of them is worth it only where the scan's own condition is such.
    append.is_some_and(|append| {
        tests_wrapped_key(facts, scan) && {
            let scanned = Scanned::of(facts, append);
            let why = scanned.and_then(|scanned| Why::of(facts, append, &scanned, &conditions(plan, scanned.scans[0])));
            why.is_some_and(|why| why.certain) && judge(facts, &Options::defaults(&RULE), append).is_some()
        }
    })
}

fn tests_wrapped_key(facts: &Facts, scan: usize) -> bool {
    let (explained, catalog) = (facts.explained(), facts.catalog());
    let table = explained.tables[scan].and_then(|oid| catalog.known(oid));
    let above = std::iter::successors(table, |table| catalog.known(table.parent?)).skip(1);
    let key: Vec<&Column> =
        above.flat_map(|level| level.partition_key.iter().filter_map(|number| level.column(*number))).collect();
    !key.is_empty()
        && conditions(&explained.plan, scan).iter().any(|conjunct| {
            let named =
                conjunct.columns().into_iter().find_map(|(_, name)| key.iter().find(|key| key.name.raw() == name));
            named.is_some_and(|column| Why::wrapped(facts, conjunct, column).is_some())
        })
}

fn judge(facts: &Facts, options: &Options, append: usize) -> Option<Finding> {
    let plan = &facts.explained().plan;
    let scanned = Scanned::of(facts, append)?;
    let partitions = scanned.scans.len();
    if (partitions as f64) < options.number("min_partitions") {
        return None;
    }
    let empty = scanned.scans.iter().filter(|scan| plan.total_rows(**scan) == Some(0.0)).count();
    let conditions = conditions(plan, scanned.scans[0]);
    let why = Why::of(facts, append, &scanned, &conditions)?;
    let is_told = match plan.is_analyzed() {
        true => empty as f64 >= options.number("min_empty_share") * partitions as f64,
        // Only what the planner can use in no case.
        false => why.certain,
    };
    if !is_told {
        return None;
    }
    let explains = Explains::by_branch(facts.explained(), append);
    let mut finding = finding(facts, append, explains)?;
    let name = &scanned.root.name;
    finding.summary = match plan.is_analyzed() {
        true => {
            format!("{partitions} partitions of {name} were scanned, and {empty} returned nothing: {}", explains.told())
        }
        false => format!("{partitions} partitions of {name} are to be scanned: {}", explains.told()),
    };
    finding.cause = format!("{name} is partitioned by {}. {}", listing(&scanned.key), why.text);
    finding.app_fix = why.rewritten.as_ref().map(|condition| format!("Write the condition as {condition}."));
    finding.evidence.extend(object! {
        "table": name.to_string(),
        "partition_key": scanned.key,
        "partitions_scanned": partitions,
        "partitions_without_rows": plan.is_analyzed().then_some(empty),
        "conditions": conditions.iter().map(without_qualifiers).collect::<Vec<_>>(),
        "rewritten_condition": why.rewritten,
    });
    Some(finding)
}

/// Partitions of one table below an Append.
struct Scanned<'a> {
    root: &'a Table,
    /// Raw names of the key's columns, of all levels.
    key: Vec<String>,
    /// The scan of each partition that was executed, or may be, and is not empty.
    scans: Vec<usize>,
}

impl<'a> Scanned<'a> {
    fn of(facts: &'a Facts, append: usize) -> Option<Scanned<'a>> {
        let (explained, catalog) = (facts.explained(), facts.catalog());
        let plan = &explained.plan;
        let mut scans = Vec::new();
        let mut root: Option<&Table> = None;
        let mut key = Vec::new();
        for child in
            plan.nodes[append].children.iter().filter(|child| plan.nodes[**child].relationship.name().is_none())
        {
            let scan = plan.subtree(*child).find(|node| explained.node(*node).relation.is_some())?;
            let table = catalog.known(explained.tables[scan]?)?;
            let above: Vec<&Table> =
                std::iter::successors(catalog.known(table.parent?), |table| catalog.known(table.parent?)).collect();
            let top = *above.last()?;
            if root.is_some_and(|root| root.oid != top.oid) {
                return None;
            }
            root = Some(top);
            for level in above {
                let columns = level.partition_key.iter().filter_map(|number| level.column(*number));
                key.extend(columns.map(|column| column.name.raw().to_string()));
            }
            let ran = explained.node(scan).actual.is_none_or(|actual| actual.loops > 0.0);
            if ran && table.bytes().0 > 0 {
                scans.push(scan);
            }
        }
        key.sort_unstable();
        key.dedup();
        // A key that is an expression alone is not judged.
        (!key.is_empty() && !scans.is_empty()).then_some(Scanned { root: root?, key, scans })
    }

    fn key_column(&self, name: &str) -> Option<&'a Column> {
        let column = self.root.columns.iter().find(|column| column.name.raw() == name)?;
        self.key.iter().any(|key| key == name).then_some(column)
    }
}

/// Each partition has a name of its own in the plan, which is none of the query's.
fn without_qualifiers(conjunct: &Conjunct) -> String {
    let qualifiers = conjunct.columns().into_iter().filter_map(|(qualifier, _)| qualifier);
    qualifiers.fold(conjunct.text.clone(), |text, qualifier| text.replace(&format!("{qualifier}."), ""))
}

fn conditions(plan: &Plan, scan: usize) -> Vec<Conjunct> {
    let node = &plan.nodes[scan];
    // A bitmap's condition is that of the heap scan's recheck.
    let texts = [&node.index_cond, &node.recheck_cond, &node.filter];
    texts.into_iter().flatten().flat_map(|text| conjuncts(text)).collect()
}

/// Why the planner and the executor left none out.
struct Why {
    text: String,
    rewritten: Option<String>,
    /// No value of a parameter would change it.
    certain: bool,
}

impl Why {
    /// None: there is no condition at all, or nothing is wrong with those on the key.
    fn of(facts: &Facts, append: usize, scanned: &Scanned, conditions: &[Conjunct]) -> Option<Why> {
        if facts.explained().settings.get("enable_partition_pruning").is_some_and(|on| on == "off") {
            return Some(Why { text: "enable_partition_pruning is off.".to_string(), rewritten: None, certain: true });
        }
        let on_key: Vec<(&Conjunct, &Column)> = conditions
            .iter()
            .filter_map(|conjunct| {
                let column = conjunct.columns().into_iter().find_map(|(_, name)| scanned.key_column(name))?;
                Some((conjunct, column))
            })
            .collect();
        if let Some(why) = on_key.iter().find_map(|(conjunct, column)| Why::wrapped(facts, conjunct, column)) {
            return Some(why);
        }
        if !on_key.is_empty() {
            // Bare, with a value: what is left is what the conditions ask for.
            return None;
        }
        if conditions.is_empty() {
            return None;
        }
        let plan = &facts.explained().plan;
        let joined = plan.ancestors(append).find_map(|above| {
            let node = &plan.nodes[above];
            let texts = [&node.hash_cond, &node.merge_cond, &node.join_filter];
            let mut on = texts.into_iter().flatten().flat_map(|text| conjuncts(text));
            on.find(|conjunct| conjunct.columns().iter().any(|(_, name)| scanned.key_column(name).is_some()))
        });
        Some(Why {
            text: match joined {
                Some(join) => format!(
                    "The key is only compared with another table's column ({}): its values are not known before the join. Repeat the \
                     other table's condition for this one's key where the query knows it.",
                    join.text
                ),
                None => "No condition is on the key: every partition may hold such rows. Add one, such as the range of time that the \
                         rows can be in."
                    .to_string(),
            },
            rewritten: None,
            certain: false,
        })
    }

    /// The key within a function, a cast or arithmetic.
    fn wrapped(facts: &Facts, conjunct: &Conjunct, column: &Column) -> Option<Why> {
        let right = conjunct.right.as_ref()?;
        let (expression, value, flipped) = match (is_constant(&conjunct.left), is_constant(right)) {
            (false, true) => (&conjunct.left, right, false),
            (true, false) => (right, &conjunct.left, true),
            _ => return None,
        };
        let is_relabelled = |to: &str| to == "text" || to.starts_with("character varying");
        match &expression.kind {
            OperandKind::Column { .. } => return None,
            OperandKind::Cast { of, to } if is_relabelled(to) && matches!(of.kind, OperandKind::Column { .. }) => {
                let catalog = facts.catalog();
                let type_ = catalog.type_of(catalog.base_type(column.type_oid));
                if type_.is_none_or(|type_| is_relabelled(&type_.name)) {
                    return None;
                }
            }
            _ => {}
        }
        let operator = conjunct.operator.as_deref().unwrap_or("=");
        let form = form_of(facts, &Parts { expression, operator, value, column, flipped });
        Some(Why {
            text: format!(
                "{} is on something computed from the key, which the bounds of the partitions say nothing about. {}",
                without_qualifiers(conjunct),
                form.why
            ),
            rewritten: form.rewritten,
            certain: true,
        })
    }
}
