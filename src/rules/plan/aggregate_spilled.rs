use crate::advice::plan_memory::{finding, fixed};
use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "aggregate_spilled",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A hashed aggregate did not fit into memory and wrote at least min_bytes to disk.",
    effect: "Rows of groups that found no room are written to temporary files and read again, perhaps more than once.",
    workaround: "Give this query the work_mem that it needs (a hash table may take hash_mem_multiplier times work_mem), or group fewer \
                 rows.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM"],
    options: &[OptionSpec::number("min_bytes", (1048576.0, "bytes"), (0.0, 1e15), "Less is left alone.")],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a hundred and fifty thousand groups",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g % 150000, md5(g::text) from \
                    generate_series(1, 300000) g; vacuum analyze t; alter database :\"DBNAME\" set enable_sort = off; alter database \
                    :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example as select 'select max(n) from (select a, \
                    count(*) as n from t group by a) x' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "few groups",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g % 1500, md5(g::text) from \
                    generate_series(1, 300000) g; vacuum analyze t; create table example as select 'select max(n) from (select a, count(*) \
                    as n from t group by a) x' as query, true as analyze",
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
    let plan = &explained.plan;
    let here = explained.node(node);
    let spilled = here.aggregate.as_ref()?;
    let bytes = spilled.disk_kilobytes * 1024.0;
    if bytes < options.number("min_bytes").max(1.0) {
        return None;
    }
    let groups = plan.total_rows(node)?;
    let keys = here.group_key.join(", ");
    let what = format!("Hashed aggregate of {} groups by {keys} wrote {} to disk", shown(groups), Bytes(bytes as u64));
    let mut finding = finding(facts, node, Explains::by_node(explained, node), what)?;
    finding.cause = format!(
        "The groups did not fit into work_mem times hash_mem_multiplier: {} groups were expected, {} came.",
        shown(plan.estimated_total_rows(node)),
        shown(groups)
    );
    finding.evidence.extend(object! {
        "group_key": here.group_key,
        "batches": spilled.batches,
        "peak_bytes": spilled.peak_kilobytes * 1024.0,
        "disk_bytes": bytes,
        "hash_mem_multiplier": explained.setting("hash_mem_multiplier"),
    });
    Some(fixed(facts, node, finding))
}
