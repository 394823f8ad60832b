//! Plans with indexes that do not exist: those of indexes that do, and nothing is left behind.

use crate::server::{Database, Server, execute, query, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "what_if::plans_are_those_of_indexes_that_were_built", like_built_indexes),
        trial(server, "what_if::plans_of_partitioned_tables", partitioned_tables),
        trial(server, "what_if::dropped_indexes_are_hidden", dropped_indexes),
        trial(server, "what_if::parameters", parameters),
        trial(server, "what_if::other_kinds_of_tables", kinds_of_tables),
    ]
}

const TABLE: &str = "
    create extension pg_trgm; create extension btree_gist;
    create table t (id bigint primary key, a int, b text, c timestamptz, d int, e int, j jsonb, tags text[], r int4range, ts tsvector);
    insert into t select g, g % 1000, md5(g::text), '2026-01-01'::timestamptz + g * interval '1 minute', g % 7,
        case when g % 10 > 0 then abs(hashint4(g)) % 300 end, jsonb_build_object('k', g % 100, 'l', g), array['x' || g % 50, 'y' || g],
        int4range(g, g + 10), to_tsvector('simple', 'w' || g % 500 || ' z')
    from generate_series(1, 30000) g;
    vacuum analyze t";

/// A session in a database with the table.
pub fn filled(database: &Database) -> Client {
    database.psql(TABLE);
    database.connect()
}

/// The rows of `dbre.what_if(arguments)`.
#[track_caller]
pub fn what_if(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(w) from dbre.what_if({arguments}) w");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

#[track_caller]
pub fn with_indexes(client: &mut Client, sql: &str, indexes: &[&str]) -> Value {
    let indexes: Vec<_> = indexes.iter().map(|index| format!("$i${index}$i$")).collect();
    what_if(client, &format!("$q${sql}$q$, array[{}]::text[]", indexes.join(", "))).remove(0)
}

#[track_caller]
pub fn explained(client: &mut Client, sql: &str) -> Value {
    value::<Value>(client, &format!("explain (format json) {sql}"))[0]["Plan"].take()
}

/// `Node Type` of each node, from the top, with the index it uses.
pub fn nodes(plan: &Value) -> Vec<String> {
    let name = |key: &str| plan[key].as_str().unwrap_or_default();
    let mut found = vec![format!("{} {}", name("Node Type"), name("Index Name")).trim().to_string()];
    found.extend(plan["Plans"].as_array().into_iter().flatten().flat_map(nodes));
    found
}

fn cost(plan: &Value) -> f64 {
    plan["Total Cost"].as_f64().unwrap()
}

/// Query and index, which is named hyp.
const BUILT: &[(&str, &str)] = &[
    ("select * from t where a = 5", "create index hyp on t (a)"),
    ("select * from t where a between 5 and 9 and d = 3", "create index hyp on t (d, a)"),
    ("select * from t where a = 5 order by c desc limit 3", "create index hyp on t (a, c desc)"),
    ("select * from t order by e desc nulls last, a limit 5", "create index hyp on t (e desc nulls last, a)"),
    ("select * from t order by e nulls first limit 5", "create index hyp on t (e nulls first)"),
    ("select d, c from t where a = 5", "create index hyp on t (a) include (c, d)"),
    ("select count(*) from t where a < 100", "create index hyp on t (a)"),
    ("select * from t where d = 3 and a = 7", "create index hyp on t (a) where d = 3"),
    ("select max(c), min(c) from t", "create index hyp on t (c)"),
    ("select distinct a from t", "create index hyp on t (a)"),
    ("select * from t where lower(b) = 'x'", "create index hyp on t (lower(b))"),
    ("select * from t where (j ->> 'k') = '7'", "create index hyp on t ((j ->> 'k'))"),
    ("select * from t where b = 'x'", "create unique index hyp on t (b)"),
    ("select * from t x join t y using (b) where x.a = 5", "create unique index hyp on t (b)"),
    ("select * from t where b like 'abc%'", "create index hyp on t (b text_pattern_ops)"),
    ("select * from t where b like 'abc%'", "create index hyp on t (b collate \"C\")"),
    ("select * from t where a in (1, 2, 3)", "create index hyp on t (a)"),
    ("select * from t where e is null and a = 10", "create index hyp on t (e, a)"),
    ("select * from t where (a, d) > (990, 3) order by a, d limit 3", "create index hyp on t (a, d)"),
    ("select * from t where b = 'x'", "create index hyp on t using hash (b)"),
    ("select * from t where j @> '{\"l\": 5}'", "create index hyp on t using gin (j)"),
    ("select * from t where j @> '{\"l\": 5}'", "create index hyp on t using gin (j jsonb_path_ops)"),
    ("select * from t where tags @> '{x7}'", "create index hyp on t using gin (tags)"),
    ("select * from t where ts @@ 'w5'", "create index hyp on t using gin (ts)"),
    ("select * from t where b like '%abcdef%'", "create index hyp on t using gin (b gin_trgm_ops)"),
    ("select * from t where r && '[5, 9)'", "create index hyp on t using gist (r)"),
    ("select * from t where a = 5 and r && '[5, 9)'", "create index hyp on t using gist (a, r)"),
    ("select * from t where c < '2026-01-02'", "create index hyp on t using brin (c) with (pages_per_range = 16)"),
    ("select * from t where a = 5 for update", "create index hyp on t (a)"),
];

fn like_built_indexes(database: &Database) {
    let mut client = filled(database);
    let mut different = Vec::new();
    for (sql, index) in BUILT {
        let planned = with_indexes(&mut client, sql, &[index]);
        // Of some expressions the column's statistics tell as much as ANALYZE will.
        execute(&mut client, index);
        let mut built = explained(&mut client, sql);
        if cost(&built) / planned["cost_after"].as_f64().unwrap() > 1.05 {
            execute(&mut client, "analyze t");
            built = explained(&mut client, sql);
        }
        let bytes: i64 = value(&mut client, "select pg_relation_size('hyp')");
        let uses = |plan: &Value| nodes(plan).iter().any(|node| node.ends_with(" hyp"));
        let after = &planned["plan_after_json"][0]["Plan"];
        let locks_rows = |node: &String| node != "LockRows";
        let of_built: Vec<_> = nodes(&built).into_iter().filter(locks_rows).collect();
        // One page more or less is a rounding.
        let (cost_after, page) = (planned["cost_after"].as_f64().unwrap(), 4.5);
        // Of a GIN index that does not exist the planner takes default numbers of entries: several for one value tell.
        let page = if index.contains("gin_trgm_ops") { 20.0 } else { page };
        let close = (cost_after / cost(&built) - 1.0).abs() <= 0.05 || (cost_after - cost(&built)).abs() <= page;
        let size = planned["indexes"][0]["bytes"].as_f64().unwrap() / bytes as f64;
        if nodes(after) != of_built || !close || !uses(after) || !(0.7..=1.4).contains(&size) {
            different.push(format!(
                "{sql}\n{index}\n-- what_if: {:?}, cost {cost_after}, {size:.2} of its real size\n-- built: {of_built:?}, cost {}",
                nodes(after),
                cost(&built)
            ));
        }
        let named = planned["indexes_used"].as_array().unwrap().iter().any(|name| name == "hyp");
        assert!(named && planned["indexes"][0]["used"] == true, "{sql}\n{index}\n-- {planned:#}");
        execute(&mut client, "drop index hyp");
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

const PARTITIONED: &str =
    "create table p (id int, at int, v int, w text, primary key (id, at)) partition by range (at);
    create table p1 partition of p for values from (0) to (100);
    create table p2 (w text, gone int, v int, at int not null, id int not null); alter table p2 drop column gone;
    alter table p attach partition p2 for values from (100) to (300);
    insert into p select g, g % 300, g % 500, md5(g::text) from generate_series(1, 30000) g; vacuum analyze p";

fn partitioned_tables(database: &Database) {
    let mut client = database.connect();
    database.psql(PARTITIONED);
    let cases = [
        ("select * from p where v = 5", "create index hyp on p (v)"),
        ("select * from p where v = 5 and at = 250", "create index hyp on p (v, at)"),
        ("select * from p where v = 5 order by v, at limit 3", "create index hyp on p (v, at)"),
        ("select * from p where lower(w) = 'x' and id > 7", "create index hyp on p (lower(w)) where id > 5"),
        ("select * from p2 where w = 'x'", "create index hyp on p (w)"),
        ("select * from p where v = 5", "create index hyp on p2 (v)"),
        ("select at from p where v = 5", "create index hyp on p (v) include (at)"),
    ];
    for (sql, index) in cases {
        let planned = with_indexes(&mut client, sql, &[index]);
        // Expressions have statistics then.
        execute(&mut client, &format!("{index}; analyze"));
        let built = explained(&mut client, sql);
        let types = |plan: &Value| -> Vec<String> {
            nodes(plan).iter().map(|node| node.split("  ").next().unwrap().replace(" hyp", "")).collect()
        };
        let without_name = |nodes: Vec<String>| -> Vec<String> {
            let name = |node: &String| {
                node.split_whitespace().filter(|word| !word.contains('_')).collect::<Vec<_>>().join(" ")
            };
            nodes.iter().map(name).collect()
        };
        let (ours, theirs) = (without_name(types(&planned["plan_after_json"][0]["Plan"])), without_name(types(&built)));
        assert_eq!(ours, theirs, "{sql}\n{index}\n-- {}", planned["plan_after"]);
        let close = (planned["cost_after"].as_f64().unwrap() / cost(&built) - 1.0).abs() <= 0.05;
        assert!(close, "{sql}\n{index}\n-- {} and built {built:#}", planned["plan_after"]);
        assert_eq!(planned["indexes"][0]["used"], true, "{sql}\n{index}\n-- {}", planned["plan_after"]);
        execute(&mut client, "drop index hyp");
    }
}

fn dropped_indexes(database: &Database) {
    let mut client = filled(database);
    database.psql(PARTITIONED);
    execute(&mut client, "create index t_a on t (a); create index t_a_d on t (a, d); create index p_v on p (v)");
    let used = |client: &mut Client, sql: &str, hidden: &str| {
        let planned = what_if(client, &format!("$q${sql}$q$, drop_indexes => '{{{hidden}}}'")).remove(0);
        nodes(&planned["plan_after_json"][0]["Plan"])
    };
    let of_a = "select * from t where a = 5";
    assert_eq!(used(&mut client, of_a, "t_a_d"), ["Bitmap Heap Scan", "Bitmap Index Scan t_a"]);
    assert_eq!(used(&mut client, of_a, "t_a"), ["Bitmap Heap Scan", "Bitmap Index Scan t_a_d"]);
    assert_eq!(used(&mut client, of_a, "t_a, t_a_d"), ["Seq Scan"]);
    assert_eq!(used(&mut client, "select * from t where id = 5", "t_pkey"), ["Seq Scan"]);
    let of_v = "select * from p where v = 5";
    let partly = used(&mut client, of_v, "p1_v_idx").join(", ");
    assert!(partly.contains("Seq Scan") && partly.contains("p2_v_idx") && !partly.contains("p1_v_idx"), "{partly}");
    assert_eq!(used(&mut client, of_v, "p_v"), ["Append", "Seq Scan", "Seq Scan"]);
    let swapped = what_if(
        &mut client,
        "'select d from t where a = 5', '{create index hyp on t (a) include (d)}', '{t_a, t_a_d}'",
    );
    assert_eq!(nodes(&swapped[0]["plan_after_json"][0]["Plan"]), ["Index Only Scan hyp"]);
    assert!(!nodes(&explained(&mut client, of_a)).contains(&"Seq Scan".to_string()));
}

fn parameters(database: &Database) {
    let mut client = filled(database);
    let plans = |client: &mut Client, sql: &str, more: &str| {
        what_if(client, &format!("$q${sql}$q$, '{{create index hyp on t (a)}}'{more}"))
    };
    let sql = "select * from t where a = $1 and d > $2";
    let given = plans(&mut client, sql, ", params => '{5, 3}'").remove(0);
    assert_eq!((&given["parameter_source"], &given["parameters"]), (&"given".into(), &serde_json::json!(["5", "3"])));
    let written = with_indexes(&mut client, "select * from t where a = 5 and d > 3", &["create index hyp on t (a)"]);
    assert_eq!(given["cost_after"], written["cost_after"]);
    assert_eq!(given["cost_before"], written["cost_before"]);
    assert_eq!(written["parameter_source"], "none");

    let sampled = plans(&mut client, sql, ", parameter_sets => 3");
    assert_eq!(sampled.len(), 3, "{sampled:#?}");
    assert!(
        sampled.iter().all(|row| row["parameter_source"] == "sampled" && row["parameters"][0].is_string()),
        "{sampled:#?}"
    );
    assert_eq!(sampled, plans(&mut client, sql, ", parameter_sets => 3"), "the same statistics give the same values");
    let generic = plans(&mut client, "select $1, $2::int", "").remove(0);
    assert_eq!(generic["parameter_source"], "generic");

    // What is not known is planned as in a generic plan, not as NULL.
    execute(
        &mut client,
        "set plan_cache_mode = force_generic_plan; prepare unknown (int) as select * from t where a = $1",
    );
    let unknown = plans(&mut client, "select * from t where a = $1", ", params => '{}'").remove(0);
    let plan_rows = explained(&mut client, "execute unknown (5)")["Plan Rows"].clone();
    assert_eq!(unknown["plan_before_json"][0]["Plan"]["Plan Rows"], plan_rows, "{}", unknown["plan_before"]);
    let partly = plans(&mut client, "select * from t where a = $1 and lower(b) = $2 || 'x'", "").remove(0);
    let without = plans(&mut client, "select * from t where a = 5", "").remove(0);
    let rows = |planned: &Value| planned["plan_before_json"][0]["Plan"]["Plan Rows"].as_f64().unwrap();
    assert!(rows(&partly) <= rows(&without), "{partly:#}");
    let (known, open) = ("select * from t where d = $1", "select * from t where d = $1 and (a = $2 or a <> $2)");
    let (known, open) = (
        plans(&mut client, known, ", params => '{3}'").remove(0),
        plans(&mut client, open, ", params => '{3}'").remove(0),
    );
    assert!(rows(&open) > 0.5 * rows(&known), "{} {}", open["plan_before"], known["plan_before"]);

    let null = plans(&mut client, "select * from t where a = $1", ", params => '{null}'").remove(0);
    assert_eq!(rows(&null), 0.0, "{}", null["plan_before"]);
    let array = plans(&mut client, "select * from t where a = any ($1)", ", params => array['{1, 2}']").remove(0);
    assert_eq!(array["indexes"][0]["used"], true, "{array:#}");
    let limit = plans(&mut client, "select * from t where a = $1 order by id limit $2", "").remove(0);
    assert_eq!(limit["parameters"][1], "10", "{limit:#}");
}

fn kinds_of_tables(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create temp table temporary as select g as a from generate_series(1, 20000) g; analyze temporary;
         create unlogged table unlogged as select g as a from generate_series(1, 20000) g; analyze unlogged;
         create materialized view kept as select g as a from generate_series(1, 20000) g; analyze kept;
         create table empty (a int);
         create table parent (a int); create table child () inherits (parent);
         insert into parent select generate_series(1, 20000); insert into child select generate_series(1, 20000); analyze parent; analyze child",
    );
    for table in ["temporary", "pg_temp.temporary", "unlogged", "kept"] {
        let planned = with_indexes(
            &mut client,
            &format!("select * from {table} where a = 5"),
            &[&format!("create index hyp on {table} (a)")],
        );
        assert_eq!(planned["indexes"][0]["used"], true, "{table}: {}", planned["plan_after"]);
    }
    let planned = with_indexes(&mut client, "select * from parent where a = 5", &["create index hyp on parent (a)"]);
    let after = nodes(&planned["plan_after_json"][0]["Plan"]).join(", ");
    assert!(
        after.contains("hyp") && after.contains("Seq Scan"),
        "an index on a parent is none on its children: {after}"
    );
    with_indexes(&mut client, "select * from empty where a = 5", &["create index hyp on empty (a)"]);
}
