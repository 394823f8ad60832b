use crate::advice::vector_index::{Design, Rebuild, ivfflat_lists};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "ivfflat_built_on_few_rows",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "An IVFFlat index was built when the table had at most so many rows that they have grown growth times since, as \
                the pages say that its build wrote for its lists. Medium where they have grown less than ten times.",
    effect: "The centers of its lists are those of the rows at the build. New rows crowd in few lists, or lie between them: \
             searches read more rows for the same recall, or miss more with the same probes.",
    workaround: "Build it again, now that the rows are there; create IVFFlat indexes after loading.",
    sources: &["https://github.com/pgvector/pgvector#ivfflat"],
    options: &[
        OptionSpec::number("growth", (2.0, "times"), (1.0, 1e6), "Rows now over rows at the build, at least."),
        OptionSpec::number("min_rows", (1000.0, "rows"), (0.0, 1e12), "Smaller tables are not judged."),
    ],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "built on an empty table, with pgvector's default of lists",
            setup: "create extension vector; create table t (id int primary key, embedding vector(384)); create index on t \
                    using ivfflat (embedding vector_cosine_ops); insert into t select g, (select array_agg(random()) from \
                    generate_series(1, 384) where g > 0)::vector from generate_series(1, 3000) g; vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "grown threefold",
            setup: "create extension vector; create table t (id int primary key, embedding halfvec(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector::halfvec from \
                    generate_series(1, 1000) g; create index on t using ivfflat (embedding halfvec_l2_ops) with (lists = 5); \
                    insert into t select id + 1000, embedding from t; insert into t select id + 2000, embedding from t where \
                    id <= 1000; analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "built after loading",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    3000) g; create index on t using ivfflat (embedding vector_cosine_ops) with (lists = 3); create index on t \
                    using ivfflat (embedding vector_l2_ops) with (lists = 50); vacuum analyze t",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// From this growth on the centers say next to nothing.
const HOPELESS: f64 = 10.0;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let (rows, growth) = growth(column, index)?;
        (rows >= options.number("min_rows") && growth >= options.number("growth"))
            .then(|| finding(facts, column, index, growth))?
    });
    Ok(findings.collect())
}

/// Rows now, and over those at the build.
pub fn growth(column: &VectorColumn, index: &VectorIndex) -> Option<(f64, f64)> {
    // A partial index may grow as the table does not.
    let at_most = index.most_rows_when_built.filter(|_| index.predicate.is_none())?;
    Some((column.vectors(), column.vectors() / at_most.max(1.0)))
}

fn finding(facts: &Facts, column: &VectorColumn, index: &VectorIndex, growth: f64) -> Option<Finding> {
    let design = Design::of(column, index)?;
    let Method::Ivfflat { lists } = index.method else { return None };
    let wanted = design.with_method(Method::Ivfflat { lists: ivfflat_lists(column.vectors()) });
    let rebuild = Rebuild::with(facts, column, index, &wanted);
    let built = Count(index.most_rows_when_built? as u64);
    let rows = Count(column.vectors() as u64);
    Some(Finding {
        severity: if growth >= HOPELESS { RULE.severity } else { Severity::medium },
        object: index.name.to_string(),
        weight: index.bytes,
        summary: format!(
            "IVFFlat index {} was built on at most {}, there are {rows} now: its lists do not fit them",
            index.name,
            built.of("row")
        ),
        cause: format!(
            "At the build its {lists} lists took pages for at most {}; what came later is in pages behind those. k-means chose \
             the centers from what was there then, and never moves them.",
            built.of("row"),
        ),
        evidence: object! {
            "table": column.table_name.to_string(),
            "rows_at_build_at_most": built,
            "rows_now": rows,
            "growth": rounded(growth),
            "lists": lists,
            "lists_for_rows_now": ivfflat_lists(column.vectors()),
            "index_bytes": Bytes(index.bytes),
            "basis": "measured: the first pages of the lists, as the index holds them",
            "recall": "not measured: dbre.vector_recall() before and after tells what it brings",
        },
        impact: object! {
            "growth_since_build": change((rounded(growth), "measured"), (1, "estimated")),
            "index_bytes": change((index.bytes, "measured"), (wanted.size(), "estimated")),
        },
        fix_sql: Some(rebuild.fix_sql),
        app_fix: Some(format!(
            "Create IVFFlat indexes in a migration that runs after the rows are loaded. {}",
            rebuild.app_fix
        )),
        risk: format!(
            "{} The old centers cannot be had back; for the old number of lists, build it with that again.",
            rebuild.risk
        ),
        // Its old centers are gone, and nobody wants them back.
        rollback: Rollback::None,
        verify_sql: Some(rebuild.verify_sql),
    })
}
