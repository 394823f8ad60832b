use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes};

pub static RULE: Rule = Rule {
    id: "temp_io",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A node other than a sort, a hash or an aggregate (a CTE, a materialization, a window, the rows of a function) kept its \
                 rows in temporary files of at least min_bytes.",
    effect: "Rows that are kept to be read again were more than work_mem holds: they are written to disk, and read once for each \
                 time they are wanted.",
    workaround: "Keep fewer rows or narrower ones: filter inside the CTE, or let it be inlined (NOT MATERIALIZED); or give the query \
                 more work_mem.",
    sources: &[
        "https://www.postgresql.org/docs/17/queries-with.html",
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM",
    ],
    options: &[OptionSpec::number("min_bytes", (1048576.0, "bytes"), (0.0, 1e15), "Less is left alone.")],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a CTE that is read twice",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 200000) g; \
                    vacuum analyze t; create table example as select 'with c as materialized (select * from t) select (select count(*) \
                    from c) + (select count(*) from c where id > 5)' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it fits",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 10000) g; \
                    vacuum analyze t; create table example as select 'with c as materialized (select * from t) select (select count(*) \
                    from c) + (select count(*) from c where id > 5)' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let nodes = facts.explained().plan.nodes.iter().enumerate();
    let others = nodes.filter(|(_, node)| !SPILLS_ELSEWHERE.contains(&node.kind.as_str()));
    let mut findings: Vec<Finding> = others.filter_map(|(node, _)| judge(facts, options, node)).collect();
    // Of a CTE that is scanned more than once, where it costs most.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    let mut told: Vec<serde_json::Value> = Vec::new();
    findings.retain(|finding| {
        let cte = finding.evidence.get("cte").cloned().unwrap_or_default();
        let again = !cte.is_null() && told.contains(&cte);
        told.push(cte);
        !again
    });
    Ok(findings)
}

/// Other rules tell of what these write.
const SPILLS_ELSEWHERE: [&str; 5] = ["Sort", "Incremental Sort", "Hash", "Hash Join", "Aggregate"];

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let (plan, here) = (&explained.plan, explained.node(node));
    let blocks = plan.own_blocks(node)?;
    let (written, read) = (blocks.temp_written * BLOCK, blocks.temp_read * BLOCK);
    if written.max(read) < options.number("min_bytes") {
        return None;
    }
    let explains = Explains::by_node(explained, node);
    let mut finding = finding(facts, node, explains)?;
    // The time is that of the function, which keeps its rows in any case.
    if here.kind == "Function Scan" {
        finding.severity = Severity::low;
    }
    let rows = plan.total_rows(node)?;
    finding.summary = format!(
        "{} keeps rows in temporary files: {} written, {} read; {}",
        here.describe(),
        Bytes(written as u64),
        Bytes(read as u64),
        explains.told()
    );
    finding.cause = format!(
        "{} rows were returned from what it keeps to read again, and that is more than work_mem ({}).",
        shown(rows),
        explained.settings.get("work_mem").map_or("as it was set", String::as_str)
    );
    finding.evidence.extend(object! {
        "temp_written_bytes": written,
        "temp_read_bytes": read,
        "row_bytes": here.width,
        "cte": here.cte,
    });
    Some(finding)
}
