use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::plan::Plan;
use crate::facts::{Facts, PlanOrigin};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{listing, rounded};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "query_above_target",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The query took longer than the target of its kind: hot_ms for one table read by key, or at most hot_rows rows without \
                 aggregation and with at most one join; complex_ms for aggregates or sorts over more than three joins, or complex_rows \
                 rows read; regular_ms for all others.",
    effect: "A user waits; and a connection of the pool is taken for as long.",
    workaround: "The other findings tell what to do about the nodes named here.",
    sources: &["https://www.postgresql.org/docs/17/using-explain.html"],
    options: &[
        OptionSpec::number("hot_ms", (100.0, "ms"), (0.1, 1e9), "Target of hot queries."),
        OptionSpec::number("regular_ms", (500.0, "ms"), (0.1, 1e9), "Target of regular queries."),
        OptionSpec::number("complex_ms", (1000.0, "ms"), (0.1, 1e9), "Target of complex queries."),
        OptionSpec::number("hot_rows", (100.0, "rows"), (1.0, 1e12), "Queries that return more are not hot."),
        OptionSpec::number(
            "complex_rows",
            (100000.0, "rows read"),
            (1.0, 1e15),
            "Queries that read as many are complex.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a lookup that takes a tenth of a second",
            setup: "create table example (plan jsonb); insert into example values ('[{\"Plan\": {\"Node Type\": \"Index Scan\", \"Parallel \
                    Aware\": false, \"Scan Direction\": \"Forward\", \"Index Name\": \"orders_pkey\", \"Relation Name\": \"orders\", \
                    \"Alias\": \"orders\", \"Startup Cost\": 0.29, \"Total Cost\": 8.31, \"Plan Rows\": 1, \"Plan Width\": 45, \"Actual \
                    Startup Time\": 140.1, \"Actual Total Time\": 140.2, \"Actual Rows\": 1, \"Actual Loops\": 1, \"Index Cond\": \"(id = \
                    7)\"}, \"Planning Time\": 0.1, \"Execution Time\": 140.3}]')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a report over a hundred thousand rows may take longer",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 150000) g; \
                    vacuum analyze t; create table example as select 'select count(*) from t where length(v) > 5' as query, true as \
                    analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judge(facts, options).into_iter().collect())
}

fn judge(facts: &Facts, options: &Options) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    plan.nodes.first()?.actual?.total_ms?;
    let ms = plan.execution_ms()?;
    let (kind, target) = kind(plan, options)?;
    let target = options.number(target);
    if ms <= target {
        return None;
    }
    let mut finding = finding(facts, 0, Explains::by_ms(explained, ms))?;
    finding.severity = if ms >= 1000.0 && ms >= 2.0 * target { Severity::high } else { Severity::medium };
    finding.summary = format!("The query takes {} ms; the target of a {kind} query is {} ms", shown(ms), shown(target));
    let mut nodes: Vec<usize> = (0..plan.nodes.len()).filter(|node| plan.share(*node) >= 0.01).collect();
    nodes.sort_by(|a, b| plan.share(*b).total_cmp(&plan.share(*a)).then(a.cmp(b)));
    nodes.truncate(3);
    let told: Vec<String> = nodes
        .iter()
        .map(|node| {
            format!(
                "{} ({} ms, {:.0}%)",
                plan.path(*node),
                shown(plan.own_ms(*node).unwrap_or(0.0)),
                100.0 * plan.share(*node)
            )
        })
        .collect();
    let triggers: f64 = plan.triggers.iter().filter_map(|trigger| trigger.ms).sum();
    finding.cause = match told.is_empty() {
        true => "The time is not in the plan's nodes.".to_string(),
        false => format!("Most of the time goes to {}.", listing(&told)),
    };
    if triggers >= 0.01 * ms {
        finding.cause += &format!(" Triggers take {} ms.", shown(triggers));
    }
    if let PlanOrigin::Stopped { after_ms, .. } = explained.origin {
        finding.summary = format!(
            "The query was stopped after {} ms; the target of a {kind} query is {} ms",
            shown(after_ms),
            shown(target)
        );
    }
    finding.evidence.extend(object! {
        "kind": kind,
        "target_ms": target,
        "top_nodes": nodes.iter().map(|node| json!({
            "node": plan.path(*node),
            "own_ms": plan.own_ms(*node).map(rounded),
            "share": rounded(plan.share(*node)),
        })).collect::<Vec<_>>(),
        "triggers_ms": rounded(triggers),
    });
    Some(finding)
}

/// What it is called, and the option of its target.
fn kind(plan: &Plan, options: &Options) -> Option<(&'static str, &'static str)> {
    let nodes = || plan.nodes.iter();
    let joins = nodes().filter(|node| node.kind.ends_with("Join") || node.kind == "Nested Loop").count();
    let aggregates = nodes().any(|node| matches!(node.kind.as_str(), "Aggregate" | "Group" | "WindowAgg" | "SetOp"));
    let sorts = nodes().any(|node| node.kind.ends_with("Sort"));
    let scans: Vec<usize> = (0..plan.nodes.len()).filter(|node| plan.nodes[*node].relation.is_some()).collect();
    let read: f64 =
        scans.iter().map(|scan| plan.total_rows(*scan).unwrap_or_default() + plan.removed_rows(*scan)).sum();
    // A key finds a row, however much was read in its place.
    let by_key = scans.len() == 1 && plan.nodes[scans[0]].index_cond.is_some() && plan.total_rows(scans[0])? <= 1.0;
    let returned = plan.total_rows(0)?;
    let few = returned <= options.number("hot_rows") && !aggregates && joins <= 1;
    Some(if by_key || few {
        ("hot", "hot_ms")
    } else if ((aggregates || sorts) && joins > 3) || read >= options.number("complex_rows") {
        ("complex", "complex_ms")
    } else {
        ("regular", "regular_ms")
    })
}
