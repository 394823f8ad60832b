//! Searches as applications write them: what is said of each, and that nothing is said of good ones.

use crate::server::{Database, Server, execute, query, shown, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_searches::good_ones", good),
        trial(server, "vector_searches::good_ones_in_other_forms", good_in_other_forms),
        trial(server, "vector_searches::bad_ones", bad),
        trial(server, "vector_searches::bad_ones_in_other_forms", bad_in_other_forms),
        trial(server, "vector_searches::another_schema_and_names_that_need_quotes", quoted),
        trial(server, "vector_searches::rewritten_texts_return_the_same_rows", rewritten),
        trial(server, "vector_searches::statements_of_others_are_not_shown", hidden),
        trial(server, "vector_searches::filters_and_their_share", filters),
        trial(server, "vector_searches::captured_ones_tell_their_limit", captured),
    ]
}

const SCHEMA: &str = "
    create extension vector;
    create extension pg_stat_statements;
    create table collections (id int primary key, name text unique);
    insert into collections values (1, 'one'), (2, 'two');
    create table docs (id int primary key, tenant int, collection int, title text, views int, embedding vector(3));
    insert into docs select g, g % 10, 1 + g % 2, 'title ' || g, g % 7, array[random(), random(), random()]::vector
    from generate_series(1, 2500) g;
    create index docs_cosine on docs using hnsw (embedding vector_cosine_ops);
    create view recent as select * from docs where id > 100;
    create table results (id int);
    create table parts (id int, embedding vector(3)) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (1300);
    create table parts_2 partition of parts for values from (1300) to (9000);
    insert into parts select id, embedding from docs;
    create index on parts using hnsw (embedding vector_cosine_ops);
    analyze;";

/// Rules that judge how a search is written.
const RULES: [&str; 9] = [
    "vector_distance_after_other_keys",
    "vector_distance_as_function",
    "vector_distance_in_condition_only",
    "vector_distance_of_pairs",
    "vector_distance_wrapped",
    "vector_operator_not_indexed",
    "vector_search_farthest_first",
    "vector_search_without_cast",
    "vector_search_without_limit",
];

fn prepare(database: &Database, schema: &str) {
    database.psql(schema);
    for rule in RULES {
        database.psql(&format!("select dbre.configure_rule('{rule}', options => '{{\"min_rows\": 100}}');"));
    }
}

fn reset(client: &mut Client) {
    query(
        client,
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()))",
    );
}

/// Findings of the rules on searches.
fn findings(database: &Database) -> Vec<Value> {
    let sql = "select to_jsonb(a) from dbre.vector_index_advice(expected_rows => 1000000, memory_budget => '8 GB') a";
    let all: Vec<Value> = query(&mut database.connect(), sql).iter().map(|row| row.get(0)).collect();
    all.into_iter().filter(|finding| RULES.contains(&text(finding, "rule"))).collect()
}

/// Q in a text stands for a query vector.
fn say(database: &Database, texts: &[(&str, &[&str])]) {
    prepare(database, SCHEMA);
    let mut wrong = Vec::new();
    for (sql, expected) in texts {
        let mut client = database.connect();
        reset(&mut client);
        execute(&mut client, &sql.replace('Q', "'[1,0.5,0.2]'"));
        let found = findings(database);
        let rules: Vec<&str> = found.iter().map(|finding| text(finding, "rule")).collect();
        if rules != *expected {
            wrong.push(format!("{sql}\n-- expected {expected:?}, found {}", shown(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn good(database: &Database) {
    say(
        database,
        &[
            ("select id from docs order by embedding <=> Q limit 5", &[]),
            (
                "SELECT docs.id AS docs_id, docs.embedding <=> Q AS anon_1 FROM docs ORDER BY docs.embedding <=> Q LIMIT 5",
                &[],
            ),
            ("select id, embedding <=> Q as distance from docs d order by distance limit 5", &[]),
            ("select id, 1 - (embedding <=> Q) as similarity from docs order by embedding <=> Q limit 5", &[]),
            (
                "SELECT docs.id, docs.title, docs.embedding <=> Q AS distance FROM docs JOIN collections ON docs.collection = \
                 collections.id WHERE docs.collection = 1 ORDER BY distance ASC LIMIT 4",
                &[],
            ),
            ("select * from (select id, embedding <=> Q as d from docs) t order by d limit 5", &[]),
            ("with q as (select Q::vector as v) select id from docs, q order by embedding <=> q.v limit 5", &[]),
            ("select id from docs order by embedding <=> (select embedding from docs where id = 1) limit 5", &[]),
            ("select id from recent order by embedding <=> Q fetch first 5 rows only", &[]),
            ("select id from docs order by embedding <=> Q limit 5 offset 10", &[]),
            ("select id from docs order by Q <=> embedding limit 5", &[]),
            ("select id from docs order by embedding <=> Q::vector(3), id limit 5", &[]),
            ("select id from docs where embedding <=> Q < 0.3 order by embedding <=> Q limit 5", &[]),
        ],
    );
}

fn good_in_other_forms(database: &Database) {
    say(
        database,
        &[
            (
                "select a.id, n.id from docs a cross join lateral (select id from docs b order by b.embedding <=> a.embedding \
                 limit 3) n where a.id < 4",
                &[],
            ),
            (
                "with semantic as (select id, rank() over (order by embedding <=> Q) as place from docs order by embedding <=> Q \
                 limit 20), keyword as (select id, row_number() over (order by views) as place from docs limit 20) select \
                 coalesce(s.id, k.id), coalesce(1.0 / (60 + s.place), 0.0) + coalesce(1.0 / (60 + k.place), 0.0) as score from \
                 semantic s full outer join keyword k on s.id = k.id order by score desc limit 5",
                &[],
            ),
            (
                "(select id from docs order by embedding <=> Q limit 3) union all (select id from parts order by embedding <=> Q \
                 limit 3)",
                &[],
            ),
            ("select * from docs where id in (select id from docs order by embedding <=> Q limit 5)", &[]),
            ("insert into results select id from docs order by embedding <=> Q limit 5", &[]),
            ("update docs set views = 0 where id = (select id from docs order by embedding <=> Q limit 1)", &[]),
            ("select avg(embedding <=> Q) from docs", &[]),
            ("select id, embedding <=> Q from docs where id = 7", &[]),
            ("select id, row_number() over (order by embedding <=> Q) from docs", &[]),
            ("select id from parts order by embedding <=> Q limit 5", &[]),
            (
                "select id from docs where title like 'title 1%' and tenant in (1, 2) order by embedding <=> Q limit 5",
                &[],
            ),
            ("select point(1, 2) <-> point(id, 3) from docs order by 1 limit 5", &[]),
            ("do $$ begin perform id from docs order by embedding <=> '[1,0,0]' limit 5; end $$", &[]),
            ("select id /* '<=>' */ from docs order by id -- embedding <=> desc", &[]),
        ],
    );
}

fn bad(database: &Database) {
    let (wrapped, limit): (&[&str], &[&str]) = (&["vector_distance_wrapped"], &["vector_search_without_limit"]);
    say(
        database,
        &[
            ("select id, 1 - (embedding <=> Q) as similarity from docs order by similarity desc limit 5", wrapped),
            (
                "select *, 1 - (d.embedding <=> Q) as similarity from docs d where 1 - (d.embedding <=> Q) > 0.5 order by \
                 similarity desc limit 5",
                wrapped,
            ),
            ("select id from docs order by (embedding <#> Q) * -1 desc limit 5", wrapped),
            ("select id from docs order by (embedding <=> Q)::real limit 5", wrapped),
            ("select tenant, min(embedding <=> Q) from docs group by tenant order by 2 limit 5", wrapped),
            ("select id from docs order by coalesce(embedding <=> Q, 1) limit 5", wrapped),
            ("select id from docs order by embedding <=> Q nulls first limit 5", wrapped),
            ("select id from docs order by cosine_distance(embedding, Q) limit 5", &["vector_distance_as_function"]),
            ("select id from docs order by l2_distance(Q, embedding) limit 5", &["vector_distance_as_function"]),
            ("select id from docs order by embedding <-> Q limit 5", &["vector_operator_not_indexed"]),
            ("select id from docs order by embedding <=> Q", limit),
            ("select id from docs order by embedding <=> Q desc limit 5", &["vector_search_farthest_first"]),
            ("select id from docs order by 1 - (embedding <=> Q) limit 5", &["vector_search_farthest_first"]),
        ],
    );
}

fn bad_in_other_forms(database: &Database) {
    let later: &[&str] = &["vector_distance_after_other_keys"];
    say(
        database,
        &[
            ("select count(*) from docs where embedding <=> Q < 0.2", &["vector_distance_in_condition_only"]),
            ("select id from docs order by views, embedding <=> Q limit 5", later),
            ("select distinct on (tenant) tenant, id from docs order by tenant, embedding <=> Q", later),
            (
                "select a.id, b.id from docs a join docs b on a.tenant = b.tenant and a.id < b.id where a.id < 5 order by \
                 a.embedding <=> b.embedding limit 5",
                &["vector_distance_of_pairs"],
            ),
            ("select id from docs order by embedding <=> Q::halfvec(3) limit 5", &["vector_search_without_cast"]),
            (
                "select id from (select id, 1 - (embedding <=> Q) as score from recent) s order by score desc limit 5",
                &["vector_distance_wrapped"],
            ),
            (
                "with s as (select id, 1 - (embedding <=> Q) as score from docs) select id from s where score > 0.1 order by \
                 score desc limit 5",
                &["vector_distance_wrapped"],
            ),
            (
                "insert into results select id from docs order by 1 - (embedding <=> Q) desc limit 5",
                &["vector_distance_wrapped"],
            ),
            ("select id from parts order by 1 - (embedding <=> Q) desc limit 5", &["vector_distance_wrapped"]),
            ("select id from docs order by 1 - (Q <=> embedding) desc limit 5", &["vector_distance_wrapped"]),
        ],
    );
    let mut client = database.connect();
    reset(&mut client);
    let parameter = "select id from docs order by 1 - (embedding <=> ($1::text)::vector) desc limit $2";
    client.query(parameter, &[&"[1,2,3]", &5i64]).unwrap();
    let found = findings(database);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert!(text(&found[0], "app_fix").contains("planned: public.docs_cosine can serve it"), "{}", shown(&found));
}

fn quoted(database: &Database) {
    prepare(
        database,
        r#"create schema "Vec tor"; create extension vector schema "Vec tor"; create extension pg_stat_statements;
           create schema "Größe"; create table "Größe"."Straße ""x""" (id int, "Der Vektor" "Vec tor".vector(3));
           insert into "Größe"."Straße ""x""" select g, array[random(), random(), random()]::"Vec tor".vector
           from generate_series(1, 2000) g;
           create index "I x" on "Größe"."Straße ""x""" using hnsw ("Der Vektor" "Vec tor".vector_cosine_ops); analyze;"#,
    );
    let mut client = database.connect();
    reset(&mut client);
    execute(
        &mut client,
        r#"select id from "Größe"."Straße ""x""" order by 1 - ("Der Vektor" operator("Vec tor".<=>) '[1,2,3]') desc limit 5"#,
    );
    let found = findings(database);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert!(text(&found[0], "object").starts_with(r#""Größe"."Straße ""x"""("Der Vektor")"#), "{}", shown(&found));
    let fix = text(&found[0], "app_fix");
    assert!(
        fix.contains(r#"ORDER BY "Der Vektor" OPERATOR("Vec tor".<=>) "#.trim()) || fix.contains("order by"),
        "{fix}"
    );
    assert!(fix.contains("can serve it"), "{fix}");
}

fn rewritten(database: &Database) {
    prepare(database, SCHEMA);
    let texts = [
        "select id from docs order by 1 - (embedding <=> '[1,0.5,0.2]') desc limit 5",
        "select id from (select id, 1 - (embedding <=> '[1,0.5,0.2]') as s from docs order by s desc limit 5) t order by id",
        "select id from docs order by cosine_distance(embedding, '[1,0.5,0.2]') limit 5",
    ];
    for sql in texts {
        let mut client = database.connect();
        reset(&mut client);
        let before: Vec<i32> = query(&mut client, sql).iter().map(|row| row.get(0)).collect();
        let found = findings(database);
        assert_eq!(found.len(), 1, "{sql}: {}", shown(&found));
        let fix = text(&found[0], "app_fix");
        let rewritten = fix.split("\n--").next().unwrap();
        // Parameters are those of pg_stat_statements: it has the constants of the text in their order.
        let vector = rewritten.split("<=> $").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).count());
        let number = &rewritten.split("<=> $").nth(1).unwrap()[..vector.unwrap()];
        let rewritten = rewritten.replace(&format!("${number}"), "'[1,0.5,0.2]'");
        let mut rewritten = rewritten;
        for parameter in ["$1", "$2", "$3", "$4"] {
            let value = if rewritten.contains(&format!("LIMIT {parameter}"))
                || rewritten.contains(&format!("limit {parameter}"))
            {
                "5"
            } else {
                "1"
            };
            rewritten = rewritten.replace(parameter, value);
        }
        let after: Vec<i32> = query(&mut client, &rewritten).iter().map(|row| row.get(0)).collect();
        assert_eq!(before, after, "{rewritten}");
    }
}

fn hidden(database: &Database) {
    prepare(database, SCHEMA);
    let role = format!("searcher_{}", database.name);
    database.psql(&format!(
        "create role {role} login; grant usage on schema dbre to {role}; grant execute on all functions in schema dbre to {role};
         grant select on docs, dbre.rule_settings, dbre.suppressions to {role};"
    ));
    let mut client = database.connect();
    reset(&mut client);
    execute(&mut client, "select id from docs order by 1 - (embedding <=> '[1,0,0]') desc limit 5");
    let mut other = database.connect_as(&role);
    let sql = "select count(*) from dbre.vector_index_advice() where rule = 'vector_distance_wrapped'";
    let found: i64 = query(&mut other, sql)[0].get(0);
    assert_eq!(found, 0, "a statement of another role was shown");
    drop(other);
    database.psql(&format!("drop owned by {role}; drop role {role};"));
}

fn filters(database: &Database) {
    prepare(database, SCHEMA);
    let mut client = database.connect();
    reset(&mut client);
    execute(
        &mut client,
        "select id from docs where tenant = 3 and views > 1 and embedding <=> '[1,0,0]' < 1 order by embedding <=> '[1,0,0]'",
    );
    let found = findings(database);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    let evidence = &found[0]["evidence"];
    let filters = evidence["filters"].as_array().unwrap();
    let share = |condition: &str| {
        let filter = filters.iter().find(|filter| filter["condition"] == condition);
        let filter = filter.unwrap_or_else(|| panic!("no {condition}: {evidence:#}"));
        assert_eq!(filter["basis"], "planned", "{evidence:#}");
        filter["share_of_rows"].as_f64().unwrap()
    };
    assert_eq!(filters.len(), 2, "{evidence:#}");
    let (tenant, views) = (share("(tenant = $1)"), share("(views > $2)"));
    assert!(views < 1.0, "{evidence:#}");
    assert!((tenant - 0.1).abs() < 0.03, "{evidence:#}");
}

fn captured(database: &Database) {
    prepare(database, SCHEMA);
    database.psql(
        "insert into dbre.vector_queries (captured_at, relation, index, key, operator, vector_type, query_vector, k, rows, k_short,
             joined, filter_columns, ef_search, iterative_scan, ms, role)
         select now(), 'docs', 'docs_cosine', 'embedding', '<=>', 'vector', '[1,2,3]', 100, 40, true, false, '{}', 40, 'off', 1,
             session_user from generate_series(1, 3);
         insert into dbre.vector_queries (captured_at, relation, index, key, operator, vector_type, query_vector, k, rows, k_short,
             joined, filter_columns, ef_search, iterative_scan, ms, role)
         select now(), 'docs', 'docs_cosine', 'embedding', '<=>', 'vector', '[1,2,3]', 100, 40, true, false, '{}', 200, 'off', 1,
             'pg_monitor';",
    );
    let sql = "select to_jsonb(a) from dbre.vector_index_advice() a where rule = 'limit_above_ef_search'";
    let found: Vec<Value> = query(&mut database.connect(), sql).iter().map(|row| row.get(0)).collect();
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert!(text(&found[0], "summary").contains("asks for 100 rows and gets at most 40"), "{}", shown(&found));
    assert!(text(&found[0], "fix_sql").contains("hnsw.ef_search = '150'"), "{}", shown(&found));
}
