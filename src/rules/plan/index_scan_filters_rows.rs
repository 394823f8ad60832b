use crate::advice::plan_index::{costs, fixed_by_indexes, is_told_elsewhere, serves_filter};
use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::facts::Facts;
use crate::facts::plan::conjuncts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "index_scan_filters_rows",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A scan by an index finds at least min_rows in the table that its filter then throws away, and these are at least \
                min_discarded of what it finds; where an index with better columns is proved to help, at least half of min_discarded. \
                Not run: its filter leaves work that such an index is proved to save. Or an index is read from end to end, as no condition is on its first column, where another is proved to help.",
    effect: "Each row that the index finds costs a visit to the table, often of a page of its own: what Index Cond does not decide, \
             Filter does one row at a time.",
    workaround: "An index with the columns of Filter behind those of Index Cond: columns compared for equality first, one with a \
                 range last.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-multicolumn.html",
        "https://www.postgresql.org/docs/17/using-explain.html",
    ],
    options: &[
        OptionSpec::number(
            "min_rows",
            (1000.0, "rows thrown away"),
            (1.0, 1e12),
            "Scans that throw away fewer are left alone.",
        ),
        OptionSpec::number(
            "min_discarded",
            (0.9, "of the rows found"),
            (0.0, 1.0),
            "From here on the index is the wrong one.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "the index has the column that decides little",
            setup: "create table t (id int primary key, a int, b int, v text); insert into t select g, g % 20, g % 997, md5(g::text) \
                    from generate_series(1, 200000) g; create index on t (a); vacuum analyze t; create table example as select \
                    'select v from t where a = 7 and b = 77' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no condition on the first column of the index",
            setup: "create table t (id int primary key, a int, b int, v text); insert into t select g, g % 500, g % 70001, md5(g::text) \
                    from generate_series(1, 300000) g; create index on t (a, b); vacuum analyze t; alter database :\"DBNAME\" set \
                    enable_seqscan = off; create table example as select 'select v from t where b = 77' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the index decides nearly all",
            setup: "create table t (id int primary key, a int, b int, v text); insert into t select g, g % 20000, g % 7, \
                    md5(g::text) from generate_series(1, 200000) g; create index on t (a); vacuum analyze t; create table example as \
                    select 'select v from t where a between 7 and 400 and b > 0' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let nodes = facts.explained().plan.nodes.iter().enumerate();
    let by_index = |kind: &str| matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan");
    let scans = nodes.filter(|(_, node)| by_index(&node.kind));
    Ok(scans.filter_map(|(scan, _)| judge(facts, options, scan)).collect())
}

fn judge(facts: &Facts, options: &Options, scan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let (plan, here) = (&explained.plan, explained.node(scan));
    if here.filter.is_none() {
        return walk(facts, options, scan);
    }
    let branch = Explains::by_branch(explained, scan);
    let mut finding = finding(facts, scan, branch)?;
    if is_told_elsewhere(facts, scan) {
        return None;
    }
    let (name, filter) = (relation(facts, scan)?, here.filter.clone()?);
    let index_cond = plan.subtree(scan).find_map(|node| plan.nodes[node].index_cond.clone());
    let indexes: Vec<&str> = plan.subtree(scan).filter_map(|node| plan.nodes[node].index.as_deref()).collect();
    let found = match &index_cond {
        Some(condition) => format!("Index Cond is {condition}"),
        None => "There is no Index Cond: the index is read from end to end".to_string(),
    };
    finding.evidence.extend(object! { "index": indexes, "index_cond": index_cond.clone(), "filter": filter });
    if !plan.is_analyzed() {
        finding.summary =
            format!("Scan of {name} by {} leaves {filter} to its filter: {}", indexes.join(" and "), branch.told());
        finding.cause = format!("{found}; Filter is {filter}, tested in the table row by row.");
        let mut fixed = fixed_by_indexes(facts, scan, &finding).filter(|_| serves_filter(facts, scan))?;
        fixed.cause += &format!(" Proved by planning with the index: {}.", costs(facts));
        return Some(fixed);
    }
    let (kept, removed) = (plan.total_rows(scan)?, plan.removed_rows(scan));
    let share = removed / (kept + removed).max(1.0);
    let least = options.number("min_discarded");
    if removed < options.number("min_rows") || share < least / 2.0 {
        return None;
    }
    finding.summary = format!(
        "Scan of {name} by {} finds {} rows, and its filter keeps {}: {}",
        indexes.join(" and "),
        shown(kept + removed),
        shown(kept),
        branch.told()
    );
    finding.cause = format!("{found}; Filter is {filter}, and throws away {:.1}% of the rows.", 100.0 * share);
    finding.evidence.extend(object! { "rows_found": (kept + removed).round(), "rows_removed": removed.round() });
    match fixed_by_indexes(facts, scan, &finding).filter(|_| serves_filter(facts, scan)) {
        Some(mut fixed) => {
            fixed.cause += &format!(" Proved by planning with the index: {}.", costs(facts));
            Some(fixed)
        }
        // Without Index Cond the index stands for a smaller table.
        None if share >= least && index_cond.is_some() => {
            finding.cause += match facts.index_advice().selection.complete {
                true => {
                    " Not proved that another index helps: the planner, shown those that fit the conditions, expects no gain."
                }
                false => " Not proved that another index helps: the search for one ran out of time.",
            };
            finding.severity = finding.severity.max(RULE.severity);
            Some(finding)
        }
        None => None,
    }
}

/// Index Cond leaves out the column that the index begins with: all of the index is read.
fn walk(facts: &Facts, options: &Options, scan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    if is_told_elsewhere(facts, scan) {
        return None;
    }
    let (by, index) = plan.subtree(scan).find_map(|node| Some((node, skipped(facts, node)?)))?;
    let rows = plan.total_rows(scan).unwrap_or_else(|| plan.estimated_total_rows(scan));
    let all = explained.statistics_of(scan)?.rows? * plan.executions(scan).unwrap_or(1.0).max(1.0);
    if rows > (1.0 - options.number("min_discarded")) * all {
        return None;
    }
    let branch = Explains::by_branch(explained, scan);
    let mut finding = finding(facts, scan, branch)?;
    let condition = plan.nodes[by].index_cond.clone()?;
    let name = relation(facts, scan)?;
    let blocks = plan.nodes[scan].blocks.map(|blocks| blocks.shared_hit + blocks.shared_read);
    finding.summary = format!(
        "{index} is read from end to end, as no condition is on its first column, for {} rows of {name}: {}",
        shown(rows),
        branch.told()
    );
    finding.cause = format!(
        "Index Cond is {condition}, which leaves out the column that {index} begins with: each entry of the index is compared{}.",
        blocks.map(|blocks| format!(", in {} blocks", shown(blocks))).unwrap_or_default()
    );
    finding.evidence.extend(object! { "index": [index], "index_cond": condition, "blocks": blocks });
    let mut fixed = fixed_by_indexes(facts, scan, &finding)?;
    fixed.cause += &format!(" Proved by planning with the index: {}.", costs(facts));
    Some(fixed)
}

/// The btree by which the node finds its rows without a condition on its first column.
fn skipped(facts: &Facts, node: usize) -> Option<String> {
    let explained = facts.explained();
    let table = facts.catalog().known(explained.tables[node]?)?;
    let index = table.index(explained.indexes[node]?)?;
    let first = table.column(index.keys.first()?.attribute)?;
    let conditions = conjuncts(explained.node(node).index_cond.as_ref()?);
    let compared = conditions.iter().flat_map(|conjunct| conjunct.columns()).any(|(_, name)| name == first.name.raw());
    (&*index.method == "btree" && !compared).then(|| index.name.to_string())
}
