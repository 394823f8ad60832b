//! Rewritten queries return the rows of the original, on several fillings of the tables and on empty ones; what looks alike is
//! left alone.

use crate::rewrite_forms::{ALIKE, FORMS, NOT_IN};
use crate::server::{Database, Server, execute, query, shown, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let forms = FORMS.iter().map(|(rule, forms)| {
        let server = server.clone();
        Trial::test(format!("rewrites::{rule}"), move || {
            same_rows(&Database::create(&server), rule, forms);
            Ok(())
        })
    });
    let alike = ALIKE.iter().map(|(rule, forms)| {
        let server = server.clone();
        Trial::test(format!("rewrites::{rule}::left_alone"), move || {
            let database = Database::create(&server);
            let mut client = filled(&database);
            for form in *forms {
                let rewritten = rewritten(&mut client, rule, form);
                assert_eq!(rewritten, None, "{form}");
            }
            Ok(())
        })
    });
    let others = [
        trial(server, "rewrites::not_in_nullable", what_not_in_meant),
        trial(server, "rewrites::comparisons_of_every_kind", comparisons),
    ];
    forms.chain(alike).chain(others).collect()
}

/// Every function with every operator and values at, above and below the edges.
fn comparisons(database: &Database) {
    let mut client = filled(database);
    let times = ["{}::date", "date({})", "date_trunc('day', {})", "date_trunc('month', {})", "date_trunc('year', {})"];
    let days = ["'2024-01-01'", "'2024-02-29'", "'2024-03-01'"];
    let years = ["extract(year from {})", "date_part('year', {})"];
    let numbers =
        ["{}", "{} + 3", "3 + {}", "{} - 2", "2 - {}", "coalesce({}, 4)", "{}::bigint", "{}::numeric", "{}::text"];
    let texts = ["coalesce({}, 'a')", "coalesce({}, '')", "lower({})"];
    let kinds: [(&[&str], &[&str], &[&str]); 4] = [
        (&["at", "z"], &times, &days),
        (&["z", "d"], &years, &["2023", "2024"]),
        (&["x"], &numbers, &["4", "9.0", "9.5", "'4'", "'04'"]),
        (&["t"], &texts, &["'a'", "'b'"]),
    ];
    let mut rewritten = 0;
    for (columns, functions, values) in kinds {
        for (column, function) in
            columns.iter().flat_map(|column| functions.iter().map(move |function| (column, function)))
        {
            for (operator, value) in OPERATORS.iter().flat_map(|o| values.iter().map(move |value| (o, value))) {
                let side = function.replace("{}", column);
                let form = format!("select id from a where {side} {operator} {value}");
                let turned = format!("select id from a where y > 0 and not {value} {operator} {side}");
                rewritten += differs_nowhere(&mut client, &form);
                if *operator == "<=" {
                    rewritten += differs_nowhere(&mut client, &turned);
                }
            }
        }
    }
    assert!(rewritten > 150, "only {rewritten} were rewritten");
}

const OPERATORS: [&str; 5] = ["=", "<", "<=", ">", ">="];

/// How many rewrites there are; those that the server does not even analyze have none.
fn differs_nowhere(client: &mut Client, form: &str) -> usize {
    let sql = format!(
        "select evidence ->> 'rewritten_query' from dbre.query_findings($query${form}$query$)
         where evidence ? 'rewritten_query'"
    );
    let Ok(rows) = client.query(&sql, &[]) else { return 0 };
    for row in &rows {
        assert_same(client, form, row.get(0));
    }
    rows.len()
}

/// Not the rows of the original, which a NULL hides, but those of the original without its NULLs.
fn what_not_in_meant(database: &Database) {
    let mut client = filled(database);
    for (form, meant) in NOT_IN {
        let sql = format!(
            "select to_jsonb(f) from dbre.query_findings($query${form}$query$) f where rule = 'not_in_nullable'"
        );
        let findings: Vec<Value> = query(&mut client, &sql).iter().map(|row| row.get(0)).collect();
        let intended = match meant {
            Some(_) => findings.first().map(|finding| text(&finding["evidence"], "intended_query")),
            None => None,
        };
        assert_eq!(findings.is_empty(), meant.is_none(), "{form}\n{}", shown(&findings));
        if let (Some(intended), Some(meant)) = (intended, meant) {
            let rows = assert_same(&mut client, meant, intended);
            assert!(rows > 0, "no rows from {form}");
        }
    }
}

const TABLES: &str = r#"
    create table a (id int primary key, x int, y int not null, t text, v varchar(20), at timestamp, z timestamptz, d date,
        n bigint, u uuid, f float8);
    create table b (id int primary key, a_id int, y int, t text, m numeric, f float8);
    create table c (k int, id int, b_id int not null, flag boolean, primary key (k, id));
    create table "Ä b" ("Größe" int primary key, "From" timestamp, "it's" text);
    create index on "Ä b" ("From");
    create index on a (x); create index on a (t); create index on a (v); create index on a (at); create index on a (z);
    create index on a (d); create index on a (n); create index on a (u); create index on b (a_id); create index on b (t);
    create index on b (y); create index on c (b_id);"#;

/// Few values, so that many are equal; NULLs; moments at and beside midnights.
const ROWS: &str = r#"
    insert into a select g, nullif(floor(random() * 12)::int, 5), floor(random() * 6)::int, nullif(chr(97 + (random() * 5)::int), 'd'),
        nullif(chr(97 + (random() * 5)::int), 'a'), moment, moment::timestamptz, moment::date, nullif(floor(random() * 30)::int, 7),
        case when random() < 0.9 then md5((random() * 9)::int::text)::uuid end, random()
    from generate_series(1, 300) g, lateral (
        select case
            when g % 41 = 0 then null when g % 97 = 0 then 'infinity' when g % 89 = 0 then '-infinity'
            else '2024-02-25'::timestamp + floor(random() * 12) * interval '1 day'
                + (array['0', '1 microsecond', '-1 microsecond', '13 hours', '300 days'])[1 + floor(random() * 5)::int]::interval
        end as moment
    ) m;
    insert into b select g, nullif(floor(random() * 320)::int, 0), nullif(floor(random() * 9)::int, 3),
        nullif(chr(97 + (random() * 5)::int), 'e'), nullif(floor(random() * 100), 50) / 7, random()
    from generate_series(1, 400) g where g % 9 > 0;
    insert into b select g, null, null, null, null, null from generate_series(401, 410) g;
    insert into c select floor(random() * 4)::int, g, floor(random() * 420)::int, nullif(random() < 0.5, random() < 0.2)
    from generate_series(1, 350) g;
    insert into "Ä b" select id, at, t from a;
    analyze;"#;

fn fill(client: &mut Client, seed: f64) {
    execute(client, &format!("truncate a, b, c, \"Ä b\"; select setseed({seed})"));
    client.batch_execute(ROWS).unwrap();
}

fn filled(database: &Database) -> Client {
    database.psql(TABLES);
    let mut client = database.connect();
    execute(&mut client, "set timezone = 'Europe/Berlin'");
    let configure = "select dbre.configure_rule(rule, options => '{\"min_rows\": 1}') from dbre.rules
                     where category = 'query' and options ? 'min_rows'";
    execute(&mut client, configure);
    let configure = "select dbre.configure_rule('large_in_list', options => '{\"min_elements\": 3}')";
    execute(&mut client, configure);
    fill(&mut client, 0.1);
    client
}

/// What the rule makes of the query.
#[track_caller]
fn rewritten(client: &mut Client, rule: &str, form: &str) -> Option<String> {
    let sql = format!("select to_jsonb(f) from dbre.query_findings($query${form}$query$) f where rule = '{rule}'");
    let findings: Vec<Value> = query(client, &sql).iter().map(|row| row.get(0)).collect();
    findings.iter().find_map(|finding| finding["evidence"]["rewritten_query"].as_str()).map(str::to_string)
}

fn same_rows(database: &Database, rule: &str, forms: &[&str]) {
    let mut client = filled(database);
    let mut pairs = Vec::new();
    for form in forms {
        let rewritten = rewritten(&mut client, rule, form).unwrap_or_else(|| {
            let all =
                query(&mut client, &format!("select to_jsonb(f) from dbre.query_findings($query${form}$query$) f"));
            let all: Vec<Value> = all.iter().map(|row| row.get(0)).collect();
            panic!("{rule} does not rewrite {form}\n{}", shown(&all))
        });
        pairs.push((form, rewritten));
    }
    let mut returned = vec![0; forms.len()];
    for seed in [0.1, 0.2, 0.3, 0.4] {
        fill(&mut client, seed);
        for ((form, rewritten), returned) in pairs.iter().zip(&mut returned) {
            *returned += assert_same(&mut client, form, rewritten);
        }
    }
    // What is always empty proves nothing.
    for (form, returned) in forms.iter().zip(returned) {
        assert!(returned > 0, "no rows from {form}");
    }
    for emptied in ["b", "c", "a"] {
        execute(&mut client, &format!("truncate {emptied}"));
        for (form, rewritten) in &pairs {
            assert_same(&mut client, form, rewritten);
        }
    }
}

/// The same rows, in the same order where the query has one; how many.
#[track_caller]
pub fn assert_same(client: &mut Client, original: &str, rewritten: &str) -> usize {
    let mut rows = |sql: &str| -> Vec<String> {
        let sql = format!("select q::text from ({}) q", sql.trim_end_matches(';'));
        query(client, &sql).iter().map(|row| row.get(0)).collect()
    };
    let (mut before, mut after) = (rows(original), rows(rewritten));
    // Not that of an arm or a subquery.
    let ordered = original.to_lowercase().rsplit_once("order by").is_some_and(|(_, keys)| !keys.contains(')'));
    if !ordered {
        before.sort_unstable();
        after.sort_unstable();
    }
    assert!(
        before == after,
        "{original}\n-- {} rows: {before:.200?}\n{rewritten}\n-- {} rows: {after:.200?}",
        before.len(),
        after.len()
    );
    before.len()
}

/// Those of one finding of a rule's example, where it has a rewritten query.
#[track_caller]
pub fn finding_keeps_rows(database: &Database, finding: &Value) {
    if let Some(rewritten) = finding["evidence"]["rewritten_query"].as_str() {
        let mut client = database.connect();
        let original: String = query(&mut client, "select query from example")[0].get(0);
        assert!(!text(finding, "app_fix").is_empty());
        assert_same(&mut client, &original, rewritten);
    }
}
