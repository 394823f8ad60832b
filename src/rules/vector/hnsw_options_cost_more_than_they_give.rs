use crate::advice::vector_index::{Design, Rebuild};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, rounded};

pub static RULE: Rule = Rule {
    id: "hnsw_options_cost_more_than_they_give",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "An HNSW index has m above most_m and would be smaller by at least saved_share with m = 16, or ef_construction \
                above most_ef_construction. What an index takes moves in steps, for a row and its neighbors share a page with \
                others: where m = 16 takes as many pages, nothing is said.",
    effect: "A larger m makes the index larger and each step of a search longer; a larger ef_construction makes the build and \
             every insert slower. Beyond these values ef_search reaches the same recall for less.",
    workaround: "Measure recall and time with smaller options on a part of the rows (dbre.vector_tune() with build => true), and \
                 build the index again.",
    sources: &[
        "https://github.com/pgvector/pgvector#index-options",
        "measured: of 100,000 real embeddings, the grid's best for recall 0.95 and 0.99 has m = 16",
    ],
    options: &[
        OptionSpec::number("most_m", (32.0, "neighbors"), (2.0, 100.0), "m above which the size is compared."),
        OptionSpec::number(
            "most_ef_construction",
            (256.0, "candidates"),
            (4.0, 1000.0),
            "ef_construction above which it is told.",
        ),
        OptionSpec::number("saved_share", (0.2, "of the index"), (0.0, 1.0), "What m = 16 must save."),
        OptionSpec::bytes("min_index_bytes", 1 << 20, "Smaller indexes are not judged."),
    ],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "m = 64 for 128 dimensions",
            setup: "create extension vector; create table t (id int primary key, embedding vector(128)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 128) where g > 0)::vector from generate_series(1, \
                    1200) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 64, ef_construction = 128); \
                    vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "ef_construction = 400",
            setup: "create extension vector; create table t (id int primary key, embedding halfvec(256)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 256) where g > 0)::vector::halfvec from \
                    generate_series(1, 1600) g; create index on t using hnsw (embedding halfvec_cosine_ops) with \
                    (ef_construction = 400); vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "m = 40 takes as many pages as 16; pgvector's defaults",
            setup: "create extension vector; create table t (id int primary key, embedding vector(1500)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 1500) where g > 0)::vector from generate_series(1, \
                    300) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 40, ef_construction = 80); create \
                    index on t using hnsw (embedding vector_cosine_ops); vacuum analyze t",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const ENOUGH_M: u32 = 16;
const ENOUGH_EF_CONSTRUCTION: u32 = 200;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let Method::Hnsw { m, ef_construction } = index.method else { return None };
        let design = Design::of(column, index).filter(|_| index.valid && !index.partitioned)?;
        let thinner = design.with_method(Method::Hnsw { m: ENOUGH_M, ef_construction });
        let saved = 1.0 - thinner.size().0 as f64 / design.size().0.max(1) as f64;
        let large_m = f64::from(m) > options.number("most_m") && saved >= options.number("saved_share");
        let large_ef = f64::from(ef_construction) > options.number("most_ef_construction");
        let judged = index.bytes >= options.bytes("min_index_bytes") && (large_m || large_ef);
        let m = if large_m { ENOUGH_M } else { m };
        let ef_construction = match large_ef {
            true => ENOUGH_EF_CONSTRUCTION.max(2 * m),
            false if large_m => ef_construction.min(ENOUGH_EF_CONSTRUCTION),
            false => ef_construction,
        };
        let better = design.with_method(Method::Hnsw { m, ef_construction });
        judged.then(|| finding(facts, (column, index), &design, &better))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, (column, index): (&VectorColumn, &VectorIndex), design: &Design, better: &Design) -> Finding {
    let (size, smaller) = (design.size(), better.size());
    let memory = facts.vectors().server.maintenance_work_mem_bytes.max(better.build_memory(0).0);
    let seconds = |design: &Design| design.build_seconds(memory.max(design.build_memory(0).0), 0);
    let ratio = seconds(design) / seconds(better).max(1e-9);
    let rebuilt = design.method.name() == "hnsw" && options_of(design).0 != options_of(better).0;
    let rebuild = Rebuild::with(facts, column, index, better);
    let (fix_sql, rollback_sql, risk) = match rebuilt {
        true => (rebuild.fix_sql, rebuild.rollback_sql, rebuild.risk),
        // Inserts take it from now on; what is built stays.
        false => (
            format!("ALTER INDEX {} SET ({});", index.name, better.options()),
            format!("ALTER INDEX {} SET ({});", index.name, design.options()),
            "SHARE UPDATE EXCLUSIVE on the index for a moment: nothing is built, new rows are inserted with less search."
                .to_string(),
        ),
    };
    Finding {
        severity: RULE.severity,
        object: index.name.to_string(),
        weight: index.bytes,
        summary: match rebuilt {
            true => format!(
                "HNSW index {} with {} takes {}: with {} an estimated {smaller}",
                index.name,
                design.options(),
                Bytes(index.bytes),
                better.options()
            ),
            false => format!(
                "HNSW index {} has ef_construction {}: building and inserting take {ratio:.1} times what {} does",
                index.name,
                options_of(design).1,
                options_of(better).1
            ),
        },
        cause: "Each row keeps 2m neighbors on the lowest level, which is what makes the index larger, and each build or insert \
                looks at ef_construction candidates. In what was measured, neither brought recall that a somewhat larger \
                hnsw.ef_search does not bring for less."
            .to_string(),
        evidence: object! {
            "table": column.table_name.to_string(),
            "rows": design.rows as u64,
            "dimensions": design.dimensions,
            "options": design.options(),
            "proposed_options": better.options(),
            "index_bytes": Bytes(index.bytes),
            "estimated_bytes": size,
            "estimated_bytes_after": smaller,
            "build_time_ratio": rounded(ratio),
            "basis": "size by pgvector's layout of pages; build time estimated; recall was measured on other embeddings: \
                      dbre.vector_tune() measures it on these",
        },
        impact: object! {
            "index_bytes": change(
                (index.bytes, "measured"),
                (if rebuilt { smaller.0 } else { index.bytes }, if rebuilt { "estimated" } else { "measured" }),
            ),
            "build_seconds": change((rounded(seconds(design)), "estimated"), (rounded(seconds(better)), "estimated")),
        },
        fix_sql: Some(fix_sql),
        app_fix: Some(rebuild.app_fix),
        risk: format!("{risk} Measure the recall before and after: dense graphs may need a larger hnsw.ef_search once thinned."),
        rollback: Rollback::Sql(rollback_sql),
        verify_sql: Some(rebuild.verify_sql),
    }
}

fn options_of(design: &Design) -> (u32, u32) {
    match design.method {
        Method::Hnsw { m, ef_construction } => (m, ef_construction),
        Method::Ivfflat { .. } => (0, 0),
    }
}
