//! What what_if() refuses: each with an error of its own class, and the session goes on.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use crate::what_if::{filled, what_if};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "what_if::bad_input_is_refused", bad_input),
        trial(server, "what_if::storage_parameters_are_checked", storage_parameters),
        trial(server, "what_if::what_create_index_refuses_of_partitions", partitions),
        trial(server, "what_if::where_current_of", where_current_of),
        trial(server, "what_if::large_input", large_input),
        trial(server, "what_if::privileges", privileges),
        trial(server, "what_if::row_level_security", row_level_security),
    ]
}

const OBJECTS: &str = "create view seen as select id, a from t; create sequence numbers; create type pair as (x int);
    create extension file_fdw; create server files foreign data wrapper file_fdw;
    create foreign table outside (a int) server files options (filename '/dev/null');
    create table odd (x json, p point)";

/// Query, SQLSTATE, part of the message.
const QUERIES: &[(&str, &str, &str)] = &[
    ("", "0A000", "no statement"),
    (" ; -- nothing", "0A000", "no statement"),
    ("select * from t; select 1", "0A000", "2 statements"),
    ("selec", "42601", "syntax error"),
    ("select * from nowhere", "42P01", "nowhere"),
    ("select nothing from t", "42703", "nothing"),
    ("select nothing(a) from t", "42883", "nothing"),
    ("update t set nothing = 3 where id = 5", "42703", "nothing"),
    ("insert into t (id, nothing) select id, a from t", "42703", "nothing"),
    ("create table x (a int)", "0A000", "CREATE TABLE"),
    ("explain select 1", "0A000", "EXPLAIN"),
    ("vacuum t", "0A000", "VACUUM"),
    ("copy t to stdout", "0A000", "COPY"),
    ("declare c cursor for select 1", "0A000", "DECLARE CURSOR"),
    ("execute prepared", "0A000", "EXECUTE"),
    ("select * into x from t", "0A000", "SELECT INTO"),
    ("select a into x from t union select 1", "0A000", "SELECT INTO"),
    ("select * from t where a = 'x'", "22P02", "invalid input syntax"),
    ("select * from t where a = $1 and b = $1", "42883", "operator does not exist"),
    ("select * from t where a = $1000000000", "54023", "1000000000 parameters"),
    ("select * from seen where b = 'x'", "42703", "b"),
];

/// Statement that would make an index, SQLSTATE, part of the message.
const INDEXES: &[(&str, &str, &str)] = &[
    ("", "22023", "argument create_indexes"),
    ("drop index t_pkey", "22023", "not a CREATE INDEX"),
    ("create table x (a int)", "22023", "not a CREATE INDEX"),
    ("select 1", "22023", "not a CREATE INDEX"),
    ("create index on t (a); create index on t (d)", "22023", "2 statements"),
    ("create index on", "42601", "syntax error"),
    ("create index on nowhere (a)", "42P01", "nowhere"),
    ("create index on t (nothing)", "42703", "nothing"),
    ("create index on t (a) include (nothing)", "42703", "nothing"),
    ("create index on t (ctid)", "42703", "ctid"),
    ("create index on t (tableoid)", "42703", "tableoid"),
    ("create index on t using none (a)", "42704", "none"),
    ("create index on t (a none_ops)", "42704", "none_ops"),
    ("create index on t (a text_ops)", "42804", "text_ops"),
    ("create index on t (b collate \"none\")", "42704", "none"),
    ("create index on t (a) tablespace none", "42704", "none"),
    ("create index on odd (x)", "42704", "json"),
    ("create index on odd (p)", "42704", "point"),
    ("create index on t using gin (a)", "42704", "gin"),
    ("create index on t using gin (tags desc)", "0A000", "ASC, DESC"),
    ("create index on t using gin (tags nulls first)", "0A000", "NULLS"),
    ("create unique index on t using gin (tags)", "0A000", "unique"),
    ("create index on t using gin (tags) include (a)", "0A000", "included"),
    ("create index on t using hash (a, d)", "0A000", "multicolumn"),
    ("create index on t ((random()))", "42P17", "IMMUTABLE"),
    ("create index on t (a) where c > now()", "42P17", "IMMUTABLE"),
    ("create index on t (a) where a", "42804", "boolean"),
    ("create index on t (a) where (select true)", "0A000", "subquery"),
    ("create index on t ((sum(a)))", "42803", "aggregate"),
    ("create index on t (a) include ((a + 1))", "0A000", "included"),
    ("create index on seen (a)", "42809", "a view"),
    ("create index on outside (a)", "42809", "a foreign table"),
    ("create index on t_pkey (id)", "42809", "an index"),
    ("create index on numbers (last_value)", "42809", "a sequence"),
    ("create index on pair (x)", "42809", ""),
    ("create index on pg_class (relpages)", "42809", "a system catalog"),
];

/// Arguments, SQLSTATE, part of the message.
const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("null", "22004", "argument query"),
    ("'select 1', array[null]", "22004", "argument create_indexes"),
    ("'select 1', drop_indexes => array[null]::regclass[]", "22004", "argument drop_indexes"),
    ("'select 1', drop_indexes => '{t}'", "42809", "not an index"),
    ("'select 1', drop_indexes => '{seen}'", "42809", "not an index"),
    ("'select 1', drop_indexes => '{1}'", "42809", "not an index"),
    ("'select 1', params => '{1}'", "22023", "argument params"),
    ("'select * from t where a = $1', params => '{1, 2}'", "22023", "argument params"),
    ("'select * from t where a = $1', params => '{x}'", "22P02", "x"),
    ("'select 1', parameter_sets => 0", "22023", "argument parameter_sets"),
    ("'select 1', parameter_sets => 11", "22023", "argument parameter_sets"),
    ("'select 1', parameter_sets => null", "22004", "argument parameter_sets"),
    ("'select 1', search_path => null", "22004", "argument search_path"),
    ("'select 1', search_path => 'a, \"'", "22023", "search_path"),
    ("'select * from t', search_path => 'pg_catalog'", "42P01", "t"),
];

fn bad_input(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, OBJECTS);
    let queries = QUERIES.iter().map(|(sql, state, message)| (format!("$q${sql}$q$"), *state, *message));
    let indexes = INDEXES
        .iter()
        .map(|(sql, state, message)| (format!("'select * from t', array[$q${sql}$q$]"), *state, *message));
    let arguments = ARGUMENTS.iter().map(|(arguments, state, message)| (arguments.to_string(), *state, *message));
    let mut wrong = Vec::new();
    for (arguments, state, message) in queries.chain(indexes).chain(arguments) {
        let call = format!("select * from dbre.what_if({arguments})");
        match client.query(&call, &[]) {
            Ok(_) => wrong.push(format!("{call}\n-- no error, wanted {state}")),
            Err(error) => {
                let given = error.as_db_error().unwrap_or_else(|| panic!("{call}\n-- {error}"));
                if given.code().code() != state || !given.message().contains(message) {
                    wrong.push(format!(
                        "{call}\n-- {} {}, wanted {state} {message}",
                        given.code().code(),
                        given.message()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let explained: serde_json::Value = value(&mut client, "explain (format json) select * from t where a = 5");
    assert_eq!(explained[0]["Plan"]["Node Type"], "Seq Scan", "the session goes on as before");
}

fn storage_parameters(database: &Database) {
    let mut client = filled(database);
    let refused_by_the_server = [
        "create index on t (a) with (none = 3)",
        "create index on t (a) with (fillfactor = 0)",
        "create index on t (a) with (fillfactor = 1e30)",
        "create index on t (a) with (fillfactor = 'x')",
        "create index on t using hash (a) with (fillfactor = -50)",
        "create index on t using brin (c) with (pages_per_range = 0)",
        "create index on t using gist (r) with (buffering = 7)",
    ];
    for index in refused_by_the_server {
        let by_the_server = refused(&mut client, index);
        let error = refused(&mut client, &format!("select * from dbre.what_if('select 1', array[$q${index}$q$])"));
        assert_eq!(error.code(), by_the_server.code(), "{index}\n-- {}", error.message());
    }
    let taken =
        "'select * from t where a = 5', array['create index on t (a) with (fillfactor = 50)', 'create index on t (a)']";
    let planned = what_if(&mut client, taken).remove(0);
    let bytes = |position: usize| planned["indexes"][position]["bytes"].as_f64().unwrap();
    assert!((1.6..2.2).contains(&(bytes(0) / bytes(1))), "{planned:#}");
}

fn partitions(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table p (id int, at int) partition by range (at); create table p1 partition of p for values from (0) to (100);
         insert into p select g, g % 100 from generate_series(1, 20000) g; analyze p",
    );
    let index = "create unique index on p (id)";
    let by_the_server = refused(&mut client, index);
    let error = refused(&mut client, &format!("select * from dbre.what_if('select * from p', array['{index}'])"));
    assert_eq!(error.code(), by_the_server.code(), "{}", error.message());
}

/// The condition of a cursor's row is none that a SELECT can have.
fn where_current_of(database: &Database) {
    let mut client = filled(database);
    for sql in ["delete from t where current of c", "update t set a = 1 where current of c"] {
        refused(&mut client, &format!("select * from dbre.what_if('{sql}')"));
        let advised =
            format!("select * from dbre.index_advice(queries => array['{sql}', 'select b from t where a = 5'])");
        assert!(!query(&mut client, &advised).is_empty());
    }
}

fn large_input(database: &Database) {
    let mut client = filled(database);
    let too_deep = [
        "select {(:20000}1{):20000}",
        "select {not :100000}true",
        "{select * from (:5000}select 1{) x:5000}",
        "select 1{ union all select 1:30000}",
        "select {- :50000}1",
        "select * from t where a = $2000000000",
    ];
    for text in too_deep {
        let error = refused(&mut client, &format!("select * from dbre.what_if({})", repeated(text)));
        assert!(["42601", "54001", "54000", "54023"].contains(&error.code().code()), "{text}\n-- {error:?}");
    }
    let begun = Instant::now();
    for text in [
        "select a from t where a in ({1,:500000}1)",
        "select a, '{x:1000000}' from t",
        "select a from t where {a = 1 or :20000}a = 2",
    ] {
        let planned = what_if(&mut client, &format!("{}, array['create index hyp on t (a)']", repeated(text)));
        assert_eq!(planned.len(), 1, "{text}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let many = "(select array_agg(format('create index hyp%s on t (a, d, e) where d = %s', n, n)) from generate_series(1, 500) n)";
    let planned = what_if(&mut client, &format!("'select a from t where a = 5 and d = 7', {many}")).remove(0);
    assert_eq!(planned["indexes_used"], serde_json::json!(["hyp7"]));
}

/// SQL for the text, in which {part:times} is repeated.
fn repeated(text: &str) -> String {
    let mut parts = Vec::new();
    for (position, piece) in text.split(['{', '}']).enumerate() {
        parts.push(match piece.rsplit_once(':').filter(|_| position % 2 == 1) {
            Some((part, times)) => format!("repeat($q${part}$q$, {times})"),
            None => format!("$q${piece}$q$"),
        });
    }
    parts.join(" || ")
}

/// A login role of this trial that may call the functions.
fn monitor(client: &mut Client, database: &Database) -> String {
    let role = format!("planner_of_{}", database.name);
    execute(client, &format!("create role {role} login in role pg_monitor"));
    role
}

fn privileges(database: &Database) {
    let mut client = filled(database);
    let role = monitor(&mut client, database);
    execute(&mut client, &format!("create view seen as select id, a from t; grant select on seen to {role}"));
    let mut theirs = database.connect_as(&role);
    let denied = [
        "select * from t where a = 5",
        "select 1 from t",
        "update t set a = 1",
        "delete from t where a = 5",
        "merge into t using seen on t.id = seen.id when matched then delete",
        "select * from seen where a = (select max(d) from t)",
    ];
    for sql in denied {
        let error = refused(&mut theirs, &format!("select * from dbre.what_if('{sql}')"));
        assert_eq!(error.code().code(), "42501", "{sql}\n-- {}", error.message());
    }
    what_if(&mut theirs, "'select * from seen where a = 5'");
    // Size and use of an index tell of what is in the table.
    let of_index = "select * from dbre.what_if('select * from seen where a = 5', '{create index on t (a)}')";
    assert_eq!(refused(&mut theirs, of_index).code().code(), "42501");
    execute(&mut client, &format!("grant select (id, a) on t to {role}"));
    what_if(&mut theirs, "'select a from t where a = 5', '{create index on t (a)}'");
    assert_eq!(refused(&mut theirs, "select * from dbre.what_if('select b from t')").code().code(), "42501");

    let nobody = format!("nobody_of_{}", database.name);
    execute(&mut client, &format!("create role {nobody} login"));
    let mut nobody = database.connect_as(&nobody);
    for call in [
        "what_if('select 1')",
        "index_advice('select 1')",
        "suggest_index('t', '{a}')",
        "validate_index('t_pkey')",
        "snapshot_index_advice()",
    ] {
        let error = refused(&mut nobody, &format!("select * from dbre.{call}"));
        assert_eq!(error.code().code(), "42501", "{call}\n-- {}", error.message());
    }
    assert_eq!(refused(&mut nobody, "select * from dbre.last_index_advice").code().code(), "42501");
}

fn row_level_security(database: &Database) {
    let mut client = filled(database);
    let role = monitor(&mut client, database);
    execute(
        &mut client,
        &format!(
            "grant select on t to {role}; alter table t enable row level security; create policy own on t using (d = 3 and e > 0)"
        ),
    );
    let sql = "'select * from t where a = 5', '{create index on t (a)}'";
    let mut theirs = database.connect_as(&role);
    let planned = what_if(&mut theirs, sql).remove(0);
    let plan = planned["plan_after"].as_str().unwrap();
    assert!(plan.contains("d = 3") && plan.contains("e > 0"), "{plan}");
    let planned = what_if(&mut client, sql).remove(0);
    assert!(!planned["plan_after"].as_str().unwrap().contains("d = 3"), "the owner's plan: {planned:#}");
    // Values are sampled from statistics, which a policy hides.
    let sampled = what_if(&mut theirs, "'select * from t where a = $1'").remove(0);
    assert_eq!(sampled["parameter_source"], "generic", "{sampled:#}");
    execute(&mut theirs, "set row_security = off");
    assert_eq!(refused(&mut theirs, &format!("select * from dbre.what_if({sql})")).code().code(), "42501");
}
