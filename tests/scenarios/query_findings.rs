//! dbre.query_findings(): what it takes, what it leaves alone, and that the page it proposes is the next one.

use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "query_findings::keyset_pages_are_those_of_offset", keyset_pages),
        trial(server, "query_findings::refusals", refusals),
        trial(server, "query_findings::locks_are_those_of_reading", locks),
        trial(server, "query_findings::tables_that_are_not_here", not_here),
        trial(server, "query_findings::identity", identity),
        trial(server, "query_findings::privileges", privileges),
        trial(server, "query_findings::every_view_of_the_server", system_views),
    ]
}

const TABLE: &str = "create table t (id int primary key, tenant int not null, day date not null, note text, unique (tenant, day, id));
    insert into t select g, g % 3, current_date - g % 50, nullif('n' || g % 7, 'n0') from generate_series(1, 40000) g; analyze t";

/// The text is quoted by dollars, so it may hold quotes.
fn findings(client: &mut Client, sql: &str) -> Vec<Value> {
    let rows = query(client, &format!("select to_jsonb(f) from dbre.query_findings($q${sql}$q$) f order by step"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn of_rule<'a>(findings: &'a [Value], rule: &str) -> Option<&'a Value> {
    findings.iter().find(|finding| finding["rule"] == rule)
}

fn keyset_pages(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLE);
    // The query, its complete order, the columns of the order, their number.
    let cases = [
        ("select id, day from t order by day desc", "day desc, id desc", "day, id"),
        ("select id, day from t where note = 'n1' or tenant = 2 order by id", "id", "id"),
        ("select id from t where tenant = 1 order by day, id", "day, id", "day, id"),
        (
            "select x.id from t x join t y on y.id = x.id order by x.tenant, x.day",
            "x.tenant, x.day, x.id",
            "x.tenant, x.day, x.id",
        ),
    ];
    for (sql, order, columns) in cases {
        let found = findings(&mut client, &format!("{sql} limit 37 offset 2000"));
        let finding = of_rule(&found, "offset_pagination").unwrap_or_else(|| panic!("{sql}: {}", shown(&found)));
        let Some(keyset) = finding["evidence"]["keyset_query"].as_str() else {
            assert!(sql.contains("join"), "{sql}: {finding:#}");
            continue;
        };
        let unordered = sql.split(" order by ").next().unwrap();
        let from = unordered.split(" from ").nth(1).unwrap();
        for page in [1, 2, 50] {
            let last = format!("select {columns} from {from} order by {order} limit 1 offset {}", page * 37 - 1);
            let values: Vec<String> = values(&mut client, &last);
            let mut next = keyset.to_string();
            for (number, value) in values.iter().enumerate().rev() {
                next = next.replace(&format!("${}", number + 1), &format!("'{value}'"));
            }
            let expected = rows(&mut client, &format!("{unordered} order by {order} limit 37 offset {}", page * 37));
            assert!(!expected.is_empty());
            assert_eq!(rows(&mut client, &next), expected, "{next}");
        }
    }
}

/// The columns of the only row, printed.
fn values(client: &mut Client, sql: &str) -> Vec<String> {
    let row: Value = value(
        client,
        &format!("select to_jsonb(array(select v from json_each_text(to_json(r)) e (k, v))) from ({sql}) r"),
    );
    row.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_string()).collect()
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    query(client, &format!("select r::text from ({sql}) r")).iter().map(|row| row.get(0)).collect()
}

fn refusals(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLE);
    let cases = [
        ("null", "22004", "argument query is NULL"),
        ("'select 1', null", "22004", "argument search_path is NULL"),
        ("''", "0A000", "holds no statement"),
        ("'select 1; select 2'", "0A000", "holds 2 statements"),
        ("'vacuum t'", "0A000", "is a VACUUM statement"),
        ("'create table c as select * from t'", "0A000", "CREATE TABLE AS"),
        ("'select * into c from t'", "0A000", "SELECT INTO"),
        ("'selec 1'", "42601", "syntax error at or near \"selec\""),
        ("'select id from t where id = ''x'''", "22P02", "invalid input syntax for type integer"),
        ("'select 1 from t group by day having id = 1'", "42803", "must appear in the GROUP BY"),
    ];
    for (arguments, code, message) in cases {
        let error = refused(&mut client, &format!("select dbre.query_findings({arguments})"));
        assert_eq!(error.code().code(), code, "{arguments}: {error:?}");
        assert!(error.message().contains(message), "{arguments}: {error:?}");
    }
}

fn locks(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLE);
    for sql in [
        "select id from t where tenant = 1 for update",
        "with d as (delete from t where tenant = 1 returning id) select * from d",
        "update t set id = id + 1",
        "delete from t",
        "insert into t select * from t",
        "merge into t using t s on s.id = t.id when matched then delete",
    ] {
        execute(&mut client, "begin");
        findings(&mut client, sql);
        let modes: Option<String> =
            value(&mut client, "select string_agg(distinct mode, ' ') from pg_locks where relation = 't'::regclass");
        assert_eq!(modes.as_deref(), Some("AccessShareLock"), "{sql}");
        assert_eq!(value::<i64>(&mut client, "select count(*) from t"), 40000, "{sql}");
        execute(&mut client, "rollback");
    }
}

fn not_here(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table u (id int)");
    for (sql, code) in [
        ("select * from gone where a = 1 limit 5", "42P01"),
        ("select missing from u", "42703"),
        ("select nowhere.f(id) from u", "3F000"),
        ("select unknown_function(id) from u", "42883"),
        ("select id::unknown_type from u", "42704"),
        ("update gone set a = 1", "42P01"),
    ] {
        execute(&mut client, "begin read only");
        let found = findings(&mut client, sql);
        let finding = of_rule(&found, "query_not_analyzed").unwrap_or_else(|| panic!("{sql}: {}", shown(&found)));
        assert_eq!(finding["evidence"]["sqlstate"], code, "{sql}");
        assert!(finding["evidence"]["parser"].is_null(), "{sql}: {finding:#}");
        execute(&mut client, "commit");
    }
    // What the text alone tells is told.
    let found = findings(&mut client, "select a from gone where b not in (1, null)");
    assert!(of_rule(&found, "not_in_nullable").is_some(), "{}", shown(&found));
    // Nested deeper than the parser goes.
    let deep = format!("select {}1{} from gone", "(".repeat(200), ")".repeat(200));
    let found = findings(&mut client, &deep);
    let finding = of_rule(&found, "query_not_analyzed").expect("the table is not there");
    assert!(finding["evidence"]["parser"].is_string() && text(finding, "cause").contains("nothing was judged"));
}

fn identity(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLE);
    let mut fingerprint = |sql: &str| {
        let found = findings(&mut client, sql);
        let finding = of_rule(&found, "select_star").unwrap_or_else(|| panic!("{sql}: {}", shown(&found)));
        text(finding, "fingerprint").to_string()
    };
    let first = fingerprint("select * from t where tenant = 1 and note = 'a'");
    assert_eq!(first, fingerprint("select *\n  from t where tenant = 22 and note = 'it''s';"));
    assert_ne!(first, fingerprint("select * from t where tenant = 1"));
    execute(
        &mut client,
        "select dbre.suppress(rule => 'select_star', object_pattern => '%', reason => 'nobody reads it')",
    );
    let found = findings(&mut client, "select * from t where tenant = 1");
    assert!(of_rule(&found, "select_star").is_none(), "{}", shown(&found));
}

fn privileges(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLE);
    execute(
        &mut client,
        "create role query_reader login; create role query_stranger login; grant pg_monitor to query_reader",
    );
    let mut reader = database.connect_as("query_reader");
    assert!(of_rule(&findings(&mut reader, "delete from t"), "write_without_condition").is_some());
    let error = refused(&mut database.connect_as("query_stranger"), "select dbre.query_findings('select 1')");
    assert_eq!(error.code().code(), "42501");
    execute(&mut client, "drop role query_reader; drop role query_stranger");
}

/// Large queries of all kinds of syntax; they are on system catalogs, where nothing is found.
fn system_views(database: &Database) {
    let mut client = database.connect();
    let views =
        query(&mut client, "select definition from pg_views where schemaname in ('pg_catalog', 'information_schema')");
    assert!(views.len() > 100);
    for view in views {
        let sql: String = view.get(0);
        let found = findings(&mut client, sql.trim_end_matches(';'));
        assert!(found.is_empty(), "{sql}: {}", shown(&found));
    }
}
