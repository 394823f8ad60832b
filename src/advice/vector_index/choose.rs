//! Which index a column should have, or none: by what each would cost, not by a number of rows.

use super::search::BASIS;
use super::{Design, Setting, exact_ms, hnsw_insert_ms, ivfflat_lists, memory};
use crate::facts::vector::{Element, Key, Method, Operator, Order, VectorColumn, Vectors};
use crate::units::{Bytes, Count, rounded};
use serde_json::{Value, json};

/// Searches to count with where fewer are known, or none.
const FEWEST_SEARCHES: f64 = 10_000.0;
const ASSUMED_SEARCHES: f64 = 100_000.0;
/// An index gives approximate answers and must be kept: it has to be so much cheaper than reading the table.
const WORTH_AN_INDEX: f64 = 1.5;
/// Share of the nearest neighbors that half precision must keep on the sample to be called as good.
const LOSSLESS: f64 = 0.995;
/// Beside a whole one, an index this much smaller is worth the cast in each query.
const WORTH_A_CAST: f64 = 0.7;
/// IVFFlat's centers are those of the rows at its creation: from this share of new rows on it is to be built again.
const CENTERS_AGE: f64 = 0.5;
/// Rows of each list from which k-means finds centers that mean something.
const FEWEST_ROWS_PER_LIST: f64 = 50.0;
/// Bits tell neighbors apart only where there are many of them.
const FEWEST_BITS: u32 = 256;

/// Of candidates that the searches, as they are, can use: bits.
const LAST_RANK: u8 = 3;

/// What a column should have for one kind of search.
#[derive(Clone, Debug)]
pub struct Advice {
    /// Chosen first; the rest by what they cost.
    pub candidates: Vec<Candidate>,
    /// An index would pay, and none fits into what is given for it.
    pub unfit: bool,
    pub why: String,
    pub operator: Operator,
    /// Where the operator is from.
    pub operator_basis: &'static str,
}

/// An index, or none, in numbers.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// None: every search reads the table.
    pub design: Option<Design>,
    pub setting: Option<Setting>,
    pub recall: f64,
    pub search_ms: f64,
    pub size: Bytes,
    pub build_memory: Bytes,
    pub build_seconds: f64,
    /// The graph does not fit into what a build may take.
    pub spills: bool,
    /// Of all searches and writes, and of building.
    cost_ms: f64,
    /// 0: answers as good as with the column's own type.
    rank: u8,
    /// Why it cannot be chosen.
    pub obstacle: Option<String>,
}

/// What the column's workload does.
struct Load {
    searches: f64,
    known: bool,
    writes: f64,
    /// Of the rows at creation that are new since.
    churn: f64,
}

impl Advice {
    /// None: an empty table tells nothing, or nothing fits.
    pub fn chosen(&self) -> Option<&Candidate> {
        self.candidates.first().filter(|first| first.obstacle.is_none() && !self.unfit)
    }

    /// None: exact search is best, or nothing fits.
    pub fn design(&self) -> Option<&Design> {
        self.chosen()?.design.as_ref()
    }

    pub fn alternatives(&self) -> Vec<Value> {
        let chosen = self.chosen();
        let others = self.candidates.iter().skip(usize::from(chosen.is_some()));
        others.map(|other| other.described(chosen)).collect()
    }
}

/// The operator that searches of the column use most, its indexes have, or its type suggests.
pub fn default_operator(column: &VectorColumn) -> (Operator, &'static str) {
    let of_search = column.searches.iter().find(|search| search.order == Order::Ascending && search.key == Key::Column);
    let fits =
        |operator: &Operator| super::has_class(Method::Hnsw { m: 16, ef_construction: 64 }, column.element, *operator);
    if let Some(operator) = of_search.map(|search| search.operator).filter(fits) {
        return (operator, "the searches that take most time");
    }
    if let Some(operator) = column.indexes.iter().map(|index| index.operator).find(fits) {
        return (operator, "an index that is there");
    }
    match column.element {
        Element::Bit => (Operator::Hamming, "assumed: no search is known"),
        _ => (Operator::Cosine, "assumed: no search is known"),
    }
}

/// For searches that compare `wanted` by an operator; None: those of the column by its `default_operator()`, whatever the key.
pub fn choose(vectors: &Vectors, column: &VectorColumn, wanted: Option<(&Key, Operator)>) -> Advice {
    let (operator, operator_basis) = match wanted {
        Some((_, operator)) => (operator, "the search"),
        None => default_operator(column),
    };
    let rows = vectors.rows(column) * (1.0 - column.sample.as_ref().map_or(0.0, |sample| sample.null_fraction));
    let load = Load::of(column, wanted, rows);
    let mut candidates = Vec::new();
    for (key, changes) in keys(column, wanted.map(|(key, _)| key)) {
        for method in methods(vectors, part_of(vectors, column, rows)) {
            let Some(design) = Design::new(column, method, key.clone(), operator, rows) else { continue };
            let design = Design { part_rows: part_of(vectors, column, rows), ..design };
            candidates.push(candidate(vectors, column, design, &load, changes));
        }
    }
    prefer_whole_values(&mut candidates);
    let order = |candidate: &Candidate| (candidate.obstacle.is_some(), candidate.rank);
    candidates.sort_by(|a, b| order(a).cmp(&order(b)).then(a.cost_ms.total_cmp(&b.cost_ms)));
    let exact = exact(vectors, column, rows, &load);
    // To build nothing is better if that costs about as much.
    let pays = |candidate: &Candidate| exact.cost_ms > WORTH_AN_INDEX * candidate.cost_ms;
    let best = candidates.first().filter(|best| best.obstacle.is_none());
    let exact_is_best = rows < 1.0 || !best.is_some_and(pays);
    // Who wants all neighbors wants an exact search.
    let unfit = rows >= 1.0 && vectors.goal.recall < 1.0 && best.is_none() && candidates.iter().any(pays);
    let place =
        if exact_is_best { 0 } else { candidates.iter().take_while(|other| other.cost_ms < exact.cost_ms).count() };
    candidates.insert(place, exact);
    let why = why(&candidates, unfit, &load, rows);
    Advice { candidates, unfit, why, operator, operator_basis }
}

/// Vectors of the largest partition: each has an index of its own.
fn part_of(vectors: &Vectors, column: &VectorColumn, rows: f64) -> f64 {
    if !column.partitioned {
        return rows;
    }
    let parts = vectors.columns.iter().filter(|part| part.partition_of == Some(column.table) && !part.partitioned);
    let largest = parts.map(|part| part.rows).fold(0.0, f64::max);
    if column.rows > 0.0 && largest > 0.0 { rows * (largest / column.rows).min(1.0) } else { rows }
}

/// That an index could have, and whether the searches, known or not, must be changed to it.
fn keys(column: &VectorColumn, wanted: Option<&Key>) -> Vec<(Key, bool)> {
    if let Some(key) = wanted.filter(|key| **key != Key::Column) {
        return vec![(key.clone(), false)];
    }
    let Some(dimensions) = column.known_dimensions() else { return vec![(Key::Column, false)] };
    let changes = wanted.is_some();
    let mut keys = Vec::new();
    match column.dimensions {
        Some(_) => keys.push((Key::Column, false)),
        None if column.element != Element::Sparsevec => {
            keys.push((Key::Cast { element: column.element, dimensions }, changes));
        }
        None => {}
    }
    if column.element == Element::Vector && !column.sample.as_ref().is_some_and(|sample| sample.beyond_halfvec) {
        keys.push((Key::Cast { element: Element::Halfvec, dimensions }, changes));
    }
    if matches!(column.element, Element::Vector | Element::Halfvec) && dimensions >= FEWEST_BITS {
        keys.push((Key::BinaryQuantize { dimensions }, changes));
    }
    keys
}

fn methods(vectors: &Vectors, rows: f64) -> Vec<Method> {
    let mut methods = vec![Method::Hnsw { m: 16, ef_construction: 64 }];
    if vectors.goal.recall > 0.95 {
        methods.push(Method::Hnsw { m: 16, ef_construction: 200 });
    }
    methods.push(Method::Ivfflat { lists: ivfflat_lists(rows) });
    methods
}

fn exact(vectors: &Vectors, column: &VectorColumn, rows: f64, load: &Load) -> Candidate {
    let search_ms = exact_ms(column, vectors.rows(column));
    Candidate {
        design: None,
        setting: None,
        recall: 1.0,
        search_ms,
        size: Bytes(0),
        build_memory: Bytes(0),
        build_seconds: 0.0,
        spills: false,
        cost_ms: load.searches * search_ms,
        rank: 0,
        obstacle: (rows < 1.0).then(|| "the table has no vectors yet: nothing can be told of its searches".to_string()),
    }
}

fn candidate(vectors: &Vectors, column: &VectorColumn, design: Design, load: &Load, changes: bool) -> Candidate {
    let (goal, server) = (&vectors.goal, &vectors.server);
    let ceiling = memory::ceiling(server, goal.memory_bytes);
    let workers = memory::workers(column, server, ceiling);
    let (size, build_memory) = (design.size(), design.build_memory(workers));
    let fits = build_memory.0 <= ceiling;
    let hnsw = matches!(design.method, Method::Hnsw { .. });
    let reached = design.setting_for(goal);
    let setting = reached.unwrap_or(match design.method {
        Method::Hnsw { .. } => Setting::EfSearch(1000),
        Method::Ivfflat { lists } => Setting::Probes(lists),
    });
    let search_ms = design.search_ms(&setting);
    let build_seconds = design.build_seconds(ceiling, workers);
    let (write_ms, rebuilds) = match design.method {
        Method::Hnsw { .. } => (hnsw_insert_ms(&design), 0.0),
        Method::Ivfflat { lists } => {
            (design.search_ms(&Setting::Probes(0)).max(1e-4 * f64::from(lists)), (load.churn / CENTERS_AGE).floor())
        }
    };
    let building = build_seconds * 1000.0 * (1.0 + rebuilds);
    let sample = column.sample.as_ref();
    let rank = match (&design.key, design.element) {
        (Key::BinaryQuantize { .. }, _) => LAST_RANK,
        (Key::Cast { .. }, Element::Halfvec) if column.element == Element::Vector => {
            match sample.and_then(|sample| sample.halfvec_recall) {
                Some(recall) if recall < LOSSLESS => 2,
                _ => 1,
            }
        }
        _ => 0,
    };
    let rank = if changes { rank + LAST_RANK + 1 } else { rank };
    let obstacle = if let Some(budget) = goal.disk_bytes.filter(|budget| size.0 > *budget) {
        Some(format!("takes {size} of disk, {} are allowed", Bytes(budget)))
    } else if !fits && (!hnsw || goal.memory_bytes.is_some()) {
        let then = if hnsw { "beyond that it spills" } else { "with less it fails" };
        Some(format!("building takes {build_memory} of memory, {} are there: {then}", Bytes(ceiling)))
    } else if reached.is_none() {
        Some(format!("a recall of {} is out of its reach", goal.recall))
    } else if let Method::Ivfflat { lists } = design.method
        && column.vectors() < FEWEST_ROWS_PER_LIST * f64::from(lists).max(20.0)
    {
        Some("its centers are taken from the rows that are there now, and these are too few".to_string())
    } else {
        None
    };
    Candidate {
        recall: design.recall_with(&setting, goal),
        setting: Some(setting),
        search_ms,
        size,
        build_memory,
        build_seconds,
        spills: hnsw && !fits,
        cost_ms: load.searches * search_ms + load.writes * write_ms + building,
        rank,
        obstacle,
        design: Some(design),
    }
}

/// Half precision without loss is as good as the whole where it saves enough to be worth a cast in every query.
fn prefer_whole_values(candidates: &mut [Candidate]) {
    let whole: Vec<(Method, Bytes)> = candidates
        .iter()
        .filter(|candidate| candidate.rank == 0 && candidate.obstacle.is_none())
        .filter_map(|candidate| Some((candidate.design.as_ref()?.method, candidate.size)))
        .collect();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.rank == 1) {
        let Some(design) = &candidate.design else { continue };
        let beside = whole.iter().find(|(method, _)| *method == design.method);
        if beside.is_none_or(|(_, bytes)| candidate.size.0 as f64 <= WORTH_A_CAST * bytes.0 as f64) {
            candidate.rank = 0;
        }
    }
}

impl Load {
    fn of(column: &VectorColumn, wanted: Option<(&Key, Operator)>, rows: f64) -> Load {
        let meant = column.searches.iter().filter(|search| match wanted {
            Some((key, operator)) => search.key == *key && search.operator == operator,
            None => true,
        });
        let searches: f64 = meant.map(|search| search.calls).sum();
        // Rows that were loaded once are not loaded again.
        let inserted = (column.inserts as f64 - column.rows).max(0.0);
        let writes = inserted + column.updates as f64;
        Load {
            searches: if searches > 0.0 { searches.max(FEWEST_SEARCHES) } else { ASSUMED_SEARCHES },
            known: searches > 0.0,
            writes,
            churn: writes / rows.max(1.0),
        }
    }

    fn in_words(&self) -> String {
        let of = |number: f64, what: &str| Count(number as u64).of(what);
        let searches = if self.known { "searches counted, at least" } else { "no search is known, counted with" };
        format!("{searches} {}, and {}", of(self.searches, "search"), of(self.writes, "write"))
    }
}

fn why(candidates: &[Candidate], unfit: bool, load: &Load, rows: f64) -> String {
    let best = &candidates[0];
    let exact = candidates.iter().find(|candidate| candidate.design.is_none());
    let exact_ms = exact.map_or(0.0, |exact| exact.search_ms);
    let rows = Count(rows as u64).of("vector");
    let Some(design) = &best.design else {
        let exact = format!("To compare all {rows} takes an estimated {exact_ms:.1} ms and misses nothing");
        let index = candidates.iter().find(|candidate| candidate.design.is_some());
        return match index {
            _ if best.obstacle.is_some() => {
                "The table has no vectors yet: nothing can be told of its searches.".to_string()
            }
            Some(index) if unfit => format!("{exact}. An index would pay, but none fits: {}.", index.refusal()),
            Some(index) if index.obstacle.is_some() => format!("{exact}; no index would do: {}.", index.refusal()),
            Some(index) => format!(
                "{exact}; an index would take {:.1} ms, miss some, and must be built and kept ({}).",
                index.search_ms,
                load.in_words()
            ),
            None => format!("{exact}; there is no operator class for an index."),
        };
    };
    let mut why = format!(
        "A search takes an estimated {:.1} ms with it and {exact_ms:.1} ms without ({rows}; {}).",
        best.search_ms,
        load.in_words()
    );
    let other = candidates[1..].iter().find(|other| {
        other
            .design
            .as_ref()
            .is_some_and(|other| other.method.name() != design.method.name() && other.key == design.key)
    });
    if let Some(other) = other {
        let (name, seconds) = (other.design.as_ref().map_or("", |design| design.method.name()), other.build_seconds);
        why.push_str(&match &other.obstacle {
            Some(obstacle) => format!(" Not {name}: {obstacle}."),
            None => format!(
                " Not {name}: {:.1} ms a search, {seconds:.0} s to build against {:.0} s, which in all is more.",
                other.search_ms, best.build_seconds
            ),
        });
    }
    if best.spills {
        why.push_str(&format!(
            " The graph does not fit into memory while it is built ({}), which makes that slower.",
            best.build_memory
        ));
    }
    why
}

impl Candidate {
    fn refusal(&self) -> String {
        let name = self.design.as_ref().map_or("no index".to_string(), Design::description);
        format!("{name}: {}", self.obstacle.as_deref().unwrap_or("not worth it"))
    }

    /// As evidence names an alternative.
    pub fn described(&self, chosen: Option<&Candidate>) -> Value {
        let name = self.design.as_ref().map_or("no index: exact search".to_string(), Design::description);
        let setting = match self.setting {
            Some(Setting::EfSearch(ef)) => json!({ "hnsw.ef_search": ef }),
            Some(Setting::Probes(probes)) => json!({ "ivfflat.probes": probes }),
            None => json!({}),
        };
        json!({
            "index": name,
            "key": self.design.as_ref().map(|design| key_in_words(&design.key)),
            "estimated_bytes": self.size.0,
            "build_memory_bytes": self.build_memory.0,
            "build_seconds": rounded(self.build_seconds),
            "setting": setting,
            "expected_recall": rounded(self.recall),
            "search_ms": rounded(self.search_ms),
            "basis": if self.design.is_some() { BASIS } else { "estimated from bytes and rows; recall is 1 by definition" },
            "trade_off": self.trade_off(chosen),
        })
    }

    fn trade_off(&self, chosen: Option<&Candidate>) -> String {
        if let Some(obstacle) = &self.obstacle {
            return format!("not possible: {obstacle}");
        }
        let Some(chosen) = chosen else { return String::new() };
        let times = |own: f64, other: f64| match own / other.max(1e-9) {
            ratio if !(0.95..=1.05).contains(&ratio) => format!("{ratio:.1} times"),
            _ => "the same".to_string(),
        };
        let mut parts = vec![format!("{} the time per search", times(self.search_ms, chosen.search_ms))];
        if chosen.size.0 > 0 && self.size.0 > 0 {
            parts.push(format!("{} the disk", times(self.size.0 as f64, chosen.size.0 as f64)));
            parts.push(format!("{} the build time", times(self.build_seconds, chosen.build_seconds)));
        }
        if self.design.is_none() {
            parts.push("misses nothing, nothing to keep".to_string());
        }
        if self.design.as_ref().is_some_and(Design::reranks) {
            parts.push("searches re-rank what it finds".to_string());
        }
        if self.rank > LAST_RANK {
            parts.push("searches must be changed to its key".to_string());
        }
        if self.spills {
            parts.push("spills while it is built".to_string());
        }
        parts.join(", ")
    }
}

pub fn key_in_words(key: &Key) -> String {
    match key {
        Key::Column => "the column".to_string(),
        Key::Cast { element, dimensions } => format!("cast to {}({dimensions})", element.name()),
        Key::BinaryQuantize { dimensions } => format!("binary_quantize()::bit({dimensions}), re-ranked"),
        Key::Subvector { first, dimensions } => format!("subvector from {first}, {dimensions} dimensions, re-ranked"),
        Key::Other(expression) => expression.clone(),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::super::unit_tests::goal;
    use super::*;
    use crate::facts::vector::{Extension, Goal, Sample, Server, WorkloadKnown};
    use crate::facts::{Name, QualifiedName};

    fn name(name: &str) -> Name {
        name.to_string().into()
    }

    fn column(rows: f64, dimensions: u32) -> VectorColumn {
        VectorColumn {
            table: 1,
            number: 1,
            table_name: QualifiedName { schema: name("public"), name: name("t") },
            name: name("embedding"),
            element: Element::Vector,
            domain: false,
            dimensions: Some(dimensions),
            partitioned: false,
            partition_of: None,
            rows,
            dead_rows: 0.0,
            table_bytes: (rows * 4.0 * f64::from(dimensions)) as u64,
            toast_bytes: 0,
            storage: 'e',
            not_null: true,
            inserts: rows as u64,
            updates: 0,
            deletes: 0,
            statistics_days: Some(10.0),
            sample: Some(Sample { rows: 1000, halfvec_recall: Some(0.98), ..Sample::default() }),
            indexes: Vec::new(),
            searches: Vec::new(),
        }
    }

    fn vectors(goal: Goal) -> Vectors {
        Vectors {
            extension: Some(Extension { version: [0, 8, 0], schema: name("public"), newer: None }),
            goal,
            server: Server {
                maintenance_work_mem_bytes: 64 * Bytes::MIB,
                max_parallel_maintenance_workers: 2,
                max_worker_processes: 8,
                shared_buffers_bytes: 128 * Bytes::MIB,
                effective_cache_size_bytes: 4 * Bytes::GIB,
                ef_search: 40,
                hnsw_iterative_scan: "off".to_string(),
                ivfflat_iterative_scan: "off".to_string(),
                memory_bytes: Some(16 * Bytes::GIB),
                in_recovery: false,
            },
            columns: Vec::new(),
            builds: Vec::new(),
            workload: WorkloadKnown::default(),
            cut: Vec::new(),
            left_out: Vec::new(),
        }
    }

    fn chosen(goal: Goal, column: &VectorColumn) -> String {
        let advice = choose(&vectors(goal), column, None);
        assert!(!advice.why.is_empty() && advice.alternatives().len() >= advice.candidates.len() - 1);
        match advice.chosen() {
            Some(Candidate { design: Some(design), .. }) => {
                format!("{} {}", design.description(), key_in_words(&design.key))
            }
            Some(_) => "exact".to_string(),
            None if advice.unfit => "unfit".to_string(),
            None => "nothing".to_string(),
        }
    }

    const HNSW: &str = "hnsw (m = 16, ef_construction = 64), vector_cosine_ops the column";

    #[test]
    fn many_vectors_take_hnsw_and_few_none() {
        assert_eq!(chosen(goal(0.95, 10), &column(100_000.0, 384)), HNSW);
        assert_eq!(chosen(goal(0.95, 10), &column(1000.0, 384)), "exact");
        assert_eq!(chosen(goal(0.95, 10), &column(0.0, 384)), "nothing");
        // It is the work that counts: as many rows of few dimensions are compared fast.
        assert_eq!(chosen(goal(0.95, 10), &column(2500.0, 3)), "exact");
        assert_eq!(chosen(goal(0.95, 10), &column(2500.0, 1500)), HNSW);
        assert_eq!(chosen(goal(1.0, 10), &column(100_000.0, 384)), "exact");
        assert!(chosen(goal(0.99, 10), &column(100_000.0, 384)).starts_with("hnsw"));
        assert_eq!(chosen(Goal { rows: Some(1e6), ..goal(0.95, 10) }, &column(0.0, 384)), HNSW);
    }

    #[test]
    fn half_precision_is_taken_where_it_loses_nothing_or_nothing_else_is_possible() {
        let mut lossless = column(100_000.0, 1024);
        assert_eq!(chosen(goal(0.95, 10), &lossless), HNSW);
        lossless.sample.as_mut().unwrap().halfvec_recall = Some(0.999);
        let half = "hnsw (m = 16, ef_construction = 64), halfvec_cosine_ops cast to halfvec(1024)";
        assert_eq!(chosen(goal(0.95, 10), &lossless), half);
        // Searches that are known stay as they are.
        let wanted = choose(&vectors(goal(0.95, 10)), &lossless, Some((&Key::Column, Operator::L2)));
        assert_eq!(wanted.design().unwrap().description(), "hnsw (m = 16, ef_construction = 64), vector_l2_ops");
        assert!(chosen(goal(0.95, 10), &column(100_000.0, 3072)).ends_with("cast to halfvec(3072)"));
        assert!(chosen(goal(0.95, 10), &column(100_000.0, 5000)).ends_with("bit(5000), re-ranked"));
    }

    #[test]
    fn budgets_are_kept() {
        let rows = || column(1e6, 768);
        let with = |memory: Option<u64>, disk: Option<u64>| {
            chosen(Goal { memory_bytes: memory, disk_bytes: disk, ..goal(0.95, 10) }, &rows())
        };
        assert_eq!(with(Some(5 * Bytes::GIB), None), HNSW);
        // 3.8 GB of graph do not fit: IVFFlat takes less.
        assert!(with(Some(Bytes::GIB), None).starts_with("ivfflat (lists = 1000)"), "{}", with(Some(Bytes::GIB), None));
        // 4.1 GB of index do not fit, half of it does.
        assert!(
            with(None, Some(3 * Bytes::GIB)).ends_with("cast to halfvec(768)"),
            "{}",
            with(None, Some(3 * Bytes::GIB))
        );
        assert!(with(None, Some(Bytes::GIB)).contains("bit(768)"));
        assert_eq!(with(None, Some(10 * Bytes::MIB)), "unfit");
    }

    #[test]
    fn writes_without_searches_take_ivfflat() {
        let mut written = column(200_000.0, 384);
        written.updates = 40_000_000;
        assert!(!chosen(goal(0.90, 10), &written).starts_with("hnsw"), "{}", chosen(goal(0.90, 10), &written));
    }
}
