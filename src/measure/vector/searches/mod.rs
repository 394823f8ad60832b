//! The searches that the workload makes on vector columns: texts of pg_stat_statements, analyzed and planned with the rights of
//! those who ran them.

mod captured;
mod rewrites;
mod selectivity;
mod settings;

use crate::db::{self, Caught};
use crate::facts::query::ParameterRole;
use crate::facts::vector::{Distance, SearchSettings, SearchSource, Selectivity, VectorColumn, VectorSearch, Vectors};
use crate::facts::{Database, MeasuredStatement, statements};
use crate::measure::query::{Analyzed, Chosen, NOT_A_QUERY, Text, Value, may_be_query};
use regex_lite::Regex;
use settings::Settings;
use std::sync::LazyLock;
use std::time::Instant;

/// As many as pg_stat_statements may keep.
const MOST_STATEMENTS: u32 = 100_000;
/// Behind a lock of another session is no place to wait.
const PATIENCE: [(&std::ffi::CStr, &std::ffi::CStr); 1] = [(c"lock_timeout", c"20ms")];

/// Adds what the workload searches for to the columns, most time first.
pub fn read(vectors: &mut Vectors, until: Instant) {
    if vectors.columns.is_empty() {
        return;
    }
    let mut settings = Settings::read(vectors.extension.as_ref().map(|extension| &extension.schema));
    add_recorded(vectors, &mut settings, until);
    captured::read(vectors, &mut settings);
    for column in &mut vectors.columns {
        column.searches.sort_by(|a, b| b.total_ms().total_cmp(&a.total_ms()).then(a.query_id.cmp(&b.query_id)));
    }
}

fn add_recorded(vectors: &mut Vectors, settings: &mut Settings, until: Instant) {
    let database = Database::read();
    let Some(recorded) = statements(&database, MOST_STATEMENTS) else { return };
    vectors.workload.statements = true;
    vectors.left_out.extend(hidden(&database));
    vectors.workload.set_by_sessions = settings::set_by_sessions(&recorded);
    let views = views(&vectors.columns);
    let extension = vectors.extension.clone();
    for measured in recorded {
        db::check_for_interrupts();
        if measured.calls == 0 || !may_be_query(&measured.text) || !may_search(&measured.text, &views) {
            continue;
        }
        if Instant::now() > until {
            vectors.workload.cut_off = true;
            break;
        }
        match db::with_settings(&PATIENCE, || analyzed(&measured, &vectors.columns)) {
            Ok(found) => {
                for (distance, mut planned) in found {
                    planned.indexes = with_parents(&vectors.columns, planned.indexes);
                    let Some(column) = column(&mut vectors.columns, &distance) else { continue };
                    let role = settings.of(measured.role);
                    let mut search = search(&measured, distance, planned, role);
                    search.rewrite = extension.as_ref().and_then(|extension| {
                        let find = || rewrites::find(&measured, extension, column, &search);
                        db::with_settings(&PATIENCE, find)
                    });
                    merge(&mut column.searches, search);
                }
            }
            Err(why) if why.sqlstate == NOT_A_QUERY => {}
            Err(why) => vectors.workload.not_analyzed.push((measured.query_id, why.message)),
        }
    }
}

/// Of the index of a partition also the one that it is attached to.
fn with_parents(columns: &[VectorColumn], mut indexes: Vec<u32>) -> Vec<u32> {
    let mut next = 0;
    while let Some(oid) = indexes.get(next).copied() {
        let all = columns.iter().flat_map(|column| &column.indexes);
        let parent = all.filter(|index| index.oid == oid).find_map(|index| index.parent);
        indexes.extend(parent.filter(|parent| !indexes.contains(parent)));
        next += 1;
    }
    indexes
}

/// The same statement may be run by several roles.
fn merge(searches: &mut Vec<VectorSearch>, search: VectorSearch) {
    let same = |known: &&mut VectorSearch| {
        known.query_id == search.query_id && known.key == search.key && known.operator == search.operator
    };
    match searches.iter_mut().find(same) {
        // The statements come in the order of the time they took.
        Some(known) => {
            let calls = known.calls + search.calls;
            let rows = |search: &VectorSearch| search.rows_per_call.unwrap_or_default() * search.calls;
            known.mean_ms = (known.total_ms() + search.total_ms()) / calls;
            known.rows_per_call = Some((rows(known) + rows(&search)) / calls);
            known.calls = calls;
        }
        None => searches.push(search),
    }
}

/// What planning has told of a search.
struct Planned {
    indexes: Vec<u32>,
    sequential: bool,
    selectivity: Option<Selectivity>,
}

fn analyzed(measured: &MeasuredStatement, columns: &[VectorColumn]) -> Result<Vec<(Distance, Planned)>, Caught> {
    let text = Text::recorded(measured);
    text.guarded(|how| {
        let mut analyzed = text.analyze(how);
        let known = |distance: &Distance| {
            columns.iter().any(|column| (column.table, column.number) == (distance.table, distance.column))
        };
        let distances = std::mem::take(&mut analyzed.shape.distances);
        let distances: Vec<Distance> = distances.into_iter().filter(known).collect();
        if distances.is_empty() {
            return Vec::new();
        }
        let chosen = planned(&text, &analyzed);
        let with_plan = |mut distance: Distance| {
            let selectivity = selectivity::measure(analyzed.role, &mut distance, &chosen.printed);
            let sequential = chosen.planned.read_whole.contains(&distance.table);
            let planned = Planned { indexes: chosen.planned.existing.clone(), sequential, selectivity };
            (distance, planned)
        };
        distances.into_iter().map(with_plan).collect()
    })
}

/// With values from statistics, and as LIMIT what the statement has returned.
fn planned(text: &Text, analyzed: &Analyzed) -> Chosen {
    let chosen = text.plan_with_sampled(analyzed);
    let rows = text.rows_per_call.filter(|rows| *rows >= 1.0).map(|rows| (rows.ceil() as u64).to_string());
    let limits = analyzed.shape.parameters.iter().filter(|parameter| parameter.role == ParameterRole::Limit);
    let mut values = chosen.printed.clone();
    for parameter in limits {
        let slot = usize::try_from(parameter.number - 1).ok().and_then(|slot| values.get_mut(slot));
        if let (Some(slot), Some(rows)) = (slot, &rows) {
            *slot = Value::Text(rows.clone());
        }
    }
    if values == chosen.printed { chosen } else { text.plan_with(analyzed, &values) }
}

fn column<'a>(columns: &'a mut [VectorColumn], distance: &Distance) -> Option<&'a mut VectorColumn> {
    columns.iter_mut().find(|column| (column.table, column.number) == (distance.table, distance.column))
}

fn search(
    measured: &MeasuredStatement,
    distance: Distance,
    planned: Planned,
    settings: SearchSettings,
) -> VectorSearch {
    VectorSearch {
        source: SearchSource::Statements,
        query_id: Some(measured.query_id),
        text: Some(measured.text.clone()),
        role: measured.role,
        role_name: db::quote_identifier(&measured.role_name),
        calls: measured.calls as f64,
        mean_ms: measured.mean_ms(),
        rows_per_call: Some(measured.rows_per_call()),
        counted_days: Some(measured.counted_seconds / 86_400.0),
        key: distance.key,
        key_sql: distance.key_sql,
        operator: distance.operator,
        function: distance.function,
        compared_with: distance.compared_with,
        joined: distance.joined,
        within_condition: distance.within_condition,
        order: distance.order,
        limit: distance.limit,
        filters: distance.filters,
        selectivity: planned.selectivity,
        planned_indexes: Some(planned.indexes),
        planned_sequential: planned.sequential,
        settings,
        rewrite: None,
    }
}

/// It computes a distance, or reads a view that may.
fn may_search(text: &str, views: &[String]) -> bool {
    static DISTANCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)<->|<#>|<=>|<\+>|<~>|<%>|(?:l2|l1|cosine|hamming|jaccard)_distance|inner_product")
            .expect("a constant")
    });
    DISTANCE.is_match(text) || views.iter().any(|view| text.contains(view))
}

/// Names of views on the columns' tables, be it on views on them.
fn views(columns: &[VectorColumn]) -> Vec<String> {
    let tables: Vec<i64> = columns.iter().map(|column| i64::from(column.table)).collect();
    db::read(include_str!("../../../../sql/facts/vector/views_on.sql"), &[tables.into()], |row| row.take())
}

/// Statements of others that pg_stat_statements does not show to the caller.
fn hidden(database: &Database) -> Option<String> {
    let schema = database.extension_schema("pg_stat_statements")?;
    let sql = format!(
        "select pg_catalog.count(*) from {schema}.pg_stat_statements s where s.queryid is null and s.dbid =
         (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())"
    );
    let hidden: i64 = db::read(&sql, &[], |row| row.take()).pop()?;
    (hidden > 0).then(|| {
        format!(
            "{hidden} statements of other roles, which pg_stat_statements shows to members of pg_read_all_stats only"
        )
    })
}
