use crate::advice::plan_index::{costs, fixed_by_indexes, is_told_elsewhere};
use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::facts::Facts;
use crate::facts::plan::{Plan, Relationship, WRONG, conjuncts};
use crate::facts::query::Part;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::rules::{index_scan_filters_rows, sequential_scan_discards_rows};

pub static RULE: Rule = Rule {
    id: "sort_that_an_index_could_give",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Rows of one table are sorted, and an index that begins with the order, or has it behind columns compared for equality, \
                is proved to make the query cheaper. Where that index also spares the scan most of its rows, the scan is told instead.",
    effect: "A sort has to have all rows before it returns the first: a page of ten costs as much as all of them.",
    workaround: "Create the index that fix_sql names.",
    sources: &["https://www.postgresql.org/docs/17/indexes-ordering.html"],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "the newest ten",
            setup: "create table t (id int primary key, at timestamptz, v text); insert into t select g, now() - g * interval '1 \
                    min', md5(g::text) from generate_series(1, 200000) g; vacuum analyze t; create table example as select 'select \
                    * from t order by at desc limit 10' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an index has the order, or what is sorted is made of the rows",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g * 7919 % 200000, md5(g::text) from \
                    generate_series(1, 200000) g; vacuum analyze t; create table example as select '(select id, 1 from t order by id \
                    limit 10) union all (select a % 100, count(*) from t group by 1 order by 2)' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let findings = (0..plan.nodes.len()).filter(|node| is_sort(plan, *node)).filter_map(|sort| judge(facts, sort));
    Ok(findings.collect())
}

/// A finding of this rule tells of the node.
pub fn tells_of(facts: &Facts, sort: usize) -> bool {
    judge(facts, sort).is_some()
}

fn is_sort(plan: &Plan, node: usize) -> bool {
    matches!(plan.nodes[node].kind.as_str(), "Sort" | "Incremental Sort")
}

fn judge(facts: &Facts, sort: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let scan = sorted_scan(plan, sort)?;
    // What is planned for far fewer rows than there are proves nothing.
    let underestimated =
        plan.total_rows(scan).is_some_and(|rows| rows >= WRONG * plan.estimated_total_rows(scan).max(1.0));
    if underestimated {
        return None;
    }
    let key = explained.node(sort).sort_key.first()?;
    if !explained.steps_of(scan).any(|step| has_order(facts, step, key)) || is_told_elsewhere(facts, scan) {
        return None;
    }
    let told = [sequential_scan_discards_rows::RULE.check, index_scan_filters_rows::RULE.check];
    let rules = [&sequential_scan_discards_rows::RULE, &index_scan_filters_rows::RULE];
    for (check, rule) in told.into_iter().zip(rules) {
        let findings = check(facts, &Options::defaults(rule)).ok()?;
        if findings.iter().any(|finding| finding.object == plan.path(scan) && finding.fix_sql.is_some()) {
            return None;
        }
    }
    let explains = Explains::by_branch(explained, sort);
    let mut finding = finding(facts, sort, explains)?;
    let keys = explained.node(sort).sort_key.join(", ");
    let rows = plan.total_rows(scan).unwrap_or_else(|| plan.estimated_total_rows(scan));
    let name = relation(facts, scan)?;
    finding.summary = format!("Sort by {keys} of {} rows of {name}: {}", shown(rows), explains.told());
    finding.cause = format!(
        "No index has the order that the query asks for, so that all rows are read and sorted before the first is \
                             returned. Proved by planning with one that has: {}.",
        costs(facts)
    );
    finding.evidence.extend(object! {
        "relation": name,
        "sort_key": explained.node(sort).sort_key,
        "rows_sorted": rows.round(),
    });
    fixed_by_indexes(facts, scan, &finding)
}

/// The only scan below the sort, where nothing but passing rows on is in between.
fn sorted_scan(plan: &Plan, sort: usize) -> Option<usize> {
    const PASSES: [&str; 6] = ["Nested Loop", "Hash Join", "Gather", "Gather Merge", "Subquery Scan", "Result"];
    let mut at = sort;
    loop {
        let mut children = plan.nodes[at]
            .children
            .iter()
            .filter(|child| matches!(plan.nodes[**child].relationship, Relationship::Outer | Relationship::Subquery));
        at = *children.next()?;
        if plan.nodes[at].relation.is_some() {
            return Some(at);
        }
        if !PASSES.contains(&plan.nodes[at].kind.as_str()) {
            return None;
        }
    }
}

/// The index has columns of an order that the query asks for, that of the sort's first key among them.
fn has_order(facts: &Facts, step: usize, key: &str) -> bool {
    let advice = facts.index_advice();
    let candidate = &advice.selection.steps[step].candidate;
    let Some(table) = facts.catalog().known(candidate.table) else { return false };
    let sorted = conjuncts(
        key.strip_suffix(" NULLS FIRST").or(key.strip_suffix(" NULLS LAST")).unwrap_or(key).trim_end_matches(" DESC"),
    );
    let is_sorted = |name: &str| sorted.iter().flat_map(|key| key.columns()).any(|(_, column)| column == name);
    let references = advice.queries.iter().flat_map(|query| &query.shape.references);
    let orders =
        references.filter(|reference| reference.table == candidate.table).flat_map(|reference| &reference.orders);
    let mut firsts = orders.filter_map(|order| order.keys.first());
    firsts.any(|first| {
        let is_key = match &first.part {
            Part::Column(number) => table.column(*number).is_some_and(|column| is_sorted(column.name.raw())),
            Part::Expression(_) => true,
        };
        is_key && candidate.keys.iter().any(|key| key.part == first.part)
    })
}
