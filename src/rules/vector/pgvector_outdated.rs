use crate::facts::Facts;
use crate::facts::vector::{Method, Vectors};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

/// What a version lacks of the fixes that matter where there are HNSW indexes: first and fixed version, what happens.
const FIXES: [([u32; 3], [u32; 3], &str, &str); 3] = [
    (
        [0, 6, 0],
        [0, 8, 2],
        "CVE-2026-3172",
        "a parallel build of an HNSW index can write beyond its buffer: it may crash the server or leak other tables' data",
    ),
    (
        [0, 5, 0],
        [0, 8, 3],
        "issue 988",
        "VACUUM of an HNSW index while rows are inserted can leave it corrupt: searches miss rows or fail, and so does the next VACUUM",
    ),
    (
        [0, 5, 0],
        [0, 8, 4],
        "issue 993",
        "VACUUM of an HNSW index can fail (hnsw graph not repaired) while rows are inserted and deleted",
    ),
];

pub static RULE: Rule = Rule {
    id: "pgvector_outdated",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "pgvector is older than a fix that concerns the HNSW indexes of this database.",
    effect: "What the missing fixes repair: writes beyond a buffer in parallel builds, indexes that VACUUM leaves corrupt.",
    workaround: "Install a newer package of pgvector, ALTER EXTENSION vector UPDATE in each database, connect anew, and REINDEX INDEX \
                 CONCURRENTLY indexes that VACUUM may have damaged. Until then: SET max_parallel_maintenance_workers = 0 for builds.",
    sources: &[
        "https://github.com/pgvector/pgvector/blob/master/CHANGELOG.md",
        "https://github.com/pgvector/pgvector/issues/959",
        "https://github.com/pgvector/pgvector/pull/988",
        "https://github.com/pgvector/pgvector/issues/993",
    ],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "0.8.0 with an HNSW index",
            setup: "create extension vector version '0.8.0'; create table t (a vector(2)); create index on t using hnsw (a vector_l2_ops)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no HNSW index",
            setup: "create extension vector version '0.8.0'; create table t (a vector(2)); insert into t values ('[1,2]'); create index \
                    on t using ivfflat (a vector_l2_ops) with (lists = 1)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let own = extension.version;
    let missing: Vec<_> = FIXES.iter().filter(|(first, fixed, ..)| (*first..*fixed).contains(&own)).collect();
    let indexes = hnsw_indexes(vectors);
    let Some((_, needed, ..)) = missing.last() else { return Ok(Vec::new()) };
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let (version, needed) = (in_words(own), in_words(*needed));
    let lacks: Vec<String> = missing
        .iter()
        .map(|(_, fixed, name, what)| format!("{what} ({name}, fixed in {})", in_words(*fixed)))
        .collect();
    let newer = extension.newer.as_deref();
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "extension vector".to_string(),
        weight: 0,
        summary: format!("pgvector {version} lacks fixes that concern {} here; {needed} has them", count(&indexes)),
        cause: format!("In this version {}.", lacks.join("; ")),
        evidence: object! {
            "version": version,
            "fixed_in": needed,
            "version_of_the_servers_files": newer,
            "hnsw_indexes": indexes.len(),
            "some_hnsw_indexes": indexes.iter().take(10).collect::<Vec<_>>(),
            "max_parallel_maintenance_workers": vectors.server.max_parallel_maintenance_workers,
        },
        // What the server's files have, sessions that connect from now on run already.
        fix_sql: newer.map(|_| "ALTER EXTENSION vector UPDATE;".to_string()),
        app_fix: Some(match newer {
            Some(newer) => format!(
                "Connect anew afterwards: open sessions keep the old library; {newer} is what the files are of."
            ),
            None => format!(
                "Install a package of pgvector {needed} or newer on this server and its standbys, then ALTER EXTENSION vector UPDATE, \
                 and connect anew. A build with max_parallel_maintenance_workers = 0 is not parallel."
            ),
        }),
        risk: match newer {
            Some(_) => "Short locks on catalogs; there is no way back to the older version.".to_string(),
            None => Finding::NO_RISK.to_string(),
        },
        verify_sql: newer.map(|_| {
            format!("SELECT extversion <> '{version}' FROM pg_catalog.pg_extension WHERE extname = 'vector';")
        }),
        ..Finding::that_changes_nothing()
    }])
}

fn hnsw_indexes(vectors: &Vectors) -> Vec<String> {
    let hnsw = vectors.indexes().filter(|(_, index)| matches!(index.method, Method::Hnsw { .. }) && !index.partitioned);
    hnsw.map(|(_, index)| index.name.to_string()).collect()
}

fn count(indexes: &[String]) -> String {
    match indexes {
        [one] => format!("index {one}"),
        many => format!("{} HNSW indexes", many.len()),
    }
}

fn in_words(version: [u32; 3]) -> String {
    let [major, minor, patch] = version;
    format!("{major}.{minor}.{patch}")
}
