use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::db::quote_literal;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Days, rounded};

pub static RULE: Rule = Rule {
    id: "index_only_scan_fetches_heap",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "An index-only scan visited the table for at least min_fetched of the rows it returned, and at least min_fetches times.",
    effect: "The visibility map does not know those pages as visible to all, so that each row costs a visit to the table after all.",
    workaround: "VACUUM the table, and let autovacuum come sooner: autovacuum_vacuum_scale_factor, and for tables that are only \
                 inserted into autovacuum_vacuum_insert_scale_factor.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-index-only-scans.html",
        "https://www.postgresql.org/docs/17/storage-vm.html",
    ],
    options: &[
        OptionSpec::number("min_fetched", (0.1, "of the rows returned"), (0.0, 1.0), "Fewer are left alone."),
        OptionSpec::number("min_fetches", (1000.0, "visits"), (1.0, 1e12), "Fewer are left alone."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a table that was not vacuumed",
            setup: "create table t (id int primary key, v text) with (autovacuum_enabled = off); insert into t select g, md5(g::text) from \
                    generate_series(1, 100000) g; analyze t; alter database :\"DBNAME\" set enable_seqscan = off; alter database \
                    :\"DBNAME\" set enable_bitmapscan = off; create table example as select 'select count(*) from t where id > 5' as \
                    query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "vacuumed",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) g; \
                    vacuum analyze t; create table example as select 'select count(*) from t where id > 5' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let nodes = facts.explained().plan.nodes.iter().enumerate();
    let scans = nodes.filter(|(_, node)| node.kind == "Index Only Scan");
    Ok(scans.filter_map(|(node, _)| judge(facts, options, node)).collect())
}

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let fetches = explained.node(node).heap_fetches?;
    let rows = explained.plan.total_rows(node)? + explained.plan.removed_rows(node);
    if fetches < options.number("min_fetches") || fetches < options.number("min_fetched") * rows {
        return None;
    }
    let explains = Explains::by_node(explained, node);
    let mut finding = finding(facts, node, explains)?;
    let name = relation(facts, node)?;
    finding.summary = format!(
        "Index-only scan of {name} visited the table for {} of {} rows: {}",
        shown(fetches),
        shown(rows.max(fetches)),
        explains.told()
    );
    finding.evidence.extend(object! { "heap_fetches": fetches, "rows_found": rows });
    let Some(known) = explained.statistics_of(node) else {
        finding.cause = "The visibility map does not have those pages. The table is not known here.".to_string();
        return Some(finding);
    };
    finding.cause = format!(
        "The visibility map has {} of its {} pages as visible to all; {}.",
        shown(known.all_visible_pages),
        shown(known.pages),
        match known.vacuumed_days_ago {
            Some(days) => format!("it was vacuumed {} ago", Days(days)),
            None => "it was not vacuumed as far as is known".to_string(),
        }
    );
    finding.evidence.extend(object! {
        "all_visible_pages": known.all_visible_pages,
        "pages": known.pages,
        "vacuumed_days_ago": known.vacuumed_days_ago.map(rounded),
    });
    finding.fix_sql = Some(format!("VACUUM {name};"));
    finding.risk = VACUUM_RISK.to_string();
    finding.verify_sql = Some(format!(
        "select relallvisible, relpages from pg_catalog.pg_class where oid = {}::regclass;",
        quote_literal(&name)
    ));
    Some(finding)
}

pub const VACUUM_RISK: &str = "VACUUM takes SHARE UPDATE EXCLUSIVE and reads the pages that changed: reads and writes go on. It cannot run \
                               in a transaction block, and marks nothing while an older transaction, a replication slot or a \
                               prepared transaction may still see the old rows.";
