//! Recall as dbre.vector_recall() measures it against a computation of our own, distances with it.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use crate::vector_data::{Vectors, available, distance};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "vector_recall::is_what_the_client_computes", is_what_the_client_computes),
        trial(server, "vector_recall::sampled_rows", sampled_rows),
        trial(server, "vector_recall::rows_of_a_large_table", rows_of_a_large_table),
        trial(server, "vector_recall::captured_queries", captured_queries),
        trial(server, "vector_recall::bad_input", bad_input),
        trial(server, "vector_recall::indexes_that_cannot_be_searched", not_searchable),
        trial(server, "vector_recall::little_data", little_data),
    ]
}

/// An index, how its distance is written in SQL, and what a client sends that searches by it.
struct Case {
    index: &'static str,
    /// Column, operator.
    compared: (&'static str, &'static str),
    arguments: &'static str,
    settings: &'static str,
    filter: Option<&'static str>,
    /// `$q` is the query vector.
    search: &'static str,
}

const CASES: &[Case] = &[
    Case {
        index: "create index i on t using hnsw (e vector_l2_ops) with (m = 3, ef_construction = 6)",
        compared: ("e", "<->"),
        arguments: "ef_search => '{10}'",
        settings: "set hnsw.ef_search = 10",
        filter: None,
        search: "select id from t order by e <-> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (e vector_cosine_ops) with (m = 3, ef_construction = 6)",
        compared: ("e", "<=>"),
        arguments: "ef_search => '{12}'",
        settings: "set hnsw.ef_search = 12",
        filter: Some("tenant < 3"),
        search: "select id from t where tenant < 3 order by e <=> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (e vector_ip_ops) with (m = 3, ef_construction = 6)",
        compared: ("e", "<#>"),
        arguments: "",
        settings: "reset hnsw.ef_search",
        filter: None,
        search: "select id from t order by e <#> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (e vector_l1_ops) with (m = 3, ef_construction = 6) where tenant = 2",
        compared: ("e", "<+>"),
        arguments: "ef_search => '{10}'",
        settings: "set hnsw.ef_search = 10",
        filter: Some("tenant = 2"),
        search: "select id from t where tenant = 2 order by e <+> $q limit 10",
    },
    Case {
        index: "create index i on t using ivfflat (e vector_l2_ops) with (lists = 40)",
        compared: ("e", "<->"),
        arguments: "probes => '{2}'",
        settings: "set ivfflat.probes = 2",
        filter: Some("tenant = 1 or id % 3 = 0 -- both"),
        search: "select id from t where tenant = 1 or id % 3 = 0 order by e <-> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (h halfvec_l2_ops) with (m = 3, ef_construction = 6)",
        compared: ("h", "<->"),
        arguments: "ef_search => '{10}', iterative_scan => 'relaxed_order', filter => 'tenant = 4'",
        settings: "set hnsw.ef_search = 10; set hnsw.iterative_scan = relaxed_order",
        filter: Some("tenant = 4"),
        search: "select id from t where tenant = 4 order by h <-> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (s sparsevec_l2_ops) with (m = 3, ef_construction = 6)",
        compared: ("s", "<->"),
        arguments: "ef_search => '{10}'",
        settings: "set hnsw.ef_search = 10",
        filter: None,
        search: "select id from t order by s <-> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (b bit_hamming_ops) with (m = 3, ef_construction = 6)",
        compared: ("b", "<~>"),
        arguments: "ef_search => '{10}'",
        settings: "set hnsw.ef_search = 10",
        filter: None,
        search: "select id from t order by b <~> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw (b bit_jaccard_ops) with (m = 3, ef_construction = 6)",
        compared: ("b", "<%>"),
        arguments: "ef_search => '{15}'",
        settings: "set hnsw.ef_search = 15",
        filter: None,
        search: "select id from t order by b <%> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw ((e::halfvec(8)) halfvec_l2_ops) with (m = 3, ef_construction = 6)",
        compared: ("e", "<->"),
        arguments: "ef_search => '{20}', rerank => 15",
        settings: "set hnsw.ef_search = 20",
        filter: None,
        search: "select id from (select id, e from t order by e::halfvec(8) <-> $q::halfvec(8) limit 15) c
                 order by e <-> $q limit 10",
    },
    Case {
        index: "create index i on t using hnsw ((binary_quantize(e)::bit(8)) bit_hamming_ops) with (m = 3, ef_construction = 6)",
        compared: ("e", "<=>"),
        arguments: "ef_search => '{50}'",
        settings: "set hnsw.ef_search = 50",
        filter: Some("tenant <> 3"),
        search: "select id from (select id, e from t where tenant <> 3
                     order by binary_quantize(e)::bit(8) <~> binary_quantize($q)::bit(8) limit 50) c order by e <=> $q limit 10",
    },
    Case {
        index: "create index i on t using ivfflat ((subvector(e, 2, 4)::vector(4)) vector_l2_ops) with (lists = 10)",
        compared: ("e", "<->"),
        arguments: "probes => '{3}'",
        settings: "set ivfflat.probes = 3",
        filter: None,
        search: "select id from (select id, e from t
                     order by subvector(e, 2, 4)::vector(4) <-> subvector($q, 2, 4)::vector(4) limit 100) c
                 order by e <-> $q limit 10",
    },
];

const K: usize = 10;

fn is_what_the_client_computes(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    let vectors = Vectors::make(&mut client, 2000, 40);
    let mut below_one = 0;
    for case in CASES {
        execute(&mut client, &format!("drop index if exists i; {}; analyze t", case.index));
        let (column, operator) = case.compared;
        let filter = match case.filter {
            Some(filter) if !case.arguments.contains("filter") && !case.index.contains("where") => {
                format!(", filter => '{filter}'")
            }
            _ => String::new(),
        };
        let comma = if case.arguments.is_empty() { "" } else { ", " };
        let sql = format!(
            "select recall, recall_low, recall_high, recall_min, short_queries, rows_short, queries, complete, source
             from dbre.vector_recall('i', queries => 'select {column} from q order by id'{comma}{}{filter})",
            case.arguments
        );
        let rows = query(&mut client, &sql);
        assert_eq!(rows.len(), 1, "{sql}");
        let computed = compute(&mut client, &vectors, case, column, operator);
        let mean = computed.recalls.iter().sum::<f64>() / computed.recalls.len() as f64;
        let mean = (mean * 1e6).round() / 1e6;
        let least = (computed.recalls.iter().copied().fold(1.0, f64::min) * 1e6).round() / 1e6;
        let row = &rows[0];
        assert_eq!(row.get::<_, f64>("recall"), mean, "{sql}");
        assert_eq!(row.get::<_, f64>("recall_min"), least, "{sql}");
        assert_eq!(row.get::<_, i32>("short_queries"), computed.short, "{sql}");
        assert_eq!(row.get::<_, i32>("rows_short"), computed.rows_short, "{sql}");
        assert_eq!(row.get::<_, i32>("queries"), computed.recalls.len() as i32, "{sql}");
        assert_eq!((row.get::<_, bool>("complete"), row.get::<_, &str>("source")), (true, "queries"), "{sql}");
        assert!(row.get::<_, f64>("recall_low") <= mean && mean <= row.get::<_, f64>("recall_high"), "{sql}");
        below_one += i32::from(mean < 1.0);
        execute(&mut client, "reset all");
    }
    assert!(below_one >= 8, "only {below_one} indexes miss anything: nothing is proved");
}

struct Computed {
    recalls: Vec<f64>,
    short: i32,
    rows_short: i32,
}

/// Distances by the client; what the index finds by the SQL that an application sends.
fn compute(client: &mut Client, vectors: &Vectors, case: &Case, column: &str, operator: &str) -> Computed {
    let filter = case.filter.map_or("true", |filter| filter.split("--").next().unwrap());
    let ids: Vec<i32> =
        query(client, &format!("select id from t where ({filter}) and {column} is not null order by id"))
            .iter()
            .map(|row| row.get(0))
            .collect();
    execute(client, case.settings);
    execute(
        client,
        "set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off; drop index if exists by_tenant",
    );
    let mut computed = Computed { recalls: Vec::new(), short: 0, rows_short: 0 };
    for (position, asked) in vectors.queries.iter().enumerate() {
        let of = |id: i32| distance(operator, &vectors.row(column, id), &vectors.query(column, asked));
        let mut distances: Vec<f64> = ids.iter().map(|id| of(*id)).filter(|distance| !distance.is_nan()).collect();
        distances.sort_by(f64::total_cmp);
        if distances.is_empty() {
            continue;
        }
        let wanted = distances.len().min(K);
        let farthest = distances[wanted - 1];
        let literal = format!("'{}'::{}", vectors.query_text(column, asked), vectors.sql_type(column));
        let search = case.search.replace("$q", &literal);
        if position == 0 {
            let plan: Vec<String> = query(client, &format!("explain {search}")).iter().map(|row| row.get(0)).collect();
            assert!(plan.iter().any(|line| line.contains("Index Scan using i on t")), "{search}\n{plan:#?}");
        }
        let found: Vec<i32> = query(client, &search).iter().map(|row| row.get(0)).collect();
        let hits = found.iter().filter(|id| of(**id) <= farthest).count();
        computed.recalls.push(hits.min(wanted) as f64 / wanted as f64);
        computed.short += i32::from(found.len() < wanted);
        computed.rows_short += (wanted - found.len().min(wanted)) as i32;
    }
    computed
}

fn sampled_rows(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    Vectors::make(&mut client, 2000, 1);
    execute(
        &mut client,
        "create index i on t using hnsw (e vector_l2_ops) with (m = 3, ef_construction = 6); analyze t",
    );
    let measured = |client: &mut Client, arguments: &str| -> String {
        value(
            client,
            &format!(
                "select jsonb_agg(to_jsonb(r) - '{{latency_p50_ms,latency_p95_ms,exact_p50_ms,exact_p95_ms,pages,exact_pages}}'::text[])::text
                 from dbre.vector_recall('i', {arguments}) r"
            ),
        )
    };
    let first = measured(&mut client, "ef_search => '{10,40,400}', sample => 60");
    assert_eq!(first, measured(&mut client, "ef_search => '{10,40,400}', sample => 60"), "the same seed, other rows");
    assert_ne!(
        first,
        measured(&mut client, "ef_search => '{10,40,400}', sample => 60, seed => 1"),
        "another seed, the same rows"
    );
    assert!(first.contains("sampled rows (optimistic)"), "{first}");
    // The row itself is left out without shortening the answer: ef_search is just k.
    let short: i64 =
        value(&mut client, "select sum(short_queries) from dbre.vector_recall('i', k => 10, ef_search => '{10}')");
    assert_eq!(short, 0);
    let found: Vec<f64> = query(
        &mut client,
        "select recall from dbre.vector_recall('i', ef_search => '{10,20,40,100,1000}') order by ef_search",
    )
    .iter()
    .map(|row| row.get(0))
    .collect();
    assert!(found.is_sorted() && found[0] < 1.0, "{found:?}");
    let plain = measured(&mut client, "sample => 2000");
    assert!(plain.contains("\"queries\": 19"), "all rows with a vector: {plain}");
}

/// Rows are found by guessed addresses. Half of them lie on a few full pages, half on many pages of few rows, and only the first
/// have vectors that can be searched for: they are half of the sample, if each row is as probable as any other.
fn rows_of_a_large_table(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    execute(
        &mut client,
        "create extension vector; create table l (id int, filler char(1500), e vector(3));
         insert into l select g, null, array[g % 7 + 1, g % 11, g % 13]::vector from generate_series(1, 1000) g;
         insert into l select g, 'wide', '[0,0,0]' from generate_series(1, 1000) g; delete from l where id % 5 = 0;
         create index i on l using hnsw (e vector_cosine_ops)",
    );
    assert!(value::<i64>(&mut client, "select pg_relation_size('l') / 8192") > 200);
    let drawn = "select sum(queries)::int, sum(substring(note, '^\\d+')::int)::int
                 from generate_series(1, 150) seed, lateral dbre.vector_recall('i', k => 1, sample => 2, seed => seed)";
    let rows = query(&mut client, drawn);
    let (searched, unanswered) = (rows[0].get::<_, i32>(0), rows[0].get::<_, i32>(1));
    assert_eq!(searched + unanswered, 300);
    assert!((115..=185).contains(&searched), "{searched} of 300 are of the full pages");
    let again = query(&mut client, drawn);
    assert_eq!((again[0].get::<_, i32>(0), again[0].get::<_, i32>(1)), (searched, unanswered));
    // More than there are.
    execute(&mut client, "delete from l where filler is not null or id > 40");
    let all: i32 = value(&mut client, "select queries from dbre.vector_recall('i', k => 1, sample => 2)");
    assert_eq!(all, 2);
}

/// Of real traffic, if there are enough, before sampled rows.
fn captured_queries(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    Vectors::make(&mut client, 1000, 35);
    execute(
        &mut client,
        "create index i on t using hnsw (e vector_l2_ops); create index h on t using hnsw ((e::halfvec(8)) halfvec_l2_ops);
         create index b on t using hnsw ((binary_quantize(e)::bit(8)) bit_hamming_ops)",
    );
    let keep = |key: &str, kind: &str, condition: &str| {
        format!(
            "insert into dbre.vector_queries
                 (captured_at, relation, key, operator, vector_type, query_vector, k_short, joined, filter_columns, ms, role)
             select now(), 't', '{key}', '<->', '{kind}', e::text, false, false, '{{}}', 1, 'postgres' from q where {condition}"
        )
    };
    let source = "select source, queries, recall from dbre.vector_recall('i')";
    execute(&mut client, &keep("e", "vector", "id < 29"));
    assert_eq!(query(&mut client, source)[0].get::<_, &str>(0), "sampled rows (optimistic)");
    execute(&mut client, &keep("e", "vector", "id >= 29"));
    let rows = query(&mut client, source);
    assert_eq!((rows[0].get::<_, &str>(0), rows[0].get::<_, i32>(1)), ("captured queries", 35));
    let same = query(&mut client, "select recall from dbre.vector_recall('i', queries => 'select e from q')");
    assert!((same[0].get::<_, f64>(0) - rows[0].get::<_, f64>(2)).abs() < 1e-9);
    let sql = "select source, queries from dbre.vector_recall('i', sample => 10)";
    let rows = query(&mut client, sql);
    assert_eq!((rows[0].get::<_, &str>(0), rows[0].get::<_, i32>(1)), ("captured queries", 10));
    execute(&mut client, &keep("(e)::public.halfvec(8)", "halfvec", "true"));
    assert_eq!(query(&mut client, &source.replace("'i'", "'h'"))[0].get::<_, &str>(0), "captured queries");
    // Bits say too little of the vector by whose distance the answer is ordered.
    assert_eq!(query(&mut client, &source.replace("'i'", "'b'"))[0].get::<_, &str>(0), "sampled rows (optimistic)");
}

fn bad_input(database: &Database) {
    let mut client = database.connect();
    let refusal = |client: &mut Client, call: &str| {
        let error = refused(client, &format!("select * from dbre.{call}"));
        (error.code().code().to_string(), error.message().to_string(), error.hint().unwrap_or_default().to_string())
    };
    let (code, message, _) = refusal(&mut client, "vector_recall('pg_class_oid_index')");
    assert_eq!((code.as_str(), message.as_str()), ("0A000", "pgvector is not installed in this database"));
    if !available(&mut client) {
        return;
    }
    Vectors::make(&mut client, 300, 3);
    execute(
        &mut client,
        "create index i on t using hnsw (e vector_l2_ops); create index f on t using ivfflat (e vector_l2_ops) with (lists = 3);
         create index half on t using hnsw ((e::halfvec(8)) halfvec_l2_ops)",
    );
    for (call, code, named) in [
        ("vector_recall(null)", "22004", "argument index"),
        ("vector_recall('i', k => null)", "22004", "argument k"),
        ("vector_recall('i', k => 0)", "22023", "argument k"),
        ("vector_recall('i', sample => null)", "22004", "argument sample"),
        ("vector_recall('i', sample => -1)", "22023", "argument sample"),
        ("vector_recall('i', seed => null)", "22004", "argument seed"),
        ("vector_recall('i', save => null)", "22004", "argument save"),
        ("vector_recall('i', time_limit => null)", "22004", "argument time_limit"),
        ("vector_recall('i', time_limit => '-1 s')", "22023", "argument time_limit"),
        ("vector_recall('i', ef_search => '{}')", "22023", "argument ef_search"),
        ("vector_recall('i', ef_search => '{10,null}')", "22004", "argument ef_search"),
        ("vector_recall('i', ef_search => '{1001}')", "22023", "argument ef_search"),
        ("vector_recall('i', probes => '{1}')", "22023", "argument probes"),
        ("vector_recall('f', ef_search => '{1}')", "22023", "argument ef_search"),
        ("vector_recall('f', iterative_scan => 'strict_order')", "22023", "argument iterative_scan"),
        ("vector_recall('i', iterative_scan => 'sometimes')", "22023", "argument iterative_scan"),
        ("vector_recall('i', rerank => 100)", "22023", "argument rerank"),
        ("vector_recall('half', rerank => 0)", "22023", "argument rerank"),
        ("vector_recall('i', search_path => null)", "22004", "argument search_path"),
        ("vector_recall('i', queries => '')", "22023", "argument queries"),
        ("vector_recall('i', queries => 'select')", "22023", "argument queries"),
        ("vector_recall('i', queries => 'selec')", "42601", "argument queries"),
        ("vector_recall('i', queries => 'select 1')", "42846", "argument queries"),
        ("vector_recall('i', queries => 'select e, e from t')", "22023", "argument queries"),
        ("vector_recall('i', queries => 'select e from t; select e from t')", "22023", "argument queries"),
        ("vector_recall('i', queries => 'delete from t returning e')", "22023", "argument queries"),
        ("vector_recall('i', queries => 'select e into x from t')", "22023", "argument queries"),
        (
            "vector_recall('i', queries => 'with d as (delete from t returning e) select e from d')",
            "0A000",
            "argument queries",
        ),
        ("vector_recall('i', queries => $$select writes()$$)", "25006", "argument queries"),
        ("vector_recall('i', queries => $$select '[1,2]'::vector$$)", "22000", "argument queries"),
        ("vector_recall('i', queries => $$select array_fill('nan'::real, '{8}')$$)", "22000", "argument queries"),
        ("vector_recall('i', queries => $$select array_fill('infinity'::real, '{8}')$$)", "22000", "argument queries"),
        ("vector_recall('i', filter => '')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'id')", "42804", "argument filter"),
        ("vector_recall('i', filter => 'nothing = 1')", "42703", "argument filter"),
        ("vector_recall('i', filter => 'id = 1, id = 2')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'id = 1) or (true')", "42601", "argument filter"),
        ("vector_recall('i', filter => 'true order by id')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'true; drop table t')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'true from t')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'count(*) > 1')", "42803", "argument filter"),
        ("vector_recall('i', filter => 'random() < 0.5')", "22023", "argument filter"),
        ("vector_recall('i', filter => 'id = $2')", "42P02", "argument filter"),
        ("vector_drift(sample => 0)", "22023", "argument sample"),
        ("vector_drift(time_limit => null)", "22004", "argument time_limit"),
    ] {
        if call.contains("writes") {
            execute(
                &mut client,
                "create function writes() returns vector language plpgsql as
                 $$ begin insert into public.q (e) values (null); return '[1,2,3,4,5,6,7,8]'; end $$",
            );
        }
        let (found, message, hint) = refusal(&mut client, call);
        assert_eq!(found, code, "{call}: {message}");
        assert!(message.contains(named), "{call}: {message}");
        assert!(!hint.is_empty(), "{call}: {message}");
    }
    assert_eq!(value::<i64>(&mut client, "select count(*) from t"), 300);
}

fn not_searchable(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    Vectors::make(&mut client, 300, 3);
    execute(
        &mut client,
        "create index b on t (tenant); create index i on t using hnsw (e vector_l2_ops);
         create table p (id int, e vector(3)) partition by range (id); create table p1 partition of p for values from (0) to (10);
         create index on p using hnsw (e vector_l2_ops); insert into p values (1, '[1,2,3]'), (2, '[2,3,4]');
         create index g on t using gin ((array[id]))",
    );
    for (index, code, message, hint) in [
        ("'b'", "42809", "public.b is an index of kind btree", "Name an HNSW or IVFFlat index"),
        ("'g'", "42809", "public.g is an index of kind gin", "Name an HNSW or IVFFlat index"),
        ("'t'", "42809", "public.t is not an index", "Name an HNSW or IVFFlat index"),
        ("'p_e_idx'", "42809", "is a partitioned index", "p1_e_idx"),
        ("12345678", "42704", "no relation with OID 12345678", "Name an HNSW or IVFFlat index"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.vector_recall({index})"));
        assert_eq!(error.code().code(), code, "{index}: {error}");
        assert!(error.message().contains(message) && error.hint().unwrap().contains(hint), "{error:?}");
    }
    let found: f64 = value(&mut client, "select recall from dbre.vector_recall('p1_e_idx')");
    assert_eq!(found, 1.0);
    execute(&mut client, "update pg_index set indisvalid = false where indexrelid = 'i'::regclass");
    let error = refused(&mut client, "select * from dbre.vector_recall('i')");
    assert_eq!(error.code().code(), "55000");
    assert!(error.hint().unwrap().contains("reindex index concurrently public.i"), "{error:?}");
}

/// Nothing, NULLs, one row, fewer than k, zero vectors.
fn little_data(database: &Database) {
    let mut client = database.connect();
    if !available(&mut client) {
        return;
    }
    execute(
        &mut client,
        "create extension vector; create table s (id int, e vector(3)); create index i on s using hnsw (e vector_cosine_ops)",
    );
    let mut measured = |rows: &str, arguments: &str| -> (i32, Option<f64>, i32, String) {
        execute(&mut client, &format!("truncate s; {rows}"));
        let sql = format!("select queries, recall, short_queries, note from dbre.vector_recall('i' {arguments})");
        let rows = query(&mut client, &sql);
        assert_eq!(rows.len(), 1, "{sql}");
        let row = &rows[0];
        (row.get(0), row.get(1), row.get(2), row.get::<_, Option<String>>(3).unwrap_or_default())
    };
    for (rows, arguments, queries, recall, said) in [
        ("", "", 0, None, "there are no query vectors"),
        ("insert into s values (1, null), (2, null)", "", 0, None, "there are no query vectors"),
        ("insert into s values (1, '[1,2,3]')", "", 0, None, "1 query vectors have no answer"),
        ("insert into s values (1, '[0,0,0]'), (2, '[0,0,0]')", "", 0, None, "2 query vectors have no answer"),
        (
            "insert into s values (1, '[1,2,3]'), (2, '[1,2,4]'), (3, '[0,0,0]')",
            "",
            2,
            Some(1.0),
            "has 1 rows, fewer than k",
        ),
        (
            "insert into s values (1, '[1,2,3]')",
            ", queries => 'values (''[1,2,3]''::vector), (null), (''[0,0,0]'')'",
            1,
            Some(1.0),
            "1 query vectors are NULL",
        ),
        (
            "insert into s values (1, '[1,2,3]')",
            ", queries => 'select e from s where false'",
            0,
            None,
            "there are no query vectors",
        ),
        (
            "insert into s values (1, '[1,2,3]')",
            ", filter => 'id > 5', queries => 'select e from s'",
            0,
            None,
            "have no answer",
        ),
        (
            "insert into s select g, array[g, 1, 2]::vector from generate_series(1, 30) g",
            ", k => 10000",
            30,
            Some(1.0),
            "fewer than k",
        ),
    ] {
        let (found, share, short, note) = measured(rows, arguments);
        assert_eq!((found, share, short), (queries, recall, 0), "{rows}{arguments}: {note}");
        assert!(note.contains(said), "{rows}{arguments}: {note}");
    }
}
