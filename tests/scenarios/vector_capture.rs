//! Searches that clients make are captured as they were made, and nothing else is.

use crate::bursts::{Preloaded, holds};
use crate::server::{Database, execute, query, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::thread;

pub fn trials(preloaded: &Preloaded) -> Vec<Trial> {
    vec![
        preloaded.trial("vector_capture::what_is_captured", what_is_captured),
        preloaded.trial("vector_capture::types_and_operators", types),
        preloaded.trial("vector_capture::filters", filters),
        preloaded.trial("vector_capture::protocols", protocols),
        preloaded.trial("vector_capture::within_other_queries", within),
        preloaded.trial("vector_capture::what_is_none", none),
        preloaded.trial("vector_capture::partitions", partitions),
        preloaded.trial("vector_capture::concurrent_clients", concurrent),
        preloaded.trial("vector_capture::share", share),
        preloaded.trial("vector_capture::too_few_rows", too_few_rows),
    ]
}

pub const ITEMS: &str = "create extension vector;
    create table items (id int primary key, tenant int, name text, embedding vector(3), \"Größe\" halfvec(3));
    insert into items select g, g % 50, 'item ' || g, array[g % 7, g % 11, g % 13]::vector, array[g % 5, g % 3, g]::vector
    from generate_series(1, 1000) g;
    create index items_l2 on items using hnsw (embedding vector_l2_ops);
    analyze items";

pub const ON: &str = "set dbre.vector_sample_rate = 1";

/// A session all of whose searches are captured.
pub fn searching(database: &Database) -> Client {
    let mut client = database.connect();
    execute(&mut client, ON);
    client
}

/// All that is captured, when there are so many.
#[track_caller]
pub fn captured(client: &mut Client, number: i64) -> Vec<Value> {
    let count = "select count(*) from dbre.vector_queries";
    wait_until(&format!("{number} searches are written"), || value::<i64>(client, count) >= number);
    let sql = "select to_jsonb(q) || jsonb_build_object('index', index::text, 'relation', relation::text)
               from dbre.vector_queries q order by captured_at, id";
    let rows: Vec<Value> = query(client, sql).iter().map(|row| row.get(0)).collect();
    assert_eq!(rows.len() as i64, number, "{}", shown(&rows));
    rows
}

/// What the one search of `sql` has left; forgets it.
#[track_caller]
pub fn one(client: &mut Client, sql: &str) -> Value {
    execute(client, sql);
    let found = captured(client, 1).pop().unwrap();
    execute(client, "select dbre.forget_vector_queries()");
    found
}

fn what_is_captured(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    let begun: String = value(&mut client, "select clock_timestamp()::text");
    let rows = query(&mut client, "select id from items order by embedding <-> '[1,2,3.5]' limit 5").len();
    let found = captured(&mut client, 1).pop().unwrap();
    holds(
        &found,
        json!({
            "relation": "items", "index": "items_l2", "key": "embedding", "operator": "<->", "vector_type": "vector",
            "query_vector": "[1,2,3.5]", "k": 5, "rows": rows, "k_short": false, "joined": false, "filter": null,
            "filter_columns": [], "ef_search": 40, "probes": null, "iterative_scan": "off", "role": "postgres",
        }),
    );
    assert!((0.001..10_000.0).contains(&found["ms"].as_f64().unwrap()), "{found:#}");
    let recorded = "select count(*) from dbre.vector_queries q join pg_stat_statements s on s.queryid = q.query_id
                    where s.query ~ '<->' and q.captured_at between '{begun}' and clock_timestamp()";
    execute(&mut client, "create extension pg_stat_statements");
    assert_eq!(value::<i64>(&mut client, &recorded.replace("{begun}", &begun)), 1);
    assert_eq!(value::<f64>(&mut client, "select searches from dbre.vector_query_counts"), 1.0);
    let state = "select to_jsonb(c) from dbre.vector_capture() c";
    let state: Value = value(&mut client, state);
    holds(
        &state,
        json!({"capturing": true, "reason": null, "rate": 1, "captured": 1, "waiting": 0, "dropped": 0, "stored": 1, "failure": null}),
    );
    // The same with another setting, exact, with OFFSET and without LIMIT.
    execute(&mut client, "select dbre.forget_vector_queries(); set hnsw.ef_search = 77");
    execute(&mut client, "set hnsw.iterative_scan = strict_order; set enable_seqscan = off");
    let found = one(&mut client, "select id from items order by embedding <-> '[1,2,3]' limit 3 offset 4");
    holds(&found, json!({"k": 7, "rows": 7, "ef_search": 77, "iterative_scan": "strict_order"}));
    execute(&mut client, "set enable_indexscan = off; set enable_seqscan = on");
    let found = one(&mut client, "select id, name from items order by embedding <-> '[1,2,3]', id limit 2");
    holds(&found, json!({"index": null, "k": 2, "rows": 2, "ef_search": null, "iterative_scan": null}));
    let found = one(&mut client, "select id from items order by embedding <=> '[1,2,3]'");
    holds(&found, json!({"index": null, "operator": "<=>", "k": null, "rows": 1000, "k_short": false}));
    let found = one(&mut client, "select id from items where id < 8 order by embedding <#> '[1,2,3]' limit 20");
    holds(&found, json!({"index": null, "operator": "<#>", "k": 20, "rows": 7, "k_short": true, "filter": "(id < 8)"}));
}

fn types(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create schema \"Ext\"; create extension vector schema \"Ext\"; set search_path = public, \"Ext\";
         create table \"Größe\" (\"Id\" int primary key, \"V\" vector(3), h halfvec(4), b bit(8), s sparsevec(5), w vector);
         insert into \"Größe\" select g, array[g, 1, g % 3]::vector, array[g, 1, 2, g % 5]::vector::halfvec, (g % 256)::bit(8),
             ('{1:' || g || ',3:1}/5')::sparsevec, array[g, g % 2]::vector from generate_series(1, 300) g;
         create index on \"Größe\" using hnsw (\"V\" vector_cosine_ops);
         create index on \"Größe\" using ivfflat (\"V\" vector_ip_ops) with (lists = 5);
         create index on \"Größe\" using hnsw ((\"V\"::halfvec(3)) halfvec_l1_ops);
         create index on \"Größe\" using hnsw (h halfvec_l2_ops);
         create index on \"Größe\" using hnsw (b bit_hamming_ops);
         create index on \"Größe\" using hnsw (s sparsevec_ip_ops);
         create index on \"Größe\" using hnsw ((binary_quantize(\"V\")::bit(3)) bit_jaccard_ops);
         create index on \"Größe\" using hnsw ((w::vector(2)) vector_l2_ops);
         create index on \"Größe\" using hnsw ((subvector(\"V\", 1, 2)::vector(2)) vector_cosine_ops);
         analyze \"Größe\"; set dbre.vector_sample_rate = 1; set enable_seqscan = off",
    );
    for (key, operator, vector, given, index, printed) in [
        ("\"V\"", "<=>", "vector", "[1,2,3]", "Größe_V_idx", "\"V\""),
        ("\"V\"", "<#>", "vector", "[0.25,2,3]", "Größe_V_idx1", "\"V\""),
        ("\"V\"::halfvec(3)", "<+>", "halfvec", "[1,2,3]", "Größe_V_idx2", "(\"V\")::\"Ext\".halfvec(3)"),
        ("h", "<->", "halfvec", "[1,2,3,-4.5]", "Größe_h_idx", "h"),
        ("b", "<~>", "bit", "10010110", "Größe_b_idx", "b"),
        ("s", "<#>", "sparsevec", "{1:1.5,5:2}/5", "Größe_s_idx", "s"),
        (
            "binary_quantize(\"V\")::bit(3)",
            "<%>",
            "bit",
            "101",
            "Größe_binary_quantize_idx",
            "(\"Ext\".binary_quantize(\"V\"))::bit(3)",
        ),
        ("w::vector(2)", "<->", "vector", "[7,1]", "Größe_w_idx", "(w)::\"Ext\".vector(2)"),
        (
            "subvector(\"V\", 1, 2)::vector(2)",
            "<=>",
            "vector",
            "[7,1]",
            "Größe_subvector_idx",
            "(\"Ext\".subvector(\"V\", 1, 2))::\"Ext\".vector(2)",
        ),
    ] {
        let of = if vector == "bit" { format!("bit({})", given.len()) } else { vector.to_string() };
        let sql = format!("select \"Id\" from \"Größe\" order by {key} {operator} '{given}'::{of} limit 5");
        let found = one(&mut client, &sql);
        holds(
            &found,
            json!({
                "relation": "\"Größe\"", "index": format!("\"{index}\""), "key": printed, "operator": operator,
                "vector_type": vector, "query_vector": given, "k": 5, "joined": false,
            }),
        );
        let ivfflat = operator == "<#>" && vector == "vector";
        let settings =
            if ivfflat { json!({"probes": 1, "ef_search": null}) } else { json!({"probes": null, "ef_search": 40}) };
        holds(&found, settings);
        // The same without an index, and the other way round.
        let (scan, back) =
            ("set enable_indexscan = off; set enable_seqscan = on", "reset enable_indexscan; set enable_seqscan = off");
        let sql =
            format!("{scan}; select \"Id\" from \"Größe\" order by '{given}'::{of} {operator} {key} limit 5; {back}");
        let found = one(&mut client, &sql);
        holds(&found, json!({"index": null, "key": printed, "operator": operator, "query_vector": given, "rows": 5}));
    }
}

fn filters(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(&mut client, "create index items_small on items using hnsw (embedding vector_cosine_ops) where id < 500");
    execute(
        &mut client,
        "set enable_sort = off; create function pick(int) returns int volatile language plpgsql as 'begin return $1; end'",
    );
    let search = |filter: &str, operator: &str| {
        format!("select name from items where {filter} order by embedding {operator} '[1,2,3]' limit 4")
    };
    for (filter, operator, kept, columns) in [
        ("tenant < 30", "<->", Some("(tenant < 30)"), json!(["tenant"])),
        (
            "tenant < 30 and name ~ 'item'",
            "<->",
            Some("((tenant < 30) AND (name ~ 'item'::text))"),
            json!(["tenant", "name"]),
        ),
        ("id < 500", "<=>", Some("(id < 500)"), json!(["id"])),
        ("id < 500 and tenant <> 3", "<=>", Some("((id < 500) AND (tenant <> 3))"), json!(["id", "tenant"])),
        (
            "embedding <-> '[1,2,3]' < 5",
            "<->",
            Some("((embedding OPERATOR(public.<->) '[1,2,3]'::public.vector) < '5'::double precision)"),
            json!(["embedding"]),
        ),
        ("tenant = pick(3)", "<->", None, json!(["tenant"])),
        ("tenant = (select 3)", "<->", Some("(tenant = 3)"), json!(["tenant"])),
        ("tenant in (select random()::int from author)", "<=>", None, json!(null)),
    ] {
        let found = one(&mut client, &search(filter, operator));
        match columns {
            Value::Null => assert!(found["filter"].is_null(), "{found:#}"),
            columns => holds(&found, json!({"filter": kept, "filter_columns": columns})),
        }
        if let Some(kept) = kept {
            execute(&mut client, &format!("select from items where {kept}"));
        }
    }
    // Parameters have their values.
    execute(&mut client, "set plan_cache_mode = force_generic_plan");
    execute(
        &mut client,
        "prepare near (vector, int, text) as select id from items where tenant < $2 and name <> $3 order by embedding <-> $1 limit 4",
    );
    let found = one(&mut client, "execute near ('[4,5,6]', 20, 'it''s')");
    holds(&found, json!({"query_vector": "[4,5,6]", "filter": "((tenant < 20) AND (name <> 'it''s'::text))"}));
}

fn protocols(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    let mut expected = Vec::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        execute(&mut client, &format!("set plan_cache_mode = {mode}; deallocate all"));
        for index in ["on", "off"] {
            execute(&mut client, &format!("set enable_indexscan = {index}"));
            let statement =
                client.prepare("select id from items order by embedding <-> $1::text::vector limit $2").unwrap();
            for time in 1..=3 {
                let vector = format!("[{time},{},0]", expected.len());
                assert_eq!(client.query(&statement, &[&vector, &6i64]).unwrap().len(), 6);
                expected.push((vector, 6));
            }
            let vector = format!("[9,{},0]", expected.len());
            execute(&mut client, "prepare near (vector) as select id from items order by embedding <-> $1 limit 3");
            execute(&mut client, &format!("execute near ('{vector}'); deallocate near"));
            expected.push((vector, 3));
        }
    }
    execute(&mut client, "reset enable_indexscan");
    // Rows are fetched until the portal is closed.
    execute(&mut client, "begin; declare c cursor for select id from items order by embedding <-> '[5,5,5]' limit 8");
    execute(&mut client, "fetch 3 from c; fetch 2 from c; close c; commit");
    expected.push(("[5,5,5]".to_string(), 8));
    execute(
        &mut client,
        "begin; declare c cursor for select id from items order by embedding <-> '[5,5,6]' limit 8; fetch all c; commit",
    );
    expected.push(("[5,5,6]".to_string(), 8));
    let mut transaction = client.transaction().unwrap();
    let portal = transaction.bind("select id from items order by embedding <-> '[5,6,6]' limit 8", &[]).unwrap();
    assert_eq!(transaction.query_portal(&portal, 3).unwrap().len(), 3);
    drop(portal);
    transaction.commit().unwrap();
    expected.push(("[5,6,6]".to_string(), 8));
    let found = captured(&mut client, expected.len() as i64);
    let mut seen: Vec<(String, i64)> =
        found.iter().map(|row| (text(row, "query_vector").to_string(), row["k"].as_i64().unwrap())).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    for (vector, rows) in [("[5,5,5]", 5), ("[5,5,6]", 8), ("[5,6,6]", 3)] {
        let row = found.iter().find(|row| text(row, "query_vector") == vector).unwrap();
        holds(row, json!({"rows": rows, "k_short": false, "index": "items_l2"}));
    }
}

fn within(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(
        &mut client,
        "set enable_seqscan = off;
         create function near(query vector, most int) returns setof int stable language plpgsql as $$
         begin return query select id from items order by embedding <-> query limit most; end $$;
         create function near_sql(vector, int) returns setof int volatile language sql as
         'select id from items order by embedding <-> $1 limit $2';
         create view nearest as select i.*, embedding <-> '[3,3,3]' as distance from items i",
    );
    let near = "select id, embedding from items order by embedding <-> '[1,2,3]' limit 6";
    for (sql, expected) in [
        ("select * from near('[1,2,3]', 6)", json!({"rows": 6, "joined": false})),
        ("select * from near_sql('[1,2,3]', 6)", json!({"rows": 6, "joined": false})),
        ("do $$ begin perform near('[1,2,3]', 6); end $$", json!({"rows": 6})),
        (&format!("with n as materialized ({near}) select count(*) from n join items using (id)"), json!({"rows": 6, "joined": false})),
        (&format!("select * from ({near}) n order by embedding <=> '[3,2,1]' limit 2"), json!({"rows": 6, "operator": "<->"})),
        (&format!("select * from author where id in (select id from ({near}) n)"), json!({"rows": 6, "joined": false})),
        (&format!("select (select max(id) from ({near}) n)"), json!({"rows": 6})),
        (
            "select i.id, a.name from items i join author a on a.id = i.id order by i.embedding <-> '[1,2,3]' limit 6",
            json!({"joined": true, "rows": 6, "key": "embedding", "relation": "items"}),
        ),
        (
            "select n.id from author a cross join lateral (select id from items where id > a.id order by embedding <-> '[1,2,3]' limit 6) n
             where a.id in (1, 2)",
            json!({"rows": 6, "k": 6, "joined": false}),
        ),
        ("select id from nearest order by embedding <-> '[1,2,3]' limit 6", json!({"rows": 6, "relation": "items"})),
        ("select id from items order by embedding <-> (select '[1,2,3]'::vector from author where id = 1) limit 6", json!({"rows": 6, "index": "items_l2"})),
        (&format!("create table kept as {near}"), json!({"rows": 6})),
        (&format!("{near} for update"), json!({"rows": 6, "joined": false})),
    ] {
        let found = one(&mut client, sql);
        holds(&found, json!({"query_vector": "[1,2,3]", "k": 6}));
        holds(&found, expected);
    }
    // The vector of a row, out of line.
    execute(
        &mut client,
        "create table wide (id int, v vector(1500)); alter table wide alter v set storage external;
         insert into wide select g, array_fill(g, array[1500])::vector from generate_series(1, 20) g",
    );
    let found = one(&mut client, "select id from wide order by v <-> (select v from wide where id = 7) limit 2");
    assert!(text(&found, "query_vector").starts_with("[7,7,7,") && text(&found, "query_vector").len() == 3001);
    holds(&found, json!({"rows": 2, "relation": "wide"}));
    // Two in one statement.
    let both = "(select id from items order by embedding <-> '[1,1,1]' limit 2) union all
                (select id from items order by embedding <=> '[2,2,2]' limit 3)";
    execute(&mut client, both);
    let found = captured(&mut client, 2);
    let mut vectors: Vec<&str> = found.iter().map(|row| text(row, "query_vector")).collect();
    vectors.sort_unstable();
    assert_eq!(vectors, ["[1,1,1]", "[2,2,2]"]);
}

fn none(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    let near = "select id from items order by embedding <-> '[1,2,3]' limit 6";
    for sql in [
        format!("explain {near}"),
        format!("explain analyze {near}"),
        format!("/* pg_dbre */ {near}"),
        "select id from items order by embedding <-> null limit 6".to_string(),
        "select id from items order by embedding <-> '[1,2,3]' limit 0".to_string(),
        "select id from items order by embedding <-> '[1,2,3]' desc limit 6".to_string(),
        "select id from items order by 1 - (embedding <=> '[1,2,3]') limit 6".to_string(),
        "select id from items order by id limit 6".to_string(),
        "select id from items order by id::float8 limit 6".to_string(),
        "select id, embedding <-> '[1,2,3]' from items".to_string(),
        "select a.id from items a, items b where b.id < 5 order by a.embedding <-> b.embedding limit 6".to_string(),
        "create temp table t as select * from items limit 10; select id from t order by embedding <-> '[1,2,3]' limit 6".to_string(),
        "select * from dbre.explain_findings($$select id from items order by embedding <-> '[1,2,3]' limit 6$$)".to_string(),
        format!("set dbre.vector_sample_rate = 0; {near}; {ON}"),
        format!("prepare p as {near}; deallocate p"),
        format!("begin; declare c cursor for {near}; close c; commit"),
        // Another's types and operators of these names.
        "create schema other; create type other.vector as enum ('a', 'b');
         create function other.distance(other.vector, other.vector) returns float8 immutable language sql as 'select 1.0::float8';
         create operator other.<-> (leftarg = other.vector, rightarg = other.vector, function = other.distance);
         create table other.t as select 'a'::other.vector as v from generate_series(1, 10);
         select from other.t order by v operator(other.<->) 'b'::other.vector limit 1"
            .to_string(),
    ] {
        execute(&mut client, &sql);
    }
    assert!(client.batch_execute("select 1 / (id - id) from items order by embedding <-> '[1,2,3]' limit 6").is_err());
    let last = one(&mut client, "select id from items order by embedding <-> '[9,9,9]' limit 1");
    holds(&last, json!({"query_vector": "[9,9,9]"}));
}

fn partitions(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension vector; create table part (id int, tenant int, v vector(3)) partition by list (tenant);
         create table part_1 partition of part for values in (1);
         create table part_2 (v vector(3), junk int, tenant int, id int); alter table part_2 drop junk;
         alter table part attach partition part_2 for values in (2);
         create table part_3 partition of part for values in (3);
         insert into part select g, g % 3 + 1, array[g % 7, g % 11, g % 13]::vector from generate_series(1, 900) g;
         create index part_v on part using hnsw (v vector_l2_ops); analyze part",
    );
    execute(&mut client, "set dbre.vector_sample_rate = 1; set enable_seqscan = off");
    let found = one(&mut client, "select id from part order by v <-> '[1,2,3]' limit 5");
    holds(&found, json!({"relation": "part", "index": "part_1_v_idx", "k": 5, "rows": 5, "joined": false, "key": "v"}));
    let found = one(&mut client, "select id from part where tenant = 2 and id > 3 order by v <-> '[1,2,3]' limit 5");
    holds(&found, json!({"relation": "part", "index": "part_2_v_idx", "rows": 5}));
    assert_eq!(found["filter_columns"], json!(["tenant", "id"]), "{found:#}");
    execute(&mut client, "set enable_indexscan = off; set enable_seqscan = on");
    let found = one(&mut client, "select id from part order by v <-> '[1,2,3]' limit 5");
    holds(&found, json!({"relation": "part", "index": null, "k": 5, "rows": 5, "key": "v", "query_vector": "[1,2,3]"}));
}

fn concurrent(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut sent = Vec::new();
    thread::scope(|scope| {
        for number in 0..4 {
            let mut client = searching(database);
            scope.spawn(move || {
                for time in 0..150 {
                    let sql = format!("select id from items order by embedding <-> '[{number},{time},1]' limit 3");
                    execute(&mut client, &sql);
                }
            });
        }
    });
    let mut client = database.connect();
    for number in 0..4 {
        sent.extend((0..150).map(|time| format!("[{number},{time},1]")));
    }
    let mut seen: Vec<String> =
        captured(&mut client, 600).iter().map(|row| text(row, "query_vector").to_string()).collect();
    seen.sort();
    sent.sort();
    assert_eq!(seen, sent);
    assert_eq!(value::<i64>(&mut client, "select dropped from dbre.vector_capture()"), 0);
}

fn share(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = database.connect();
    execute(&mut client, "set dbre.vector_sample_rate = 0.3");
    for time in 0..300 {
        execute(&mut client, &format!("select id from items order by embedding <-> '[{time},1,1]' limit 3"));
    }
    let seen: i64 = value(&mut client, "select captured from dbre.vector_capture()");
    assert!((50..130).contains(&seen), "{seen} of 300 at 0.3");
    captured(&mut client, seen);
}

fn too_few_rows(database: &Database) {
    execute(&mut database.connect(), ITEMS);
    let mut client = searching(database);
    execute(&mut client, "set enable_sort = off");
    let found = one(&mut client, "select id from items where tenant = 3 order by embedding <-> '[1,2,3]' limit 15");
    assert_eq!((&found["k_short"], &found["index"]), (&json!(true), &json!("items_l2")), "{found:#}");
    for time in 0..5 {
        execute(
            &mut client,
            &format!("select id from items where tenant = 3 order by embedding <-> '[{time},2,3]' limit 15"),
        );
    }
    captured(&mut client, 5);
    let sql = "select to_jsonb(a) from dbre.vector_index_advice('items') a where rule = 'vector_search_returned_too_few_rows'";
    let findings: Vec<Value> = query(&mut client, sql).iter().map(|row| row.get(0)).collect();
    assert_eq!(findings.len(), 1, "{}", shown(&findings));
    holds(
        &findings[0]["evidence"],
        json!({"limit_rows": 15, "matching_rows_counted_at_least": 15, "short_searches": 5, "filter": "(tenant = 3)"}),
    );
    let fix = text(&findings[0], "fix_sql");
    assert_eq!(fix, "set hnsw.iterative_scan = relaxed_order;");
    let rows =
        query(&mut client, "select id from items where tenant = 3 order by embedding <-> '[1,2,3]' limit 15").len();
    assert!(rows < 15, "{rows}");
    execute(&mut client, fix);
    let rows =
        query(&mut client, "select id from items where tenant = 3 order by embedding <-> '[1,2,3]' limit 15").len();
    assert_eq!(rows, 15);
    assert!(query(&mut client, sql).is_empty(), "solved");
}
