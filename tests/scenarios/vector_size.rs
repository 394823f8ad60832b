//! Size of vector indexes and memory to build them, as predicted and as they are.

use crate::server::{Database, Server, execute, query, trial, value};
use libtest_mimic::Trial;
use postgres::{Config, NoTls};
use serde_json::Value;
use std::sync::{Arc, Mutex};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_size::hnsw_is_as_large_as_predicted_and_spills_where_predicted", hnsw),
        trial(server, "vector_size::ivfflat_is_as_large_as_predicted_and_fails_where_predicted", ivfflat),
        trial(server, "vector_size::ivfflat_tells_how_many_rows_it_was_built_on", built_on),
    ]
}

const MIB: u64 = 1 << 20;

/// Rows of random vectors, and a column of that type.
fn filled(database: &Database, column: &str, rows: u32) {
    let (element, dimensions) = column.trim_end_matches(')').split_once('(').unwrap();
    let dimensions: u32 = dimensions.parse().unwrap();
    let value = match element {
        "bit" => format!(
            "(select string_agg((random() > 0.5)::int::text, '') from generate_series(1, {dimensions}) where g > 0)"
        ),
        "sparsevec" => format!(
            "('{{' || (select string_agg((i * 20 + 1) || ':' || random() + 0.1, ',') from generate_series(0, 9) i where g > 0) || \
             '}}/{dimensions}')"
        ),
        _ => format!("(select array_agg(random()) from generate_series(1, {dimensions}) where g > 0)::vector"),
    };
    database.psql(&format!(
        "create extension if not exists vector; drop table if exists t; create table t (id int primary key, e {column});
         insert into t select g, {value}::{column} from generate_series(1, {rows}) g; vacuum analyze t;"
    ));
}

/// Evidence of rule vector_index_build_spills on the only index, with so much memory for the build.
fn predicted(database: &Database, memory: &str) -> Value {
    let sql = format!(
        "select evidence from dbre.vector_index_advice(memory_budget => '{memory}') where rule = 'vector_index_build_spills'"
    );
    let rows = query(&mut database.connect(), &sql);
    assert_eq!(rows.len(), 1, "{sql}");
    rows[0].get(0)
}

#[track_caller]
fn near(what: &str, predicted: f64, real: f64, tolerance: f64) {
    let off = (predicted - real).abs() / real;
    assert!(
        off <= tolerance || (predicted - real).abs() <= 8192.0 && real > 8192.0,
        "{what}: {predicted} predicted, {real} real"
    );
}

/// What a statement made the server say beside its result.
fn notices(database: &Database, sql: &str) -> (Result<(), String>, Vec<String>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let mut config = Config::new();
    config.host_path(&database.server.folder).dbname(&database.name).user("postgres");
    config.notice_callback(move |notice| heard.lock().unwrap().push(notice.message().to_string()));
    let mut client = config.connect(NoTls).unwrap();
    let outcome = client
        .batch_execute(sql)
        .map_err(|error| error.as_db_error().map_or(error.to_string(), |error| error.message().to_string()));
    drop(client);
    let said = said.lock().unwrap().clone();
    (outcome, said)
}

fn hnsw(database: &Database) {
    execute(
        &mut database.connect(),
        "select dbre.configure_rule('vector_index_build_spills', options => '{\"min_rows\": 0}')",
    );
    let kinds = [
        ("vector(8)", "vector_l2_ops", 16, 3000),
        ("vector(128)", "vector_cosine_ops", 4, 3000),
        ("vector(384)", "vector_ip_ops", 40, 1500),
        ("vector(1000)", "vector_l1_ops", 16, 1000),
        ("halfvec(384)", "halfvec_l2_ops", 16, 2500),
        ("bit(256)", "bit_hamming_ops", 24, 3000),
        ("sparsevec(200)", "sparsevec_l2_ops", 16, 2500),
    ];
    for (column, class, m, rows) in kinds {
        filled(database, column, rows);
        for megabytes in [1, 2] {
            let create = format!(
                "drop index if exists i; set maintenance_work_mem = '{megabytes}MB'; set max_parallel_maintenance_workers = 0;
                 create index i on t using hnsw (e {class}) with (m = {m}, ef_construction = {})",
                2 * m
            );
            let (outcome, said) = notices(database, &create);
            outcome.unwrap();
            let what = format!("{column} {class}, m = {m}, {megabytes} MB");
            let spilled = said.iter().find_map(|message| {
                let after = message.strip_prefix("hnsw graph no longer fits into maintenance_work_mem after ")?;
                after.split(' ').next()?.parse::<f64>().ok()
            });
            let evidence = predicted(database, "64 kB");
            let bytes: i64 = value(&mut database.connect(), "select pg_relation_size('i')");
            near(&format!("{what}, size"), evidence["estimated_bytes"].as_f64().unwrap(), bytes as f64, 0.03);
            let needed = evidence["build_memory_bytes"].as_u64().unwrap();
            match spilled {
                Some(after) => {
                    let fit = predicted(database, &format!("{megabytes} MB"))["rows_that_fit"].as_f64().unwrap();
                    assert!((fit / after - 1.0).abs() <= 0.05, "{what}: {fit} rows should fit, {after} did");
                }
                None => assert!(needed <= megabytes * MIB, "{what}: it fits, and should need {needed} bytes"),
            }
        }
    }
}

fn ivfflat(database: &Database) {
    execute(
        &mut database.connect(),
        "select dbre.configure_rule('vector_index_build_spills', options => '{\"min_rows\": 0}')",
    );
    // k-means starts at random: from build to build, last pages of lists differ by sqrt(lists / 12) pages (standard deviation),
    // which is below one percent of these indexes.
    let kinds = [
        ("vector(100)", "vector_l2_ops", 30, 3000),
        ("vector(384)", "vector_cosine_ops", 10, 2000),
        ("halfvec(300)", "halfvec_ip_ops", 20, 3000),
        ("bit(512)", "bit_hamming_ops", 10, 12000),
    ];
    for (column, class, lists, rows) in kinds {
        filled(database, column, rows);
        let create = format!("create index i on t using ivfflat (e {class}) with (lists = {lists})");
        let (outcome, _) = notices(database, &create);
        outcome.unwrap();
        let what = format!("{column} {class}, lists = {lists}");
        let evidence = predicted(database, "64 kB");
        let bytes: i64 = value(&mut database.connect(), "select pg_relation_size('i')");
        near(&format!("{what}, size"), evidence["estimated_bytes"].as_f64().unwrap(), bytes as f64, 0.05);
        // The server says what it would have needed.
        let again = "drop index i; set maintenance_work_mem = '1MB';".to_string() + &create;
        let (outcome, _) = notices(database, &again);
        let needed = evidence["build_memory_bytes"].as_u64().unwrap();
        match outcome {
            Err(message) => {
                let said = format!("memory required is {} MB, maintenance_work_mem is 1 MB", needed / MIB + 1);
                assert_eq!(message, said, "{what}");
            }
            Ok(()) => assert!(needed <= MIB, "{what}: it was built, and should need {needed} bytes"),
        }
        database.psql("drop index if exists i");
    }
}

fn built_on(database: &Database) {
    filled(database, "vector(100)", 3000);
    let found = |rows: &str| {
        let sql = "select coalesce((select (evidence->>'rows_at_build_at_most')::int8 from dbre.vector_index_advice()
                   where rule = 'ivfflat_built_on_few_rows'), 0)";
        database.psql(rows);
        value::<i64>(&mut database.connect(), sql)
    };
    let index = "create index i on t using ivfflat (e vector_l2_ops) with (lists = 10)";
    assert_eq!(found(index), 0);
    // Twice as many rows, and once more.
    let more = "insert into t select id + (select max(id) from t), e from t";
    assert_eq!(found(&format!("drop index i; delete from t where id > 1000; vacuum t; {index}")), 0);
    let at_most = found(&format!("{more}; {more}; analyze t"));
    assert!((1000..1400).contains(&at_most), "at most {at_most} rows");
    assert_eq!(found("reindex index i"), 0);
    // Insertions alone, from nothing.
    let none =
        found(&format!("create table u as table t; truncate t; reindex index i; insert into t table u; analyze t"));
    assert!(none <= 10 * 20, "at most {none} rows");
}
