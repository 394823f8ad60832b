use crate::facts::Facts;
use crate::facts::vector::{CutSearch, CutSearches, Server, Vectors};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::thousandths;

const MIN_SHARE: OptionSpec = OptionSpec::number(
    "min_short_share",
    (0.01, "share"),
    (0.0, 1.0),
    "share of the index's captured searches that got too few rows, from which on the finding is made",
);
/// The most that hnsw.ef_search can be.
const MOST_EF_SEARCH: u64 = 1000;

pub static RULE: Rule = Rule {
    id: "vector_search_returned_too_few_rows",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Of the searches that dbre.vector_queries has captured in the last day, at least min_short_share of those by one \
                HNSW or IVFFlat index got fewer rows than LIMIT, and a count of the newest with their own conditions and rights \
                shows that LIMIT rows match.",
    effect: "Users see a short page, or none, where there is more to see; nothing raises an error.",
    workaround: "Let the index go on until LIMIT is reached (hnsw.iterative_scan, ivfflat.iterative_scan), or raise \
                 hnsw.ef_search to LIMIT; for a selective filter, a partial index or an index on the filter's columns.",
    sources: &[
        "https://github.com/pgvector/pgvector#filtering",
        "https://github.com/pgvector/pgvector#iterative-index-scans",
    ],
    options: &[MIN_SHARE],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a filter is applied to what the index has found",
            setup: "create extension vector; create table t (id int primary key, tenant int, v vector(3)); insert into t \
                    select g, g % 100, array[g % 7, g % 11, g % 13]::vector from generate_series(1, 2000) g; create index t_v \
                    on t using hnsw (v vector_l2_ops); analyze t; insert into dbre.vector_queries (captured_at, relation, \
                    index, key, operator, vector_type, query_vector, k, rows, k_short, joined, filter, filter_columns, \
                    ef_search, iterative_scan, ms, role) select now(), 't'::regclass, 't_v'::regclass, 'v', '<->', 'vector', \
                    '[1,2,3]', 10, g % 2, true, false, '(tenant = 3)', '{tenant}', 40, 'off', 1, current_user from \
                    generate_series(1, 20) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "LIMIT above ef_search",
            setup: "create extension vector; create table t (id int primary key, v vector(3)); insert into t select g, array[g % \
                    7, g % 11, g % 13]::vector from generate_series(1, 500) g; create index t_v on t using hnsw (v \
                    vector_cosine_ops); analyze t; insert into dbre.vector_queries (captured_at, relation, index, key, \
                    operator, vector_type, query_vector, k, rows, k_short, joined, filter_columns, ef_search, iterative_scan, \
                    ms, role) select now(), 't'::regclass, 't_v'::regclass, 'v', '<=>', 'vector', '[1,2,3]', 100, 40, true, \
                    false, '{}', 40, 'off', 1, current_user from generate_series(1, 5) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no more rows match; a search long ago; one that a join has shortened",
            setup: "create extension vector; create table t (id int primary key, tenant int, v vector(3)); insert into t \
                    select g, g % 500, array[g % 7, g % 11, g % 13]::vector from generate_series(1, 2000) g; create index t_v \
                    on t using hnsw (v vector_l2_ops); analyze t; insert into dbre.vector_queries (captured_at, relation, \
                    index, key, operator, vector_type, query_vector, k, rows, k_short, joined, filter, filter_columns, \
                    ef_search, iterative_scan, ms, role) select now() - days * interval '1 day', 't'::regclass, \
                    't_v'::regclass, 'v', '<->', 'vector', '[1,2,3]', 10, 1, true, joined, filter, '{tenant}', 40, 'off', 1, \
                    current_user from (values (0, false, '(tenant = 3)'), (3, false, '(tenant < 100)'), (0, true, '(tenant < \
                    100)')) s (days, joined, filter)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "most searches get all",
            setup: "create extension vector; create table t (id int primary key, tenant int, v vector(3)); insert into t \
                    select g, g % 100, array[g % 7, g % 11, g % 13]::vector from generate_series(1, 2000) g; create index t_v \
                    on t using hnsw (v vector_l2_ops); analyze t; insert into dbre.vector_queries (captured_at, relation, \
                    index, key, operator, vector_type, query_vector, k, rows, k_short, joined, filter, filter_columns, \
                    ef_search, iterative_scan, ms, role) select now(), 't'::regclass, 't_v'::regclass, 'v', '<->', 'vector', \
                    '[1,2,3]', 10, case g when 1 then 4 else 10 end, g = 1, false, '(tenant = 3)', '{tenant}', 40, 'off', 1, \
                    current_user from generate_series(1, 200) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let min_share = options.number("min_short_share");
    let findings = vectors.cut.iter().filter_map(|cut| {
        let share = cut.short as f64 / cut.captured as f64;
        let open: Vec<&CutSearch> = cut.proven.iter().filter(|search| !is_solved(search, &vectors.server)).collect();
        (share >= min_share && !open.is_empty()).then(|| finding(vectors, cut, &open, share))
    });
    Ok(findings.collect())
}

/// As settings are now, it would have gone on.
fn is_solved(search: &CutSearch, server: &Server) -> bool {
    let iterative = match search.probes {
        Some(_) => &server.ivfflat_iterative_scan,
        None => &server.hnsw_iterative_scan,
    };
    let went_on = search.iterative_scan.as_ref().is_some_and(|scan| scan != "off");
    let raised = |ef_search: u32| u64::from(ef_search) < search.k && u64::from(server.ef_search) >= search.k;
    !went_on && !iterative.is_empty() && iterative != "off" || !search.filtered && search.ef_search.is_some_and(raised)
}

fn finding(vectors: &Vectors, cut: &CutSearches, open: &[&CutSearch], share: f64) -> Finding {
    let worst = open.iter().min_by(|a, b| (a.rows * b.k).cmp(&(b.rows * a.k))).expect("there is one");
    let k = open.iter().map(|search| search.k).max().unwrap_or(worst.k);
    let remedy = Remedy::of(vectors, worst, k);
    let filter = match (&worst.filter, worst.filtered) {
        (Some(filter), _) => format!(" where {filter}"),
        (None, _) => String::new(),
    };
    Finding {
        severity: RULE.severity,
        object: cut.index_name.clone(),
        weight: cut.short,
        summary: format!(
            "{} of {} captured searches by {} got fewer rows than LIMIT, though more match: {} of {}{filter}",
            cut.short, cut.captured, cut.index_name, worst.rows, worst.k
        ),
        cause: format!("{} {}", cause(worst), remedy.why),
        evidence: object! {
            "index": cut.index_name,
            "table": cut.table_name,
            "key": cut.key,
            "operator": cut.operator,
            "captured_searches": cut.captured,
            "captured_days": 1,
            "short_searches": cut.short,
            "short_share": thousandths(share),
            "limit_rows": worst.k,
            "returned_rows": worst.rows,
            "matching_rows_counted_at_least": worst.matching,
            "filter": worst.filter,
            "ef_search": worst.ef_search,
            "probes": worst.probes,
            "iterative_scan": worst.iterative_scan,
            "basis": "rows: measured when they were captured; matching rows: counted now, as far as LIMIT",
        },
        impact: object! {
            "rows_returned": change((worst.rows, "measured"), (worst.k, "estimated")),
        },
        fix_sql: remedy.sql.as_ref().map(|(set, _)| set.clone()),
        app_fix: Some(remedy.in_application),
        risk: remedy.risk.to_string(),
        rollback: remedy.sql.map_or(Rollback::None, |(_, reset)| Rollback::Sql(reset)),
        verify_sql: None,
    }
}

fn cause(search: &CutSearch) -> String {
    match (search.ef_search, search.probes) {
        (Some(ef_search), _) if search.filtered => format!(
            "HNSW finds about hnsw.ef_search = {ef_search} rows, and only then the conditions are applied: what they leave is all \
             that the search returns."
        ),
        (Some(ef_search), _) if u64::from(ef_search) < search.k => {
            format!("HNSW finds no more than hnsw.ef_search = {ef_search} rows, which is below LIMIT.")
        }
        (Some(ef_search), _) => format!(
            "HNSW finds about hnsw.ef_search = {ef_search} rows, and those that are dead, or that the searching role may not see, \
             count among them."
        ),
        (None, probes) => format!(
            "IVFFlat reads ivfflat.probes = {} of the index's lists, and the lists read hold too few rows that match.",
            probes.unwrap_or(1)
        ),
    }
}

struct Remedy {
    why: &'static str,
    /// Sets, and sets back.
    sql: Option<(String, String)>,
    in_application: String,
    risk: &'static str,
}

impl Remedy {
    fn of(vectors: &Vectors, search: &CutSearch, k: u64) -> Remedy {
        let of_ivfflat = search.probes.is_some();
        let iterates = vectors.extension.as_ref().is_some_and(|extension| extension.version >= [0, 8, 0]);
        let went_on = search.iterative_scan.as_ref().is_some_and(|scan| scan != "off");
        let below = search.ef_search.is_some_and(|ef_search| u64::from(ef_search) < k);
        if !search.filtered && below && k <= MOST_EF_SEARCH {
            return Remedy::set(
                "hnsw.ef_search",
                &k.to_string(),
                "With hnsw.ef_search at LIMIT the index gives that many.",
                "Each search takes longer, about as much as hnsw.ef_search grows.",
            );
        }
        if iterates && !went_on {
            let setting = if of_ivfflat { "ivfflat.iterative_scan" } else { "hnsw.iterative_scan" };
            return Remedy::set(
                setting,
                "relaxed_order",
                "With an iterative scan the index goes on until LIMIT is reached.",
                "Searches that got too few rows take longer, up to hnsw.max_scan_tuples or ivfflat.max_probes; rows may come \
                 slightly out of order, so that ORDER BY is to be repeated outside where it matters.",
            );
        }
        Remedy {
            why: "The iterative scan has ended at its own limit, or this pgvector has none (it came with 0.8.0).",
            sql: None,
            in_application:
                "Raise hnsw.max_scan_tuples or ivfflat.max_probes (pgvector 0.8.0 and later) for these searches, or \
                             build a partial index for the filter, or an index on its columns for an exact search."
                    .to_string(),
            risk: Finding::NO_RISK,
        }
    }

    fn set(setting: &str, value: &str, why: &'static str, risk: &'static str) -> Remedy {
        Remedy {
            why,
            sql: Some((format!("set {setting} = {value};"), format!("reset {setting};"))),
            in_application: format!(
                "For the application's role: ALTER ROLE <role> SET {setting} = {value}; or in the transaction of the search: \
                 session.execute(text(\"SET LOCAL {setting} = {value}\"))."
            ),
            risk,
        }
    }
}
