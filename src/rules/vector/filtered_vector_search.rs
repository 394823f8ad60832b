use crate::advice::vector_filter::Alternative;
use crate::advice::vector_filtering::{Filtering, name, rounded_share};
use crate::advice::vector_search::{finding, planned, serving};
use crate::facts::vector::{Limit, Order, VectorColumn, VectorIndex, VectorSearch};
use crate::facts::{Facts, Namer};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::rounded;
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "filtered_vector_search",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search with conditions is served by a vector index that finds its nearest rows before the \
                conditions are looked at, and so few rows match that less than the LIMIT is left; or iterative scan \
                finds them at a cost that another way would not have.",
    effect: "Users get fewer results than there are, and none where the filter is selective: of hnsw.ef_search = 40 \
             rows, 5% leave 2.",
    workaround: "By what costs least at the filter's share: iterative scan for large shares, a partial index where \
                 the filter is the same in all searches or has few values, an exact search of the rows that match \
                 where they are few, partitions by the filter's column.",
    sources: &[
        "https://github.com/pgvector/pgvector#filtering",
        "https://github.com/pgvector/pgvector#iterative-index-scans",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "a twelfth of the rows match, of many",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, \
                    0]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw \
                    (embedding vector_cosine_ops); analyze atoms; create table traffic as select 1 as step, 'select \
                    id from atoms where tenant = %s order by embedding <=> ''[1,0,0]'' limit 10' as query, 5 as \
                    times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "few rows match: exact",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / \
                    2000.0, 0]::vector from generate_series(1, 2000) g; alter table atoms drop constraint \
                    atoms_pkey; create index atoms_cosine on atoms using hnsw (embedding vector_cosine_ops); analyze \
                    atoms; create table traffic as select 1 as step, 'select id from atoms where id between 3%s and \
                    70 order by embedding <=> ''[1,0,0]'' limit 10' as query, 4 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the same filter in all searches: a partial index",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 90000, memory_budget => ''4 GB'''); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, \
                    0]::vector from generate_series(1, 2000) g; update atoms set tenant = 4 where tenant = 3 and id \
                    % 20 > 7; create view third as select id from atoms where tenant = 3 order by embedding <=> \
                    '[1,0,0]' limit 10; create index atoms_cosine on atoms using hnsw (embedding vector_cosine_ops); \
                    analyze atoms; create table traffic as select 1 as step, 'select * from third' as query, 3 as \
                    times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "all that were asked for",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, \
                    0]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw \
                    (embedding vector_cosine_ops); analyze atoms; create table traffic as select 1 as step, 'select \
                    id from atoms where tenant = %s order by embedding <=> ''[1,0,0]'' limit 3' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "iterative scan is on",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; do $$ begin \
                    execute format('alter database %I set enable_seqscan = off', current_database()); execute \
                    format('alter database %I set hnsw.iterative_scan = relaxed_order', current_database()); end $$; \
                    create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, \
                    0]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw \
                    (embedding vector_cosine_ops); analyze atoms; create table traffic as select 1 as step, 'select \
                    id from atoms where tenant = %s order by embedding <=> ''[1,0,0]'' limit 10' as query, 5 as \
                    times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "most rows match",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, \
                    0]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw \
                    (embedding vector_cosine_ops); analyze atoms; create table traffic as select 1 as step, 'select \
                    id from atoms where tenant > 0 order by embedding <=> ''[1,%s,0]'' limit 10' as query, 3 as \
                    times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the planner takes the filter's index",
            setup: "do $$ begin execute format('alter database %I set example.arguments = %L', current_database(), \
                    'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create extension vector; create \
                    extension pg_stat_statements; create table atoms (id int primary key, tenant int, embedding \
                    vector(3)); insert into atoms select g, g % 12, array[1, g / 2000.0, 0]::vector from \
                    generate_series(1, 2000) g; create index on atoms (tenant); create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; create table traffic as select 1 as \
                    step, 'select id from atoms where tenant = %s order by embedding <=> ''[1,0,0]'' limit 10' as \
                    query, 5 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// A search that returns all it should is judged where it takes longer than this, and so many times what another way would.
const SLOW_MS: f64 = 10.0;
const MUCH_CHEAPER: f64 = 3.0;

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let mut namer = facts.relation_names().namer();
    let findings = vectors.searches().filter_map(|(column, search)| {
        if search.order != Order::Ascending || search.joined || search.limit == Limit::None {
            return None;
        }
        let index =
            planned(column, search).find(|index| serving(column, search).any(|other| other.oid == index.oid))?;
        let filtered = Filtering::of(vectors, column, search, index)?;
        finding_of(facts, &mut namer, column, search, index, &filtered)
    });
    Ok(findings.collect())
}

fn finding_of(
    facts: &Facts,
    namer: &mut Namer,
    column: &VectorColumn,
    search: &VectorSearch,
    index: &VectorIndex,
    filtering: &Filtering,
) -> Option<Finding> {
    let vectors = facts.vectors();
    let ranked = filtering.ranked(index);
    let best = ranked.first()?;
    let current = ranked.iter().find(|alternative| alternative.way == filtering.current)?;
    let wanted = filtering.wanted();
    let known = search.limit != Limit::Parameter;
    let got = if known { current.rows } else { search.rows_per_call.unwrap_or(current.rows) };
    let short = current.rows < 0.95 * wanted && got < 0.95 * wanted && (known || is_cut(search));
    let slow =
        search.mean_ms > SLOW_MS && MUCH_CHEAPER * best.ms < current.ms && MUCH_CHEAPER * best.ms < search.mean_ms;
    if best.way == filtering.current || !short && !slow || filtering.is_set_by_sessions(vectors, search) {
        return None;
    }
    let share = filtering.search.selectivity;
    let mut base = finding(vectors, column, search);
    base.evidence.extend(object! {
        "index": index.name.to_string(),
        "share_of_rows": rounded_share(share),
        "share_basis": filtering.basis,
        "k": filtering.search.k,
        "k_basis": filtering.k_basis,
        "estimated_rows_returned": rounded(current.rows),
        "ef_search": search.settings.ef_search,
        "alternatives": ranked.iter().map(described).collect::<Vec<_>>(),
    });
    base.impact = object! {
        "rows_returned": change((rounded(got), if known { "estimated" } else { "measured" }), (rounded(best.rows), "estimated")),
        "search_ms": change((rounded(search.mean_ms), "measured"), (rounded(best.ms), "estimated")),
    };
    let advised = filtering.fix(facts, namer, column, search, index, &best.way);
    Some(Finding {
        severity: if short && got < 0.5 * wanted { Severity::high } else { Severity::medium },
        summary: match short {
            true => format!(
                "A search of {} with a filter that takes {:.2}% of the rows gets {got:.1} of {wanted:.0} rows",
                column.object(),
                100.0 * share
            ),
            false => format!(
                "A search of {} with a filter that takes {:.2}% of the rows takes {:.0} ms; {} would take about {:.0}",
                column.object(),
                100.0 * share,
                search.mean_ms,
                name(&best.way),
                best.ms
            ),
        },
        cause: format!(
            "{} finds the nearest rows first, and {} is looked at afterwards: about {:.1} of {} rows are left. Cheapest of what \
             returns all: {}.",
            index.name,
            filtering.condition,
            current.rows,
            filtering.visited(),
            name(&best.way),
        ),
        fix_sql: advised.fix_sql,
        app_fix: Some(advised.app_fix),
        risk: advised.risk,
        rollback: advised.rollback,
        verify_sql: advised.verify_sql,
        ..base
    })
}

/// Of a LIMIT that is not known: it was not reached in all calls, for these got different numbers of rows, or none.
fn is_cut(search: &VectorSearch) -> bool {
    search.rows_per_call.is_some_and(|rows| rows == 0.0 || (rows - rows.round()).abs() > 1e-6)
}

fn described(alternative: &Alternative) -> Value {
    json!({
        "way": name(&alternative.way),
        "rows_returned": rounded(alternative.rows),
        "ms": rounded(alternative.ms),
        "basis": "estimated from 100,000 rows of 384 dimensions in memory",
    })
}
