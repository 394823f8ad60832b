use crate::advice::vector_index::{Design, Setting, probes_for};
use crate::advice::vector_search::{RoleSetting, finding, is_set_by_sessions, planned};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex, VectorSearch};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "ivfflat_probes_at_one",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Searches use an IVFFlat index with at least min_lists lists, and ivfflat.probes is 1 for the role \
                that runs them.",
    effect: "Only the nearest list is looked at: with 100 lists about half of the nearest neighbors are found (0.52 \
             of 10 measured on real embeddings).",
    workaround: "Set ivfflat.probes to about the square root of the lists for the role or in the session, and \
                 measure with dbre.vector_recall().",
    sources: &["https://github.com/pgvector/pgvector#query-options-1", "https://github.com/pgvector/pgvector#ivfflat"],
    options: &[MIN_LISTS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "probes is 1",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index \
                    atoms_lists on atoms using ivfflat (embedding vector_cosine_ops) with (lists = 40); analyze \
                    atoms; select dbre.configure_rule('ivfflat_probes_at_one', options => '{\"min_lists\": 10}'); \
                    create table traffic as select 1 as step, 'select id from atoms order by embedding <=> \
                    ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a recall of 50% is the target",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'target_recall => 0.3'); end $$; create extension vector; create extension \
                    pg_stat_statements; create table atoms (id int primary key, tenant int, embedding vector(3)); \
                    insert into atoms select g, g % 10, array[random(), random(), random()]::vector from \
                    generate_series(1, 2000) g; create index atoms_lists on atoms using ivfflat (embedding \
                    vector_cosine_ops) with (lists = 40); analyze atoms; select \
                    dbre.configure_rule('ivfflat_probes_at_one', options => '{\"min_lists\": 10}'); create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit 5' \
                    as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "few lists",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index \
                    atoms_lists on atoms using ivfflat (embedding vector_cosine_ops) with (lists = 4); analyze \
                    atoms; select dbre.configure_rule('ivfflat_probes_at_one', options => '{\"min_lists\": 10}'); \
                    create table traffic as select 1 as step, 'select id from atoms order by embedding <=> \
                    ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "probes are set for the database",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    execute format('alter database %I set ivfflat.probes = 6', current_database()); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), random(), \
                    random()]::vector from generate_series(1, 2000) g; create index atoms_lists on atoms using \
                    ivfflat (embedding vector_cosine_ops) with (lists = 40); analyze atoms; select \
                    dbre.configure_rule('ivfflat_probes_at_one', options => '{\"min_lists\": 10}'); create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit 5' \
                    as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const MIN_LISTS: OptionSpec = OptionSpec::number(
    "min_lists",
    (10.0, "lists"),
    (2.0, 32_768.0),
    "Of an index with fewer lists, one is a good part.",
);

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let min_lists = options.number("min_lists") as u32;
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for (column, search) in vectors.searches() {
        if search.settings.probes != 1
            || search.settings.ivfflat_iterative_scan != "off" && !search.filters.is_empty()
            || is_set_by_sessions(vectors, search, "ivfflat.probes")
        {
            continue;
        }
        for index in planned(column, search) {
            let Method::Ivfflat { lists } = index.method else { continue };
            if lists < min_lists || seen.contains(&(index.oid, search.role)) {
                continue;
            }
            seen.push((index.oid, search.role));
            findings.extend(finding_of(facts, column, search, index, lists));
        }
    }
    Ok(findings)
}

fn finding_of(
    facts: &Facts,
    column: &VectorColumn,
    search: &VectorSearch,
    index: &VectorIndex,
    lists: u32,
) -> Option<Finding> {
    let vectors = facts.vectors();
    let design = Design::of(column, index)?;
    let goal = &vectors.goal;
    let recall = |probes: u32| design.recall_with(&Setting::Probes(probes), goal);
    if recall(1) >= goal.recall {
        return None;
    }
    let root = f64::from(lists).sqrt().round() as u32;
    let probes = probes_for(lists, goal.recall).max(root);
    let setting = RoleSetting::new(facts, search, "ivfflat.probes", "1", &probes.to_string());
    let mut base = finding(vectors, column, search);
    base.evidence.extend(object! {
        "index": index.name.to_string(),
        "lists": lists,
        "probes": 1,
        "advised_probes": probes,
        "estimated_recall": rounded(recall(1)),
        "estimated_recall_at_advised_probes": rounded(recall(probes)),
        "recall_basis": "estimated from 100,000 real embeddings of 384 dimensions; dbre.vector_recall() measures it here",
    });
    base.impact = object! {
        "recall": change((rounded(recall(1)), "estimated"), (rounded(recall(probes)), "estimated")),
    };
    Some(Finding {
        severity: RULE.severity,
        object: format!("{} searched by {}", index.name, search.role_name),
        summary: format!(
            "Searches look at 1 of the {lists} lists of {}: an estimated {:.0}% of the nearest neighbors are found",
            index.name,
            100.0 * recall(1)
        ),
        cause: format!(
            "ivfflat.probes is 1 for {}, its default. pgvector's own advice is the square root of the lists, {root}; for \
             recall {} it takes about {probes} (estimated).",
            search.role_name, goal.recall
        ),
        app_fix: Some(format!("In the transaction of the search: SET LOCAL ivfflat.probes = {probes};")),
        fix_sql: Some(setting.fix_sql),
        risk: format!("{} A search takes about {probes} times as long as now.", setting.risk),
        rollback: setting.rollback,
        verify_sql: Some(setting.verify_sql),
        ..base
    })
}
