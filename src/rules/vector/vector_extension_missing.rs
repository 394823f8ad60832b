use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_extension_missing",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "pgvector is not installed in this database, and advice on vectors was asked for.",
    effect: "There are no vector columns and no vector indexes here to advise on.",
    workaround: "Install the package of pgvector on the server, and CREATE EXTENSION vector in the databases that keep embeddings.",
    sources: &["https://github.com/pgvector/pgvector#installation"],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case { name: "no pgvector", setup: "select 1", finds: 1, fix_clears: false },
        Case { name: "pgvector", setup: "create extension vector", finds: 0, fix_clears: false },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    if facts.vectors().extension.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Finding {
        object: "extension vector".to_string(),
        summary: "pgvector is not installed in this database: there are no vectors to advise on".to_string(),
        cause: "Extension vector is not in pg_extension. Where the server has its package, CREATE EXTENSION vector installs it; \
                nothing needs it before a table is to keep embeddings."
            .to_string(),
        evidence: object! { "extension_installed": false },
        ..Finding::that_changes_nothing()
    }])
}
