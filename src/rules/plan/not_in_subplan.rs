use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::facts::plan::{Conjunct, Operand, OperandKind, Plan, Relationship, conjuncts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "not_in_subplan",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A condition NOT IN (SELECT …) is tested by running through the subquery's rows for each row, as they do not fit into a \
                hash table or the subquery depends on the row.",
    effect: "The time is the product of the two sides' rows. As NULL among the subquery's rows makes NOT IN return none at all, the \
             planner cannot make an anti join of it.",
    workaround: "Write NOT EXISTS (SELECT … WHERE inner = outer): it is planned as an anti join, and what it says of NULL is what \
                 most people mean.",
    sources: &[
        "https://www.postgresql.org/docs/17/functions-subquery.html#FUNCTIONS-SUBQUERY-NOTIN",
        "https://wiki.postgresql.org/wiki/Don%27t_Do_This#Don.27t_use_NOT_IN",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a subquery that does not fit into a hash table",
            setup: "create table t (id int primary key, v text); create table gone (t_id int); insert into t select g, md5(g::text) \
                    from generate_series(1, 50000) g; insert into gone select g from generate_series(1, 100000) g; vacuum analyze \
                    t; vacuum analyze gone; alter database :\"DBNAME\" set work_mem = '64kB'; create table example as select \
                    'select * from t where id not in (select t_id from gone)' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an anti join, and a subquery that is hashed",
            setup: "create table t (id int primary key, v text); create table gone (t_id int); insert into t select g, md5(g::text) \
                    from generate_series(1, 50000) g; insert into gone select g from generate_series(1, 1000) g; vacuum analyze \
                    t; vacuum analyze gone; create table example as select 'select * from t where id not in (select t_id from \
                    gone) and not exists (select from gone where t_id = t.id)' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let not_in = (0..plan.nodes.len()).filter(|i| is_not_in(plan, *i));
    Ok(not_in.filter_map(|subplan| judge(facts, subplan)).collect())
}

/// The node is the subquery of a NOT IN that its parent tests without a hash table.
pub fn is_not_in(plan: &Plan, i: usize) -> bool {
    let node = &plan.nodes[i];
    let (Relationship::SubPlan(_), Some(name), Some(parent)) =
        (&node.relationship, node.relationship.name(), node.parent)
    else {
        return false;
    };
    let parent = &plan.nodes[parent];
    let conditions = [&parent.filter, &parent.join_filter].into_iter().flatten().flat_map(|text| conjuncts(text));
    conditions.into_iter().any(|conjunct| has_not_in(&conjunct, name))
}

fn has_not_in(conjunct: &Conjunct, subplan: &str) -> bool {
    let is_exists = conjunct.operator.as_deref() == Some("EXISTS");
    let operands = || [Some(&conjunct.left), conjunct.right.as_ref()].into_iter().flatten();
    let within = |operand: &Operand| match &operand.kind {
        OperandKind::Or(arms) => arms.iter().flatten().any(|arm| has_not_in(arm, subplan)),
        _ => false,
    };
    (conjunct.negated && !is_exists && operands().any(|operand| names(operand, subplan))) || operands().any(within)
}

fn names(operand: &Operand, subplan: &str) -> bool {
    match &operand.kind {
        OperandKind::SubPlan { name, hashed } => name == subplan && !hashed,
        OperandKind::Operation { operands, .. } => operands.iter().any(|operand| names(operand, subplan)),
        OperandKind::Cast { of, .. } => names(of, subplan),
        _ => false,
    }
}

fn judge(facts: &Facts, subplan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let tester = plan.nodes[subplan].parent?;
    let explains = match plan.own_ms(tester).zip(plan.total_ms(subplan)) {
        Some((own, below)) => Explains::by_ms(explained, own + below),
        None => Explains::by_branch(explained, tester),
    };
    let mut finding = finding(facts, subplan, explains)?;
    let (inner, tests) = (&plan.nodes[subplan], plan.executions(subplan));
    let rows = plan.total_rows(subplan).map_or(inner.rows, |rows| rows / tests.unwrap_or(1.0).max(1.0));
    let depends = plan.subtree(subplan).all(|i| plan.nodes[i].kind != "Materialize");
    finding.summary = match tests {
        Some(tests) => {
            format!(
                "NOT IN (subquery) is tested row by row: {} runs through the subquery, {}",
                shown(tests),
                explains.told()
            )
        }
        None => format!("NOT IN (subquery) is to be tested row by row: {}", explains.told()),
    };
    finding.cause = format!(
        "{} The rows of the outer side are compared with about {} rows of the subquery, one after another.{} The planner may not turn \
         NOT IN into an anti join: it would give another answer where one side is NULL.",
        match depends {
            true => "The subquery depends on the row, or is run anew for each.",
            false =>
                "A hash table of the subquery was planned to be larger than work_mem times hash_mem_multiplier, so that its rows are \
                 kept in a list and run through for each row.",
        },
        shown(rows.max(1.0)),
        if depends { "" } else { " More work_mem makes it a hashed subplan, until it grows again." },
    );
    finding.app_fix = Some(
        "SQL: WHERE NOT EXISTS (SELECT 1 FROM inner_table i WHERE i.column = outer_table.column). It differs from NOT IN only where \
         one of the two sides is NULL: NOT IN then returns no row, NOT EXISTS does as if there was no match. SQLAlchemy: \
         .where(~select(I.id).where(I.column == O.column).exists()) or ~O.relationship.any() in place of .not_in(select(…))."
            .to_string(),
    );
    finding.evidence.extend(object! {
        "subquery_rows": rows.round(),
        "subquery_executions": tests,
        "work_mem": explained.settings.get("work_mem"),
    });
    Some(finding)
}
