//! Index advice for tables of every kind, for vectors, and for someone without a query.

use crate::index_advice::{advice, created, filled, of_rule};
use crate::rule_cases::is_complete;
use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "index_advice::vectors", vectors),
        trial(server, "index_advice::other_kinds_of_tables", kinds_of_tables),
        trial(server, "index_advice::tables_never_analyzed", never_analyzed),
        trial(server, "index_advice::suggest_index", suggest),
    ]
}

fn vectors(database: &Database) {
    let mut client = database.connect();
    if value::<i64>(&mut client, "select count(*) from pg_available_extensions where name = 'vector'") == 0 {
        return;
    }
    database.psql(
        "create extension vector; create table v (id int primary key, e vector(16));
         insert into v select g, array(select random() from generate_series(1, 16) where g > 0)::vector from generate_series(1, 20000) g;
         vacuum analyze v",
    );
    for (operator, class) in [("<->", "vector_l2_ops"), ("<=>", "vector_cosine_ops"), ("<#>", "vector_ip_ops")] {
        let rows = advice(&mut client, &format!("'select id from v order by e {operator} $1 limit 10'"));
        let proposed = created(&rows);
        let default = class == "vector_l2_ops" && proposed.iter().any(|index| index.contains("ivfflat (e)"));
        let serves = default || proposed.iter().any(|index| index.contains(class));
        assert!(serves, "{operator}: {proposed:?}\n{}", shown(&rows));
        rows.iter().filter_map(|row| row["fix_sql"].as_str()).for_each(|fix| drop(database.psql(fix)));
        let rows = advice(&mut client, &format!("'select id from v order by e {operator} $1 limit 10'"));
        assert!(created(&rows).is_empty(), "it is there already: {}", shown(&rows));
    }
}

fn kinds_of_tables(database: &Database) {
    let mut client = database.connect();
    let rows = "select g as id, g % 2000 as a, md5(g::text) as b from generate_series(1, 20000) g";
    execute(
        &mut client,
        &format!(
            "create temp table temporary as {rows}; create unlogged table unlogged as {rows}; create materialized view kept as {rows};
             create table parent (id int, a int, b text); create table child () inherits (parent); insert into parent {rows}; insert into child {rows};
             create table p (id int, a int, b text) partition by range (id); create table p1 partition of p for values from (0) to (10000);
             create table p2 (b text, a int, id int); alter table p attach partition p2 for values from (10000) to (100000); insert into p {rows};
             create table below as {rows}; create view seen as select a, b from below;
             create extension file_fdw; create server files foreign data wrapper file_fdw;
             create foreign table outside (a int, b text) server files options (filename '/dev/null')"
        ),
    );
    execute(&mut client, "analyze temporary, unlogged, below, kept, parent, child, p, p1, p2");
    for (table, on) in
        [("temporary", "temporary"), ("unlogged", "unlogged"), ("kept", "kept"), ("p", "p"), ("seen", "below")]
    {
        let rows = advice(&mut client, &format!("'select b from {table} where a = 7'"));
        let proposed = of_rule(&rows, "missing_index");
        // What a session keeps for itself is not for others to index.
        if table == "temporary" && proposed.is_empty() {
            continue;
        }
        assert_eq!(proposed.len(), 1, "{table}: {}", shown(&rows));
        let found = text(&proposed[0]["evidence"], "table").to_string();
        assert!(found.ends_with(&format!(".{on}")) || found.ends_with(&format!(".{table}")), "{table}: {found}");
        if table != "temporary" {
            database.psql(text(proposed[0], "fix_sql"));
        }
    }
    for sql in [
        "select b from outside where a = 7",
        "select oid from pg_class where relpages = 77",
        "select b from parent where a = 7",
    ] {
        advice(&mut client, &format!("'{sql}'"));
    }
    let rows = advice(&mut client, "'select b from outside where a = 7'");
    assert!(created(&rows).is_empty(), "{}", shown(&rows));
}

fn never_analyzed(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table fresh (id int, a int, b text); insert into fresh select g, g, md5(g::text) from generate_series(1, 50000) g",
    );
    for sql in ["select a, count(*), max(b) from fresh group by a", "select b from fresh where a = 7"] {
        let rows = advice(&mut client, &format!("'{sql}'"));
        let said = rows.iter().any(|row| text(row, "fix_sql").contains("ANALYZE public.fresh"));
        assert!(said, "{sql}: without statistics all is a guess: {}", shown(&rows));
    }
}

fn suggest(database: &Database) {
    let mut client = filled(database);
    let suggested = |client: &mut Client, arguments: &str| -> Vec<Value> {
        let rows = query(client, &format!("select to_jsonb(s) from dbre.suggest_index({arguments}) s"));
        rows.iter().map(|row| row.get(0)).collect()
    };
    let rows = suggested(&mut client, "'t', array['a', 'e']");
    assert!(created(&rows)[0].starts_with("USING btree (") && created(&rows).len() == 1, "{}", shown(&rows));
    is_complete(&rows[0]);
    database.psql(text(&rows[0], "fix_sql"));
    assert!(created(&suggested(&mut client, "'t', array['a', 'e']")).is_empty());
    assert!(created(&suggested(&mut client, "'t', array['id']")).is_empty());
    assert!(created(&suggested(&mut client, "'small', array['a']")).is_empty());
    for (arguments, state) in [
        ("'t', array['nothing']", "42703"),
        ("'t', array['a; drop table t']", "42703"),
        ("'t', '{}'", "22023"),
        ("'t', null", "22004"),
        ("null, '{a}'", "22004"),
        ("'t', array[null]", "22004"),
        ("1::oid::regclass, '{a}'", "42P01"),
        ("'nowhere', '{a}'", "42P01"),
    ] {
        let sql = format!("select * from dbre.suggest_index({arguments})");
        let error = refused(&mut client, &sql);
        assert_eq!(error.code().code(), state, "{sql}\n-- {}", error.message());
    }
    execute(
        &mut client,
        "create view seen as select id, a from t; create table \"Odd \"\"one\" (\"A b\" int); insert into \"Odd \"\"one\" select generate_series(1, 20000); analyze",
    );
    suggested(&mut client, "'seen', array['a']");
    let rows = suggested(&mut client, "'\"Odd \"\"one\"', array['A b']");
    assert_eq!(created(&rows).len(), 1, "{}", shown(&rows));
    database.psql(text(&rows[0], "fix_sql"));
}
