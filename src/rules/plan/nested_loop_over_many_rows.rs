use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::plan::{Plan, Relationship, WRONG};
use crate::facts::{Facts, PlanOrigin};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;
use std::collections::{BTreeMap, BTreeSet};

pub static RULE: Rule = Rule {
    id: "nested_loop_over_many_rows",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A nested loop ran its inner side at least min_loops times, the inner side took at least min_share of the query, and \
                 either the rows of the outer side were underestimated 10 times or more, or the inner side reads all its rows for each \
                 of them.",
    effect: "The time is that of the inner side times the rows of the outer: what is right for ten rows is wrong for ten thousand.",
    workaround: "Mend the estimate on which the loop was chosen (the finding on it tells how), or give the inner side an index on the \
                 join's columns. A condition that no hash or merge join can take (<, OR, a function of both sides) leaves only the \
                 loop: write an equality where there is one.",
    sources: &[
        "https://www.postgresql.org/docs/17/using-explain.html",
        "https://www.postgresql.org/docs/17/planner-optimizer.html",
    ],
    options: &[
        OptionSpec::number("min_loops", (1000.0, "executions"), (1.0, 1e12), "Loops with fewer are left alone."),
        OptionSpec::number("min_share", (0.1, "of the query's time"), (0.0, 1.0), "What the inner side must take."),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "one row expected, ten thousand came",
            setup: "create table t (id int primary key, a int, b int, v text); create table u (id int primary key, t int, v text); insert \
                    into t select g, g % 20, (g % 20) * 3, md5(g::text) from generate_series(1, 200000) g; insert into u select g, g, \
                    md5(g::text) from generate_series(1, 200000) g; create index on t (a, b); create index on u (t); vacuum analyze t; \
                    vacuum analyze u; alter database :\"DBNAME\" set enable_hashjoin = off; alter database :\"DBNAME\" set \
                    enable_mergejoin = off; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example as \
                    select 'select count(u.v) from t join u on u.t = t.id where t.a = 7 and t.b = 21 and t.id % 2 = 1' as query, true as \
                    analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no index on the inner side, and no equality",
            setup: "create table t (id int primary key, a int); create table u (lo int, hi int, v text); insert into t select g, g * 7 \
                    from generate_series(1, 2000) g; insert into u select g * 10, g * 10 + 9, 'x' from generate_series(1, 1000) g; vacuum \
                    analyze t; vacuum analyze u; create table example as select 'select count(u.v) from t join u on t.a between u.lo and \
                    u.hi' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an index lookup for a thousand rows that were expected",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g % 100, md5(g::text) from \
                    generate_series(1, 200000) g; create table u (id int primary key, t int); insert into u select g, g * 100 from \
                    generate_series(1, 1500) g; vacuum analyze t; vacuum analyze u; alter database :\"DBNAME\" set enable_hashjoin = off; \
                    alter database :\"DBNAME\" set enable_mergejoin = off; create table example as select 'select count(t.v) from u join t \
                    on t.id = u.t' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    // Loops that follow from one wrong estimate are told once, by the one that takes most.
    let mut told: BTreeMap<usize, (usize, Finding)> = BTreeMap::new();
    for (node, finding) in found(facts, options) {
        let (times, heaviest) = told.entry(cause_of(facts, node)).or_insert_with(|| (0, finding.clone()));
        *times += 1;
        if finding.weight > heaviest.weight {
            *heaviest = finding;
        }
    }
    let findings = told.into_values().map(|(times, mut finding)| {
        finding.evidence.extend(object! { "nested_loops_of_this_cause": times });
        finding
    });
    Ok(findings.collect())
}

fn found(facts: &Facts, options: &Options) -> Vec<(usize, Finding)> {
    let nodes = facts.explained().plan.nodes.iter().enumerate();
    let loops = nodes.filter(|(_, node)| node.kind == "Nested Loop" && node.children.len() >= 2);
    loops.filter_map(|(node, _)| Some((node, judge(facts, options, node)?))).collect()
}

/// Where its outer side is misestimated first; the loop itself, where it is not.
fn cause_of(facts: &Facts, node: usize) -> usize {
    let plan = &facts.explained().plan;
    match plan.nodes[node].children.first() {
        Some(outer) if plan.is_misestimated(*outer) => start(plan, *outer),
        _ => node,
    }
}

/// The nodes at whose estimates such findings point.
pub fn starts(facts: &Facts) -> BTreeSet<usize> {
    let options = Options::defaults(&RULE);
    found(facts, &options).into_iter().map(|(node, _)| cause_of(facts, node)).collect()
}

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let here = &plan.nodes[node];
    let side =
        |wanted: Relationship| here.children.iter().copied().find(|child| plan.nodes[*child].relationship == wanted);
    let (outer, inner) = (side(Relationship::Outer)?, side(Relationship::Inner)?);
    let outer_rows = plan.total_rows(outer)?;
    let min_loops = options.number("min_loops");
    if outer_rows < min_loops || Explains::by_branch(explained, node).severity().is_none() {
        return None;
    }
    let compared =
        here.rows_removed_by_join_filter.unwrap_or_default() * here.actual.map_or(0.0, |actual| actual.loops);
    let found = plan.total_rows(node)?;
    let expected = plan.estimated_total_rows(outer);
    let is_underestimated = outer_rows >= WRONG * expected.max(1.0);
    // Rows that the inner side reads for each row of the outer, and that come to nothing.
    let reads_all = plan.subtree(inner).any(|below| {
        let scan = &plan.nodes[below];
        scan.kind == "Seq Scan" && plan.executions(below).unwrap_or_default() >= min_loops
    }) || compared >= WRONG * found.max(outer_rows);
    let setting = |name: &str| match &plan.settings {
        Some(settings) => settings.get(name),
        None => explained.settings.get(name).filter(|_| explained.origin != PlanOrigin::Given),
    };
    let is_off = |name: &str| setting(name).is_some_and(|value| value == "off");
    let is_forced = outer_rows >= MANY_MORE * min_loops && (is_off("enable_hashjoin") || is_off("enable_mergejoin"));
    if !is_underestimated && !reads_all && !is_forced {
        return None;
    }
    // The index that the inner side lacks is told at its scan, where one was proved.
    if !is_underestimated && !is_forced && plan.subtree(inner).any(|below| explained.steps_of(below).next().is_some()) {
        return None;
    }
    let inner_nodes: Vec<usize> = plan.subtree(inner).chain([node]).collect();
    let explains = Explains::by_nodes(explained, &inner_nodes);
    if explains.share < options.number("min_share") {
        return None;
    }
    let mut finding = finding(facts, node, explains)?;
    finding.summary = format!(
        "Nested loop runs {} again for each of {} rows: {}",
        plan.subtree(inner)
            .find(|below| plan.nodes[*below].relation.is_some())
            .map_or(explained.node(inner), |below| explained.node(below))
            .describe(),
        shown(outer_rows),
        explains.told()
    );
    finding.cause = match is_underestimated {
        _ if is_forced && !is_underestimated && !reads_all => {
            "enable_hashjoin or enable_mergejoin is off: the planner had no other join to choose. Reset them."
                .to_string()
        }
        true => format!(
            "For {} rows of {} the loop would have been right; {} came. The estimate goes wrong at {}.",
            shown(expected),
            explained.node(outer).describe(),
            shown(outer_rows),
            plan.path(start(plan, outer))
        ),
        false => format!(
            "No index serves the condition of the join: {} pairs of rows were compared to find {}{}.",
            shown(compared + found),
            shown(found),
            here.join_filter.as_ref().map(|filter| format!(" (Join Filter {filter})")).unwrap_or_default()
        ),
    };
    finding.evidence.extend(object! {
        "outer": plan.path(outer),
        "inner": plan.path(inner),
        "outer_rows": outer_rows,
        "outer_rows_expected": rounded(expected),
        "inner_ms": plan.total_ms(inner).map(rounded),
        "rows_removed_by_join_filter": compared,
        "join_filter": here.join_filter,
    });
    match explained.trial("enable_nestloop").map(|trial| (trial.ms_before, trial.ms_after)) {
        Some((Some(before), Some(after))) => {
            finding
                .impact
                .extend(object! { "query_ms": change((rounded(before), "measured"), (rounded(after), "measured")) });
            finding.cause +=
                &format!(" Run again without nested loops: {} ms instead of {} ms.", shown(after), shown(before));
        }
        _ if is_underestimated => {
            finding.cause += " Not proved that another join is faster: compare_runs => true tries it."
        }
        _ => {}
    }
    Some(finding)
}

/// As many loops as min_loops times this are too many where other joins are switched off.
const MANY_MORE: f64 = 10.0;

/// Where the rows of a node are misestimated first.
fn start(plan: &Plan, node: usize) -> usize {
    let mut at = node;
    while let Some(child) = plan.nodes[at].children.iter().copied().find(|child| plan.is_misestimated(*child)) {
        at = child;
    }
    at
}
