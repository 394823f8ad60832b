//! dbre.vector_tune(): what it advises is what dbre.vector_recall() measures, and nothing of what it tries remains.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;
use std::time::Instant;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_tune::the_advice_is_what_recall_measures", advice),
        trial(server, "vector_tune::rows_as_queries_are_asked_for_more", sampled_rows),
        trial(server, "vector_tune::an_unreachable_target_has_a_reason", unreachable),
        trial(server, "vector_tune::a_filter_may_be_served_without_the_index", filtered),
        trial(server, "vector_tune::candidates_are_built_and_gone", candidates),
        trial(server, "vector_tune::a_cancel_leaves_nothing", cancelled),
        trial(server, "vector_tune::it_reads_only", reads_only),
        trial(server, "vector_tune::what_the_caller_may_not_do_is_said", privileges),
        trial(server, "vector_tune::bad_input_is_refused", bad_input),
        trial(server, "vector_tune::tables_without_vectors", empty_tables),
        trial(server, "vector_tune::the_time_limit_ends_it", time_limit),
    ]
}

const D: u32 = 16;

/// Clustered vectors, and queries of the same kind that are no rows.
fn atoms(client: &mut Client, rows: u32) {
    execute(
        client,
        &format!(
            "create extension vector;
            create function near(center int, i int, spread float8) returns vector language sql immutable as $$
                select ('[' || string_agg((hashint8extended(j, center)::float8 / 9e18
                    + spread * hashint8extended(i * 1000 + j, 7)::float8 / 9e18)::float4::text, ',' order by j) || ']')::vector
                from generate_series(1, {D}) j $$;
            create table atoms (id int primary key, tenant int, embedding vector({D}));
            insert into atoms select i, i % 50, near(i % 40, i, 1.5) from generate_series(1, {rows}) i;
            create table asked as select near(i % 40, 1000000 + i, 1.5) as v from generate_series(1, 300) i;
            create index atoms_hnsw on atoms using hnsw (embedding vector_l2_ops) with (m = 4, ef_construction = 8);
            analyze"
        ),
    );
}

const QUERIES: &str = "queries => 'select v from asked'";
const SETTINGS: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where
    name ~ '^(hnsw|ivfflat|enable|search_path|maintenance_work_mem|max_parallel|lock_timeout|transaction_read_only|jit)'";
const SCRATCH: &str = "select (select count(*) from pg_namespace where nspname like 'dbre_scratch%')
    + (select count(*) from pg_class where relname like 'rows_index%' or relname = 'rows')";

fn advice(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 2000);
    execute(&mut client, "create index atoms_lists on atoms using ivfflat (embedding vector_l2_ops) with (lists = 30)");
    execute(&mut client, "load 'vector'; set hnsw.ef_search = 17");
    let before: String = value(&mut client, SETTINGS);
    for (index, setting) in [("atoms_hnsw", "ef_search"), ("atoms_lists", "probes")] {
        let rows = query(
            &mut client,
            &format!(
                "select recommended, {setting}, recall, recall_low, pages, queries, sql, note, on_front
                from dbre.vector_tune('{index}', target_recall => 0.9, {QUERIES})"
            ),
        );
        let recommended: Vec<_> = rows.iter().filter(|row| row.get(0)).collect();
        assert_eq!(recommended.len(), 1, "{index}");
        let advised = recommended[0];
        let (number, recall, low, pages): (i32, f64, f64, f64) =
            (advised.get(1), advised.get(2), advised.get(3), advised.get(4));
        assert!(low >= 0.9 && low < recall && advised.get::<_, i32>(5) == 300, "{advised:?}");
        let recall_of = |client: &mut Client, number: i32| {
            let sql = format!(
                "select recall, pages from dbre.vector_recall('{index}', sample => 300, {QUERIES}, {setting} => '{{{number}}}')"
            );
            let row = query(client, &sql).pop().unwrap();
            (row.get::<_, f64>(0), row.get::<_, f64>(1))
        };
        let (measured, measured_pages) = recall_of(&mut client, number);
        assert!((measured - recall).abs() < 1e-6 && (measured_pages - pages).abs() < 0.2, "{measured} is not {recall}");
        // Much less would not do.
        let (less, _) = recall_of(&mut client, (number * 3 / 4).max(1));
        assert!(less < 0.92, "three quarters of {number} give {less}");
        let sql: String = advised.get(6);
        assert!(
            sql.starts_with(&format!(
                "SET {}.{setting} = {number};",
                index.replace("atoms_", "").replace("lists", "ivfflat")
            )),
            "{sql}"
        );
        execute(&mut client, &format!("begin; {}\n; rollback", sql.replace("SET ", "SET LOCAL ")));
        let front = rows.iter().filter(|row| row.get(8)).count();
        assert!(front >= 2, "there is more than one way on the front: {front}");
    }
    assert_eq!(value::<String>(&mut client, SETTINGS), before);
}

fn sampled_rows(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 2000);
    let tune = |client: &mut Client| {
        let sql =
            "select ef_search, recall_low, note from dbre.vector_tune('atoms_hnsw', 0.9, sample => 300, seed => 5)
            where recommended";
        let row = query(client, sql).pop().unwrap();
        (row.get::<_, i32>(0), row.get::<_, f64>(1), row.get::<_, String>(2))
    };
    let (number, low, note) = tune(&mut client);
    assert!(low >= 0.96 && note.contains("sampled rows") && note.contains("more easily"), "{low} {note}");
    assert_eq!(tune(&mut client).0, number, "the same seed takes the same rows");
}

fn unreachable(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 3000);
    execute(
        &mut client,
        &format!(
            "create index atoms_bits on atoms using hnsw ((binary_quantize(embedding)::bit({D})) bit_hamming_ops)"
        ),
    );
    let tuned = |client: &mut Client, arguments: &str| {
        let sql = format!(
            "select ef_search, recall, note, sql from dbre.vector_tune({arguments}, {QUERIES}) where recommended"
        );
        let row = query(client, &sql).pop().unwrap();
        (row.get::<_, i32>(0), row.get::<_, f64>(1), row.get::<_, String>(2), row.get::<_, String>(3))
    };
    let (_, recall, note, sql) = tuned(&mut client, "'atoms_bits', 0.999");
    assert!(recall < 0.999 && note.contains("is not reached") && note.contains("binary_quantize"), "{recall} {note}");
    assert!(sql.contains("PREPARE nearest(vector)") && sql.contains("binary_quantize($1)"), "{sql}");
    execute(&mut client, &sql);
    let found: i64 = value(&mut client, "select count(*) from atoms where false");
    assert_eq!(found, 0);
    execute(&mut client, "deallocate nearest");
    let (_, _, note, _) = tuned(&mut client, "'atoms_hnsw', 1.0");
    assert!(note.contains("is not reached"), "{note}");
    // Nothing but ef_search rows is returned.
    let (number, _, note, _) = tuned(&mut client, "'atoms_hnsw', 0.9, k => 1500, sample => 20");
    assert!(number <= 1000 && !note.is_empty(), "{note}");
}

fn filtered(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 3000);
    execute(&mut client, "create index on atoms (tenant)");
    let sql = format!(
        "select configuration, iterative_scan, recall, latency_p50_ms, sql, recommended, recall_low
        from dbre.vector_tune('atoms_hnsw', 0.95, {QUERIES}, filter => 'tenant = 7')"
    );
    let rows = query(&mut client, &sql);
    let scans: Vec<Option<String>> = rows.iter().map(|row| row.get(1)).collect();
    for scan in ["off", "relaxed_order", "strict_order"] {
        assert!(scans.iter().any(|found| found.as_deref() == Some(scan)), "{scan} was not tried: {scans:?}");
    }
    let recommended: Vec<_> = rows.iter().filter(|row| row.get(5)).collect();
    assert_eq!(recommended.len(), 1);
    let (configuration, sql): (String, String) = (recommended[0].get(0), recommended[0].get(4));
    assert_eq!(configuration, "without a vector index", "60 rows are quickly compared");
    execute(&mut client, &sql);
    let vector: String = value(&mut client, "select v::text from asked limit 1");
    let explain = format!("explain execute nearest('{vector}')");
    let plan: Vec<String> = query(&mut client, &explain).iter().map(|line| line.get(0)).collect();
    assert!(!plan.iter().any(|line| line.contains("atoms_hnsw")), "{plan:?}");
}

fn candidates(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 3000);
    let before: String = value(&mut client, SETTINGS);
    let rows = query(
        &mut client,
        &format!(
            "select configuration, recall, index_bytes, build_ms, basis, sql, element, method, note, recommended
            from dbre.vector_tune('atoms_hnsw', 0.9, {QUERIES}, build => true, build_rows => 1000)"
        ),
    );
    let built: Vec<_> =
        rows.iter().filter(|row| row.get::<_, String>(4).starts_with("extrapolated from 1000 rows")).collect();
    let notes: Vec<Option<String>> = rows.iter().map(|row| row.get(8)).collect();
    assert!(built.len() >= 4, "{} were built: {notes:?}", built.len());
    for wanted in [("vector", "hnsw"), ("halfvec", "hnsw"), ("vector", "ivfflat")] {
        let is = |row: &&&postgres::Row| {
            (row.get::<_, Option<String>>(6).as_deref(), row.get::<_, Option<String>>(7).as_deref())
                == (Some(wanted.0), Some(wanted.1))
        };
        let row = built.iter().find(is).unwrap_or_else(|| panic!("{wanted:?} was not built"));
        assert!(row.get::<_, f64>(1) > 0.85 && row.get::<_, f64>(3) > 0.0);
        let sql: String = row.get(5);
        assert!(sql.contains("CREATE INDEX CONCURRENTLY") && sql.contains("SET "), "{sql}");
        // As large as it is said to be.
        let create = sql.lines().find(|line| line.contains("CREATE INDEX")).unwrap().replace("CONCURRENTLY ", "");
        execute(&mut client, "begin");
        let known: i64 = value(&mut client, "select max(oid::int8) from pg_class");
        execute(&mut client, &create);
        let size: i64 = value(
            &mut client,
            &format!("select pg_relation_size(oid) from pg_class where oid::int8 > {known} and relkind = 'i'"),
        );
        execute(&mut client, "rollback");
        let said: i64 = row.get(2);
        assert!((said as f64 / size as f64 - 1.0).abs() < 0.1, "{wanted:?}: {said} bytes, really {size}");
    }
    assert_eq!(rows.iter().filter(|row| row.get(9)).count(), 1);
    assert_eq!(value::<i64>(&mut client, SCRATCH), 0);
    assert_eq!(value::<String>(&mut client, SETTINGS), before);
}

fn cancelled(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 3000);
    execute(&mut client, "load 'vector'");
    let before: String = value(&mut client, SETTINGS);
    let tune =
        "select count(*) from dbre.vector_tune('atoms_hnsw', 0.9, sample => 20, build => true, build_rows => 3000)";
    let begun = Instant::now();
    value::<i64>(&mut client, tune);
    let mut whole = begun.elapsed().as_millis() as u64;
    let mut stopped = 0;
    for part in 1..12 {
        execute(&mut client, &format!("set statement_timeout = {}", (whole * part / 12).max(1)));
        let begun = Instant::now();
        match client.query(tune, &[]) {
            Err(error) => {
                assert_eq!(error.as_db_error().unwrap().code().code(), "57014");
                stopped += 1;
            }
            // The first took longer than it takes.
            Ok(_) => whole = whole.min(begun.elapsed().as_millis() as u64),
        }
        execute(&mut client, "reset statement_timeout");
        assert_eq!(value::<i64>(&mut client, SCRATCH), 0);
        assert_eq!(value::<String>(&mut client, SETTINGS), before);
    }
    assert!(stopped >= 5, "{stopped} were stopped of 11, at parts of {whole} ms");
    // Within a transaction that goes on.
    execute(&mut client, &format!("begin; savepoint a; set local statement_timeout = {}", (whole * 2 / 3).max(1)));
    if client.query(tune, &[]).is_err() {
        execute(&mut client, "rollback to a");
    }
    assert_eq!(value::<i64>(&mut client, SCRATCH), 0);
    execute(&mut client, "commit");
    value::<i64>(&mut client, tune);
}

fn reads_only(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 1000);
    let tune = format!("select count(*) from dbre.vector_tune('atoms_hnsw', 0.8, sample => 50, {QUERIES})");
    execute(&mut client, "begin");
    value::<i64>(&mut client, &tune);
    let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
    assert_eq!(xid, None);
    execute(&mut client, "commit; begin read only");
    value::<i64>(&mut client, &tune);
    let error = refused(&mut client, "select dbre.vector_tune('atoms_hnsw', build => true)");
    assert_eq!(error.code().code(), "25006");
    assert!(error.message().contains("dbre.vector_tune"), "{}", error.message());
    execute(&mut client, "rollback");
    let error =
        refused(&mut client, "select dbre.vector_tune('atoms_hnsw', queries => 'delete from asked returning v')");
    assert!(error.message().contains("argument queries"), "{}", error.message());
}

fn privileges(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 1000);
    let role = format!("{}_tuner", database.name);
    execute(&mut client, &format!("create role {role} login; grant pg_monitor to {role}"));
    let mut other = database.connect_as(&role);
    let error = refused(&mut other, "select dbre.vector_tune('atoms_hnsw')");
    assert_eq!(error.code().code(), "42501");
    execute(&mut client, &format!("grant select on atoms, asked to {role}"));
    let sql = format!(
        "select note, sql from dbre.vector_tune('atoms_hnsw', 0.8, sample => 100, {QUERIES}, build => true) where recommended"
    );
    let row = query(&mut other, &sql).pop().unwrap();
    let (note, sql): (String, String) = (row.get(0), row.get(1));
    assert!(note.contains("other indexes were not tried: permission denied for database"), "{note}");
    assert!(sql.contains(&format!("ALTER ROLE {role}")), "{sql}");
    drop(other);
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
}

fn bad_input(database: &Database) {
    let mut client = database.connect();
    let error = refused(&mut client, "select dbre.vector_tune('pg_class_oid_index')");
    assert_eq!(error.code().code(), "0A000", "there is no pgvector: {}", error.message());
    atoms(&mut client, 500);
    let refusals = [
        ("null", "22004", "argument index"),
        ("0", "42704", "argument index"),
        ("'atoms_pkey'", "42809", "argument index"),
        ("'atoms'", "42809", "argument index"),
        ("'atoms_hnsw', null", "22004", "argument target_recall"),
        ("'atoms_hnsw', 0", "22023", "argument target_recall"),
        ("'atoms_hnsw', 1.01", "22023", "argument target_recall"),
        ("'atoms_hnsw', 'nan'", "22023", "argument target_recall"),
        ("'atoms_hnsw', k => 0", "22023", "argument k"),
        ("'atoms_hnsw', sample => 0", "22023", "argument sample"),
        ("'atoms_hnsw', confidence => 1", "22023", "argument confidence"),
        ("'atoms_hnsw', build => null", "22004", "argument build"),
        ("'atoms_hnsw', build_rows => 1", "22023", "argument build_rows"),
        ("'atoms_hnsw', seed => null", "22004", "argument seed"),
        ("'atoms_hnsw', time_limit => '0 s'", "22023", "argument time_limit"),
        ("'atoms_hnsw', queries => 'select 1'", "42846", "argument queries"),
        ("'atoms_hnsw', queries => 'select'", "22023", "argument queries"),
        ("'atoms_hnsw', queries => 'drop table atoms'", "22023", "argument queries"),
        ("'atoms_hnsw', filter => 'nothing = 1'", "42703", "argument filter"),
        ("'atoms_hnsw', filter => 'true; drop table atoms'", "22023", "argument filter"),
    ];
    for (arguments, sqlstate, message) in refusals {
        let error = refused(&mut client, &format!("select dbre.vector_tune({arguments})"));
        assert_eq!(error.code().code(), sqlstate, "{arguments}: {}", error.message());
        assert!(error.message().contains(message), "{arguments}: {}", error.message());
    }
}

fn empty_tables(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension vector; create table none (v vector(3)); create index on none using hnsw (v vector_l2_ops);
        create table one (v vector(3)); create index on one using hnsw (v vector_l2_ops); insert into one values ('[1,2,3]');
        create table nulls (v vector(3)); create index on nulls using hnsw (v vector_l2_ops);
        insert into nulls select null from generate_series(1, 100);
        create table zeros (v vector(3)); create index on zeros using hnsw (v vector_cosine_ops);
        insert into zeros select '[0,0,0]' from generate_series(1, 100)",
    );
    for table in ["none", "one", "nulls", "zeros"] {
        for build in ["", ", build => true"] {
            let sql = format!("select recommended, note from dbre.vector_tune('{table}_v_idx', k => 10{build})");
            let rows = query(&mut client, &sql);
            assert_eq!(rows.len(), 1, "{table}");
            assert!(!rows[0].get::<_, bool>(0), "{table}");
            let note: String = rows[0].get(1);
            assert!(note.contains("no row that the index holds"), "{table}: {note}");
        }
    }
    let sql = "select recall, note from dbre.vector_tune('one_v_idx', queries => $q$values ('[1,2,4]'::vector)$q$)
        where recommended";
    let row = query(&mut client, sql).pop().unwrap();
    assert_eq!(row.get::<_, f64>(0), 1.0);
    assert!(row.get::<_, String>(1).contains("1 queries leave"), "{}", row.get::<_, String>(1));
}

fn time_limit(database: &Database) {
    let mut client = database.connect();
    atoms(&mut client, 3000);
    for limit in ["1 microsecond", "1 ms", "20 ms", "60 ms", "150 ms", "400 ms"] {
        for build in ["", ", build => true"] {
            let begun = Instant::now();
            let sql = format!(
                "select note from dbre.vector_tune('atoms_hnsw', 0.99, {QUERIES}, time_limit => '{limit}'{build})"
            );
            let rows = query(&mut client, &sql);
            assert!(!rows.is_empty(), "{limit}");
            assert!(begun.elapsed().as_secs() < 30, "{limit}{build} took {:?}", begun.elapsed());
            let said =
                rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)).any(|note| note.contains("time_limit"));
            assert!(said || limit.starts_with("400") || limit.starts_with("150"), "{limit}{build}");
            assert_eq!(value::<i64>(&mut client, SCRATCH), 0);
        }
    }
}
