use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{listing, rounded};

pub static RULE: Rule = Rule {
    id: "join_order_not_searched",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The query joins more tables than the planner searches all orders of (join_collapse_limit, from_collapse_limit, \
                geqo_threshold), and planned again with the limits raised its cost falls by at least min_gain.",
    effect: "Tables are joined in the order in which they are written, or in one that was found by chance, which may not begin with \
             those that leave few rows.",
    workaround: "Write the most selective tables first, or raise the limits for this query; planning then takes longer, so prepare it.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-joins.html",
        "https://www.postgresql.org/docs/17/runtime-config-query.html#GUC-JOIN-COLLAPSE-LIMIT",
    ],
    options: &[OptionSpec::number("min_gain", (0.05, "of the plan's cost"), (0.0, 1.0), "Less is not worth a word.")],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "the selective table is written last",
            setup: "do $$ begin for i in 1..8 loop execute format('create table t%s (id int, v int); insert into t%1$s select g, g from \
                    generate_series(1, 20000) g; create index on t%1$s (id)', i); end loop; end $$; create table few (id int); \
                    insert into few values (19991), (19992); analyze; alter database :\"DBNAME\" set join_collapse_limit = 3; alter database \
                    :\"DBNAME\" set from_collapse_limit = 3; create table example as select 'select count(*) from t1 join t2 using \
                    (id) join t3 using (id) join t4 using (id) join t5 using (id) join few using (id)' as query, false as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the order written is the best",
            setup: "do $$ begin for i in 1..8 loop execute format('create table t%s (id int, v int); insert into t%1$s select g, g from \
                    generate_series(1, 20000) g; create index on t%1$s (id)', i); end loop; end $$; create table few (id int); \
                    insert into few values (19991), (19992); analyze; alter database :\"DBNAME\" set join_collapse_limit = 3; alter database \
                    :\"DBNAME\" set from_collapse_limit = 3; create table example as select 'select count(*) from few join t1 using \
                    (id) join t2 using (id) join t3 using (id) join t4 using (id) join t5 using (id)' as query, false as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let trial = explained.trial("join_collapse_limit").or_else(|| explained.trial("geqo"));
    let Some(trial) = trial else { return Ok(Vec::new()) };
    let gain = 1.0 - trial.cost_after / trial.cost_before.max(f64::MIN_POSITIVE);
    if gain < options.number("min_gain") {
        return Ok(Vec::new());
    }
    // Not more can be said of the time than that the cost falls by so much.
    let explains = match plan.execution_ms() {
        Some(ms) => Explains::by_ms(explained, ms * gain),
        None => Explains::by_cost(explained, plan.nodes[0].total_cost * gain),
    };
    let Some(severity) = explains.severity() else { return Ok(Vec::new()) };
    let relations = plan.nodes.iter().filter(|node| node.relation.is_some()).count();
    let show = |name: &str| explained.settings.get(name).cloned().unwrap_or_else(|| "unknown".to_string());
    let names: &[&str] = match trial.setting.as_str() {
        "geqo" => &["geqo"],
        _ => &["join_collapse_limit", "from_collapse_limit"],
    };
    let each =
        |statement: &dyn Fn(&str) -> String| names.iter().map(|name| statement(name)).collect::<Vec<_>>().join(" ");
    let set = |local: &str| each(&|name| format!("SET {local}{name} = {};", trial.value));
    let mut impact = object! { "query_cost": change((rounded(trial.cost_before), "planned"), (rounded(trial.cost_after), "planned")) };
    if let Some((before, after)) = trial.ms_before.zip(trial.ms_after) {
        impact.extend(object! { "query_ms": change((rounded(before), "measured"), (rounded(after), "measured")) });
    }
    Ok(vec![Finding {
        severity,
        object: "join order".to_string(),
        weight: explains.weight(),
        summary: format!(
            "Not all orders of its {relations} tables were searched: with that, the query's cost falls by {:.0}%, from {} to {}",
            100.0 * gain,
            shown(trial.cost_before),
            shown(trial.cost_after)
        ),
        cause: format!(
            "Explicit joins are reordered only up to join_collapse_limit ({}) and subqueries pulled up to from_collapse_limit ({}); from \
             geqo_threshold ({}) on a random search takes the place of the full one. Planned with {} at {}, the same query costs \
             less.",
            show("join_collapse_limit"),
            show("from_collapse_limit"),
            show("geqo_threshold"),
            listing(names),
            trial.value
        ),
        evidence: object! {
            "node": "join order",
            "share": rounded(explains.share),
            "basis": "planned",
            "relations": relations,
            "join_collapse_limit": show("join_collapse_limit"),
            "from_collapse_limit": show("from_collapse_limit"),
            "geqo_threshold": show("geqo_threshold"),
            "gain": rounded(gain),
            "planning_ms": plan.planning_ms.map(rounded),
            "execution_ms": plan.execution_ms().map(rounded),
        },
        impact,
        fix_sql: Some(set("")),
        app_fix: Some(format!(
            "For this query alone, in its transaction: connection.exec_driver_sql({:?}). Or write the joins so that the tables that \
             leave few rows come first.",
            set("LOCAL ")
        )),
        risk: "Planning takes longer, the more so the more tables: some ms for 10, seconds beyond 12. It holds for the session: RESET \
               it after the query, or use SET LOCAL."
            .to_string(),
        rollback: Rollback::Sql(each(&|name| format!("RESET {name};"))),
        verify_sql: None,
    }])
}
