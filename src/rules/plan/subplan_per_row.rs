use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::plan::{Plan, Relationship};
use crate::facts::{Facts, PlanOrigin};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::correlated_subquery_per_row::rewritten_only;
use crate::rules::not_in_subplan::is_not_in;

pub static RULE: Rule = Rule {
    id: "subplan_per_row",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A subquery that depends on the row of the query around it was run at least min_executions times, and took at least \
                min_share of the time. Of a query that was not run, the planner's estimates.",
    effect: "The planner can only run it again for each row: no hash or merge join, no sharing between rows.",
    workaround: "Write it as a join: aggregates as a grouped subquery in FROM with a LEFT JOIN, the first row as LEFT JOIN LATERAL, a \
                 test as EXISTS in WHERE rather than in the SELECT list or beside an OR.",
    sources: &[
        "https://www.postgresql.org/docs/17/using-explain.html",
        "https://www.postgresql.org/docs/17/queries-table-expressions.html#QUERIES-LATERAL",
    ],
    options: &[
        OptionSpec::number("min_executions", (100.0, "executions"), (2.0, 1e12), "Fewer are left alone."),
        OptionSpec::number(
            "min_share",
            (0.1, "of the query's time or cost"),
            (0.0, 1.0),
            "Subqueries that take less are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a count for each row",
            setup: "create table t (id int primary key); create table s (id int primary key, t_id int); insert into t select \
                    generate_series(1, 20000); insert into s select g, 1 + g % 20000 from generate_series(1, 60000) g; create \
                    index on s (t_id); vacuum analyze t; vacuum analyze s; create table example as select 'select id, (select \
                    count(*) from s where s.t_id = t.id) from t' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a count for each row, planned only",
            setup: "create table t (id int primary key); create table s (id int primary key, t_id int); insert into t select \
                    generate_series(1, 20000); insert into s select g, 1 + g % 20000 from generate_series(1, 60000) g; create \
                    index on s (t_id); vacuum analyze t; vacuum analyze s; create table example as select 'select id, (select \
                    count(*) from s where s.t_id = t.id) from t' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a join, a subquery that is run once, one that is hashed, one for ten rows",
            setup: "create table t (id int primary key); create table s (id int primary key, t_id int); insert into t select \
                    generate_series(1, 20000); insert into s select g, 1 + g % 20000 from generate_series(1, 60000) g; create \
                    index on s (t_id); vacuum analyze t; vacuum analyze s; create table example as select 'select t.id, c.n, \
                    (select max(id) from s), t.id in (select t_id from s) from t left join (select t_id, count(*) as n from s \
                    group by t_id) c on c.t_id = t.id union all select * from (select id, (select count(*) from s where s.t_id = \
                    t.id), 1, true from t order by id limit 10) few' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let subplans = (0..plan.nodes.len()).filter(|i| matches!(plan.nodes[*i].relationship, Relationship::SubPlan(_)));
    Ok(subplans.filter(|i| !is_not_in(plan, *i)).filter_map(|subplan| judge(facts, options, subplan)).collect())
}

fn judge(facts: &Facts, options: &Options, subplan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let outer = plan.nodes[subplan].parent?;
    let executions = match plan.executions(subplan) {
        Some(executions) => executions,
        None => planned_executions(plan, outer, subplan)?,
    };
    let explains = match plan.total_ms(subplan) {
        Some(_) => Explains::by_branch(explained, subplan),
        None => Explains::by_cost(explained, executions * plan.nodes[subplan].total_cost),
    };
    if executions < options.number("min_executions") || explains.share < options.number("min_share") {
        return None;
    }
    let mut finding = finding(facts, subplan, explains)?;
    let name = plan.nodes[subplan].relationship.name().unwrap_or("SubPlan");
    let tables: Vec<String> = plan
        .subtree(subplan)
        .filter_map(|i| plan.nodes[i].relation.as_ref())
        .map(|relation| relation.name.clone())
        .collect();
    let of = if tables.is_empty() { String::new() } else { format!(" on {}", tables.join(", ")) };
    let verb = if explains.basis.name() == "measured" { "ran" } else { "is to run about" };
    finding.summary = format!("{name}{of} {verb} {} times, once for each row: {}", shown(executions), explains.told());
    finding.cause = format!(
        "{} holds a subquery that depends on its rows, so that it is run for each of them. {}",
        plan.nodes[outer].describe(),
        what_instead(plan, outer, subplan),
    );
    let rewritten = (explained.origin != PlanOrigin::Given && subplans(plan) == 1)
        .then(|| rewritten_only(facts.statement(), facts.catalog()))
        .flatten();
    if let Some(rewritten) = rewritten {
        finding.cause += " evidence.rewritten_query returns the same rows.";
        finding.evidence.insert("rewritten_query".to_string(), rewritten.into());
    }
    finding.app_fix = Some(
        "SQLAlchemy: a column_property or hybrid with a correlated scalar_subquery() is run for each row. Join a grouped subquery \
         (select(S.t_id, func.count().label(\"n\")).group_by(S.t_id).subquery(), outerjoin) or, for rows of a relationship, use \
         selectinload()."
            .to_string(),
    );
    finding.evidence.extend(object! { "executions": executions.round(), "tables": tables });
    Some(finding)
}

fn subplans(plan: &Plan) -> usize {
    plan.nodes.iter().filter(|node| matches!(node.relationship, Relationship::SubPlan(_))).count()
}

/// Once for each row that the node around it returns, or tests.
fn planned_executions(plan: &Plan, outer: usize, subplan: usize) -> Option<f64> {
    let (around, node) = (&plan.nodes[outer], &plan.nodes[subplan]);
    let name = node.relationship.name()?;
    let texts = [&around.filter, &around.join_filter].into_iter().flatten().chain(&around.output);
    if texts.into_iter().any(|text| text.contains(&format!("hashed {name}"))) {
        return None;
    }
    let below = around.children.iter().filter(|child| plan.nodes[**child].relationship.name().is_none());
    let below: f64 = below.map(|child| plan.nodes[*child].total_cost).sum();
    // What it costs beyond what it is made of goes to the subquery, as far as its rows account for it.
    let by_cost = (around.total_cost - below) / node.total_cost.max(f64::MIN_POSITIVE);
    let in_filter = [&around.filter, &around.join_filter].into_iter().flatten().any(|text| text.contains(name));
    Some(if in_filter { by_cost } else { around.rows.min(by_cost.max(1.0)) })
}

fn what_instead(plan: &Plan, outer: usize, subplan: usize) -> &'static str {
    let (around, node) = (&plan.nodes[outer], &plan.nodes[subplan]);
    let in_filter = node.relationship.name().is_some_and(|name| {
        [&around.filter, &around.join_filter].into_iter().flatten().any(|text| text.contains(name))
    });
    match node.kind.as_str() {
        "Aggregate" if node.group_key.is_empty() => {
            "It aggregates the rows of one key: join (SELECT key, aggregate … GROUP BY key) by LEFT JOIN instead, which reads its \
             table once (count() then needs coalesce(n, 0)). For few rows of a large table, a LATERAL subquery with an index on the \
             key is as good."
        }
        "Limit" => {
            "It takes the first row of a key: join (SELECT DISTINCT ON (key) … ORDER BY key, …) by LEFT JOIN instead, or give it an \
             index on the key and its order so that each run is one lookup."
        }
        _ if in_filter => {
            "It is a test of each row: where it stands alone in WHERE, EXISTS becomes a semi join; beside an OR, write the arms as two \
             queries and UNION them."
        }
        _ => "It looks up one row: LEFT JOIN its table on the key instead, where the key is unique.",
    }
}
