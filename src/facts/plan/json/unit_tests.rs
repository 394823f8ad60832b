use super::super::{Relationship, read};
use super::*;
use serde_json::json;

fn wrong(value: Value) -> String {
    let error = parse(&value).unwrap_err();
    assert!(!error.hint.is_empty());
    error.to_string()
}

#[test]
fn what_is_no_plan_is_told() {
    assert_eq!(wrong(json!(1)), "a number is not a plan (at $)");
    assert_eq!(wrong(json!(null)), "null is not a plan (at $)");
    assert_eq!(wrong(json!([])), "there is no plan in this JSON array (at $)");
    assert_eq!(wrong(json!(["Utility Statement"])), "there is no plan in this JSON array (at $)");
    assert_eq!(wrong(json!({"a": 1})), "a JSON object without \"Plan\" or \"Node Type\" is not a plan (at $)");
    assert_eq!(wrong(json!([{"Plan": []}])), "an array is not a plan (at $[0].Plan)");
    let plan = |child: Value| json!([{"Plan": {"Node Type": "Append", "Plans": [{"Node Type": "Result"}, child]}}]);
    assert_eq!(wrong(plan(json!({"Plan": 1}))), "\"Node Type\" is missing in a plan node (at $[0].Plan.Plans[1])");
    assert_eq!(
        wrong(plan(json!({"Node Type": "Result", "Total Cost": "x"}))),
        "\"Total Cost\" is a string, not a number (at $[0].Plan.Plans[1])"
    );
    assert_eq!(
        wrong(plan(json!({"Node Type": "Result", "Actual Loops": 1, "Actual Rows": -1}))),
        "\"Actual Rows\" is negative: -1 (at $[0].Plan.Plans[1])"
    );
    assert_eq!(wrong(plan(json!(3))), "\"Plans\" is not an array of plan nodes (at $[0].Plan)");
    assert_eq!(wrong(json!({"Plan": {"Node Type": 7}})), "\"Node Type\" is a number, not a string (at $.Plan)");
}

#[test]
fn every_form_it_comes_in() {
    let node = json!({"Node Type": "Result"});
    for value in [
        node.clone(),
        json!({"Plan": node}),
        json!([{"Plan": node}]),
        json!({"QUERY PLAN": [{"Plan": node}]}),
        json!([{"QUERY PLAN": [{"Plan": node}]}]),
    ] {
        assert_eq!(parse(&value).unwrap()[0].nodes[0].kind, "Result", "{value}");
    }
    assert_eq!(parse(&json!([{"Plan": node}, "Utility Statement", {"Plan": node}])).unwrap().len(), 2);
    let logged = json!({"Query Text": "select 1", "Plan": node});
    assert_eq!(parse(&logged).unwrap()[0].query.as_deref(), Some("select 1"));
}

#[test]
fn other_versions() {
    let old = json!([{"Plan": {"Node Type": "Sort", "I/O Read Time": 2.5, "I/O Write Time": 0.5, "Plans": [
            {"Node Type": "Aggregate", "Parent Relationship": "InitPlan", "Subplan Name": "InitPlan 1 (returns $0)"}]},
        "JIT": {"Functions": 3, "Options": {"Inlining": true, "Optimization": false},
            "Timing": {"Generation": 1.5, "Total": 9.5}}}]);
    let plan = parse(&old).unwrap().remove(0);
    assert_eq!(plan.nodes[0].io_ms, Some(3.0));
    assert_eq!(plan.nodes[1].relationship.name(), Some("InitPlan 1"));
    let jit = plan.jit.unwrap();
    assert_eq!((jit.functions, jit.total_ms, jit.inlined, jit.optimized), (3.0, 9.5, true, false));
    let new = json!({"Node Type": "Index Scan", "Disabled": false, "Actual Rows": 0.25, "Actual Loops": 8, "Index Searches": 8,
        "Shared I/O Read Time": 1.0, "Temp I/O Write Time": 0.25});
    let node = parse(&new).unwrap().remove(0).nodes.remove(0);
    assert_eq!((node.actual.unwrap().rows, node.io_ms), (0.25, Some(1.25)));
}

#[test]
fn the_largest_of_the_workers_counts() {
    let sort = json!({"Node Type": "Sort", "Sort Method": "quicksort", "Sort Space Used": 900, "Sort Space Type": "Memory",
        "Workers": [{"Sort Method": "external merge", "Sort Space Used": 500, "Sort Space Type": "Disk"},
            {"Sort Method": "external merge", "Sort Space Used": 700, "Sort Space Type": "Disk"}]});
    let sort = parse(&sort).unwrap().remove(0).nodes.remove(0).sort.unwrap();
    assert_eq!((sort.method.as_str(), sort.kilobytes, sort.on_disk), ("external merge", 700.0, true));
    let memoize = json!({"Node Type": "Memoize", "Cache Hits": 5, "Cache Misses": 1, "Peak Memory Usage": 3,
        "Workers": [{"Cache Hits": 7, "Cache Misses": 2, "Peak Memory Usage": 9}]});
    let memoize = parse(&memoize).unwrap().remove(0).nodes.remove(0).memoize.unwrap();
    assert_eq!((memoize.hits, memoize.misses, memoize.peak_kilobytes), (12.0, 3.0, 9.0));
    let incremental = json!({"Node Type": "Incremental Sort",
        "Full-sort Groups": {"Group Count": 4, "Sort Methods Used": ["quicksort"],
            "Sort Space Memory": {"Average Sort Space Used": 26, "Peak Sort Space Used": 28}},
        "Pre-sorted Groups": {"Group Count": 2, "Sort Methods Used": ["external merge"],
            "Sort Space Disk": {"Average Sort Space Used": 50, "Peak Sort Space Used": 60}}});
    let sort = parse(&incremental).unwrap().remove(0).nodes.remove(0).sort.unwrap();
    assert_eq!(
        (sort.method.as_str(), sort.kilobytes, sort.on_disk, sort.groups),
        ("external merge", 60.0, true, Some(6.0))
    );
}

#[test]
fn any_depth() {
    let mut value = json!({"Node Type": "Result"});
    for _ in 0..200_000 {
        let mut outer = json!({"Node Type": "Append"});
        outer["Plans"] = Value::Array(vec![value]);
        value = outer;
    }
    let error = parse(&value).unwrap_err();
    // Dropping it would overflow the stack: that is why `read` looks at the depth first.
    std::mem::forget(value);
    assert_eq!(error.message, "the plan has more than 100000 nodes");
    let text = |depth: usize| {
        let (open, close) = ("{\"Node Type\": \"Append\", \"Plans\": [".repeat(depth), "]}".repeat(depth));
        format!("{open}{{\"Node Type\": \"Result\", \"Total Cost\": -1}}{close}")
    };
    assert_eq!(read(&text(500_000)).unwrap_err().message, "the JSON is nested deeper than 1000 levels");
    let error = read(&text(400)).unwrap_err();
    assert!(error.at.ends_with("(401 levels deep)") && error.at.len() < 300, "{}", error.at);
    let plan = read(&text(400).replace("-1", "1")).unwrap().remove(0);
    assert_eq!((plan.nodes.len(), &plan.nodes[400].relationship), (401, &Relationship::Outer));
    assert!(plan.path(400).len() < 100);
}

#[test]
fn broken_json() {
    for text in
        ["[{\"Plan\": {", "{\"Node Type\": \"Result\"} x", "[1,", "{\"Node Type\": \"Result\", \"Total Cost\": 1e999}"]
    {
        assert!(read(text).unwrap_err().message.starts_with("this is no valid JSON"), "{text}");
    }
}
