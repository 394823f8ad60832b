use crate::advice::vector_search::{RoleSetting, finding, is_set_by_sessions, planned_hnsw};
use crate::facts::Facts;
use crate::facts::vector::{Limit, Order};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "limit_above_ef_search",
    category: "vector",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A search that an HNSW index serves without iterative scan asks for more rows than hnsw.ef_search of \
                the role that runs it, or has always got just as many as that.",
    effect: "The index returns no more than hnsw.ef_search rows, and the LIMIT is cut in silence. At LIMIT = \
             hnsw.ef_search the last of them are poor neighbors, and dead rows take the place of others.",
    workaround: "Set hnsw.ef_search well above the LIMIT for the role or in the session, or hnsw.iterative_scan, \
                 which goes on until the LIMIT is reached.",
    sources: &[
        "https://github.com/pgvector/pgvector#query-options",
        "https://github.com/pgvector/pgvector#iterative-index-scans",
    ],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "as many rows as ef_search",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index \
                    atoms_cosine on atoms using hnsw (embedding vector_cosine_ops); analyze atoms; create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit \
                    100' as query, 3 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a LIMIT of a view",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create view most as \
                    select * from atoms order by embedding <=> '[1,1,1]' limit 50; create index atoms_cosine on \
                    atoms using hnsw (embedding vector_cosine_ops); analyze atoms; create table \
                    traffic as select 1 as step, 'select * from most where tenant = %s' as query, 3 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a LIMIT below it",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index \
                    atoms_cosine on atoms using hnsw (embedding vector_cosine_ops); analyze atoms; create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit 20' \
                    as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "ef_search is set for the database",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    execute format('alter database %I set hnsw.ef_search = 200', current_database()); end $$; create \
                    extension vector; create extension pg_stat_statements; create table atoms (id int primary key, \
                    tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), random(), \
                    random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw \
                    (embedding vector_cosine_ops); analyze atoms; create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit \
                    100' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "sessions set it",
            setup: "do $$ begin execute format('alter database %I set enable_seqscan = off', current_database()); \
                    end $$; create extension vector; create extension pg_stat_statements; create table atoms (id int \
                    primary key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, \
                    array[random(), random(), random()]::vector from generate_series(1, 2000) g; create index \
                    atoms_cosine on atoms using hnsw (embedding vector_cosine_ops); analyze atoms; create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit \
                    100' as query, 3 as times union all select 0, 'set hnsw.ef_search = 120', 1",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "no index is used",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; create table \
                    traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' limit \
                    100' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Nobody has asked for just as many by chance in all calls, unless it is the LIMIT.
const SAME_ROWS: f64 = 0.005;
/// Room for what dead rows take, and for the last of the neighbors.
const ROOM: f64 = 1.5;
const MOST_EF_SEARCH: f64 = 1000.0;

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let findings = vectors.searches().filter_map(|(column, search)| {
        let settings = &search.settings;
        let ef_search = f64::from(settings.ef_search);
        let set_by_sessions = ["hnsw.ef_search", "hnsw.iterative_scan"]
            .iter()
            .any(|name| is_set_by_sessions(vectors, search, name));
        if search.order != Order::Ascending || settings.hnsw_iterative_scan != "off" || set_by_sessions {
            return None;
        }
        // Of each partition's index as many are found.
        let index = planned_hnsw(column, search).filter(|index| !index.partitioned)?;
        let got = search.rows_per_call.unwrap_or_default();
        let wanted = match search.limit {
            Limit::Rows(rows) if rows as f64 > ef_search => Some(rows as f64),
            Limit::Parameter if search.filters.is_empty() && (got - ef_search).abs() < SAME_ROWS * ef_search => None,
            _ => return None,
        };
        let needed = wanted.map(|rows| (ROOM * rows / 10.0).ceil() * 10.0).filter(|needed| *needed <= MOST_EF_SEARCH);
        let setting = match needed {
            Some(needed) => RoleSetting::new(facts, search, "hnsw.ef_search", &ef_search.to_string(), &needed.to_string()),
            None if extension.version < [0, 8, 0] => return None,
            None => RoleSetting::new(facts, search, "hnsw.iterative_scan", "off", "strict_order"),
        };
        let mut base = finding(vectors, column, search);
        base.evidence.insert("index".to_string(), index.name.to_string().into());
        base.evidence.insert("ef_search".to_string(), settings.ef_search.into());
        Some(Finding {
            severity: if wanted.is_some() { Severity::high } else { Severity::medium },
            summary: match wanted {
                Some(rows) => format!(
                    "A search of {} asks for {rows} rows and gets at most {ef_search}: hnsw.ef_search is {ef_search}",
                    column.object()
                ),
                None => format!(
                    "A search of {} gets {got:.0} rows in every call, which is all that hnsw.ef_search = {ef_search} lets it",
                    column.object()
                ),
            },
            cause: format!(
                "{} serves it, and a scan of an HNSW index finds hnsw.ef_search rows and no more while hnsw.iterative_scan is off.{}",
                index.name,
                if wanted.is_none() {
                    " The LIMIT is not known: if it is greater, rows are cut; if it is the same, the last of them are poor neighbors."
                } else {
                    ""
                },
            ),
            app_fix: Some(format!(
                "In the transaction of the search: SET LOCAL {}",
                setting.fix_sql.split(" SET ").nth(1).unwrap_or_default()
            )),
            fix_sql: Some(setting.fix_sql),
            risk: format!("{} A search visits more of the index: its time grows about as the setting does.", setting.risk),
            rollback: setting.rollback,
            verify_sql: Some(setting.verify_sql),
            ..base
        })
    });
    Ok(findings.collect())
}
