use crate::advice::plan_memory::{finding, fixed};
use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes};

pub static RULE: Rule = Rule {
    id: "hash_spilled",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The hash table of a join did not fit into memory and was made in batches, of which all but the first are written to \
                 disk with the rows of the other side that belong to them.",
    effect: "Both inputs of the join are written and read again.",
    workaround: "Give this query the work_mem that it needs (a hash table may take hash_mem_multiplier times work_mem), or join fewer \
                 and narrower rows. Where more batches were made than planned, mend the estimate.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM",
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-HASH-MEM-MULTIPLIER",
    ],
    options: &[OptionSpec::number("min_batches", (2.0, "batches"), (2.0, 1e9), "Fewer are left alone.")],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "sixteen batches",
            setup: "create table a (id int primary key, v text); create table b (id int primary key, v text); insert into a select g, \
                    md5(g::text) from generate_series(1, 300000) g; insert into b select g, md5(g::text) from generate_series(1, 300000) \
                    g; vacuum analyze a; vacuum analyze b; alter database :\"DBNAME\" set enable_mergejoin = off; alter database \
                    :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example as select 'select count(*) from a join b \
                    using (id) where a.v <> b.v || ''x''' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "it fits",
            setup: "create table a (id int primary key, v text); create table b (id int primary key, v text); insert into a select g, \
                    md5(g::text) from generate_series(1, 50000) g; insert into b select g, md5(g::text) from generate_series(1, 50000) g; \
                    vacuum analyze a; vacuum analyze b; create table example as select 'select count(*) from a join b using (id) where a.v \
                    <> b.v || ''x''' as query, true as analyze",
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
    let hash = plan.nodes[node].hash.as_ref().filter(|hash| hash.batches >= options.number("min_batches"))?;
    let join = plan.nodes[node].parent?;
    let blocks = |node: usize| plan.own_blocks(node).map_or(0.0, |blocks| blocks.temp_written);
    let bytes = (blocks(node) + blocks(join)) * BLOCK;
    let rows = plan.total_rows(node)?;
    let what = format!(
        "Hash join of {} rows in {} batches wrote {} to disk",
        shown(rows),
        shown(hash.batches),
        Bytes(bytes as u64)
    );
    let mut finding = finding(facts, node, Explains::by_nodes(explained, &[node, join]), what)?;
    finding.cause = format!(
        "The hash table of {} rows did not fit into work_mem times hash_mem_multiplier{}.",
        shown(rows),
        match hash.batches > hash.original_batches {
            true =>
                format!(": {} batches were planned, {} were needed", shown(hash.original_batches), shown(hash.batches)),
            false => ", as was planned".to_string(),
        }
    );
    finding.evidence.extend(object! {
        "batches": hash.batches,
        "planned_batches": hash.original_batches,
        "peak_bytes": hash.peak_kilobytes * 1024.0,
        "disk_bytes": bytes,
        "row_bytes": plan.nodes[node].width,
        "hash_mem_multiplier": explained.setting("hash_mem_multiplier"),
    });
    Some(fixed(facts, node, finding))
}
