use crate::advice::plan_memory::{finding, fixed};
use crate::advice::plan_weight::{Explains, relation, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "bitmap_heap_scan_lossy",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_lossy of the blocks of a bitmap scan were kept in its bitmap without their rows, as work_mem was too \
                 small.",
    effect: "All rows of such a block are read and compared again.",
    workaround: "Give this query the work_mem that it needs, or find fewer rows: an index on more of the condition.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM"],
    options: &[
        OptionSpec::number("min_lossy", (0.1, "of the blocks"), (0.0, 1.0), "Fewer are left alone."),
        OptionSpec::number(
            "min_rows",
            (1000.0, "rows"),
            (0.0, 1e12),
            "Scans that threw away fewer in the recheck are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a bitmap of twenty thousand blocks in 64 kB",
            setup: "create table t (id int, a int, v text); insert into t select g, (g % 1000) * 7919 % 1000, repeat('x', 300) from \
                    generate_series(1, 300000) g; create index on t (a); vacuum analyze t; alter database :\"DBNAME\" set work_mem = \
                    '64kB'; alter database :\"DBNAME\" set enable_seqscan = off; alter database :\"DBNAME\" set enable_indexscan = off; \
                    alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example as select 'select count(v) \
                    from t where a between 10 and 60' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "it fits",
            setup: "create table t (id int, a int, v text); insert into t select g, (g % 1000) * 7919 % 1000, repeat('x', 300) from \
                    generate_series(1, 100000) g; create index on t (a); vacuum analyze t; alter database :\"DBNAME\" set enable_seqscan = \
                    off; alter database :\"DBNAME\" set enable_indexscan = off; create table example as select 'select count(v) from t \
                    where a between 10 and 60' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let nodes = 0..facts.explained().plan.nodes.len();
    Ok(nodes.filter_map(|node| judge(facts, options, node)).collect())
}

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let here = explained.node(node);
    let lossy = here.lossy_heap_blocks.filter(|blocks| *blocks > 0.0)?;
    let blocks = lossy + here.exact_heap_blocks.unwrap_or_default();
    let removed = here.rows_removed_by_recheck.unwrap_or_default() * here.actual.map_or(1.0, |actual| actual.loops);
    if lossy < options.number("min_lossy") * blocks || removed < options.number("min_rows") {
        return None;
    }
    let name = relation(facts, node)?;
    let what = format!(
        "Bitmap scan of {name} knew only the block for {} of {} blocks, and compared {} rows in vain",
        shown(lossy),
        shown(blocks),
        shown(removed)
    );
    let mut finding = finding(facts, node, Explains::by_node(explained, node), what)?;
    finding.cause = "A bitmap that outgrows work_mem forgets which rows of a block it has found: all of the block are compared again."
        .to_string();
    finding
        .evidence
        .extend(object! { "lossy_blocks": lossy, "exact_blocks": blocks - lossy, "rows_removed_by_recheck": removed });
    Some(fixed(facts, node, finding))
}
