//! Vector columns and indexes as the catalogs and a sample of rows show them, to whom they may be shown.

use crate::server::{Database, Server, execute, query, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_columns::without_pgvector", without_pgvector),
        trial(server, "vector_columns::keys_and_names", keys_and_names),
        trial(server, "vector_columns::partitions", partitions),
        trial(server, "vector_columns::foreign_partitions", foreign_partitions),
        trial(server, "vector_columns::few_or_no_vectors", few_or_no_vectors),
        trial(server, "vector_columns::privileges", privileges),
        trial(server, "vector_columns::locked_by_another_session", locked),
        trial(server, "vector_columns::targets", targets),
        trial(server, "vector_columns::settings_stay", settings_stay),
        trial(server, "vector_columns::a_sample_of_many_rows", sample_of_many_rows),
    ]
}

/// Findings of a rule, or of all.
fn advice(client: &mut Client, arguments: &str, rule: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(a) from dbre.vector_index_advice({arguments}) a where a.rule like '{rule}'");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

fn without_pgvector(database: &Database) {
    let mut client = database.connect();
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_indexes"), 0);
    let findings = advice(&mut client, "", "%");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(text(&findings[0], "rule"), "vector_extension_missing");
}

fn keys_and_names(database: &Database) {
    database.psql(
        r#"create schema "E x"; create extension vector schema "E x"; set search_path = public, "E x";
           create domain emb as vector(3);
           create table "Ü t" (id int, "ä ""b" vector(3), h halfvec(4), s sparsevec(5), b bit(3), u vector, d emb, flag bit(1));
           insert into "Ü t" select g, array[g, 1, 2]::vector, '[1,2,3,4]', '{1:1}/5', b'101', '[1,2,3]', '[1,2,3]', b'1'
           from generate_series(1, 100) g;
           create index i1 on "Ü t" using hnsw ("ä ""b" vector_cosine_ops);
           create index i2 on "Ü t" using hnsw (("ä ""b"::halfvec(3)) halfvec_l2_ops) with (m = 8);
           create index i3 on "Ü t" using hnsw ((binary_quantize("ä ""b")::bit(3)) bit_hamming_ops) with (ef_construction = 70);
           create index i4 on "Ü t" using ivfflat ((subvector("ä ""b", 1, 2)::vector(2)) vector_ip_ops) with (lists = 2) where id > 5;
           create index i5 on "Ü t" using hnsw (b bit_jaccard_ops) where flag = b'1';
           create index i6 on "Ü t" using hnsw ((u::vector(3)) vector_l1_ops);
           create index i7 on "Ü t" using hnsw ((d::halfvec(3)) halfvec_l1_ops);
           create index i8 on "Ü t" using hnsw (s sparsevec_l2_ops); create index i9 on "Ü t" (id); analyze "Ü t""#,
    );
    let mut client = database.connect();
    let sql = "select concat_ws(' ', index_name, key, element_type, dimensions, method, operator_class, operator, options, predicate,
                   rows, size_bytes = pg_relation_size(index_oid), valid)
               from dbre.vector_indexes order by index_name";
    let rows: Vec<String> = query(&mut client, sql).iter().map(|row| row.get(0)).collect();
    let hnsw = "m = 16, ef_construction = 64";
    let expected = [
        format!("public.i1 \"ä \"\"b\" vector 3 hnsw vector_cosine_ops <=> {hnsw} 100 t t"),
        "public.i2 ((\"ä \"\"b\")::\"E x\".halfvec(3)) halfvec 3 hnsw halfvec_l2_ops <-> m = 8, ef_construction = 64 100 t t"
            .to_string(),
        "public.i3 ((\"E x\".binary_quantize(\"ä \"\"b\"))::bit(3)) bit 3 hnsw bit_hamming_ops <~> m = 16, ef_construction = 70 100 t t"
            .to_string(),
        "public.i4 ((\"E x\".subvector(\"ä \"\"b\", 1, 2))::\"E x\".vector(2)) vector 2 ivfflat vector_ip_ops <#> lists = 2 (id > 5) 95 t t"
            .to_string(),
        format!("public.i5 b bit 3 hnsw bit_jaccard_ops <%> {hnsw} (flag = '1'::\"bit\") 100 t t"),
        format!("public.i6 ((u)::\"E x\".vector(3)) vector 3 hnsw vector_l1_ops <+> {hnsw} 100 t t"),
        format!("public.i7 ((d)::\"E x\".halfvec(3)) halfvec 3 hnsw halfvec_l1_ops <+> {hnsw} 100 t t"),
        format!("public.i8 s sparsevec 5 hnsw sparsevec_l2_ops <-> {hnsw} 100 t t"),
    ];
    assert_eq!(rows, expected);
    // Every statement that findings print runs as it is.
    for finding in advice(&mut client, "", "%") {
        if let Some(fix) = finding["fix_sql"].as_str() {
            database.psql(fix);
        }
    }
}

fn partitions(database: &Database) {
    database.psql(
        "create extension vector;
         create table p (id int, e vector(2)) partition by range (id);
         create table p1 (note text, e vector(2), id int); alter table p1 drop note;
         alter table p attach partition p1 for values from (0) to (10);
         create table p2 partition of p for values from (10) to (20) partition by list (id);
         create table p3 partition of p2 default;
         insert into p select g, array[g, 0]::vector from generate_series(0, 19) g;
         create index whole on p using hnsw (e vector_cosine_ops); analyze",
    );
    let mut client = database.connect();
    let size = "select size_bytes = (select sum(pg_relation_size(relid)) from pg_partition_tree('whole')) and rows = 20
                from dbre.vector_indexes where index_name = 'public.whole'";
    assert!(value::<bool>(&mut client, size));
    // Of all partitions together, one finding.
    let zeros = advice(&mut client, "'p'", "zero%");
    assert_eq!(zeros.iter().map(|finding| text(finding, "object")).collect::<Vec<_>>(), ["public.p(e)"], "{zeros:#?}");
    assert_eq!(zeros[0]["evidence"]["sampled_rows"], 20);
    assert_eq!(advice(&mut client, "'p1'", "zero%")[0]["object"], "public.p1(e)");
    assert_eq!(advice(&mut client, "'p3'", "zero%").len(), 0);
}

/// Not even a sample is taken of a foreign table.
fn foreign_partitions(database: &Database) {
    database.psql(
        "create extension vector; create extension file_fdw; create server files foreign data wrapper file_fdw;
         create table p (id int, e vector) partition by list (id); create table p1 partition of p for values in (1);
         create foreign table p2 partition of p for values in (2) server files options (filename '/nowhere');
         insert into p1 values (1, '[1]'), (1, '[1,2]')",
    );
    let left_out = advice(&mut database.connect(), "", "vector_columns_not_read");
    let said = &left_out[0]["evidence"]["left_out"];
    assert_eq!(said[0], "public.p(e): not sampled: foreign tables are among its partitions", "{said:#}");
}

fn few_or_no_vectors(database: &Database) {
    database.psql(
        "create extension vector;
         create table empty (e vector(3), u vector); create index on empty using hnsw (e vector_cosine_ops);
         create table nulls (e vector(3), u vector, s sparsevec); insert into nulls select from generate_series(1, 100);
         create index on nulls using hnsw (e vector_cosine_ops);
         create table one (e vector(3), h halfvec(2), s sparsevec(9)); insert into one values ('[1,2,3]', '[1,2]', '{1:1}/9');
         create index on one using hnsw (e vector_cosine_ops); create index on one using ivfflat (h halfvec_l2_ops) with (lists = 1);
         create table wide (e vector(16000), h halfvec(16000));
         insert into wide select array_agg(d)::vector, array_agg(d)::halfvec from generate_series(1, 16000) d; analyze",
    );
    let mut client = database.connect();
    for table in ["empty", "nulls", "one", "wide"] {
        let findings = advice(&mut client, &format!("'{table}'"), "%");
        let nonsense = findings.iter().find(|finding| finding.to_string().contains("NaN"));
        assert!(nonsense.is_none(), "{nonsense:#?}");
    }
    let rows = "select string_agg(rows::text, ' ' order by index_name) from dbre.vector_indexes";
    assert_eq!(value::<String>(&mut client, rows), "0 0 1 1");
}

fn privileges(database: &Database) {
    database.psql(&format!(
        "create extension vector; create role {0}_reader login in role pg_monitor;
         create table hidden (u vector, v vector(2)); insert into hidden values ('[1]', '[0,0]'), ('[1,2]', '[0,0]');
         create index on hidden using hnsw (v vector_cosine_ops);
         create table half_hidden (u vector, secret vector); insert into half_hidden values ('[1]', '[1]'), ('[1,2]', '[1,2]');
         grant select (u) on half_hidden to {0}_reader;
         create table secured (u vector); insert into secured values ('[1]'), ('[1,2]');
         alter table secured enable row level security; grant select on secured to {0}_reader",
        database.name
    ));
    let objects = |client: &mut Client| -> Vec<String> {
        let mixed = advice(client, "", "vector_dimensions_mixed");
        let mut objects: Vec<_> = mixed.iter().map(|finding| text(finding, "object").to_string()).collect();
        objects.sort();
        objects
    };
    let all = ["public.half_hidden(secret)", "public.half_hidden(u)", "public.hidden(u)", "public.secured(u)"];
    assert_eq!(objects(&mut database.connect()), all);
    let mut reader = database.connect_as(&format!("{}_reader", database.name));
    assert_eq!(objects(&mut reader), ["public.half_hidden(u)"]);
    let left_out = advice(&mut reader, "", "vector_columns_not_read");
    let mut said: Vec<&str> =
        left_out[0]["evidence"]["left_out"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "public.half_hidden(secret): not sampled: no privilege SELECT",
            "public.hidden(u): not sampled: no privilege SELECT",
            "public.hidden(v): not sampled: no privilege SELECT",
            "public.secured(u): not sampled: row security applies to the caller",
        ]
    );
    assert_eq!(value::<i64>(&mut reader, "select count(*) from dbre.vector_indexes"), 1);
}

fn locked(database: &Database) {
    database.psql(
        "create extension vector; create table t (e vector(2)); create index on t using hnsw (e vector_l2_ops);
         create table u (e vector); insert into u values ('[1]'), ('[1,2]')",
    );
    let mut holder = database.connect();
    execute(&mut holder, "begin; lock table t in access exclusive mode");
    let mut client = database.connect();
    let began = Instant::now();
    let left_out = advice(&mut client, "", "vector_columns_not_read");
    assert_eq!(left_out[0]["evidence"]["left_out"][0], "public.t(e): locked by another session");
    assert_eq!(advice(&mut client, "", "vector_dimensions_mixed").len(), 1);
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_indexes"), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    execute(&mut holder, "rollback");
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.vector_indexes"), 1);
}

fn targets(database: &Database) {
    database.psql(
        "create extension vector; create table bits (b bit(8), flag bit(1)); insert into bits values (b'00000001', b'1');
         create table mixed (e vector(2), flag bit(1), hash bit(64)); insert into mixed values ('[1,2]', b'1', 1::bit(64));
         create temp table mine (e vector); insert into mine values ('[1]'), ('[1,2]')",
    );
    let mut client = database.connect();
    // Bit strings of a table that is asked for may be vectors.
    assert_eq!(advice(&mut client, "'bits'", "vector_dimensions_mixed").len(), 0);
    assert_eq!(advice(&mut client, "'mixed', expected_dimensions => 3", "vector_dimensions_unexpected").len(), 1);
    // Another session's temporary table is not looked at, one's own is.
    assert_eq!(advice(&mut client, "", "vector_dimensions_mixed").len(), 0);
    execute(&mut client, "create temp table mine (e vector); insert into mine values ('[1]'), ('[1,2]')");
    assert_eq!(advice(&mut client, "", "vector_dimensions_mixed").len(), 1);
}

fn settings_stay(database: &Database) {
    database.psql(
        "create extension vector; create table t (e vector(2)); insert into t select array[g, 1]::vector from generate_series(1, 500) g;
         create index on t using hnsw (e vector_l2_ops); analyze",
    );
    let mut client = database.connect();
    // Settings come with the libraries.
    execute(&mut client, "load 'vector'; load 'pg_dbre'");
    let settings = "select md5(string_agg(name || setting || source, ' ' order by name)) from pg_settings
                    where name not like 'transaction%'";
    let before: String = value(&mut client, settings);
    advice(&mut client, "", "%");
    advice(&mut client, "'t', time_limit => '1 ms'", "%");
    assert_eq!(before, value::<String>(&mut client, settings));
    execute(&mut client, "begin read only");
    let xid = "select pg_current_xact_id_if_assigned() is null";
    advice(&mut client, "", "%");
    assert!(value::<bool>(&mut client, xid));
    execute(&mut client, "rollback");
}

/// Known truth against what a sample says of it.
fn sample_of_many_rows(database: &Database) {
    database.psql(
        "create extension vector; create table t (id int, e vector); alter table t alter e set storage plain;
         insert into t select g, case when g % 5 = 0 then null when g % 7 = 0 then array[0, 0, 0]::vector
             when g % 3 = 0 then array[g, 1]::vector else array[g, 1, 2]::vector end from generate_series(1, 40000) g; analyze t",
    );
    let mut client = database.connect();
    let mixed = &advice(&mut client, "'t'", "vector_dimensions_mixed")[0]["evidence"];
    assert!((1000..=4000).contains(&mixed["sampled_rows"].as_u64().unwrap()), "{mixed:#}");
    let two: f64 = value(
        &mut client,
        "select (count(*) filter (where vector_dims(e) = 2))::float8 / count(*) from t where e is not null",
    );
    let estimated = mixed["share_by_dimensions"]["2"].as_f64().unwrap();
    assert!((estimated - two).abs() < 0.05, "{estimated} for {two}");
    assert_eq!(mixed, &advice(&mut client, "'t'", "vector_dimensions_mixed")[0]["evidence"], "another sample");
}
