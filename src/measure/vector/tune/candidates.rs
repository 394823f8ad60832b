//! Other indexes, built on a sample of the rows in a schema that is rolled back.

use super::queries::{Queries, Trial};
use super::{Best, Tried, Tuning, notes, ways};
use crate::advice::vector_index::{Design, ivfflat_lists};
use crate::advice::vector_tuning::{Cost, Found, Panel, Summary, build_factor, growth, search};
use crate::db::{self, with_settings};
use crate::facts::Facts;
use crate::facts::vector::{Element, Goal, Key, Method, Operator, VectorColumn, VectorIndex};
use crate::measure::time_limit::TimeLimit;
use crate::measure::vector;
use crate::measure::vector::run::{QueryVector, Searcher};
use crate::rule::Need;
use crate::units::Bytes;
use pgrx::pg_sys::{self, Oid};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

const FUNCTION: &CStr = c"dbre.vector_tune(build => true)";
/// Enough to compare indexes.
const MOST_QUERIES: usize = 200;
const TO_READ_COLUMN: Duration = Duration::from_secs(5);
/// An index on a sample is not given more memory to be built in.
const MOST_MEMORY: u64 = 2 * Bytes::GIB;
/// Bits tell neighbors apart only where there are many of them.
const FEWEST_BITS: u32 = 128;

/// What an index on the sample has shown.
struct Built {
    design: Design,
    sampled: Method,
    build_ms: f64,
    bytes: u64,
    rows: f64,
    found: Found,
    seen: Summary,
    /// Of the existing index, built again.
    existing: bool,
}

/// Adds what the candidates would give; says why, if there are none. `best`: of the index as it is.
pub(super) fn add(tuning: &mut Tuning, best: Option<&Best>) -> Vec<String> {
    if tuning.request.filter.is_some() {
        return vec![
            "indexes are not built for a filter: dbre.vector_index_advice() tells of partial ones".to_string(),
        ];
    }
    let end = tuning.request.begun + tuning.request.time_limit;
    if Instant::now() >= end {
        return vec!["time_limit was over before other indexes could be built".to_string()];
    }
    let mut facts = Facts::read(&[Need::Catalog, Need::RelationNames], None);
    let goal = Goal {
        recall: tuning.request.target,
        k: tuning.request.k as u32,
        memory_bytes: None,
        disk_bytes: None,
        dimensions: None,
        rows: None,
    };
    let read = vector::read(Some(tuning.target.table), goal, end.min(Instant::now() + TO_READ_COLUMN));
    facts.set_vectors(read);
    let vectors = facts.vectors();
    let column = vectors
        .columns
        .iter()
        .find(|column| column.table == tuning.target.table && column.number == tuning.target.column_number);
    let Some(column) = column else {
        return vec![format!("no index was built: {} could not be read", tuning.target.table_name)];
    };
    let Some(index) = column.indexes.iter().find(|index| index.oid == tuning.target.index) else {
        return vec![format!("no index was built: {} is gone", tuning.target.index_name)];
    };
    let designs = designs(column, index);
    let (mut built, mut told) = (Vec::new(), Vec::new());
    let number = designs.len();
    let outcome = db::undone(
        || {
            let left = end.saturating_duration_since(Instant::now());
            let limit = TimeLimit::start(left);
            let scratch = Scratch::create(tuning, column);
            scratch.build(tuning, column, designs, &mut built, &mut told);
            drop(limit);
        },
        TimeLimit::was_reached,
    );
    match outcome {
        Ok(()) => {}
        Err(caught) if TimeLimit::caused(&caught) => {
            told.push(format!("time_limit allowed for building {} of {number} indexes", built.len()))
        }
        Err(caught) => told.push(format!("other indexes were not tried: {}", caught.message)),
    }
    let own = built.iter().find(|built: &&Built| built.existing).and_then(|sampled| {
        let best = best.filter(|best| best.reached && matches!(sampled.found, Found::Reached(_)))?;
        let all = Cost { number: f64::from(best.number), pages: best.pages };
        Some((all, Cost { number: f64::from(sampled.seen.setting), pages: sampled.seen.pages }))
    });
    let mut tried: Vec<Tried> = Vec::new();
    for built in built.iter().filter(|built| !built.existing) {
        tried.push(built.extrapolated(tuning, &facts, column, index.method, own));
    }
    tuning.tried.extend(tried);
    told
}

/// The existing index first, then a few that differ from it in what matters.
fn designs(column: &VectorColumn, index: &VectorIndex) -> Vec<(Design, bool)> {
    let Some(existing) = Design::of(column, index) else { return Vec::new() };
    let rows = existing.rows;
    let hnsw = |m, ef_construction| Method::Hnsw { m, ef_construction };
    let ranking = existing.ranking;
    let mut others = vec![
        (hnsw(16, 64), Key::Column),
        (hnsw(16, 200), Key::Column),
        (hnsw(32, 128), Key::Column),
        (Method::Ivfflat { lists: ivfflat_lists(rows) }, Key::Column),
    ];
    if let Some(dimensions) = column.known_dimensions() {
        if column.element == Element::Vector {
            others.insert(2, (hnsw(16, 64), Key::Cast { element: Element::Halfvec, dimensions }));
        }
        let bits = matches!(column.element, Element::Vector | Element::Halfvec) && ranking == Operator::Cosine;
        if bits && dimensions >= FEWEST_BITS {
            others.insert(3, (hnsw(16, 64), Key::BinaryQuantize { dimensions }));
        }
    }
    let made = others.into_iter().filter_map(|(method, key)| {
        let design = Design::new(column, method, key, ranking, rows)?;
        Some(match &existing.predicate {
            Some(predicate) => design.partial(predicate.clone(), rows),
            None => design,
        })
    });
    let differs = |design: &Design| design.method != existing.method || design.key != existing.key;
    let others: Vec<(Design, bool)> = made.filter(differs).map(|design| (design, false)).collect();
    [(existing, true)].into_iter().chain(others).collect()
}

struct Scratch {
    schema: String,
    table: String,
    rows: f64,
}

impl Scratch {
    /// A table with the column, of rows that the index holds, taken by the order of their hashed addresses; without those that
    /// query vectors were taken from, which so become queries that are no rows.
    fn create(tuning: &Tuning, column: &VectorColumn) -> Scratch {
        // SAFETY: a variable of this backend.
        let schema = format!("dbre_scratch_{}", unsafe { pg_sys::MyProcPid });
        let (table, name, from) = (format!("{schema}.rows"), &column.name, &column.table_name);
        let run = |sql: &str| db::write(FUNCTION, sql, &[]);
        run(&format!("create schema {schema}"));
        run(&format!("create unlogged table {table} as select {name} from only {from} with no data"));
        let storage = match column.storage {
            'p' => "plain",
            'm' => "main",
            'x' => "extended",
            _ => "external",
        };
        run(&format!("alter table {table} alter column {name} set storage {storage}"));
        let asked = tuning.queries.asked.iter().filter_map(|asked| asked.vector.own_row);
        let asked: Vec<String> = asked.map(|tid| format!("\"({},{})\"", tid >> 32, tid & 0xFFFF)).collect();
        let mut conditions = vec![format!("({}) is not null", tuning.target.key_sql)];
        conditions.extend(tuning.target.predicate.iter().map(|predicate| format!("({predicate})")));
        if !asked.is_empty() {
            conditions.push(format!("ctid <> all ('{{{}}}'::pg_catalog.tid[])", asked.join(",")));
        }
        let insert = format!(
            "insert into {table} select {name} from only {from} where {}
             order by pg_catalog.hashtidextended(ctid, {}::pg_catalog.int8), ctid limit {}",
            conditions.join(" and "),
            tuning.request.seed,
            tuning.request.build_rows.unwrap_or_default(),
        );
        let rows = db::with_search_path(tuning.request.search_path, || run(&insert));
        Scratch { schema, table, rows: rows as f64 }
    }

    fn index(&self) -> String {
        format!("{}.rows_index", self.schema)
    }

    fn build(
        &self,
        tuning: &mut Tuning,
        column: &VectorColumn,
        designs: Vec<(Design, bool)>,
        built: &mut Vec<Built>,
        told: &mut Vec<String>,
    ) {
        if self.rows < 1.0 {
            told.push("no index was built: there are no rows beside those that are searched for".to_string());
            return;
        }
        // Their rows are not among the sample.
        let asked = std::mem::take(&mut tuning.queries.asked).into_iter().take(MOST_QUERIES);
        let vectors = asked.map(|mut asked| {
            asked.vector.own_row = None;
            asked.vector
        });
        let mut vectors: Option<Vec<QueryVector>> = Some(vectors.collect());
        let mut queries = Queries::default();
        let end = tuning.request.begun + tuning.request.time_limit;
        for (design, existing) in designs {
            let sampled = match design.method {
                Method::Ivfflat { lists } if existing => {
                    let share = self.rows / design.rows.max(self.rows);
                    Method::Ivfflat { lists: ((f64::from(lists) * share).round() as u32).max(1) }
                }
                Method::Ivfflat { .. } => Method::Ivfflat { lists: ivfflat_lists(self.rows) },
                method => method,
            };
            let on_sample = Design { predicate: None, rows: self.rows, ..design.with_method(sampled) };
            let (index, build_ms) = self.create_index(tuning, column, &on_sample);
            let bytes = super::relation_bytes(index).unwrap_or(0);
            let seen = db::seeing_own_writes(|| {
                let mut searcher = Searcher::open(index, None, tuning.request.search_path);
                if let Some(vectors) = vectors.take() {
                    queries.ask(&mut searcher, vectors, tuning.request.k, end);
                }
                tune(tuning, &mut searcher, &queries, end)
            });
            let rows = self.rows;
            match seen {
                Some((found, seen)) => {
                    built.push(Built { design, sampled, build_ms, bytes, rows, found, seen, existing })
                }
                None => told.push(format!("{} was built and not searched: time_limit was over", design.description())),
            }
            db::write(FUNCTION, &format!("drop index {}", self.index()), &[]);
        }
    }

    fn create_index(&self, tuning: &Tuning, column: &VectorColumn, design: &Design) -> (u32, f64) {
        let memory = design.maintenance_work_mem(0).0.clamp(64 * Bytes::MIB, MOST_MEMORY) / Bytes::KIB;
        let memory = CString::new(memory.to_string()).expect("digits");
        let specification = design.specification(&tuning.target.extension, column);
        let settings: [(&CStr, &CStr); 2] =
            [(c"maintenance_work_mem", &memory), (c"max_parallel_maintenance_workers", c"0")];
        let begun = Instant::now();
        // Operator classes and types are not qualified where pgvector is in public.
        let path =
            CString::new(format!("pg_catalog, {}", tuning.target.extension.schema)).expect("names hold no zero byte");
        let create = format!("create index rows_index on {} {specification}", self.table);
        db::with_search_path(&path, || with_settings(&settings, || db::write(FUNCTION, &create, &[])));
        let build_ms = begun.elapsed().as_secs_f64() * 1000.0;
        let sql = "select pg_catalog.to_regclass($1)::pg_catalog.oid";
        let index = db::seeing_own_writes(|| db::read(sql, &[self.index().into()], |row| row.take::<Oid>())).pop();
        (index.expect("it was created").to_u32(), build_ms)
    }
}

/// None: nothing could be searched for.
fn tune(tuning: &Tuning, searcher: &mut Searcher, queries: &Queries, until: Instant) -> Option<(Found, Summary)> {
    if queries.asked.is_empty() {
        return None;
    }
    let target = searcher.target.clone();
    let way = ways::of(&target, false, tuning.request.k).pop()?;
    let mut task = tuning.task(&way);
    (task.least, task.most) = way.range(&target, tuning.request.k, task.target);
    task.start = way.start(&target).clamp(task.least, task.most);
    task.queries = queries.asked.len();
    // What was found here is found by queries that are no rows.
    task.target = tuning.request.target;
    let setting = |number| way.setting(&target, tuning.request.k, number);
    let mut trial = Trial {
        searcher,
        queries: &queries.asked,
        k: tuning.request.k,
        until,
        setting: &setting,
        short: Default::default(),
    };
    let mut panel = Panel::default();
    let found = search(&task, &mut trial, &mut panel);
    let (Found::Reached(number) | Found::Unreachable(number) | Found::OutOfTime(Some(number))) = found else {
        return None;
    };
    Some((found, panel.summary(&task, number)?))
}

impl Built {
    fn extrapolated(
        &self,
        tuning: &Tuning,
        facts: &Facts,
        column: &VectorColumn,
        existing: Method,
        own: Option<(Cost, Cost)>,
    ) -> Tried {
        let design = &self.design;
        let like_existing = own.filter(|_| design.method.name() == existing.name());
        let growth = growth(like_existing, design.method, self.sampled, design.rows, self.rows);
        let most = match design.method {
            Method::Hnsw { .. } => crate::measure::vector::run::MOST_EF_SEARCH,
            Method::Ivfflat { lists } => lists,
        };
        let wanted = (f64::from(self.seen.setting) * growth.number).ceil();
        let number = wanted.min(f64::from(most)) as u32;
        let reached = matches!(self.found, Found::Reached(_)) && wanted <= f64::from(most);
        let setting = ways::setting_of(design, tuning.request.k, number);
        let mut notes = Vec::new();
        if !reached {
            notes.push(format!("recall {:.4} is not reached", tuning.request.target));
        }
        let sampled_size = Design { rows: self.rows, ..design.with_method(self.sampled) }.size().0;
        let off = self.bytes as f64 / sampled_size.max(1) as f64;
        let mut namer = facts.relation_names().namer();
        let creation = design.creation(facts, &mut namer, column);
        let settings = ways::sql_of(design, &setting, &tuning.target, tuning.request.k);
        Tried {
            configuration: format!("{}; {}", design.description(), ways::configuration(&setting)),
            method: Some(design.method),
            element: Some(design.element),
            setting,
            queries: self.seen.queries,
            recall: Some(self.seen.recall),
            recall_low: Some(self.seen.recall_low),
            ms_p50: Some(self.seen.ms_p50 * growth.pages),
            ms_p95: Some(self.seen.ms_p95 * growth.pages),
            pages: Some(self.seen.pages * growth.pages),
            index_bytes: Some((design.size().0 as f64 * off) as u64),
            build_ms: Some(self.build_ms * build_factor(design.method, self.sampled, design.rows, self.rows)),
            basis: notes::extrapolated(self.rows, design.rows, &growth.basis, self.build_ms, self.bytes),
            sql: creation.map(|creation| format!("{}\n{settings}", creation.fix_sql)),
            reached,
            notes,
            ..Tried::default()
        }
    }
}
