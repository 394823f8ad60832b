use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::facts::plan::{Plan, Relationship};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "offset_reads_and_discards",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A Limit was given at least min_discarded_rows rows more than it returned: OFFSET skips them one by one. Of a query \
                that was not run, the planner's estimate of the rows skipped.",
    effect: "Each page takes longer than the one before it: the rows of all earlier pages are read, and often sorted, again. Rows \
             inserted or deleted meanwhile make pages repeat or miss some.",
    workaround: "Page by key: remember the last row's values of ORDER BY, which must end with a unique key, and ask for the rows \
                 beyond them.",
    sources: &["https://www.postgresql.org/docs/17/queries-limit.html", "https://use-the-index-luke.com/no-offset"],
    options: &[OptionSpec::number(
        "min_discarded_rows",
        (1000.0, "rows"),
        (1.0, 1e12),
        "Fewer rows skipped are no finding.",
    )],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "page 5001",
            setup: "create table t (id int primary key, b text); insert into t select g, md5(g::text) from generate_series(1, \
                    100000) g; vacuum analyze t; create table example as select 'select * from t order by id limit 10 offset \
                    50000' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "page 5001, planned only",
            setup: "create table t (id int primary key, b text); insert into t select g, md5(g::text) from generate_series(1, \
                    100000) g; vacuum analyze t; create table example as select 'select * from t order by id limit 10 offset \
                    50000' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the first page, a late one by key, and ties",
            setup: "create table t (id int primary key, b text); insert into t select g, md5(g::text) from generate_series(1, \
                    100000) g; vacuum analyze t; create table example as select '(select * from t order by id limit 10 offset \
                    20) union all (select * from t where id > 50000 order by id limit 10) union all (select * from t order by \
                    id % 2 fetch first 5 rows with ties)' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let limits = (0..plan.nodes.len()).filter(|i| plan.nodes[*i].kind == "Limit");
    Ok(limits.filter_map(|limit| judge(facts, options, limit)).collect())
}

fn judge(facts: &Facts, options: &Options, limit: usize) -> Option<Finding> {
    let plan = &facts.explained().plan;
    let child = *plan.nodes[limit].children.iter().find(|i| plan.nodes[**i].relationship == Relationship::Outer)?;
    let skipped = skipped(plan, limit, child)?;
    if skipped.discarded < options.number("min_discarded_rows") {
        return None;
    }
    let part = skipped.discarded / (skipped.discarded + skipped.returned);
    let explains = match plan.total_ms(child) {
        Some(ms) => Explains::by_ms(facts.explained(), ms * part),
        None => Explains::by_cost(facts.explained(), plan.nodes[limit].total_cost * part),
    };
    let mut finding = finding(facts, limit, explains)?;
    let (discarded, returned) = (shown(skipped.discarded), shown(skipped.returned));
    let about = if skipped.measured { "" } else { "about " };
    let key = order(plan, child);
    finding.summary =
        format!("OFFSET reads and throws away {about}{discarded} rows to return {returned} ({})", explains.told());
    finding.cause = format!(
        "{} delivers {about}{} rows to the Limit, which skips the first {discarded} of them. Nothing finds the {discarded}th row of \
         an order but reading those before it; the next page reads them all again.{}",
        plan.nodes[child].describe(),
        shown(skipped.discarded + skipped.returned),
        match &key {
            Some(key) => format!(" The rows are in the order of {key}: ask for those beyond the last one shown."),
            None => String::new(),
        }
    );
    finding.app_fix = Some(
        "Page by key. SQL: WHERE (ordered_column, id) > (last_value, last_id) ORDER BY ordered_column, id LIMIT n (< where the \
         order is descending), with an index on (ordered_column, id). SQLAlchemy: .where(tuple_(T.ordered_column, T.id) > \
         tuple_(last_value, last_id)).order_by(T.ordered_column, T.id).limit(n) in place of .offset(). Where people must jump to \
         a page by number, limit how far."
            .to_string(),
    );
    finding.evidence.extend(object! {
        "rows_discarded": skipped.discarded.round(),
        "rows_returned": skipped.returned.round(),
        "order": key,
    });
    Some(finding)
}

struct Skipped {
    discarded: f64,
    returned: f64,
    measured: bool,
}

/// EXPLAIN does not print LIMIT and OFFSET: they follow from what the Limit is given and returns, or from its costs.
fn skipped(plan: &Plan, limit: usize, child: usize) -> Option<Skipped> {
    let (node, below) = (&plan.nodes[limit], &plan.nodes[child]);
    match (node.actual, below.actual) {
        // The means of several executions are rounded.
        (Some(actual), Some(given)) if actual.loops == 1.0 && given.loops == 1.0 => {
            Some(Skipped { discarded: given.rows - actual.rows, returned: actual.rows, measured: true })
        }
        (Some(_), _) => None,
        (None, _) => {
            // The Limit starts when its child has delivered what it skips.
            let run = below.total_cost - below.startup_cost;
            let before = node.startup_cost - below.startup_cost;
            let discarded = if run > 0.0 { (before / run * below.rows).max(0.0) } else { 0.0 };
            Some(Skipped { discarded, returned: node.rows, measured: false })
        }
    }
}

fn order(plan: &Plan, child: usize) -> Option<String> {
    let sorted = plan.subtree(child).find(|i| !plan.nodes[*i].sort_key.is_empty());
    if let Some(sort) = sorted {
        return Some(plan.nodes[sort].sort_key.join(", "));
    }
    let scan = &plan.nodes[child];
    let index = scan.index.as_ref().filter(|_| scan.kind.starts_with("Index"))?;
    Some(format!("index {index}"))
}
