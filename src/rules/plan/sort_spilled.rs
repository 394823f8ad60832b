use crate::advice::plan_memory::{finding, fixed};
use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::sort_that_an_index_could_give;
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "sort_spilled",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A sort wrote at least min_bytes to disk, as work_mem was too small for it; unless an index is proved to spare the \
                 sort. Not run: never told.",
    effect: "Runs are written to temporary files and merged from there: slower than memory, and the disk is everybody's.",
    workaround: "Give this query the work_mem that it needs, or sort fewer and narrower rows: LIMIT, fewer columns, an index with the \
                 order.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM"],
    options: &[OptionSpec::number("min_bytes", (1048576.0, "bytes"), (0.0, 1e15), "Less is left alone.")],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "two hundred thousand rows",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 200000) g; \
                    vacuum analyze t; create table example as select 'select id from (select id, v, row_number() over (order by md5(v || \
                    random()::text)) as n from t) x where n % 1000 = 0' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "it fits",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 20000) g; \
                    vacuum analyze t; create table example as select 'select id, v from t order by v' as query, true as analyze",
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
    let sort = here.sort.as_ref().filter(|sort| sort.on_disk)?;
    let bytes = sort.kilobytes * 1024.0;
    if bytes < options.number("min_bytes") || is_spared(facts, node) {
        return None;
    }
    let rows = here.children.first().and_then(|child| explained.plan.total_rows(*child))?;
    let keys = here.sort_key.join(", ");
    let what = format!("Sort of {} rows by {keys} wrote {} to disk", shown(rows), Bytes(bytes as u64));
    let mut finding = finding(facts, node, Explains::by_node(explained, node), what)?;
    finding.cause = format!("The rows did not fit into work_mem ({}).", sort.method);
    finding.evidence.extend(object! {
        "sort_key": here.sort_key,
        "sort_method": sort.method,
        "disk_bytes": bytes,
        "rows_sorted": rows.round(),
        "row_bytes": here.width,
    });
    Some(fixed(facts, node, finding))
}

/// It sorts all for the sake of a few, and an index is proved to have the order: there is nothing to keep in memory.
fn is_spared(facts: &Facts, sort: usize) -> bool {
    let plan = &facts.explained().plan;
    let limited = plan.ancestors(sort).any(|above| plan.nodes[above].kind == "Limit");
    limited && sort_that_an_index_could_give::tells_of(facts, sort)
}
