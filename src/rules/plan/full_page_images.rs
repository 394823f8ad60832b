use crate::advice::plan_weight::shown;
use crate::facts::{Facts, PlanOrigin};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes, rounded};

pub static RULE: Rule = Rule {
    id: "full_page_images",
    category: "plan",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A statement that writes made at least min_wal_bytes of WAL, and full-page images were at least min_share of it.",
    effect: "The first change of a page after a checkpoint logs the whole page: a few bytes changed become 8 kB of WAL, which is \
             written, archived and sent to each standby.",
    workaround: "Checkpoint less often (checkpoint_timeout, max_wal_size) so that a page is changed more often between two of them; \
                 compress the images (wal_compression); write to neighbouring pages: fewer indexes on random values (UUID version 4), a \
                 lower fillfactor for HOT updates, rows in the order of the key.",
    sources: &[
        "https://www.postgresql.org/docs/17/wal-configuration.html",
        "https://www.postgresql.org/docs/17/runtime-config-wal.html#GUC-FULL-PAGE-WRITES",
    ],
    options: &[
        OptionSpec::bytes("min_wal_bytes", 4 * Bytes::MIB, "Statements that write less are left alone."),
        OptionSpec::number("min_share", (0.5, "of the WAL's bytes"), (0.0, 1.0), "Less is usual."),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "two rows on each page, after a checkpoint",
            setup: r#"create table example as select '[{"Plan": {"Node Type": "ModifyTable", "Operation": "Update",
                   "Relation Name": "t", "Alias": "t", "Startup Cost": 0, "Total Cost": 4100, "Plan Rows": 0, "Plan Width": 0,
                   "Actual Startup Time": 72.4, "Actual Total Time": 72.4, "Actual Rows": 0, "Actual Loops": 1,
                   "WAL Records": 8000, "WAL FPI": 4000, "WAL Bytes": 24208000, "Plans": [{"Node Type": "Seq Scan",
                   "Parent Relationship": "Outer", "Relation Name": "t", "Alias": "t", "Startup Cost": 0, "Total Cost": 4100,
                   "Plan Rows": 8000, "Plan Width": 10, "Actual Startup Time": 0.1, "Actual Total Time": 11.2,
                   "Actual Rows": 8000, "Actual Loops": 1, "WAL Records": 0, "WAL FPI": 0, "WAL Bytes": 0}]},
                   "Planning Time": 0.04, "Triggers": [], "Execution Time": 72.5}]'::jsonb as plan"#,
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few pages, changed before",
            setup: "create table t (id int primary key, v int); insert into t select g, 0 from generate_series(1, 50000) g; create table \
                    example as select 'update t set v = v + 1 where id <= 40000' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let Some(wal) = plan.nodes.first().and_then(|root| root.wal) else { return Ok(Vec::new()) };
    // Holes in pages and compression make images smaller than a page.
    let images = (wal.full_page_images * BLOCK).min(wal.bytes);
    let share = if wal.bytes > 0.0 { images / wal.bytes } else { 0.0 };
    if wal.bytes < options.number("min_wal_bytes") || share < options.number("min_share") {
        return Ok(Vec::new());
    }
    let rows: f64 = plan
        .nodes
        .iter()
        .filter(|node| node.kind == "ModifyTable")
        .flat_map(|node| node.children.iter().filter_map(|child| plan.total_rows(*child)))
        .sum();
    let show = |name: &str| explained.settings.get(name).map_or("unknown", String::as_str);
    let here = explained.origin != PlanOrigin::Given;
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "full-page images".to_string(),
        weight: 0,
        summary: format!(
            "{} full-page images made most of {} of WAL, for {} rows written",
            shown(wal.full_page_images),
            Bytes(wal.bytes as u64),
            shown(rows)
        ),
        cause: format!(
            "{} pages were changed for the first time since the last checkpoint. Right after a checkpoint that is so for every \
             statement; where it is so at most times, checkpoints come too often, or rows are written all over the table and its \
             indexes.{}",
            shown(wal.full_page_images),
            match here {
                true => format!(
                    " checkpoint_timeout is {}, max_wal_size {}, wal_compression {}.",
                    show("checkpoint_timeout"),
                    show("max_wal_size"),
                    show("wal_compression")
                ),
                false => String::new(),
            }
        ),
        evidence: object! {
            "node": "full-page images",
            "full_page_images": wal.full_page_images,
            "wal_records": wal.records,
            "wal_bytes": wal.bytes,
            "wal_bytes_per_row": (rows > 0.0).then(|| rounded(wal.bytes / rows)),
            "share_of_wal": rounded(share),
            "rows_written": rows,
            "checkpoint_timeout": here.then(|| show("checkpoint_timeout")),
            "max_wal_size": here.then(|| show("max_wal_size")),
            "wal_compression": here.then(|| show("wal_compression")),
        },
        ..Finding::that_changes_nothing()
    }])
}
