use super::super::corpus::{self, plans};
use super::*;

/// Without what differs from run to run, and what text tells only where it is not zero.
fn comparable(node: &Node) -> Node {
    let actual = node.actual.map(|actual| Actual { startup_ms: None, total_ms: None, ..actual });
    let blocks = node.blocks.filter(|blocks| *blocks != Blocks::default()).map(|blocks| Blocks {
        shared_hit: blocks.shared_hit + blocks.shared_read,
        shared_read: 0.0,
        shared_dirtied: 0.0,
        shared_written: 0.0,
        ..blocks
    });
    let wal = node.wal.filter(|wal| *wal != Wal::default()).map(|wal| Wal { full_page_images: 0.0, bytes: 0.0, ..wal });
    Node { actual, blocks, wal, ..node.clone() }
}

#[test]
fn both_formats_tell_the_same() {
    let mut compared = 0;
    for (name, json) in plans() {
        let Some(text) = corpus::text(&name, "text") else { continue };
        let text = read(&text).unwrap_or_else(|error| panic!("{name}: {error}")).remove(0);
        assert_eq!(text.nodes.len(), json.nodes.len(), "{name}");
        // Writing statements meet other pages in each run.
        let writes = json.nodes.iter().any(|node| node.kind == "ModifyTable");
        for (i, (text, json)) in text.nodes.iter().zip(&json.nodes).enumerate() {
            let (mut text, mut json) = (comparable(text), comparable(json));
            for node in [&mut text, &mut json] {
                if writes {
                    *node = Node {
                        blocks: None,
                        wal: None,
                        exact_heap_blocks: None,
                        startup_cost: 0.0,
                        total_cost: 0.0,
                        ..node.clone()
                    };
                }
            }
            let (text, json) = (format!("{text:#?}"), format!("{json:#?}"));
            let different = text.lines().zip(json.lines()).find(|(text, json)| text != json);
            assert_eq!(different, None, "{name}, node {i}");
        }
        let timed = |plan: &Plan| {
            plan.nodes.iter().filter(|node| node.actual.is_some_and(|actual| actual.total_ms.is_some())).count()
        };
        assert_eq!(timed(&text), timed(&json), "{name}");
        assert!(text.planning_ms.is_some() && text.execution_ms.is_some(), "{name}");
        assert_eq!(text.settings, json.settings, "{name}");
        let jit = |plan: &Plan| plan.jit.map(|jit| (jit.functions, jit.inlined, jit.optimized, jit.total_ms > 0.0));
        assert_eq!(jit(&text), jit(&json), "{name}");
        let triggers = |plan: &Plan| -> Vec<_> {
            let of = |trigger: &super::super::Trigger| {
                (trigger.name.clone(), trigger.constraint.clone(), trigger.relation.clone(), trigger.calls)
            };
            plan.triggers.iter().map(of).collect()
        };
        assert_eq!(triggers(&text), triggers(&json), "{name}");
        compared += 1;
    }
    assert!(compared >= 35, "{compared}");
}

/// The same plan, however it comes.
#[test]
fn frames() {
    let plain = "Limit  (cost=0.00..1.00 rows=1 width=4)\n  ->  Seq Scan on t a  (cost=0.00..9.00 rows=9 width=4)\n        Filter: (x = 1)";
    let psql = plain.lines().map(|line| format!(" {line}\n")).collect::<String>();
    let bordered = plain.lines().map(|line| format!("| {line:<60} |\n")).collect::<String>();
    let marked = plain.lines().map(|line| format!(" {line:<60}+\n")).collect::<String>();
    let unicode = plain.lines().map(|line| format!("│ {line:<60} │\n")).collect::<String>();
    let logged = plain.lines().map(|line| format!("\t{line}\n")).collect::<String>();
    for text in [
        plain.to_string(),
        plain.replace('\n', "\r\n"),
        format!("                QUERY PLAN\n--------------------------\n{psql}(3 rows)\n\nTime: 1.234 ms\n"),
        format!("+------+\n|                QUERY PLAN     |\n+------+\n{bordered}+------+\n(3 rows)\n"),
        format!("┌──────┐\n│                QUERY PLAN     │\n├──────┤\n{unicode}└──────┘\n(3 rows)\n"),
        format!("  QUERY PLAN\n-------\n{marked}(1 row)\n"),
        format!("2026-01-01 10:00:00 UTC [1] LOG:  duration: 12.345 ms  plan:\n\tQuery Text: select\n\t  1\n{logged}"),
    ] {
        let plan = read(&text).unwrap_or_else(|error| panic!("{error}: {text}")).remove(0);
        assert_eq!(plan.nodes.len(), 2, "{text}");
        assert_eq!(plan.path(1), "Limit > Seq Scan on t a", "{text}");
        assert_eq!(plan.nodes[1].filter.as_deref(), Some("(x = 1)"), "{text}");
        assert_eq!(plan.query.as_deref(), text.contains("Query Text").then_some("select\n1"));
    }
    let json =
        " QUERY PLAN\n------\n [     +\n   {     +\n \"Plan\": {\"Node Type\": \"Result\"}+\n }     +\n ]\n(1 row)\n";
    assert_eq!(read(json).unwrap()[0].nodes[0].kind, "Result");
    let logged =
        "LOG:  duration: 0.1 ms  plan:\n\t{\n\t\"Query Text\": \"select 1\",\n\t\"Plan\": {\"Node Type\": \"Result\"}}";
    assert_eq!(read(logged).unwrap()[0].query.as_deref(), Some("select 1"));
}

#[test]
fn several_statements() {
    let one = corpus::text("cte_of_cte", "text").unwrap();
    let other = corpus::text("seq_scan", "text").unwrap();
    let plans = read(&format!("{one}\n{other}{one}")).unwrap();
    let nodes: Vec<usize> = plans.iter().map(|plan| plan.nodes.len()).collect();
    assert_eq!(nodes, [8, 1, 8]);
    assert!(plans.iter().all(|plan| plan.execution_ms.is_some()));
}

#[test]
fn without_costs_and_times() {
    let plan = read(
        "Hash Left Join\n  Hash Cond: (a.id = b.id)\n  ->  Seq Scan on a\n  ->  Hash\n        ->  Seq Scan on s.b c",
    )
    .unwrap()
    .remove(0);
    let kinds: Vec<String> = plan.nodes.iter().map(Node::describe).collect();
    assert_eq!(kinds, ["Hash Left Join", "Seq Scan on a", "Hash", "Seq Scan on s.b c"]);
    assert!(!plan.is_analyzed());
    let plan = read("Seq Scan on t (actual rows=3 loops=1)").unwrap().remove(0);
    assert_eq!(plan.total_rows(0), Some(3.0));
    assert_eq!(plan.total_ms(0), None);
}

#[test]
fn other_versions() {
    let text = "Gather  (cost=0.00..1.00 rows=1 width=4) (actual time=1.000..2.000 rows=0.50 loops=2)
  Workers Planned: 2
  Params Evaluated: $0
  Workers Launched: 2
  I/O Timings: shared/local read=1.500 write=0.250, temp read=1.000
  InitPlan 1 (returns $0)
    ->  Result  (cost=0.00..0.01 rows=1 width=4) (never executed)
  ->  Parallel Index Only Scan Backward using \"I 1\" on t  (cost=0.00..1.00 rows=1 width=4) (actual time=1.000..2.000 rows=1.00 loops=6)
        Index Cond: (x = $0)
        Index Searches: 6
        Disabled: true
JIT:
  Functions: 4
  Options: Inlining true, Optimization true, Expressions true, Deforming true
  Timing: Generation 0.500 ms (Deform 0.100 ms), Inlining 1.000 ms, Optimization 2.000 ms, Emission 3.000 ms, Total 6.500 ms
Trigger for constraint a_b_fkey on b: time=3.250 calls=7
Trigger after_insert: calls=2
Execution Time: 2.500 ms";
    let plan = read(text).unwrap().remove(0);
    assert_eq!(plan.nodes[0].io_ms, Some(2.75));
    assert_eq!(plan.total_rows(0), Some(1.0));
    assert_eq!(plan.nodes[1].relationship.name(), Some("InitPlan 1"));
    assert_eq!(
        plan.nodes[1].actual,
        Some(Actual { startup_ms: Some(0.0), total_ms: Some(0.0), rows: 0.0, loops: 0.0 })
    );
    assert_eq!(plan.nodes[2].describe(), "Parallel Index Only Scan Backward using \"I 1\" on t");
    assert_eq!(plan.nodes[2].relationship, Relationship::Outer);
    assert_eq!(plan.jit.map(|jit| (jit.total_ms, jit.inlined)), Some((6.5, true)));
    let triggers: Vec<_> =
        plan.triggers.iter().map(|t| (t.constraint.as_deref(), t.relation.as_str(), t.ms, t.calls)).collect();
    assert_eq!(triggers, [(Some("a_b_fkey"), "b", Some(3.25), 7.0), (None, "", None, 2.0)]);
    assert_eq!(plan.execution_ms, Some(2.5));
}

#[test]
fn what_is_no_plan_is_told() {
    let told = |text: &str| read(text).unwrap_err().to_string();
    for text in ["", "\n \n", "hello world", "select 1;\nfrom (cost", "Filter: (a = 1)"] {
        assert_eq!(told(text), "there is no plan in this text (at line 1)", "{text}");
    }
    assert_eq!(told("<explain xmlns=\"x\">"), "this is EXPLAIN's XML format, which is not read (at line 1)");
    assert_eq!(
        told("- Plan: \n    Node Type: \"Result\""),
        "this is EXPLAIN's YAML format, which is not read (at line 1)"
    );
    assert_eq!(
        told(" QUERY PLAN\n------\n - Plan:     +\n"),
        "this is EXPLAIN's YAML format, which is not read (at line 1)"
    );
    assert_eq!(
        told("Limit  (cost=0.00..1.00 rows=1 width=4)\n  ->  Result  (cost=zero rows=1 width=4)"),
        "\"(cost=zero rows=1 width=4)\" is not what EXPLAIN prints (at line 2)"
    );
    assert_eq!(
        told("Result  (cost=0.00..1.00 rows=1 width=4)\n  Filter: (a = 'open\n  Rows Removed by Filter: 2"),
        "a string in a condition is not closed (at line 3)"
    );
    assert_eq!(
        told("Result  (cost=0.00..1.00 rows=1 width=4) (actual rows=-1 loops=1)"),
        "\"(actual rows=-1 loops=1)\" is not what EXPLAIN prints (at line 1)"
    );
}

/// Cut anywhere, with lines and characters gone: an answer or an error, never a panic.
#[test]
fn damaged_text() {
    for (name, _) in plans() {
        let Some(text) = corpus::text(&name, "text") else { continue };
        let lines: Vec<&str> = text.lines().collect();
        for cut in 0..lines.len() {
            let without: Vec<&str> = lines[..cut].iter().chain(&lines[(cut + 1).min(lines.len())..]).copied().collect();
            for damaged in
                [lines[..cut].join("\n"), without.join("\n"), text.replace(&lines[cut][..lines[cut].len() / 2], "")]
            {
                if let Ok(plans) = read(&damaged) {
                    let plan = &plans[0];
                    assert!((0..plan.nodes.len()).all(|i| plan.share(i) >= 0.0), "{name} {cut}");
                }
            }
        }
    }
}
