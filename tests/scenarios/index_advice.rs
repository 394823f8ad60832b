//! Index advice for whole workloads: where they come from, what is proposed for what, and that it can be followed as it is.

use crate::rule_cases::is_complete;
use crate::server::{Database, Server, execute, query, shown, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "index_advice::sources_of_a_workload", sources),
        trial(server, "index_advice::an_index_for_each_kind_of_condition", kinds_of_conditions),
        trial(server, "index_advice::nothing_where_nothing_helps", nothing_helps),
        trial(server, "index_advice::fixes_run_in_their_order_and_are_enough", fixes_are_enough),
        trial(server, "index_advice::existing_indexes_that_nobody_needs", useless_indexes),
    ]
}

const TABLE: &str = "create extension pg_trgm;
    create table t (id bigint primary key, a int, b text, c timestamptz, d int, e int, j jsonb, tags text[], r int4range, ts tsvector,
        n text collate \"C\");
    insert into t select g, g % 2000, md5(g::text), '2026-01-01'::timestamptz + g * interval '1 minute', g % 3, g % 500,
        jsonb_build_object('k', g), array['x' || g % 50, 'y' || g], int4range(g, g + 10), to_tsvector('simple', 'w' || g),
        md5(g::text)
    from generate_series(1, 30000) g;
    create table u (id int primary key, t_id bigint, k int);
    insert into u select g, (g * 7) % 30000, g % 4000 from generate_series(1, 40000) g;
    create table small (a int, b int); insert into small select g, g from generate_series(1, 50) g;
    vacuum analyze";

pub fn filled(database: &Database) -> Client {
    database.psql(TABLE);
    let mut client = database.connect();
    // Loading the tables is none of the writes that an index has to be kept up with.
    query(&mut client, "select pg_stat_reset()");
    client
}

/// The rows of `dbre.index_advice(arguments)`, each of them complete and in the order of its step.
#[track_caller]
pub fn advice(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(a) from dbre.index_advice({arguments}) a");
    let rows: Vec<Value> = query(client, &sql).iter().map(|row| row.get(0)).collect();
    for (row, step) in rows.iter().zip(1..) {
        is_complete(row);
        assert_eq!(row["step"], step, "{arguments}\n-- {}", shown(&rows));
    }
    rows
}

/// `array['…', …]` of texts.
pub fn array(texts: &[&str]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("$q${text}$q$")).collect();
    format!("array[{}]::text[]", texts.join(", "))
}

pub fn of_rule<'a>(rows: &'a [Value], rule: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| text(row, "rule") == rule).collect()
}

/// The indexes that are to be created.
pub fn created(rows: &[Value]) -> Vec<&str> {
    of_rule(rows, "missing_index").iter().map(|row| row["evidence"]["index"].as_str().unwrap()).collect()
}

fn sources(database: &Database) {
    let mut client = filled(database);
    let sql = "select b from t where a = 7";
    execute(
        &mut client,
        &format!(
            "create schema other; create table other.load (query text, calls int, mean_ms numeric);
             insert into other.load values ($q${sql}$q$, 100, 20), ('select * from u where k = 3', 1, 0.1), (null, 5, 5);
             create view seen as select query as query, calls * 2 as calls, mean_ms from other.load"
        ),
    );
    for arguments in [
        format!("'{sql}'"),
        format!("query => '{sql}'"),
        format!("queries => array['{sql}']"),
        "workload => 'other.load'".to_string(),
        "workload => 'load', search_path => 'other, public'".to_string(),
        "workload => 'seen'".to_string(),
        "workload => 'select * from other.load where calls > 1;'".to_string(),
        "workload => 'with x as (table other.load) select query, calls::float8, null::int as mean_ms from x'"
            .to_string(),
        format!("workload => $w$select * from (values ('{sql}', 1, 1)) v (query, calls, mean_ms)$w$"),
    ] {
        let rows = advice(&mut client, &arguments);
        assert!(created(&rows)[0].starts_with("USING btree (a)"), "{arguments}\n-- {}", shown(&rows));
        let workload = &rows[0]["evidence"]["workload"];
        assert!(workload["cost_after"].as_f64() < workload["cost_before"].as_f64(), "{arguments}\n-- {workload:#}");
        assert_eq!(workload["complete"], true, "{arguments}\n-- {workload:#}");
        for key in ["queries", "plans", "candidates", "elapsed_ms"] {
            assert!(workload[key].is_u64(), "{arguments}: {key}\n-- {workload:#}");
        }
    }
    // The index that helps many calls, and the one that helps the slow query.
    let weighed = "workload => $w$select * from (values ('select * from t where a = 7', 100000, 0.01),
        ('select * from u where k = 3', 10, 5000)) w (query, calls, mean_ms)$w$";
    let first = |client: &mut Client, weigh_by: &str| {
        let rows = advice(client, &format!("{weighed}, weigh_by => '{weigh_by}'"));
        text(&rows[0]["evidence"], "table").to_string()
    };
    assert_eq!(first(&mut client, "calls"), "public.t");
    assert_eq!(first(&mut client, "total_time"), "public.u");
    let queries = array(&["select * from t where a = 7", "select * from u where k = 3"]);
    let rows = advice(&mut client, &format!("queries => {queries}, schemas => array['other']"));
    assert!(created(&rows).is_empty(), "{}", shown(&rows));
}

/// Query, and the index that is proposed for it.
const KINDS: &[(&str, &str)] = &[
    ("select * from t where a = 7", "btree (a)"),
    ("select * from t where a in (7, 8, 9)", "btree (a)"),
    ("select * from t where c between '2026-01-02' and '2026-01-02 00:20'", "btree (c)"),
    ("select * from t where a = 7 and c > '2026-01-20'", "btree (a, c)"),
    ("select * from t where e = $1 order by c desc limit 5", "btree (e, c"),
    ("select * from t order by c limit 5", "btree (c)"),
    ("select * from t order by e desc, c limit 5", "btree (e"),
    ("select count(*) from t where a = $1 and c > $2", "btree (a, c)"),
    ("select * from t join u on u.t_id = t.id where t.id = 77", "btree (t_id)"),
    ("select max(c) from t", "btree (c)"),
    ("select t.b, (select count(*) from u where u.t_id = t.id) from t where t.id < 5", "btree (t_id)"),
    ("select * from t where exists (select from u where u.k = 7 and u.t_id = t.id)", "btree (k"),
    ("select * from t where lower(b) = 'x'", "btree ((lower(b)))"),
    ("select * from t where c::text = $1 or lower(b) = 'x' and a = 3", ""),
    ("select * from t where date_part('day', r::text::date) = 3", ""),
    ("select * from t where b like 'abc%'", "btree (b text_pattern_ops)"),
    ("select * from t where b like $1 || '%'", ""),
    ("select * from t where n like 'abc%'", "btree (n)"),
    ("select * from t where b like '%abcdef%'", "gin (b public.gin_trgm_ops)"),
    ("select * from t where b ilike '%abcdef%'", "gin (b public.gin_trgm_ops)"),
    ("select * from t where b ~ 'abcdef'", "gin (b public.gin_trgm_ops)"),
    ("select * from t where j @> '{\"k\": 5}'", "gin (j"),
    ("select * from t where j ->> 'k' = '5'", "(j ->> 'k'::text)"),
    ("select * from t where tags @> '{y7}'", "gin (tags)"),
    ("select * from t where tags && '{y7,y8}'", "gin (tags)"),
    ("select * from t where ts @@ to_tsquery('simple', 'w5')", "gin (ts)"),
    ("select * from t where r && '[5, 9)'", "gist (r)"),
    ("select * from t where r @> 5", "gist (r)"),
    ("update t set b = 'x' where a = 7", "btree (a)"),
    ("delete from u using t where t.id = 5 and u.t_id = t.id", "btree (t_id)"),
    ("merge into u using (values (5)) v (k) on u.k = v.k when matched then delete", "btree (k)"),
    ("with x as (delete from u where k = 3 returning t_id) select * from x", "btree (k)"),
    ("insert into u select id, a, 1 from t where a = 7", "btree (a)"),
    ("select * from (select * from u where k = 3 union all select * from u where t_id = 4) x", "btree (k)"),
    ("select e, count(*) from t where a = 7 group by e", "btree (a"),
    ("select distinct on (e) e, c from t order by e, c desc limit 3", "btree (e, c DESC)"),
];

fn kinds_of_conditions(database: &Database) {
    let mut client = filled(database);
    let mut wrong = Vec::new();
    for (sql, index) in KINDS {
        let rows = advice(&mut client, &format!("$q${sql}$q$"));
        if !index.is_empty() && !created(&rows).iter().any(|created| created.contains(index)) {
            wrong.push(format!("{sql}\n-- {index} is not among {:?}", created(&rows)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn nothing_helps(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, "create index t_a on t (a); create index u_k on u using hash (k)");
    for sql in [
        "select b from t where a = 7",
        "select * from t where id = 7",
        "select * from u where k = 3",
        "select * from small where a = 3",
        "select * from small where a = 3 order by b limit 1",
        "select * from t where d <> 1",
        "select * from t where a >= 0",
        "select 1",
        "values (1), (2)",
        "select * from generate_series(1, 10000) g where g = 5",
        "insert into small values (1, 2)",
        "select * from t where b = random()::text",
        "select * from pg_class where relpages = 3",
        "select * from t where false",
        "select * from t where a is null",
    ] {
        let rows = advice(&mut client, &format!("$q${sql}$q$"));
        assert!(created(&rows).is_empty(), "{sql}\n-- {}", shown(&rows));
    }
}

pub const WORKLOAD: &str = "create table workload (query text, calls int, mean_ms float8);
    insert into workload values
        ('select b from t where a = $1', 1000, 12), ('select * from t where a = $1 order by c desc limit 10', 500, 15),
        ('select * from t where c between $1 and $2', 20, 10), ('select count(*) from u where k = $1', 400, 6),
        ('select * from u join t on t.id = u.t_id where u.k = $1 and t.e = 5', 30, 20),
        ('select * from t where tags @> $1', 40, 30), ('select * from t where lower(b) = $1', 40, 30),
        ('update t set d = 5 where e = $1', 10, 20), ('delete from u where t_id = $1', 300, 9),
        ('select max(c) from t where d = $1', 10, 5), ('select 1', 1000, 0.01),
        ('selec 1', 4, 1), ('select * from gone', 3, 1), ('vacuum t', 2, 100)";

/// What is left is cheaper, so that the least benefit in percent is less, too: none is asked for.
const ALL: &str = "workload => 'workload', min_benefit_percent => 0";

fn fixes_are_enough(database: &Database) {
    let mut client = filled(database);
    execute(&mut client, WORKLOAD);
    let rows = advice(&mut client, ALL);
    assert!(created(&rows).len() >= 5, "{}", shown(&rows));
    let not_planned = of_rule(&rows, "query_not_planned");
    assert_eq!(not_planned.len(), 2, "{}", shown(&rows));
    let named = shown(&not_planned.into_iter().cloned().collect::<Vec<_>>());
    assert!(named.contains("selec 1") && named.contains("from gone") && !named.contains("vacuum t"), "{named}");
    assert_eq!(rows[0]["evidence"]["workload"]["statements_left_out"], 2, "{:#}", rows[0]);

    // Creations by falling benefit per byte, before all that counts on them.
    let rules: Vec<_> = rows.iter().map(|row| text(row, "rule")).collect();
    let last_created = rules.iter().rposition(|rule| *rule == "missing_index").unwrap();
    assert!(rules[..last_created].iter().all(|rule| ["missing_index", "extendable_index"].contains(rule)), "{rules:?}");
    for row in &rows {
        if let Some(fix) = row["fix_sql"].as_str() {
            database.psql(fix);
        }
    }
    for row in &rows {
        crate::rule_cases::verify(database, row, text(row, "rule") == "missing_index");
    }
    let again = advice(&mut client, ALL);
    let new: Vec<_> = again.iter().filter(|row| row["fix_sql"].is_string()).cloned().collect();
    assert!(new.is_empty(), "followed:\n{:?}\nand again:\n{}", created(&rows), shown(&new));
    for row in rows.iter().rev() {
        if let Some(rollback) = row["rollback_sql"].as_str() {
            database.psql(rollback);
        }
    }
    let back = advice(&mut client, ALL);
    assert_eq!(created(&back), created(&rows), "rolled back");
}

fn useless_indexes(database: &Database) {
    let mut client = filled(database);
    execute(
        &mut client,
        "create index t_a on t (a); create index t_a_again on t (a); create index t_e on t (e); create unique index t_b on t (b);
         create table child (t_e int, id int primary key); create index small_a on small (a);
         create table workload as select 'select d from t where a = 7' as query, 100 as calls, 0.1 as mean_ms",
    );
    let dropped = |client: &mut Client, arguments: &str| -> Vec<String> {
        let rows = advice(client, arguments);
        of_rule(&rows, "index_without_use").iter().map(|row| text(row, "object").to_string()).collect()
    };
    let useless = dropped(&mut client, "workload => 'workload'");
    assert!(useless.contains(&"public.t_e".to_string()), "{useless:?}");
    let twins = useless.iter().filter(|index| index.starts_with("public.t_a")).count();
    assert!(twins <= 1, "both of two equal indexes are to be dropped: {useless:?}");
    assert!(!useless.iter().any(|index| index.contains("pkey") || index == "public.t_b"), "{useless:?}");
    assert!(dropped(&mut client, "workload => 'workload', drop_indexes => false").is_empty());
    assert!(
        dropped(&mut client, "queries => array['select d from t where a = 7']").is_empty(),
        "a list of texts has no times"
    );
}
