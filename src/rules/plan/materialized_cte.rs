use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::Facts;
use crate::facts::plan::Plan;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "materialized_cte",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A WITH query that neither writes, locks nor recurses is computed as a whole though what reads it throws away at least \
                min_discarded_share of its rows: it is AS MATERIALIZED, or used several times without AS NOT MATERIALIZED. One that \
                calls VOLATILE functions is computed apart for their sake, and left alone where the query's text says so.",
    effect: "Conditions of the query around it do not reach its tables, nor their indexes; its rows are kept in memory or on disk.",
    workaround: "Leave out MATERIALIZED, or write AS NOT MATERIALIZED.",
    sources: &["https://www.postgresql.org/docs/17/queries-with.html#QUERIES-WITH-CTE-MATERIALIZATION"],
    options: &[
        OptionSpec::number(
            "min_discarded_share",
            (0.5, "of its rows"),
            (0.0, 1.0),
            "Where more are needed it is left alone.",
        ),
        OptionSpec::number("min_rows", (1000.0, "rows"), (0.0, 1e12), "Smaller ones are left alone."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "one row of a table that is read as a whole",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) \
                    g; vacuum analyze t; create table example as select 'with every as materialized (select * from t) select * from \
                    every where id = 7' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one that is used twice, planned only",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) \
                    g; vacuum analyze t; create table example as select 'with every as (select * from t) select * from every a join \
                    every b on b.id = 8 where a.id = 7' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "inlined, recursive, volatile, or all of its rows are wanted",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 50000) g; \
                    vacuum analyze t; create table example as select 'with recursive inlined as (select * from t), drawn as (select \
                    id, random() as r from t), n (i) as (select 1 union all select i + 1 from n where i < 5000), grouped as \
                    materialized (select v, count(*) as c from t group by v) select count(*) from inlined, n, drawn, grouped where \
                    inlined.id = 7 and n.i = 8 and drawn.id = 9 and grouped.c = 1' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let ctes = (0..plan.nodes.len()).filter(|node| plan.nodes[*node].relationship.cte().is_some());
    Ok(ctes.filter_map(|cte| judge(facts, options, cte)).collect())
}

fn judge(facts: &Facts, options: &Options, cte: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let name = plan.nodes[cte].relationship.cte()?;
    let is_needed =
        |node: usize| ["ModifyTable", "LockRows", "Recursive Union"].contains(&plan.nodes[node].kind.as_str());
    let scans = scans(plan, cte, name);
    let rows = plan.total_rows(cte).unwrap_or(plan.nodes[cte].rows);
    if plan.subtree(cte).any(is_needed) || scans.is_empty() || rows < options.number("min_rows") {
        return None;
    }
    let told = explained.text.as_deref().map(|text| says_materialized(text, name));
    // Used once, it is computed apart only where the text asks for it, or for volatile functions.
    if scans.len() == 1 && told == Some(false) {
        return None;
    }
    // A scan reads on through what an earlier one has read.
    let needed: f64 = scans.iter().map(|scan| kept(plan, *scan)).sum();
    let filtered = scans.iter().all(|scan| plan.nodes[*scan].filter.is_some());
    let discarded = 1.0 - needed / (rows * scans.len() as f64);
    if !filtered || discarded < options.number("min_discarded_share") {
        return None;
    }
    let parts: Vec<usize> = scans.iter().copied().chain(plan.subtree(cte)).collect();
    let mut finding = finding(facts, cte, Explains::by_nodes(explained, &parts))?;
    let filters: Vec<&str> = scans.iter().filter_map(|scan| plan.nodes[*scan].filter.as_deref()).collect();
    finding.summary = format!(
        "WITH {name} computes {} rows of which {} are needed: {}",
        shown(rows),
        shown(needed),
        Explains::by_nodes(explained, &parts).told()
    );
    finding.cause = format!(
        "{} What reads it filters by {} only then, so that no index serves these conditions. Not proved by planning: the query has to \
         be written otherwise.",
        match (scans.len(), told) {
            (1, Some(_)) => "It is AS MATERIALIZED.".to_string(),
            (1, None) =>
                "It is AS MATERIALIZED, or calls a VOLATILE function: otherwise one that is used once is inlined."
                    .to_string(),
            (uses, _) => format!(
                "It is used {uses} times, and is then computed once, apart, unless the text says AS NOT MATERIALIZED."
            ),
        },
        filters.join(" and "),
    );
    finding.app_fix = Some(match scans.len() {
        1 => {
            "Leave out MATERIALIZED. SQLAlchemy: drop .prefix_with(\"MATERIALIZED\") from the cte(), or make it .subquery().".to_string()
        }
        _ => format!(
            "WITH {name} AS NOT MATERIALIZED (…). SQLAlchemy: .cte(…).prefix_with(\"NOT MATERIALIZED\"). It is then computed once for \
             each use, each with its own conditions: good where these leave few rows."
        ),
    });
    finding.evidence.extend(object! {
        "cte": name,
        "uses": scans.len(),
        "rows_computed": rows.round(),
        "rows_needed": needed.round(),
        "filters": filters,
    });
    Some(finding)
}

/// The scans of a CTE: of its name, below the node that has it, where no other one of the name is nearer.
fn scans(plan: &Plan, cte: usize, name: &str) -> Vec<usize> {
    let Some(owner) = plan.nodes[cte].parent else { return Vec::new() };
    let reads = |node: &usize| plan.nodes[*node].kind == "CTE Scan" && plan.nodes[*node].cte.as_deref() == Some(name);
    let nearest = |node: &usize| {
        let has_one = |above: &usize| {
            plan.nodes[*above].children.iter().any(|child| plan.nodes[*child].relationship.cte() == Some(name))
        };
        std::iter::once(*node).chain(plan.ancestors(*node)).find(has_one) == Some(owner)
    };
    plan.subtree(owner).filter(|node| reads(node) && nearest(node)).collect()
}

fn kept(plan: &Plan, scan: usize) -> f64 {
    plan.total_rows(scan).unwrap_or(plan.nodes[scan].rows)
}

/// `name AS MATERIALIZED (` or `name (columns) AS MATERIALIZED (`
fn says_materialized(text: &str, name: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (text, name) = (words(text), name.to_lowercase());
    text.match_indices(&name).any(|(at, _)| {
        let rest = text[at + name.len()..].trim_start_matches('"').trim_start();
        let rest = match rest.strip_prefix('(').and_then(|columns| columns.split_once(')')) {
            Some((_, after)) => after.trim_start(),
            None => rest,
        };
        rest.starts_with("as materialized")
    })
}

#[cfg(test)]
mod unit_tests {
    use super::says_materialized;

    #[test]
    fn the_text_says_what_is_materialized() {
        assert!(says_materialized("with a as\n  MATERIALIZED (select 1) select * from a", "a"));
        assert!(says_materialized("with \"A b\" (x, y) as materialized (select 1)", "A b"));
        assert!(!says_materialized("with a as (select 1), b as materialized (select 2)", "a"));
        assert!(!says_materialized("with a as not materialized (select 1)", "a"));
    }
}
