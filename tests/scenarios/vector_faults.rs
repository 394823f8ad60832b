//! Vector columns and indexes that nobody would make, and functions that are stopped in the middle: no crash, no setting
//! changed, nothing left.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_faults::odd_tables", odd_tables),
        trial(server, "vector_faults::cancelled_at_any_time", cancelled),
        trial(server, "vector_faults::dropped_meanwhile", dropped_meanwhile),
        trial(server, "vector_faults::locked_meanwhile", locked_meanwhile),
        trial(server, "vector_faults::pgvector_in_another_schema", another_schema),
        trial(server, "vector_faults::transactions", transactions),
        Trial::test("vector_faults::on_a_standby", || {
            on_a_standby();
            Ok(())
        }),
    ]
}

/// What the functions answer for an index: rows, or an error of these kinds.
const ANSWERS: [&str; 3] = ["42809", "55000", "0A000"];
/// Settings of the session, and what could be left over by a build that was rolled back.
const STATE: &str = "
    select pg_catalog.md5(pg_catalog.string_agg(s.name || s.setting, ',' order by s.name))
        || (select pg_catalog.count(*) from pg_catalog.pg_class)
        || '/' || (select pg_catalog.count(*) from pg_catalog.pg_namespace)
        || '/' || (select pg_catalog.count(*) from pg_catalog.pg_type)
    from pg_catalog.pg_settings s
    where s.name not in ('transaction_read_only', 'transaction_isolation', 'statement_timeout')";
const ODD: &str = r#"
    create extension if not exists vector;
    create table empty_t (id int, e vector(3));
    create index on empty_t using hnsw (e vector_l2_ops);
    create index on empty_t using ivfflat (e vector_l2_ops);
    create table nulls_t as select g as id, null::vector(3) as e from generate_series(1, 300) g;
    create index on nulls_t using hnsw (e vector_cosine_ops);
    create table one_t as select 1 as id, '[1,2,3]'::vector(3) as e;
    create index on one_t using hnsw (e vector_cosine_ops);
    create index on one_t using ivfflat (e vector_cosine_ops) with (lists = 1);
    create table zero_t as select g as id, '[0,0,0]'::vector(3) as e from generate_series(1, 300) g;
    create index on zero_t using hnsw (e vector_cosine_ops);
    create index on zero_t using hnsw (e vector_l2_ops);
    create table same_t as select g as id, '[1,1,1]'::vector(3) as e from generate_series(1, 1000) g;
    create index on same_t using hnsw (e vector_l2_ops);
    create index on same_t using ivfflat (e vector_l2_ops) with (lists = 10);
    create table mixed_t as select g as id, (case when g % 2 = 0 then '[1,2,3]' else '[1,2]' end)::vector as e from generate_series(1, 300) g;
    create index on mixed_t using hnsw ((e::vector(3)) vector_l2_ops) where vector_dims(e) = 3;
    create table huge_t as
        select g as id, (select array_agg((g * 7 + i) % 13) from generate_series(1, 16000) i)::vector(16000) as e from generate_series(1, 20) g;
    create index on huge_t using hnsw ((binary_quantize(e)::bit(16000)) bit_hamming_ops);
    create table wide_t as
        select g as id, (select array_agg(sin(g * i)) from generate_series(1, 2500) i)::vector(2500) as e from generate_series(1, 50) g;
    create index on wide_t using hnsw ((subvector(e, 1, 100)::vector(100)) vector_cosine_ops);
    create index on wide_t using hnsw ((e::halfvec(2500)) halfvec_cosine_ops);
    create schema "Ünï ""q"" s";
    create table "Ünï ""q"" s"."T 'x' $$ \ 表" as
        select g as "ID", array[sin(g), cos(g), sin(2 * g)]::vector(3) as "Emb é ""q""" from generate_series(1, 500) g;
    create index "idx 'ü"" %s {}" on "Ünï ""q"" s"."T 'x' $$ \ 表" using hnsw ("Emb é ""q""" vector_l2_ops);
    create index "ivf 'ü"" %s {}" on "Ünï ""q"" s"."T 'x' $$ \ 表" using ivfflat ("Emb é ""q""" vector_l2_ops) with (lists = 10);
    create table part_t (id int, kind int, e vector(3)) partition by list (kind);
    create table part_1 partition of part_t for values in (1);
    create table part_d partition of part_t default partition by hash (id);
    create table part_d0 partition of part_d for values with (modulus 1, remainder 0);
    insert into part_t select g, g % 4, array[sin(g), cos(g), sin(2 * g)]::vector from generate_series(1, 600) g;
    create index on part_t using hnsw (e vector_l2_ops);
    create unlogged table half_t as select g as id, array[sin(g), cos(g), 1, 2]::halfvec(4) as e from generate_series(1, 300) g;
    create index on half_t using hnsw (e halfvec_l1_ops);
    create materialized view mat_v as select id, e from same_t where id < 100;
    create index on mat_v using hnsw (e vector_l2_ops);
    create view view_v as select * from one_t;
    create domain emb as vector(3);
    create table domain_t (id int, e emb);
    insert into domain_t select g, array[sin(g), cos(g), 1]::vector from generate_series(1, 300) g;
    create index on domain_t using hnsw ((e::vector(3)) vector_l2_ops);
    create table array_t (id int, e vector(3)[]);
    create table sparse_t as select g as id, format('{%s:1,%s:2}/100', 1 + g % 50, 51 + g % 50)::sparsevec(100) as e from generate_series(1, 300) g;
    create index on sparse_t using hnsw (e sparsevec_ip_ops);
    create table bit_t as select g as id, (g * 1234567)::bit(64) as e from generate_series(1, 300) g;
    create index on bit_t using hnsw (e bit_jaccard_ops);
    create index on bit_t using ivfflat (e bit_hamming_ops) with (lists = 5);
    create table dropped_t (a text, id int, e vector(3), c int);
    alter table dropped_t drop column a;
    insert into dropped_t select g, array[sin(g), cos(g), sin(3 * g)]::vector, 1 from generate_series(1, 500) g;
    create index on dropped_t using hnsw (e vector_l2_ops) where c = 1;
    create table btree_t as select g as id, array[sin(g), cos(g), sin(3 * g)]::vector(3) as e from generate_series(1, 300) g;
    create index on btree_t (e);
    create table extreme_t as select g as id, '[65504,-65504]'::halfvec(2) as e, '[3e38,-3e38]'::vector(2) as f from generate_series(1, 200) g;
    create index on extreme_t using hnsw (e halfvec_l2_ops);
    create index on extreme_t using hnsw (f vector_l2_ops);
    create table invalid_t as select g as id, array[sin(g), cos(g), sin(3 * g)]::vector(3) as e from generate_series(1, 300) g;
    create index invalid_i on invalid_t using hnsw (e vector_ip_ops);
    update pg_catalog.pg_index set indisvalid = false where indexrelid = 'invalid_i'::regclass;
    create table big_t as
        select g as id, g % 10 as kind, array(select sin(g * i) + cos(g * (i + 1)) from generate_series(1, 8) i)::vector(8) as e
        from generate_series(1, 2000) g;
    create index big_h on big_t using hnsw (e vector_l2_ops);
    create index big_i on big_t using ivfflat (e vector_l2_ops) with (lists = 20);
    create index big_c on big_t using hnsw (e vector_cosine_ops) with (m = 4, ef_construction = 8);
    analyze"#;

fn odd_tables(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ODD);
    // Settings of an extension are there once it is loaded.
    execute(&mut client, "load 'vector'");
    query(&mut client, "select * from dbre.vector_index_advice()");
    let state: String = value(&mut client, STATE);
    query(&mut client, "select * from dbre.vector_indexes");
    let indexes: Vec<u32> =
        query(&mut client, "select c.oid from pg_class c where c.relkind in ('i', 'I', 'r') and c.oid >= 16384")
            .iter()
            .map(|row| row.get(0))
            .collect();
    assert!(indexes.len() > 40, "{}", indexes.len());
    for index in indexes {
        for call in [
            "dbre.vector_recall(OID::regclass, sample => 10)",
            "dbre.vector_recall(OID::regclass, k => 5000, sample => 3)",
            "dbre.vector_tune(OID::regclass, sample => 10, time_limit => '5 s')",
        ] {
            let sql = format!("select * from {}", call.replace("OID", &index.to_string()));
            if let Err(error) = client.query(&sql, &[]) {
                let refused = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
                assert!(ANSWERS.contains(&refused.code().code()), "{sql}: {} {refused}", refused.code().code());
            }
        }
    }
    assert_eq!(value::<String>(&mut client, STATE), state);
}

fn cancelled(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ODD);
    execute(&mut client, "load 'vector'");
    let calls = [
        "dbre.vector_index_advice()",
        "dbre.vector_recall('big_h', sample => 50, ef_search => array[10, 40, 100])",
        "dbre.vector_recall('big_i', sample => 50, filter => 'kind = 3')",
        "dbre.vector_recall('big_h', sample => 30, save => true)",
        "dbre.vector_tune('big_c', sample => 100, target_recall => 0.99)",
        "dbre.vector_tune('big_h', sample => 50, build => true, build_rows => 1000)",
        "dbre.vector_drift()",
    ];
    let mut stopped = 0;
    for call in calls {
        let sql = format!("select count(*) from {call}");
        let begun = Instant::now();
        query(&mut client, &sql);
        let mut whole = begun.elapsed().as_millis().max(10);
        let state: String = value(&mut client, STATE);
        for step in 1..=10 {
            execute(&mut client, &format!("set statement_timeout = {}", (whole * step / 11).max(1)));
            let begun = Instant::now();
            match client.query(&sql, &[]) {
                Err(error) => {
                    assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{sql}: {error}");
                    stopped += 1;
                }
                // The first took longer than it takes.
                Ok(_) => whole = whole.min(begun.elapsed().as_millis().max(10)),
            }
            execute(&mut client, "reset statement_timeout");
            assert_eq!(value::<String>(&mut client, STATE), state, "after {sql} was stopped");
        }
    }
    assert!(stopped > 20, "{stopped}");
}

/// Ends the other threads on a panic too.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn dropped_meanwhile(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create extension vector");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = database.connect();
            while !done.load(Ordering::Relaxed) {
                execute(
                    &mut other,
                    "create table churn as select g as id, array[sin(g), cos(g), sin(3 * g)]::vector(3) as e from generate_series(1, 300) g;
                     create index churn_h on churn using hnsw (e vector_l2_ops)",
                );
                thread::sleep(Duration::from_millis(150));
                execute(&mut other, "drop index churn_h; alter table churn drop column e; drop table churn");
            }
        });
        let end = SetWhenDropped(&done);
        let begun = Instant::now();
        let mut answers = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            query(&mut client, "select * from dbre.vector_index_advice()");
            query(&mut client, "select * from dbre.vector_indexes");
            for call in ["vector_recall('churn_h', sample => 5)", "vector_tune('churn_h', sample => 5)"].repeat(10) {
                match client.query(&format!("select * from dbre.{call}"), &[]) {
                    Ok(_) => answers += 1,
                    Err(error) => {
                        let code = error.code().map(|code| code.code().to_string()).unwrap_or_default();
                        assert!(
                            ["42P01", "42704", "42703", "55000", "55P03"].contains(&code.as_str()),
                            "{call}: {error:?}"
                        );
                    }
                }
            }
        }
        assert!(answers > 0);
        drop(end);
    });
}

fn locked_meanwhile(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ODD);
    let mut other = database.connect();
    execute(&mut other, "begin; lock table big_t in access exclusive mode");
    let begun = Instant::now();
    query(&mut client, "select * from dbre.vector_index_advice(time_limit => '2 s')");
    let refusal = refused(&mut client, "select * from dbre.vector_recall('big_h', time_limit => '2 s')");
    assert_eq!(refusal.code().code(), "55P03", "{refusal}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    execute(&mut other, "rollback");
    query(&mut client, "select * from dbre.vector_recall('big_h', sample => 5)");
}

fn another_schema(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        r#"create schema "Vec Tör"; create extension vector schema "Vec Tör";
           create table t (id int, e "Vec Tör".vector(3), b bit(64));
           insert into t select g, array[sin(g), cos(g), sin(3 * g)]::"Vec Tör".vector, g::bit(64) from generate_series(1, 1000) g;
           create index t_h on t using hnsw (e "Vec Tör".vector_cosine_ops);
           create index t_half on t using hnsw ((e::"Vec Tör".halfvec(3)) "Vec Tör".halfvec_l2_ops);
           create index t_quantized on t using hnsw (("Vec Tör".binary_quantize(e)::bit(3)) "Vec Tör".bit_hamming_ops);
           create index t_i on t using ivfflat (e "Vec Tör".vector_ip_ops) with (lists = 5);
           create index t_b on t using hnsw (b "Vec Tör".bit_jaccard_ops);
           analyze t"#,
    );
    query(&mut client, "select * from dbre.vector_index_advice()");
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_indexes"), 5);
    for index in ["t_h", "t_half", "t_quantized", "t_i", "t_b"] {
        let recall = format!("select recall from dbre.vector_recall('{index}', sample => 20)");
        assert!((0.0..=1.0).contains(&value::<f64>(&mut client, &recall)), "{index}");
        assert!(!query(&mut client, &format!("select * from dbre.vector_tune('{index}', sample => 20)")).is_empty());
    }
    execute(&mut client, "set search_path = pg_catalog");
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_recall('public.t_h', sample => 20)"), 1);
}

fn transactions(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, ODD);
    execute(&mut client, "begin read only");
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_recall('big_h', sample => 10)"), 1);
    query(&mut client, "select * from dbre.vector_tune('big_h', sample => 10)");
    query(&mut client, "select * from dbre.vector_index_advice('big_t')");
    let refusal = refused(&mut client, "select * from dbre.vector_recall('big_h', sample => 10, save => true)");
    assert_eq!(refusal.code().code(), "25006", "{refusal}");
    execute(&mut client, "rollback; begin; set local hnsw.ef_search = 77; savepoint a");
    query(&mut client, "select * from dbre.vector_tune('big_h', sample => 20, build => true, build_rows => 500)");
    assert_eq!(value::<String>(&mut client, "show hnsw.ef_search"), "77");
    refused(&mut client, "select * from dbre.vector_recall('btree_t_e_idx')");
    execute(&mut client, "rollback to a");
    assert_eq!(value::<String>(&mut client, "show hnsw.ef_search"), "77");
    execute(&mut client, "rollback");
}

fn on_a_standby() {
    let primary = Server::start(&[]);
    let mut client = primary.connect("postgres", "postgres");
    execute(&mut client, "create extension pg_dbre");
    execute(&mut client, ODD);
    let standby = standby_of(&primary);
    let mut client = standby.connect("postgres", "postgres");
    query(&mut client, "select * from dbre.vector_index_advice()");
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_recall('big_h', sample => 10)"), 1);
    query(&mut client, "select * from dbre.vector_tune('big_i', sample => 10)");
    for call in ["vector_recall('big_h', save => true)", "vector_tune('big_h', build => true)"] {
        let refusal = refused(&mut client, &format!("select * from dbre.{call}"));
        assert_eq!(refusal.code().code(), "25006", "{refusal}");
    }
}
