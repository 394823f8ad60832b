use crate::advice::plan_estimates::{Cause, finding, misestimates};
use crate::facts::{Facts, PlanOrigin};
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::nested_loop_over_many_rows;
use std::cell::OnceCell;

pub static RULE: Rule = Rule {
    id: "row_estimate_off",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A row estimate is off by at least min_error where it starts, for none of the known reasons, and joins, sorts or the \
                 choice of an index above it were planned by it.",
    effect: "The plan is the best one for another number of rows.",
    workaround: "Look at the condition: compare bare columns with constants, split what OR joins, keep what was found in a temporary \
                 table with ANALYZE between two steps.",
    sources: &["https://www.postgresql.org/docs/17/planner-stats.html"],
    options: &[
        OptionSpec::number("min_error", (10.0, "times"), (10.0, 1e9), "From here on an estimate is told."),
        OptionSpec::number(
            "min_share",
            (0.1, "of the query's time"),
            (0.0, 1.0),
            "What the nodes planned by it must take.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "half of the children are of one parent",
            setup: "create table p (id int primary key, n text); create table t (id int primary key, p int, v text); create table c (id \
                    int primary key, w text); insert into p select g, 'n' || g from generate_series(1, 1000) g; insert into t select \
                    g, case when g % 2 = 0 then 1 else g % 1000 end, md5(g::text) from generate_series(1, 100000) g; insert into c \
                    select g, md5(g::text) from generate_series(1, 200000) g; vacuum analyze p; vacuum analyze t; vacuum analyze c; \
                    create table example as select 'select count(c.w) from p join t on t.p = p.id join c on c.id = t.id where p.n = \
                    ''n1''' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it is right",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g % 100, md5(g::text) from \
                    generate_series(1, 100000) g; vacuum analyze t; create table example as select 'select count(x.v) from t x join t y \
                    using (id) where x.a = 7' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let starts = OnceCell::new();
    let findings = misestimates(facts).into_iter().filter_map(|wrong| match wrong.cause {
        Cause::Unknown
            if wrong.has_effect
                && wrong.error >= options.number("min_error")
                && wrong.explains.share >= options.number("min_share") =>
        {
            let mut finding = finding(facts, &wrong)?;
            finding.cause = format!("{} {}", why(facts, wrong.node), finding.cause);
            // There is nothing to run against it, and what it led to is told by itself where it is known.
            let matters = wrong.error >= 100.0 && wrong.explains.share >= 0.5;
            if !matters || starts.get_or_init(|| nested_loop_over_many_rows::starts(facts)).contains(&wrong.node) {
                finding.severity = Severity::low;
            }
            Some(finding)
        }
        _ => None,
    });
    Ok(findings.collect())
}

/// As far as it can be told.
fn why(facts: &Facts, node: usize) -> &'static str {
    let explained = facts.explained();
    let here = explained.node(node);
    let is_join = here.kind.ends_with("Join") || here.kind == "Nested Loop";
    if explained.origin == PlanOrigin::Given {
        "The plan is from elsewhere: what the planner knew there is not known here. Run it with explain_findings() where its tables are."
    } else if is_join {
        "The inputs are estimated well, their join is not: values that match are more frequent, or rarer, on one side than the averages \
         of the join's columns say. There are no statistics across tables."
    } else if here.kind.contains("Aggregate") || here.kind == "Group" || here.kind == "Unique" {
        "The number of groups is guessed from the distinct values of each column; CREATE STATISTICS (ndistinct) on the columns tells \
         that of their combinations, where they are of one table."
    } else if here.kind == "CTE Scan" || here.kind == "Function Scan" || here.kind == "Subquery Scan" {
        "What it returns has no statistics."
    } else {
        "Statistics are fresh, and none of the known reasons (columns that depend on each other, an expression, a value beyond the \
         common ones) was found in its condition."
    }
}
