use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::facts::plan::Plan;
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "jit_costs_more",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Compiling the query's expressions took at least min_share of its execution and min_jit_ms.",
    effect: "The query waits for a compiler whose work it does not make good: the plan's cost passed jit_above_cost, but its time is \
             short, often because the cost is estimated too high or is that of many partitions.",
    workaround: "Switch JIT off for the query, or raise jit_above_cost beyond its cost; mend a misestimate that makes it dear. Most \
                 OLTP databases run with jit off.",
    sources: &[
        "https://www.postgresql.org/docs/17/jit-decision.html",
        "https://www.postgresql.org/docs/17/runtime-config-query.html#GUC-JIT-ABOVE-COST",
    ],
    options: &[
        OptionSpec::number(
            "min_share",
            (0.25, "of the execution's time"),
            (0.0, 1.0),
            "JIT that takes less is left alone.",
        ),
        OptionSpec::number("min_jit_ms", (10.0, "ms"), (0.0, 3_600_000.0), "JIT that takes less is left alone."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a plan that compiles for most of its time",
            setup: r#"create table example as select '[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t",
                   "Startup Cost": 0, "Total Cost": 147729.0, "Plan Rows": 1999, "Plan Width": 6,
                   "Actual Startup Time": 76.6, "Actual Total Time": 93.5, "Actual Rows": 1999, "Actual Loops": 1},
                   "Planning Time": 0.06, "Triggers": [], "JIT": {"Functions": 5,
                   "Options": {"Inlining": true, "Optimization": true, "Expressions": true, "Deforming": true},
                   "Timing": {"Generation": {"Deform": 0.09, "Total": 1.2}, "Inlining": 11.0, "Optimization": 31.4,
                   "Emission": 25.2, "Total": 68.8}}, "Execution Time": 96.2}]'::jsonb as plan"#,
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a short query that compiles everything",
            setup: "create table t (id int primary key, a int, b numeric); insert into t select g, g % 10, g from generate_series(1, \
                    20000) g; vacuum analyze t; alter database :\"DBNAME\" set jit = on; alter database :\"DBNAME\" set \
                    jit_above_cost = 0; alter database :\"DBNAME\" set jit_optimize_above_cost = 0; alter database :\"DBNAME\" set \
                    jit_inline_above_cost = 0; create table example as select 'select a, sum(b), avg(b + 1) from t where b > 5 group \
                    by a' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a long query that compiles for a moment",
            setup: r#"create table example as select '[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t",
                   "Startup Cost": 0, "Total Cost": 147729.0, "Plan Rows": 199980, "Plan Width": 6,
                   "Actual Startup Time": 6.6, "Actual Total Time": 1923.5, "Actual Rows": 199995, "Actual Loops": 1},
                   "Planning Time": 0.06, "Triggers": [], "JIT": {"Functions": 5,
                   "Options": {"Inlining": false, "Optimization": false, "Expressions": true, "Deforming": true},
                   "Timing": {"Generation": {"Deform": 0.09, "Total": 0.2}, "Inlining": 0, "Optimization": 1.4,
                   "Emission": 15.2, "Total": 16.8}}, "Execution Time": 1925.2}]'::jsonb as plan"#,
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let Some(jit) = plan.jit else { return Ok(Vec::new()) };
    // The sum over all processes, which compile at the same time.
    let ms = jit.total_ms / processes(plan);
    let explains = Explains::by_ms(explained, ms);
    if !plan.is_analyzed() || explains.share < options.number("min_share") || ms < options.number("min_jit_ms") {
        return Ok(Vec::new());
    }
    let Some(severity) = explains.severity() else { return Ok(Vec::new()) };
    let cost = plan.nodes[0].total_cost;
    let above = explained.settings.get("jit_above_cost").map_or("100000", String::as_str);
    let steps: Vec<&str> = [("optimization", jit.optimized), ("inlining", jit.inlined)]
        .into_iter()
        .filter_map(|(name, done)| done.then_some(name))
        .collect();
    let gone = plan.execution_ms().unwrap_or(0.0);
    Ok(vec![Finding {
        severity,
        object: "JIT compilation".to_string(),
        weight: explains.weight(),
        summary: format!("JIT compilation of {} functions took {}", shown(jit.functions), explains.told()),
        cause: format!(
            "The plan's cost of {} is above jit_above_cost ({above}), so that the server compiled its expressions{}. That is paid at \
             each execution, and pays off only where many rows go through them.{}",
            shown(cost),
            if steps.is_empty() { String::new() } else { format!(", with {}", steps.join(" and ")) },
            if processes(plan) > 1.0 { " Each parallel worker compiles them for itself." } else { "" },
        ),
        evidence: object! {
            "node": "JIT compilation",
            "share": rounded(explains.share),
            "basis": explains.basis.name(),
            "jit_ms": rounded(ms),
            "jit_ms_of_all_processes": rounded(jit.total_ms),
            "jit_functions": jit.functions,
            "execution_ms": rounded(gone),
            "cost": rounded(cost),
            "jit_above_cost": above,
        },
        // What the expressions take when they are interpreted is not known from this run.
        impact: object! { "execution_ms": change((rounded(gone), "measured"), (rounded(gone - ms), "estimated")) },
        fix_sql: Some("SET jit = off;".to_string()),
        app_fix: Some(format!(
            "For this query alone: connection.exec_driver_sql(\"SET LOCAL jit = off\") in its transaction. For a role whose queries \
             are short: ALTER ROLE … SET jit = off. To keep it for larger queries: raise jit_above_cost above {}.",
            shown(cost),
        )),
        risk: "It holds for the session. Queries that compute much on millions of rows may take somewhat longer without JIT.".to_string(),
        rollback: crate::finding::Rollback::Sql("RESET jit;".to_string()),
        verify_sql: None,
    }])
}

/// The leader and the workers that were launched.
fn processes(plan: &Plan) -> f64 {
    1.0 + plan.nodes.iter().filter_map(|node| node.workers_launched).max().map_or(0.0, f64::from)
}
