//! dbre.vector_recall() and dbre.vector_drift() where something is in the way: rights, cancels, standbys, names, changes.

use crate::server::{Database, Server, cancelled_after, execute, query, refused, trial, value, wait_until};
use crate::standby::standby_of;
use crate::vector_data::{Vectors, available};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_recall::settings_stay", settings_stay),
        trial(server, "vector_recall::cancel_and_time_limit", cancel_and_time_limit),
        trial(server, "vector_recall::other_indexes_are_not_used", other_indexes),
        trial(server, "vector_recall::rights", rights),
        trial(server, "vector_recall::names", names),
        trial(server, "vector_recall::several_dimensions_in_a_column", several_dimensions),
        trial(server, "vector_recall::baselines_and_drift", drift),
        Trial::test("vector_recall::standby", || {
            standby();
            Ok(())
        }),
    ]
}

const INDEX: &str = "create index i on t using hnsw (e vector_l2_ops) with (m = 3, ef_construction = 6)";

fn prepared(database: &Database, rows: usize) -> Option<Client> {
    let mut client = database.connect();
    if !available(&mut client) {
        return None;
    }
    Vectors::make(&mut client, rows, 40);
    execute(&mut client, INDEX);
    Some(client)
}

/// That differ from their defaults, and pgvector's.
fn settings(client: &mut Client) -> String {
    let sql = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings
               where setting is distinct from boot_val and name !~ '^dbre' or name ~ '^(hnsw|ivfflat|enable)'";
    value(client, sql)
}

fn settings_stay(database: &Database) {
    let Some(mut client) = prepared(database, 500) else { return };
    execute(&mut client, "set hnsw.ef_search = 17; set enable_indexscan = off; set hnsw.iterative_scan = strict_order");
    let before = settings(&mut client);
    let rows = query(&mut client, "select ef_search, iterative_scan, pages from dbre.vector_recall('i', sample => 5)");
    assert_eq!((rows[0].get::<_, i32>(0), rows[0].get::<_, &str>(1)), (17, "strict_order"));
    query(
        &mut client,
        "select * from dbre.vector_recall('i', ef_search => '{5,50}', iterative_scan => 'off', sample => 5)",
    );
    refused(&mut client, "select * from dbre.vector_recall('i', ef_search => '{5}', filter => '1 / (id - id) = 1')");
    refused(&mut client, "select * from dbre.vector_recall('i', queries => 'select e from q where 1 / (id - id) = 1')");
    assert_eq!(settings(&mut client), before);
    execute(&mut client, "begin; savepoint a");
    refused(&mut client, "select * from dbre.vector_recall('i', ef_search => '{5}', filter => '1 / (id - id) = 1')");
    execute(&mut client, "rollback to a");
    assert_eq!(settings(&mut client), before);
    execute(&mut client, "insert into t (id) values (-1); commit");
    // In one transaction, with what it has written and not committed.
    execute(&mut client, "begin; delete from t where id > 20; set local enable_seqscan = off");
    let seen: i32 = value(&mut client, "select queries from dbre.vector_recall('i')");
    assert!((15..=21).contains(&seen), "{seen}");
    execute(&mut client, "rollback; begin read only");
    query(&mut client, "select * from dbre.vector_recall('i', sample => 5)");
    assert_eq!(refused(&mut client, "select * from dbre.vector_recall('i', save => true)").code().code(), "25006");
    execute(&mut client, "rollback; begin");
    query(&mut client, "select * from dbre.vector_recall('i', sample => 5)");
    let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
    assert_eq!(xid, None);
    execute(&mut client, "commit");
}

fn cancel_and_time_limit(database: &Database) {
    let Some(mut client) = prepared(database, 2000) else { return };
    let before = settings(&mut client);
    let long = "select queries, complete, note from dbre.vector_recall('i', queries => 'select q.e from q, generate_series(1, 100000)',
        sample => 100000, ef_search => '{1000,999,998}'";
    let error = cancelled_after(database, &mut client, Duration::from_millis(700), &format!("{long})"));
    assert_eq!(error.code().code(), "57014", "{error}");
    assert_eq!(settings(&mut client), before);
    execute(&mut client, "set statement_timeout = '500 ms'");
    assert_eq!(refused(&mut client, &format!("{long})")).code().code(), "57014");
    execute(&mut client, "reset statement_timeout");
    let begun = Instant::now();
    let rows = query(&mut client, &format!("{long}, time_limit => '800 ms')"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert!(!row.get::<_, bool>(1) && row.get::<_, i32>(0) == rows[0].get::<_, i32>(0));
        assert!(row.get::<_, &str>(2).contains("time_limit was over"), "{}", row.get::<_, &str>(2));
    }
    // One search that is longer than the limit, and a query for vectors that is.
    execute(
        &mut client,
        "create function slow(int) returns boolean immutable language plpgsql as $$ begin perform pg_sleep(0.01); return true; end $$",
    );
    for sql in [
        "select queries, complete from dbre.vector_recall('i', filter => 'slow(id)', time_limit => '300 ms')",
        "select queries, complete from dbre.vector_recall('i', queries => 'select e from t where slow(id)', time_limit => '300 ms')",
    ] {
        let rows = query(&mut client, sql);
        assert_eq!((rows.len(), rows[0].get::<_, i32>(0), rows[0].get::<_, bool>(1)), (1, 0, false), "{sql}");
    }
    assert_eq!(settings(&mut client), before);
    let later: bool = value(&mut client, "select complete from dbre.vector_recall('i', sample => 5)");
    assert!(later);
}

/// Of two that could serve the search, each is measured by itself; the exact answer is by none.
fn other_indexes(database: &Database) {
    let Some(mut client) = prepared(database, 2000) else { return };
    execute(
        &mut client,
        "create index j on t using ivfflat (e vector_l2_ops) with (lists = 50);
         create index k on t using hnsw (e vector_l2_ops) with (m = 20, ef_construction = 100); create index on t (tenant)",
    );
    let mut recalls = Vec::new();
    for index in ["i", "j", "k"] {
        let sql = format!(
            "select recall from dbre.vector_recall('{index}', queries => 'select e from q', filter => 'tenant <> 1')"
        );
        recalls.push(value::<f64>(&mut client, &sql));
    }
    assert!(recalls[0] < recalls[2] && recalls[1] < recalls[2], "{recalls:?}");
    drop(client);
    let mut client = database.connect();
    let scans = "select string_agg(indexrelname || ' ' || idx_scan, ', ' order by indexrelname)
                 from pg_stat_user_indexes where indexrelname in ('i', 'j', 'k')";
    wait_until("each was scanned 40 times", || value::<String>(&mut client, scans) == "i 40, j 40, k 40");
    // A filter that searches for vectors elsewhere.
    execute(&mut client, "create table o as select id, e from t; create index on o using hnsw (e vector_l2_ops)");
    let elsewhere = "filter => 'id in (select id from o order by e <-> ''[1,1,1,1,1,1,1,1]'' limit 20)'";
    let sql = format!("select queries from dbre.vector_recall('i', queries => 'select e from q', {elsewhere})");
    execute(&mut client, "set enable_seqscan = off");
    assert_eq!(value::<i32>(&mut client, &sql), 40);
}

fn rights(database: &Database) {
    let Some(mut client) = prepared(database, 500) else { return };
    let role = format!("reader_of_{}", database.name);
    execute(&mut client, &format!("create role {role} login; grant pg_monitor to {role}"));
    let mut reader = database.connect_as(&role);
    let error = refused(&mut reader, "select * from dbre.vector_recall('i')");
    assert_eq!(error.code().code(), "42501");
    assert!(error.hint().unwrap().contains("grant select on public.t"), "{error:?}");
    execute(&mut client, &format!("grant select (id, e) on t to {role}"));
    assert_eq!(refused(&mut reader, "select * from dbre.vector_recall('i')").code().code(), "42501");
    execute(&mut client, &format!("grant select on t to {role}"));
    query(&mut reader, "select * from dbre.vector_recall('i', sample => 5)");
    let error = refused(&mut reader, "select * from dbre.vector_recall('i', queries => 'select e from q')");
    assert_eq!(error.code().code(), "42501", "{error:?}");
    assert_eq!(refused(&mut reader, "select * from dbre.vector_recall('i', save => true)").code().code(), "42501");
    query(&mut reader, "select * from dbre.vector_drift()");
    execute(&mut client, "alter table t enable row level security; create policy p on t using (id < 5)");
    let sql = "select queries, note from dbre.vector_recall('i')";
    let rows = query(&mut reader, sql);
    assert_eq!(rows[0].get::<_, i32>(0), 5);
    assert!(rows[0].get::<_, &str>(1).contains("has 4 rows"), "{}", rows[0].get::<_, &str>(1));
    execute(&mut reader, "set row_security = off");
    assert_eq!(refused(&mut reader, sql).code().code(), "42501");
    execute(&mut client, &format!("drop owned by {role}"));
    drop(reader);
    execute(&mut client, &format!("drop role {role}"));
}

fn names(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    execute(
        &mut client,
        r#"create schema "Véc tors"; create extension vector schema "Véc tors"; create schema "My ""S";
           set search_path = "My ""S", "Véc tors"; create domain "D" as vector(3);
           create table "Tä ble" ("Id" int, "e mb" vector(3), d "D", "select" halfvec(3));
           insert into "Tä ble" select g, v, v, v from (select g, array[g % 17, g % 13, g % 11]::vector as v from generate_series(1, 200) g) x;
           create index "I 1" on "Tä ble" using hnsw ("e mb" vector_l2_ops);
           create index "I 2" on "Tä ble" using hnsw (("e mb"::halfvec(3)) halfvec_cosine_ops) where "Id" > 20;
           create index "I 3" on "Tä ble" using ivfflat ((d::vector(3)) vector_ip_ops) with (lists = 2);
           create index "I 4" on "Tä ble" using hnsw ("select" halfvec_l1_ops);
           create index "I 5" on "Tä ble" using hnsw ((binary_quantize("e mb")::bit(3)) bit_jaccard_ops)"#,
    );
    for index in 1..=5 {
        for path in ["set search_path = \"My \"\"S\", \"Véc tors\"", "set search_path = pg_catalog"] {
            execute(&mut client, path);
            let filter = "filter => '\"Id\" % 2 = 0 and \"Tä ble\".\"Id\" > 0'";
            let sql =
                format!("select queries from dbre.vector_recall('\"My \"\"S\".\"I {index}\"', sample => 20, {filter})");
            assert_eq!(value::<i32>(&mut client, &sql), 20, "{path}; {sql}");
        }
    }
    // The caller's search_path gives the caller's texts their meaning.
    execute(&mut client, "set search_path = \"Véc tors\", \"My \"\"S\"");
    let sql = "select queries from dbre.vector_recall('\"I 1\"', queries => 'select \"e mb\" from \"Tä ble\" limit 3')";
    assert_eq!(value::<i32>(&mut client, sql), 3);
    value::<f64>(&mut client, "select recall from dbre.vector_recall('\"I 1\"', save => true)");
    execute(&mut client, "set search_path = pg_catalog");
    let drifted = query(&mut client, "select drifted, index_name from dbre.vector_drift()");
    assert_eq!((drifted[0].get(0), drifted[0].get(1)), (Some(false), r#""My ""S"."I 1""#));
}

/// As pgvector's README has it for a column that holds vectors of several models.
fn several_dimensions(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    execute(
        &mut client,
        "create extension vector; create table m (id int, model int, e vector);
         insert into m select g, g % 2, case when g % 2 = 0 then array[g % 7, g % 11, g] else array[g % 5, g] end::vector
         from generate_series(1, 500) g;
         create index three on m using hnsw ((e::vector(3)) vector_l2_ops) where vector_dims(e) = 3;
         create index two on m using hnsw ((e::vector(2)) vector_l2_ops) where model = 1;
         create index half on m using hnsw ((e::halfvec(3)) halfvec_l2_ops) where vector_dims(e) = 3",
    );
    for index in ["three", "two", "half"] {
        let sql = format!("select queries from dbre.vector_recall('{index}', sample => 30)");
        assert_eq!(value::<i32>(&mut client, &sql), 30, "{index}");
        let other = if index == "two" { "[1,2,3]" } else { "[1,2]" };
        let error = refused(
            &mut client,
            &format!("select * from dbre.vector_recall('{index}', queries => $$select '{other}'::vector$$)"),
        );
        assert!(error.message().starts_with("argument queries: expected "), "{error:?}");
    }
}

fn drift(database: &Database) {
    let Some(mut client) = prepared(database, 2000) else { return };
    execute(&mut client, "analyze t");
    execute(&mut client, "select from dbre.vector_recall('i', ef_search => '{40,200}', sample => 100, save => true)");
    execute(
        &mut client,
        "select from dbre.vector_recall('i', queries => 'select e from q', filter => 'tenant = 1', save => true)",
    );
    let all = "select ef_search, baseline_recall, recall, difference, drifted, baseline_rows_estimated, same_queries, complete, coalesce(note, ''), filter
               from dbre.vector_drift() order by filter nulls first, ef_search";
    let rows = query(&mut client, all);
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row.get::<_, f64>("difference"), 0.0);
        assert_eq!(row.get::<_, f64>("baseline_recall"), row.get::<_, f64>("recall"));
        assert!(!row.get::<_, bool>("drifted") && row.get::<_, bool>("complete"));
        assert_eq!(row.get::<_, Option<f64>>("baseline_rows_estimated"), Some(2000.0));
        assert!(row.get::<_, bool>("same_queries"));
        assert!(!row.get::<_, &str>(8).contains("built again"), "{}", row.get::<_, &str>(8));
    }
    assert_eq!((rows[2].get::<_, &str>("filter"), rows[0].get::<_, Option<&str>>("filter")), ("tenant = 1", None));
    let shown: (i64, Option<f64>) = {
        let row = &query(
            &mut client,
            "select count(*), max(baseline_recall) from dbre.vector_indexes where index_name = 'public.i'",
        )[0];
        (row.get(0), row.get(1))
    };
    assert_eq!(shown, (1, rows[0].get("recall")));
    // A better graph; under another name; then none.
    execute(
        &mut client,
        "alter index i rename to better; alter index better set (m = 24, ef_construction = 200); reindex index better",
    );
    let rows = query(&mut client, all);
    let note = rows[0].get::<_, &str>(8);
    assert!(note.contains("is now public.better") && note.contains("built again"), "{note}");
    assert!(rows[0].get::<_, bool>("drifted") && rows[0].get::<_, f64>("difference") > 0.0);
    // Saved again, it replaces what it is of.
    execute(
        &mut client,
        "alter index better rename to i; select from dbre.vector_recall('i', ef_search => '{40}', save => true)",
    );
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_recall_baselines"), 3);
    execute(&mut client, &format!("drop index i; {INDEX}"));
    let rows = query(&mut client, &all.replace("vector_drift()", "vector_drift('i', 150)"));
    assert_eq!(rows.len(), 3);
    assert!(rows[0].get::<_, bool>("drifted") && rows[0].get::<_, f64>("difference") < 0.0);
    assert_eq!([0, 2].map(|n| rows[n].get::<_, bool>("same_queries")), [false, true]);
    // What can't be measured any more is said, and keeps none of the others from being measured.
    execute(&mut client, "alter table t rename tenant to team");
    let notes: Vec<String> = query(&mut client, all).iter().map(|row| row.get(8)).collect();
    assert!(notes[2].contains("column \"tenant\" does not exist") && !notes[0].contains("tenant"), "{notes:?}");
    execute(&mut client, "drop table t cascade");
    let notes: Vec<String> = query(&mut client, all).iter().map(|row| row.get(8)).collect();
    assert_eq!(notes, ["the index is gone"; 3]);
    let dump = crate::server::run(database.server.client("pg_dump").args(["-d", &database.name]), "");
    let copy = Database::empty(&database.server);
    copy.psql(&dump);
    assert_eq!(value::<i64>(&mut copy.connect(), "select count(*) from dbre.vector_recall_baselines"), 3);
}

fn standby() {
    let primary = Arc::new(Server::start(&["wal_level = replica", "hot_standby = on", "autovacuum = off"]));
    let database = Database::create(&primary);
    let Some(mut client) = prepared(&database, 1000) else { return };
    execute(&mut client, "analyze; select from dbre.vector_recall('i', sample => 50, save => true)");
    let standby = standby_of(&primary);
    let position: String = value(&mut client, "select pg_current_wal_lsn()::text");
    let mut there = standby.connect(&database.name, "postgres");
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
    wait_until("the standby has replayed all", || value(&mut there, &replayed));
    for sql in [
        "select recall from dbre.vector_recall('i', sample => 50)",
        "select recall from dbre.vector_recall('i', queries => 'select e from q', filter => 'tenant = 1', iterative_scan => 'relaxed_order')",
        "select recall from dbre.vector_drift()",
    ] {
        assert_eq!(value::<f64>(&mut there, sql), value::<f64>(&mut client, sql), "{sql}");
    }
    let before = settings(&mut there);
    assert_eq!(refused(&mut there, "select * from dbre.vector_recall('i', save => true)").code().code(), "25006");
    refused(&mut there, "select * from dbre.vector_recall('i', ef_search => '{7}', filter => '1 / (id - id) = 1')");
    refused(
        &mut there,
        "select * from dbre.vector_recall('i', ef_search => '{7}', queries => 'select e from q where 1 / (id - id) = 1')",
    );
    let stopped: bool = value(
        &mut there,
        "select complete from dbre.vector_recall('i', queries => 'select q.e from q, generate_series(1, 10000)', sample => 100000,
             time_limit => '500 ms')",
    );
    assert!(!stopped);
    assert_eq!(settings(&mut there), before);
}
