use crate::advice::plan_memory::{finding, fixed};
use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "memoize_evicts",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A Memoize node threw away at least min_evicted of the results that it had cached, and looked up at least min_lookups.",
    effect: "Results are looked up again that were known before.",
    workaround: "Give this query the work_mem that the cache needs (it may take hash_mem_multiplier times work_mem).",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM"],
    options: &[
        OptionSpec::number("min_evicted", (0.2, "of the results"), (0.0, 1.0), "Fewer are left alone."),
        OptionSpec::number("min_lookups", (1000.0, "lookups"), (1.0, 1e12), "Fewer are left alone."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "ten thousand keys, room for a few",
            setup: "create table p (id int primary key, v text); create table t (id int primary key, p int); insert into p select g, \
                    repeat(md5(g::text), 20) from generate_series(1, 20000) g; insert into t select g, 1 + g % 2000 from \
                    generate_series(1, 60000) g; vacuum analyze p; vacuum analyze t; alter database :\"DBNAME\" set enable_hashjoin = off; \
                    alter database :\"DBNAME\" set enable_mergejoin = off; alter database :\"DBNAME\" set max_parallel_workers_per_gather \
                    = 0; alter database :\"DBNAME\" set work_mem = '512kB'; create table example as select 'select count(p.v) from t join \
                    p on p.id = t.p' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "all fit",
            setup: "create table p (id int primary key, v text); create table t (id int primary key, p int); insert into p select g, \
                    md5(g::text) from generate_series(1, 20000) g; insert into t select g, 1 + g % 200 from generate_series(1, 60000) g; \
                    vacuum analyze p; vacuum analyze t; alter database :\"DBNAME\" set enable_hashjoin = off; alter database :\"DBNAME\" \
                    set enable_mergejoin = off; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table example \
                    as select 'select count(p.v) from t join p on p.id = t.p' as query, true as analyze",
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
    let cache = here.memoize.as_ref()?;
    let lost = cache.evictions + cache.overflows;
    if cache.hits + cache.misses < options.number("min_lookups") || lost < options.number("min_evicted") * cache.misses
    {
        return None;
    }
    let key = here.cache_key.as_deref().unwrap_or("its key");
    let what = format!(
        "Cache of results by {key} evicted {} of {} for want of memory, and was hit {} times",
        shown(lost),
        shown(cache.misses),
        shown(cache.hits)
    );
    let mut finding = finding(facts, node, Explains::by_branch(explained, node), what)?;
    finding.cause = format!(
        "The cache reached its limit of {} (work_mem times hash_mem_multiplier) before it had all keys.",
        Bytes((cache.peak_kilobytes * 1024.0) as u64)
    );
    finding.evidence.extend(object! {
        "cache_key": key,
        "hits": cache.hits,
        "misses": cache.misses,
        "evictions": cache.evictions,
        "overflows": cache.overflows,
        "peak_bytes": cache.peak_kilobytes * 1024.0,
    });
    Some(fixed(facts, node, finding))
}
