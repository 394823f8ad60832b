//! dbre.vector_recall() beside a computation of our own: answers by plain SQL, distances in float64 from the numbers that
//! were loaded. The two have to be equal to the last digit.

use crate::cache::Vectors;
use crate::cluster::{Cluster, Result};
use crate::database::{DATABASE, kind};
use crate::exact::{self, Truth};
use crate::indexes::alone;
use postgres::Client;

const QUERIES: usize = 100;
const RECALL: &str = "
    select r.queries::int, r.recall, r.recall_min, r.short_queries::int
    from dbre.vector_recall($1::text::pg_catalog.regclass, k => $2, sample => $3, filter => $4,
        queries => 'select embedding from public.queries where id < 100 order by id',
        ef_search => case when $5 = 'ef_search' then array[$6::int] end,
        probes => case when $5 = 'probes' then array[$6::int] end, rerank => $7, time_limit => '10 min') r";

struct Case {
    index: &'static str,
    setting: (&'static str, i32),
    k: i32,
    filter: Option<&'static str>,
    /// Answers of the plain SQL: $1 is the query, $2 is k.
    order: &'static str,
    rerank: Option<i32>,
}

const COLUMN: &str = "d.embedding <=> $1::text::vector";

const fn case(index: &'static str, setting: (&'static str, i32), k: i32, filter: Option<&'static str>) -> Case {
    Case { index, setting, k, filter, order: COLUMN, rerank: None }
}

const CASES: [Case; 8] = [
    case("hnsw_16_64", ("hnsw.ef_search", 40), 10, None),
    case("hnsw_16_64", ("hnsw.ef_search", 15), 10, None),
    case("hnsw_16_64", ("hnsw.ef_search", 100), 50, None),
    case("hnsw_16_64", ("hnsw.ef_search", 60), 10, Some("a42")),
    case("ivfflat_100", ("ivfflat.probes", 5), 10, None),
    case("ivfflat_100", ("ivfflat.probes", 10), 1, None),
    Case {
        index: "hnsw_halfvec",
        setting: ("hnsw.ef_search", 40),
        k: 10,
        filter: None,
        order: "d.embedding::halfvec(384) <=> $1::text::vector::halfvec(384)",
        rerank: Some(40),
    },
    Case {
        index: "hnsw_bit",
        setting: ("hnsw.ef_search", 100),
        k: 10,
        filter: None,
        order: "binary_quantize(d.embedding)::bit(384) <~> binary_quantize($1::text::vector)::bit(384)",
        rerank: Some(100),
    },
];

pub fn run(cluster: &Cluster, rows: &Vectors, held: &Vectors) -> Result<bool> {
    println!("\n| index | setting | k | filter | queries | vector_recall() | our own | equal |");
    println!("|---|---|--:|---|--:|--:|--:|---|");
    let mut equal = 0;
    for case in &CASES {
        let mut client = cluster.connect(DATABASE)?;
        let taken = |id: usize| case.filter.is_none_or(|filter| kind(id) == filter);
        let queries: Vec<&[f32]> = (0..QUERIES).map(|id| held.row(id)).collect();
        let truths = exact::truths(rows, &queries, case.k as usize, taken);
        let ours = own(&mut client, case, rows, &queries, &truths)?;
        let filter = case.filter.map(|filter| format!("kind = '{filter}'"));
        let (setting, value) = case.setting;
        let setting_name = setting.rsplit('.').next().unwrap_or_default();
        let row = client.query_one(
            RECALL,
            &[
                &format!("public.{}", case.index),
                &case.k,
                &(QUERIES as i32),
                &filter,
                &setting_name,
                &value,
                &case.rerank,
            ],
        )?;
        let (count, theirs): (i32, f64) = (row.get(0), row.get(1));
        let same = count as usize == QUERIES && (theirs - ours).abs() < 1e-12;
        equal += usize::from(same);
        println!(
            "| {} | {setting} = {value} | {} | {} | {count} | {theirs} | {ours} | {} |",
            case.index,
            case.k,
            case.filter.unwrap_or(""),
            if same { "yes" } else { "no" }
        );
    }
    Ok(crate::aim("recall equal to our own", equal as f64, CASES.len() as f64, equal == CASES.len()))
}

fn own(client: &mut Client, case: &Case, rows: &Vectors, queries: &[&[f32]], truths: &[Truth]) -> Result<f64> {
    alone(client, Some(case.index))?;
    client.batch_execute(&format!("load 'vector'; set local {} = {}", case.setting.0, case.setting.1))?;
    client.batch_execute(
        "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off",
    )?;
    let filter = case.filter.map(|filter| format!("where d.kind = '{filter}'")).unwrap_or_default();
    let limit = case.rerank.unwrap_or(case.k);
    let inner = format!("select d.id, d.embedding from public.docs d {filter} order by {} limit {limit}", case.order);
    let sql = match case.rerank {
        None => format!("select n.id from ({inner}) n"),
        Some(_) => format!("select n.id from ({inner}) n order by n.embedding <=> $1::text::vector limit {}", case.k),
    };
    let plan: Vec<String> = client
        .query(&format!("explain {}", sql.replace("$1", &format!("'{}'", crate::cache::text(queries[0])))), &[])?
        .iter()
        .map(|line| line.get(0))
        .collect();
    if !plan.iter().any(|line| line.contains(&format!("using {} on", case.index))) {
        return Err(format!("{} is not used:\n{}", case.index, plan.join("\n")).into());
    }
    let mut recalls = Vec::new();
    for (query, truth) in queries.iter().zip(truths) {
        let found = client.query(&sql, &[&crate::cache::text(query)])?;
        let found = found.iter().map(|row| row.get::<_, i32>(0) as usize);
        recalls.push(exact::hits(rows, query, truth, found) as f64 / truth.ids.len() as f64);
    }
    client.batch_execute("rollback")?;
    Ok(recalls.iter().sum::<f64>() / recalls.len() as f64)
}
