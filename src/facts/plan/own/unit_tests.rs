use super::super::corpus::{plan, plans};
use super::super::{Plan, read};

/// The first node whose path ends so.
fn node(plan: &Plan, end: &str) -> usize {
    (0..plan.nodes.len()).find(|&i| plan.path(i).ends_with(end)).unwrap_or_else(|| panic!("no {end}: {plan:#?}"))
}

#[test]
fn own_parts_add_up_to_the_root() {
    for (name, plan) in plans() {
        let nodes = 0..plan.nodes.len();
        // EXPLAIN rounds the mean of an execution to a microsecond.
        let rounded: f64 = plan.nodes.iter().map(|node| node.actual.unwrap().loops * 0.001).sum();
        let own: f64 = nodes.clone().map(|i| plan.own_ms(i).unwrap()).sum();
        let root = plan.total_ms(0).unwrap();
        assert!((own - root).abs() <= rounded + 0.01, "{name}: {own} ms of {root}");
        let cost: f64 = nodes.clone().map(|i| plan.own_cost(i)).sum();
        assert!((cost - plan.nodes[0].total_cost).abs() < 0.01, "{name}: cost {cost}");
        let blocks = plan.nodes[0].blocks.unwrap();
        let own: f64 = nodes.clone().map(|i| plan.own_blocks(i).unwrap().shared_hit).sum();
        assert_eq!(own, blocks.shared_hit, "{name}");
        let own: f64 = nodes.clone().map(|i| plan.own_blocks(i).unwrap().temp_written).sum();
        assert_eq!(own, blocks.temp_written, "{name}");
        let own: f64 = nodes.clone().map(|i| plan.own_wal(i).unwrap().bytes).sum();
        assert_eq!(own, plan.nodes[0].wal.unwrap().bytes, "{name}");
        assert!(nodes.clone().map(|i| plan.share(i)).sum::<f64>() < 1.01, "{name}");
    }
}

#[test]
fn a_cte_is_charged_where_it_is_computed() {
    let plan = plan("cte_of_cte");
    let big = node(&plan, "CTE big: HashAggregate");
    let [in_top, in_main] = ["CTE top: CTE Scan on big", "> CTE Scan on big"].map(|end| node(&plan, end));
    let below: f64 = plan.subtree(big).map(|i| plan.own_ms(i).unwrap()).sum();
    assert!((below - plan.total_ms(big).unwrap()).abs() < 0.01);
    assert!(plan.total_ms(in_top).unwrap() > plan.total_ms(big).unwrap());
    for scan in [in_top, in_main] {
        assert!(plan.own_ms(scan).unwrap() < 0.3 * plan.total_ms(big).unwrap());
    }
}

#[test]
fn an_init_plan_is_charged_once_and_not_to_whom_it_serves() {
    for (name, init_plan) in
        [("init_plan", "InitPlan 1: Aggregate"), ("init_plan_in_target_list", "InitPlan 1: Aggregate")]
    {
        let plan = plan(name);
        let sub_plan = node(&plan, init_plan);
        let inside: f64 = plan.subtree(sub_plan).map(|i| plan.own_ms(i).unwrap()).sum();
        let outside = plan.total_ms(0).unwrap() - plan.total_ms(sub_plan).unwrap();
        let all: f64 = (0..plan.nodes.len()).map(|i| plan.own_ms(i).unwrap()).sum();
        assert!((all - inside - outside).abs() < 0.01, "{name}");
    }
}

#[test]
fn a_cte_that_is_read_by_an_init_plan_of_its_own_scan() {
    let json = r#"{"Node Type": "CTE Scan", "CTE Name": "c", "Filter": "(x = (InitPlan 2).col1)",
        "Actual Startup Time": 0, "Actual Total Time": 145, "Actual Rows": 1, "Actual Loops": 1, "Plans": [
        {"Node Type": "Sort", "Parent Relationship": "InitPlan", "Subplan Name": "CTE c",
            "Actual Startup Time": 0, "Actual Total Time": 144, "Actual Rows": 9, "Actual Loops": 1},
        {"Node Type": "Aggregate", "Parent Relationship": "InitPlan", "Subplan Name": "InitPlan 2",
            "Actual Startup Time": 0, "Actual Total Time": 16, "Actual Rows": 1, "Actual Loops": 1, "Plans": [
            {"Node Type": "CTE Scan", "CTE Name": "c", "Parent Relationship": "Outer",
                "Actual Startup Time": 0, "Actual Total Time": 15.5, "Actual Rows": 9, "Actual Loops": 1}]}]}"#;
    let plan = read(json).unwrap().remove(0);
    let own: Vec<f64> = (0..4).map(|i| plan.own_ms(i).unwrap()).collect();
    assert_eq!(own, [0.0, 144.0, 0.5, 0.5]);
}

#[test]
fn a_data_modifying_cte_may_run_after_the_root() {
    let plan = plan("delete_in_cte");
    let delete = node(&plan, "CTE d: Delete on public.tree");
    assert!(plan.own_ms(delete).is_some_and(|ms| ms > 0.0));
}

#[test]
fn processes_of_a_parallel_plan_count_once() {
    let plan = plan("parallel_hash_join");
    for i in 0..plan.nodes.len() {
        assert!(plan.total_ms(i).unwrap() <= plan.total_ms(0).unwrap() + 0.01, "{}", plan.path(i));
        // Rows of all processes against what the planner expects of all.
        assert!(plan.estimate_error(i).unwrap() < 1.6, "{} {:?}", plan.path(i), plan.estimate_error(i));
    }
    let scan = node(&plan, "Parallel Seq Scan on public.orders o");
    assert_eq!(plan.executions(scan), Some(1.0));
    assert!((plan.total_rows(scan).unwrap() - 40_000.0).abs() < 3.0);
    assert!((plan.estimated_total_rows(scan) / 40_000.0 - 1.0).abs() < 0.01);
}

#[test]
fn estimates_are_judged_only_where_the_count_is_whole() {
    // By plan: the nodes that are off by 10 times or more.
    let off = |name: &str| -> Vec<String> {
        let plan = plan(name);
        let off = (0..plan.nodes.len()).filter(|&i| plan.estimate_error(i).is_some_and(|error| error >= 10.0));
        off.map(|i| plan.nodes[i].describe()).collect()
    };
    for name in [
        "union_all_limit",
        "limit_by_other_index",
        "lateral_limit",
        "min_max",
        "bitmap_or",
        "incremental_sort",
        "window_run_condition",
    ] {
        assert_eq!(off(name), [] as [&str; 0], "{name}");
    }
    assert_eq!(off("top_n"), ["Hash Join", "Seq Scan on public.orders o"]);
    assert_eq!(off("cte_of_cte"), [] as [&str; 0]);
    let plan = plan("never_executed");
    let never = (0..plan.nodes.len()).filter(|&i| plan.executions(i) == Some(0.0));
    assert!(never.map(|i| plan.estimate_error(i)).all(|error| error.is_none()));
}

#[test]
fn a_limit_that_was_not_reached_stopped_nobody() {
    let limited = |limit_rows: f64, rows: f64| {
        let json = format!(
            r#"{{"Node Type": "Limit", "Plan Rows": {limit_rows}, "Actual Rows": {rows}, "Actual Loops": 1, "Plans": [
                {{"Node Type": "Seq Scan", "Relation Name": "t", "Plan Rows": 5000, "Actual Rows": {rows}, "Actual Loops": 1}}]}}"#
        );
        let plan = read(&json).unwrap().remove(0);
        (plan.stopped_early(1), plan.estimate_error(1))
    };
    assert_eq!(limited(100.0, 100.0), (true, None));
    assert_eq!(limited(100.0, 5.0), (false, Some(1000.0)));
    // A limit that was a parameter: a tenth is assumed.
    assert_eq!(limited(500.0, 5.0), (true, None));
    // More rows than estimated are a fact, whoever stopped it.
    assert_eq!(limited(60_000.0, 60_000.0), (true, Some(12.0)));
}

#[test]
fn removed_rows_and_executions() {
    let plan = plan("sub_plan_per_row");
    let orders = node(&plan, "on public.orders o");
    assert_eq!(plan.executions(orders), Some(299.0));
    assert_eq!(plan.total_rows(orders), Some(299.0 * 20.0));
    let plan = super::super::corpus::plan("seq_scan");
    assert_eq!(plan.removed_rows(0) + plan.total_rows(0).unwrap(), 40_000.0);
}

#[test]
fn paths_are_unique_and_short() {
    for (name, plan) in plans() {
        let mut paths: Vec<&str> = (0..plan.nodes.len()).map(|i| plan.path(i)).collect();
        assert!(paths.iter().all(|path| path.len() < 300), "{name}");
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), plan.nodes.len(), "{name}");
    }
    let plan = plan("cte_read_twice");
    assert_eq!(plan.path(1), "Aggregate > CTE recent: Seq Scan on public.orders");
    let quoted = super::super::corpus::plan("quoted_names");
    assert!(quoted.path(0).ends_with("on public.\"Weird Table\" \"W t\""), "{}", quoted.path(0));
}

#[test]
fn a_plan_that_did_not_run_is_shared_out_by_cost() {
    let json = r#"{"Node Type": "Limit", "Total Cost": 10, "Plan Rows": 1, "Plans": [
        {"Node Type": "Nested Loop", "Total Cost": 1000, "Plan Rows": 100, "Plans": [
            {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Total Cost": 100, "Plan Rows": 100},
            {"Node Type": "Index Scan", "Parent Relationship": "Inner", "Total Cost": 8, "Plan Rows": 1}]}]}"#;
    let plan = read(json).unwrap().remove(0);
    assert!(!plan.is_analyzed() && plan.own_ms(0).is_none() && plan.execution_ms().is_none());
    let shares: Vec<f64> = (0..4).map(|i| (plan.share(i) * 100.0).round()).collect();
    assert_eq!(shares, [0.0, 10.0, 10.0, 80.0]);
}
