//! `dbre.vector_index_advice()`.

use super::advice::advice;
use super::arguments::{bytes, duration, within};
use crate::db::{self, raise};
use crate::engine;
use crate::facts::Facts;
use crate::facts::vector::Goal;
use crate::finding::severity;
use crate::measure;
use crate::rule::Need;
use pgrx::datum::Interval;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use std::time::Instant;

advice! {
    /// What is wrong or could be better with vector columns, their indexes and the searches on them; most urgent first.
    ///
    /// `target` is a table with vector columns (with its partitions); null: all tables of the database. Rows are sampled and the
    /// workload's searches (pg_stat_statements, dbre.vector_queries) analyzed within `time_limit`; nothing is built.
    /// `target_recall` is recall@`k`; `memory_budget` is for building an index, `disk_budget` for keeping it, as
    /// pg_size_bytes() reads them; `expected_rows` is what the table will have.
    sql: r#"
create function vector_index_advice(
    target regclass default null,
    target_recall float8 default 0.95,
    k int default 10,
    memory_budget text default null,
    disk_budget text default null,
    expected_dimensions int default null,
    expected_rows bigint default null,
    time_limit interval default '30 s'
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn vector_index_advice(
        target: Option<Oid>,
        target_recall: Option<f64>,
        k: Option<i32>,
        memory_budget: Option<&str>,
        disk_budget: Option<&str>,
        expected_dimensions: Option<i32>,
        expected_rows: Option<i64>,
        time_limit: Option<Interval>,
    ) {
        let goal = Goal {
            recall: within("target_recall", target_recall, 0.01, 1.0),
            k: within("k", k, 1, 1000) as u32,
            memory_bytes: memory_budget.map(|budget| bytes("memory_budget", budget)),
            disk_bytes: disk_budget.map(|budget| bytes("disk_budget", budget)),
            dimensions: expected_dimensions.map(|given| within("expected_dimensions", Some(given), 1, 1_000_000_000) as u32),
            rows: expected_rows.map(|given| within("expected_rows", Some(given), 0, 1_000_000_000_000) as f64),
        };
        if let Some(target) = target.filter(|target| *target == Oid::INVALID) {
            refuse(target)
        }
        let until = Instant::now() + duration("time_limit", time_limit);
        let needs = engine::needs_of_judges(Need::Vectors);
        let mut facts = Facts::read(&needs, None);
        super::check::refuse_unread(&facts, &needs);
        let vectors = measure::vector::read(target.map(Oid::to_u32), goal, until);
        let nothing_here = vectors.columns.is_empty() && vectors.left_out.is_empty();
        if let Some(target) = target && vectors.extension.is_some() && nothing_here {
            refuse(target)
        }
        facts.set_vectors(vectors);
        let mut run = engine::judge(Need::Vectors, facts);
        super::check::refuse_total_failure(&run);
        run.sort_by_urgency();
        run
    }
}

fn refuse(target: Oid) -> ! {
    const HINT: &str = "Name a table with a column of type vector, halfvec, bit or sparsevec; null is all of them.";
    let name = "select oid::regclass::text from pg_catalog.pg_class where oid = $1";
    match db::read(name, &[target.into()], |row| row.take::<String>()).pop() {
        Some(name) => raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("argument target: {name} is no table with vector columns"),
            HINT,
        ),
        None => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("argument target: there is no relation with OID {}", target.to_u32()),
            HINT,
        ),
    }
}
