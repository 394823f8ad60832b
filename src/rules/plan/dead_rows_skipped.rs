use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::db::quote_literal;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::index_only_scan_fetches_heap::VACUUM_RISK;
use crate::units::{Days, rounded};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "dead_rows_skipped",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A scan that takes at least min_share of the query reads a table of which at least min_dead are dead rows.",
    effect: "Scans step over dead rows, and sequential scans read the pages that they fill.",
    workaround: "VACUUM the table; where dead rows come back, let autovacuum come sooner, and look for the transaction that keeps them.",
    sources: &["https://www.postgresql.org/docs/17/routine-vacuuming.html"],
    options: &[
        OptionSpec::number("min_dead", (0.2, "of the rows"), (0.0, 1.0), "Fewer are left alone."),
        OptionSpec::number("min_rows", (10000.0, "dead rows"), (1.0, 1e12), "Fewer are left alone."),
        OptionSpec::number("min_share", (0.1, "of the query"), (0.0, 1.0), "What the scan must take."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "half of the table is dead",
            setup: "create table t (id int primary key, a int, v text) with (autovacuum_enabled = off); insert into t select g, g, \
                    md5(g::text) from generate_series(1, 100000) g; vacuum analyze t; delete from t where id % 2 = 0; analyze t; create \
                    table example as select 'select sum(length(v)) from t' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "few are",
            setup: "create table t (id int primary key, a int, v text) with (autovacuum_enabled = off); insert into t select g, g, \
                    md5(g::text) from generate_series(1, 100000) g; vacuum analyze t; delete from t where id % 100 = 0; analyze t; create \
                    table example as select 'select sum(length(v)) from t' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    let mut scans: Vec<usize> = (0..explained.plan.nodes.len()).filter(|node| is_scan(facts, *node)).collect();
    scans.sort_by(|a, b| explained.plan.share(*b).total_cmp(&explained.plan.share(*a)).then(a.cmp(b)));
    for scan in scans {
        let Some(table) = explained.tables[scan] else { continue };
        if !told.contains(&table)
            && let Some(finding) = judge(facts, options, scan)
        {
            told.insert(table);
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// A scan that reads whole pages, or far more pages than it returns rows.
fn is_scan(facts: &Facts, node: usize) -> bool {
    let plan = &facts.explained().plan;
    let here = &plan.nodes[node];
    let executed = here.actual.is_none_or(|actual| actual.loops > 0.0);
    let in_vain = || {
        let read = plan.own_blocks(node).map_or(0.0, |blocks| blocks.shared_hit + blocks.shared_read);
        read >= BLOCKS_PER_ROW * (plan.total_rows(node).unwrap_or_default() + plan.removed_rows(node)) + FEW_BLOCKS
    };
    executed
        && match here.kind.as_str() {
            "Seq Scan" | "Bitmap Heap Scan" => true,
            "Index Scan" => in_vain(),
            _ => false,
        }
}

/// What an index scan reads for a row at most, where no dead ones are in its way.
const BLOCKS_PER_ROW: f64 = 5.0;
const FEW_BLOCKS: f64 = 100.0;

fn judge(facts: &Facts, options: &Options, scan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let known = explained.statistics_of(scan)?;
    let share = known.dead_rows / (known.dead_rows + known.live_rows).max(1.0);
    let explains = Explains::by_node(explained, scan);
    if known.dead_rows < options.number("min_rows")
        || share < options.number("min_dead")
        || explains.share < options.number("min_share")
    {
        return None;
    }
    let mut finding = finding(facts, scan, explains)?;
    let name = relation(facts, scan)?;
    finding.summary = format!(
        "{} of {} rows of {name} are dead, and a scan steps over them: {}",
        shown(known.dead_rows),
        shown(known.dead_rows + known.live_rows),
        explains.told()
    );
    finding.cause = format!(
        "{} What dead rows alone cost is not measured: about their share, {:.0}%, for a sequential scan. VACUUM makes their space \
         free for new rows; it does not make the table smaller.",
        match known.vacuumed_days_ago {
            Some(days) => format!("The table was vacuumed {} ago.", Days(days)),
            None => "The table was not vacuumed as far as is known.".to_string(),
        },
        100.0 * share
    );
    finding.evidence.extend(object! {
        "dead_rows": known.dead_rows,
        "live_rows": known.live_rows,
        "dead_share": rounded(share),
        "vacuumed_days_ago": known.vacuumed_days_ago.map(rounded),
    });
    finding.fix_sql = Some(format!("VACUUM {name};"));
    finding.risk = VACUUM_RISK.to_string();
    finding.verify_sql = Some(format!(
        "select n_dead_tup, n_live_tup, last_vacuum from pg_catalog.pg_stat_all_tables where relid = {}::regclass;",
        quote_literal(&name)
    ));
    Some(finding)
}
