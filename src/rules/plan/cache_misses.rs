use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes, listing, rounded};

pub static RULE: Rule = Rule {
    id: "cache_misses",
    category: "plan",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The query read at least min_read_bytes from outside of shared_buffers, and found less than min_hit_ratio of its blocks \
                 there. Medium where waiting for the reads (track_io_timing) took at least a tenth of its time.",
    effect: "Reads from the system's cache cost a copy, those from disk milliseconds.",
    workaround: "Run it again: a second run that still reads wants fewer blocks (an index, a narrower table) or a larger \
                 shared_buffers.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-SHARED-BUFFERS",
        "https://www.postgresql.org/docs/17/using-explain.html",
    ],
    options: &[
        OptionSpec::number("min_hit_ratio", (0.95, "of the blocks"), (0.0, 1.0), "From here on the cache is warm."),
        OptionSpec::number("min_read_bytes", (16777216.0, "bytes"), (0.0, 1e15), "Fewer are left alone."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a table larger than what a scan may keep",
            setup: "create table t (id int primary key, v text); insert into t select g, repeat(md5(g::text), 30) from generate_series(1, \
                    60000) g; vacuum analyze t; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example \
                    (plan jsonb); do $$ declare p jsonb; begin execute 'explain (analyze, buffers, format json) select sum(length(v)) from \
                    t' into p; p := jsonb_set(p, '{0,Plan,Shared Read Blocks}', '7500'); p := jsonb_set(p, '{0,Plan,Shared Hit Blocks}', \
                    '20'); p := jsonb_set(p, '{0,Plan,Plans,0,Shared Read Blocks}', '7500'); p := jsonb_set(p, '{0,Plan,Plans,0,Shared Hit \
                    Blocks}', '20'); insert into example values (p); end $$",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all in shared_buffers",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) g; \
                    vacuum analyze t; create table example as select 'select sum(length(v)) from t' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judge(facts, options).into_iter().collect())
}

fn judge(facts: &Facts, options: &Options) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let all = plan.nodes.first()?.blocks?;
    plan.nodes[0].actual?;
    let (hit, read) = (all.shared_hit + all.local_hit, all.shared_read + all.local_read);
    let ratio = hit / (hit + read).max(1.0);
    if read * BLOCK < options.number("min_read_bytes") || ratio >= options.number("min_hit_ratio") {
        return None;
    }
    let own_read = |node: usize| plan.own_blocks(node).map_or(0.0, |blocks| blocks.shared_read + blocks.local_read);
    let mut nodes: Vec<usize> = (0..plan.nodes.len()).filter(|node| own_read(*node) >= 0.05 * read).collect();
    nodes.sort_by(|a, b| own_read(*b).total_cmp(&own_read(*a)).then(a.cmp(b)));
    let largest = *nodes.first()?;
    let io_ms = plan.nodes[0].io_ms.map(|_| (0..plan.nodes.len()).filter_map(|node| plan.own_io_ms(node)).sum::<f64>());
    let explains = match io_ms {
        Some(ms) => Explains::by_ms(explained, ms),
        None => Explains::by_node(explained, largest),
    };
    let mut finding = finding(facts, largest, explains)?;
    finding.severity = match io_ms {
        Some(_) => finding.severity.max(Severity::medium),
        None => Severity::low,
    };
    finding.summary = format!(
        "{} were read from outside of shared_buffers, {:.0}% of the blocks were found there",
        Bytes((read * BLOCK) as u64),
        100.0 * ratio
    );
    let shown_nodes: Vec<String> = nodes
        .iter()
        .take(3)
        .map(|node| format!("{} by {}", Bytes((own_read(*node) * BLOCK) as u64), plan.path(*node)))
        .collect();
    finding.cause = format!(
        "Read were {}. {} A first run after a start, or after others have used the cache, is always like that.",
        listing(&shown_nodes),
        match io_ms {
            Some(ms) => format!("Waiting for it took {} ms, {:.0}% of the time.", shown(ms), 100.0 * explains.share),
            None => "How long that took is not measured: track_io_timing is off.".to_string(),
        }
    );
    finding.evidence.extend(object! {
        "hit_ratio": rounded(ratio),
        "hit_blocks": hit,
        "read_blocks": read,
        "read_bytes": read * BLOCK,
        "io_ms": io_ms.map(rounded),
        "shared_buffers": explained.settings.get("shared_buffers"),
    });
    Some(finding)
}
