use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::facts::Facts;
use crate::facts::plan::{Plan, Relationship};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::missing_index;

pub static RULE: Rule = Rule {
    id: "limit_planned_wrong",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Below a Limit, a scan without an index condition was expected to find enough rows soon, and read at least min_rows and \
                min_factor times as many as expected before its filter had let enough through.",
    effect: "For the sake of an order that is there already, or of an early end, the planner walks through an index or the table in \
             the hope that matches are spread evenly. Where they are rare, or all at the far end, it reads most of the table.",
    workaround: "Create the index that leads with the filter's column and goes on with the order. Until then, ORDER BY column + 0 keeps \
                 the planner from the index of the order.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
        "https://www.postgresql.org/docs/17/planner-stats.html",
    ],
    options: &[
        OptionSpec::number("min_rows", (10_000.0, "rows read"), (1.0, 1e12), "Scans that read fewer are left alone."),
        OptionSpec::number(
            "min_factor",
            (5.0, "times as many as expected"),
            (1.0, 1e9),
            "From here on the plan was wrong.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "the matches are at the far end of the order",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g / 2000, md5(g::text) from \
                    generate_series(1, 200000) g; create index on t (a); vacuum analyze t; create table example as select 'select * \
                    from t where a = 97 and v <> ''x'' order by id limit 20' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the matches are spread, or an index finds them",
            setup: "create table t (id int primary key, a int, b int, v text); insert into t select g, g % 10, g / 2000, md5(g::text) \
                    from generate_series(1, 200000) g; create index on t (b, id); vacuum analyze t; create table example as select \
                    '(select * from t where a = 7 order by id limit 10) union all (select * from t where b = 97 order by id limit \
                    10)' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    Ok((0..plan.nodes.len()).filter_map(|limit| judge(facts, options, limit)).collect())
}

fn judge(facts: &Facts, options: &Options, limit: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let scan = walked(plan, limit)?;
    let (read, expected) = rows_read(facts, limit, scan)?;
    if read < options.number("min_rows") || read < expected * options.number("min_factor") {
        return None;
    }
    let mut finding = finding(facts, scan, Explains::by_branch(explained, scan))?;
    let here = explained.node(scan);
    let (name, filter) = (relation(facts, scan)?, here.filter.clone()?);
    let returned = plan.total_rows(scan)?;
    let by_order = here.index.is_some();
    finding.summary = format!(
        "LIMIT was expected to be reached after {} rows of {name}, and took {}: {}",
        shown(expected),
        shown(read),
        Explains::by_branch(explained, scan).told()
    );
    finding.cause = format!(
        "{} goes through {} and tests {filter} on each row. The planner takes the {} rows that match to be spread evenly, so that the \
         first few would come soon; they are not: {} were read for {}.",
        here.describe(),
        if by_order { "the rows in the order asked for" } else { "the table from its beginning" },
        shown(here.rows),
        shown(read),
        shown(returned),
    );
    finding.app_fix = by_order.then(|| {
        "Without a new index: ORDER BY column + 0 (or a subquery with OFFSET 0 around the filter) makes the planner filter first and \
         sort what is left; SQLAlchemy: .order_by(T.column + 0). It costs a sort of all that match."
            .to_string()
    });
    finding.evidence.extend(object! {
        "rows_read": read.round(),
        "rows_expected_to_be_read": expected.round(),
        "rows_returned": returned,
        "filter": filter,
        "index": here.index,
    });
    Some(match facts.explained().steps_of(scan).next() {
        Some(place) => missing_index::fixing(facts, place, finding),
        None => {
            finding.cause += " No index was proved to help.";
            finding
        }
    })
}

/// The scan whose rows go to the Limit one by one: nothing in between has to have them all first.
fn walked(plan: &Plan, limit: usize) -> Option<usize> {
    const PASSES: [&str; 8] =
        ["Nested Loop", "Result", "Subquery Scan", "Incremental Sort", "Gather Merge", "Gather", "LockRows", "Unique"];
    if plan.nodes[limit].kind != "Limit" {
        return None;
    }
    let mut at = limit;
    loop {
        let outer =
            |child: &&usize| matches!(plan.nodes[**child].relationship, Relationship::Outer | Relationship::Subquery);
        at = *plan.nodes[at].children.iter().find(outer)?;
        let node = &plan.nodes[at];
        let is_scan = ["Index Scan", "Index Only Scan", "Seq Scan"].contains(&node.kind.as_str());
        if is_scan {
            return (node.index_cond.is_none() && node.filter.is_some()).then_some(at);
        }
        if !PASSES.contains(&node.kind.as_str()) {
            return None;
        }
    }
}

/// Rows read, and how many were expected to be: the part of the scan for which the Limit pays.
fn rows_read(facts: &Facts, limit: usize, scan: usize) -> Option<(f64, f64)> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let child = &plan.nodes[*plan.nodes[limit].children.first()?];
    let run = child.total_cost - child.startup_cost;
    let table_rows = explained.statistics_of(scan)?.rows.filter(|rows| *rows > 0.0)?;
    if run <= 0.0 || plan.nodes[limit].actual?.loops != 1.0 {
        return None;
    }
    let part = ((plan.nodes[limit].total_cost - child.startup_cost) / run).clamp(0.0, 1.0);
    Some((plan.total_rows(scan)? + plan.removed_rows(scan), (part * table_rows).max(1.0)))
}

/// A finding of this rule tells of the scan.
pub fn tells_of(facts: &Facts, scan: usize) -> bool {
    let plan = &facts.explained().plan;
    let options = Options::defaults(&RULE);
    let limit =
        plan.ancestors(scan).find(|above| plan.nodes[*above].kind == "Limit" && walked(plan, *above) == Some(scan));
    limit.is_some_and(|limit| judge(facts, &options, limit).is_some())
}
