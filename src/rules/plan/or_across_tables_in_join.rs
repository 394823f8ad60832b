use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::facts::plan::{Conjunct, OperandKind, conjuncts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "or_across_tables_in_join",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A join tests an OR whose arms are of different tables, or compare different columns of the two, and by that throws away at least min_removed_rows rows \
                and min_removed_share of those joined. Of a query that was not run, a nested loop that has nothing else to join by.",
    effect: "Neither table can be reduced before the join: all of both are joined, and most of the result is thrown away.",
    workaround: "One query for each arm, each with a condition that an index serves, joined by UNION (which also removes the rows that \
                 both find).",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-bitmap-scans.html",
        "https://www.cybertec-postgresql.com/en/avoid-or-for-better-performance/",
    ],
    options: &[
        OptionSpec::number(
            "min_removed_rows",
            (10_000.0, "rows"),
            (1.0, 1e12),
            "Joins that remove fewer are left alone.",
        ),
        OptionSpec::number(
            "min_removed_share",
            (0.9, "of the rows joined"),
            (0.0, 1.0),
            "Joins that keep more are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a condition on either side of a join",
            setup: "create table o (id int primary key, status int); create table i (id int primary key, o_id int, sku int); insert into \
                    o select g, g % 1000 from generate_series(1, 50000) g; insert into i select g, 1 + g % 50000, g % 5000 from \
                    generate_series(1, 100000) g; create index on o (status); create index on i (sku); create index on i (o_id); \
                    vacuum analyze o; vacuum analyze i; create table example as select 'select * from o join i on i.o_id = o.id \
                    where o.status = 7 or i.sku = 11' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a join by one of two columns",
            setup: "create table p (id int primary key, partner int, contact int); create table s (id int primary key, partner int, \
                    contact int); insert into p select g, g % 3000, g % 2000 from generate_series(1, 2000) g; insert into s select g, \
                    g % 3000, g % 2000 from generate_series(1, 2000) g; vacuum analyze p; vacuum analyze s; create table example as \
                    select 'select count(*) from p join s on p.partner = s.partner or p.contact = s.contact' as query, true as \
                    analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "both arms on one table, and one with AND",
            setup: "create table o (id int primary key, status int); create table i (id int primary key, o_id int, sku int); insert into \
                    o select g, g % 1000 from generate_series(1, 50000) g; insert into i select g, 1 + g % 50000, g % 5000 from \
                    generate_series(1, 100000) g; create index on o (status); create index on i (sku); create index on i (o_id); \
                    vacuum analyze o; vacuum analyze i; create table example as select 'select * from o join i on i.o_id = o.id \
                    where (o.status = 7 or o.status = 8) and i.sku > 11' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    Ok((0..plan.nodes.len()).filter_map(|join| judge(facts, options, join)).collect())
}

fn judge(facts: &Facts, options: &Options, join: usize) -> Option<Finding> {
    let explained = facts.explained();
    let (plan, node) = (&explained.plan, explained.node(join));
    let filters = conjuncts(node.join_filter.as_deref()?);
    let across = filters.iter().find(|conjunct| is_across(conjunct))?;
    let (removed, kept) = match plan.total_rows(join) {
        Some(rows) => (plan.removed_rows(join), rows),
        // A nested loop by nothing else compares each row with each.
        None => {
            let sides: Vec<f64> = node.children.iter().map(|child| plan.nodes[*child].rows).collect();
            let pairs = if node.kind == "Nested Loop" && filters.len() == 1 { sides.iter().product() } else { 0.0 };
            (pairs - node.rows, node.rows)
        }
    };
    if removed < options.number("min_removed_rows") || removed / (removed + kept) < options.number("min_removed_share")
    {
        return None;
    }
    let explains = Explains::by_branch(explained, join);
    let mut finding = finding(facts, join, explains)?;
    finding.summary = format!(
        "An OR across two tables is tested after their join: {} of {} joined rows are thrown away, {}",
        shown(removed),
        shown(removed + kept),
        explains.told()
    );
    finding.cause = format!(
        "{} tests {}. {} Not proved by planning: the query has to be written otherwise.",
        node.describe(),
        across.text,
        match joins_by_it(across) {
            true =>
                "A hash or merge join needs an equality that holds for all pairs; where one of several may, each row of one table is \
                 compared with each of the other.",
            false =>
                "A row of one table may be needed because of the other's, so that no index and no filter can be used before the join.",
        }
    );
    finding.app_fix = Some(
        "SQL: SELECT … WHERE <first arm> UNION SELECT … WHERE <second arm>, each with the join. UNION also removes equal rows that \
         the query itself would return twice: have a key of each table among the columns. SQLAlchemy: union(select(…).where(first), \
         select(…).where(second))."
            .to_string(),
    );
    finding.evidence.extend(object! {
        "condition": across.text,
        "rows_removed": removed.round(),
        "rows_kept": kept.round(),
    });
    Some(finding)
}

/// Its arms together are of several tables.
fn is_across(conjunct: &Conjunct) -> bool {
    let OperandKind::Or(arms) = &conjunct.left.kind else { return false };
    let tables: Option<BTreeSet<String>> =
        conjunct.columns().into_iter().map(|(qualifier, _)| qualifier.map(str::to_string)).collect();
    let plain = conjunct.operator.is_none() && !conjunct.negated && arms.len() > 1;
    plain && tables.is_some_and(|tables| tables.len() > 1)
}

/// An arm that compares the two tables: the join is by this OR.
fn joins_by_it(conjunct: &Conjunct) -> bool {
    let OperandKind::Or(arms) = &conjunct.left.kind else { return false };
    let tables = |arm: &Conjunct| arm.columns().into_iter().map(|(table, _)| table).collect::<BTreeSet<_>>().len();
    arms.iter().flatten().any(|arm| tables(arm) > 1)
}
