//! Ways to search by one index, in which one number is to be found: ef_search or probes.

use super::queries::Trial;
use crate::advice::vector_index::{Design, key_text, of_pgvector, operator_text};
use crate::advice::vector_tuning::{Found, Panel, Task, mean};
use crate::db;
use crate::facts::vector::{Element, Key, Method, Operator};
use crate::measure::vector::run::{IterativeScan, MOST_EF_SEARCH, Setting, Target};
use std::fmt::Write;

#[derive(Clone, Debug)]
pub struct Way {
    /// None: pgvector has none before 0.8.
    iterative_scan: Option<IterativeScan>,
    /// Candidates of IVFFlat that are ordered again, for a key that is less than the column; HNSW has as many as ef_search.
    rerank: Option<u32>,
}

/// Without a filter, as the session scans; with one, all the ways that there are.
pub fn of(target: &Target, filtered: bool, k: usize) -> Vec<Way> {
    use IterativeScan::{Off, Relaxed, Strict};
    let scans: Vec<Option<IterativeScan>> = match filtered {
        _ if target.extension.version < [0, 8, 0] => vec![None],
        true if target.is_hnsw() => vec![Some(Relaxed), Some(Strict), Some(Off)],
        true => vec![Some(Relaxed), Some(Off)],
        // Nothing else returns so many rows.
        false if target.is_hnsw() && k > MOST_EF_SEARCH as usize => vec![Some(Relaxed)],
        false => vec![Setting::default().in_force(target, k).iterative_scan],
    };
    let reranks: &[Option<u32>] = match target.reranked && !target.is_hnsw() {
        true => &[Some(4), Some(20)],
        false => &[None],
    };
    let ways = |scan: &Option<IterativeScan>| {
        let scan = *scan;
        reranks
            .iter()
            .map(move |rerank| Way { iterative_scan: scan, rerank: rerank.map(|times| times * k as u32) })
            .collect::<Vec<_>>()
    };
    scans.iter().flat_map(ways).collect()
}

impl Way {
    fn iterates(&self) -> bool {
        !matches!(self.iterative_scan, None | Some(IterativeScan::Off))
    }

    pub fn setting(&self, target: &Target, k: usize, number: u32) -> Setting {
        let hnsw = target.is_hnsw();
        Setting {
            ef_search: hnsw.then_some(number),
            probes: (!hnsw).then_some(number),
            iterative_scan: self.iterative_scan,
            most_scanned: None,
            rerank: match hnsw && target.reranked {
                true => Some(number.max(k as u32)),
                false => self.rerank,
            },
        }
    }

    /// Settings that can reach a recall at all.
    pub fn range(&self, target: &Target, k: usize, recall: f64) -> (u32, u32) {
        let fewest = (k as f64 * recall).ceil() as u32;
        match target.method {
            Method::Hnsw { .. } if self.iterates() => (1, MOST_EF_SEARCH),
            Method::Hnsw { .. } => (fewest.clamp(1, MOST_EF_SEARCH), MOST_EF_SEARCH),
            Method::Ivfflat { lists } => (1, lists),
        }
    }

    /// As the session has it, or pgvector's rule.
    pub fn start(&self, target: &Target) -> u32 {
        match target.method {
            Method::Hnsw { .. } => Setting::default().in_force(target, 1).ef_search.unwrap_or(40),
            Method::Ivfflat { lists } => f64::from(lists).sqrt().round() as u32,
        }
    }

    /// An iterative scan that starts with little begins again more often: a larger number may read fewer pages. Those that few
    /// queries have shown so are tried with all.
    pub fn cheaper_and_larger(&self, task: &Task, found: Found, trial: &mut Trial, panel: &mut Panel) -> Found {
        const CHEAPER: f64 = 0.95;
        let Found::Reached(mut number) = found else { return found };
        if !self.iterates() {
            return found;
        }
        for larger in panel.settings().filter(|setting| *setting > number).collect::<Vec<_>>() {
            let both = (0..task.queries).filter_map(|query| Some((panel.of(query, number)?, panel.of(query, larger)?)));
            let both: Vec<_> = both.collect();
            let pages = mean(both.iter().map(|(own, _)| own.pages));
            if both.is_empty() || mean(both.iter().map(|(_, other)| other.pages)) > CHEAPER * pages {
                continue;
            }
            if (0..task.queries).any(|query| panel.run(trial, task.queries, query, larger).is_none()) {
                return Found::Reached(number);
            }
            let pages = |setting| panel.summary(task, setting).map_or(f64::INFINITY, |summary| summary.pages);
            let reaches = panel.summary(task, larger).is_some_and(|summary| summary.recall_low >= task.target);
            if reaches && pages(larger) < pages(number) {
                number = larger;
            }
        }
        Found::Reached(number)
    }
}

/// `ef_search = 56, iterative_scan = relaxed_order`
pub fn configuration(setting: &Setting) -> String {
    let numbers = [("ef_search", setting.ef_search), ("probes", setting.probes), ("re-ranked", setting.rerank)];
    let mut parts: Vec<String> =
        numbers.into_iter().filter_map(|(name, number)| Some(format!("{name} = {}", number?))).collect();
    if let Some(scan) = setting.iterative_scan.filter(|scan| *scan != IterativeScan::Off) {
        parts.push(format!("iterative_scan = {}", scan.name()));
    }
    parts.join(", ")
}

/// For the session, and as a comment for a role; what is in force already is left out.
pub fn sql(setting: &Setting, target: &Target, k: usize) -> String {
    let method = target.method.name();
    let now = Setting::default().in_force(target, k);
    let mut settings = Vec::new();
    settings.extend(setting.ef_search.map(|number| format!("hnsw.ef_search = {number}")));
    settings.extend(setting.probes.map(|number| format!("ivfflat.probes = {number}")));
    if let Some(scan) = setting.iterative_scan.filter(|scan| now.iterative_scan != Some(*scan)) {
        settings.push(format!("{method}.iterative_scan = {}", scan.name()));
    }
    let role = db::read("select current_user::text", &[], |row| row.take::<String>()).pop().unwrap_or_default();
    let mut sql = settings.iter().map(|setting| format!("SET {setting};")).collect::<Vec<_>>().join("\n");
    for setting in &settings {
        let _ = write!(sql, "\n-- or for a role: ALTER ROLE {} SET {setting};", db::quote_identifier(&role));
    }
    if let Some(candidates) = setting.rerank {
        let _ = write!(
            sql,
            "\n{}",
            reranking((&target.key, target.element, target.operator), target.answer_operator(), target, k, candidates)
        );
    }
    sql
}

/// For an index that is not there.
pub fn setting_of(design: &Design, k: usize, number: u32) -> Setting {
    let reranked = design.key != Key::Column;
    let (ef_search, probes) = match design.method {
        Method::Hnsw { .. } => (Some(number), None),
        Method::Ivfflat { .. } => (None, Some(number)),
    };
    Setting {
        ef_search,
        probes,
        rerank: ef_search.filter(|_| reranked).map(|ef| ef.max(k as u32)),
        ..Setting::default()
    }
}

/// As `sql`, for an index that is not there.
pub fn sql_of(design: &Design, setting: &Setting, target: &Target, k: usize) -> String {
    let mut sql = match (setting.ef_search, setting.probes) {
        (Some(ef_search), _) => format!("SET hnsw.ef_search = {ef_search};"),
        (_, probes) => format!("SET ivfflat.probes = {};", probes.unwrap_or(1)),
    };
    if let Some(candidates) = setting.rerank {
        let _ = write!(sql, "\n{}", reranking(design_key(design), design.ranking, target, k, candidates));
    }
    sql
}

type KeyOf<'a> = (&'a Key, Element, Operator);

fn design_key(design: &Design) -> KeyOf<'_> {
    (&design.key, design.element, design.operator)
}

/// The search by a key that is less than the column.
fn reranking((key, element, operator): KeyOf, ranking: Operator, target: &Target, k: usize, candidates: u32) -> String {
    let extension = &target.extension;
    let (own, query) = (&target.column.to_string(), "$1");
    let [own, query] = [own, query].map(|operand| key_text(extension, key, element, operand));
    let (by_key, by_column) = (operator_text(extension, operator), operator_text(extension, ranking));
    format!(
        "PREPARE nearest({}) AS SELECT * FROM (SELECT * FROM {} ORDER BY {own} {by_key} {query} LIMIT {candidates}) c \
         ORDER BY c.{} {by_column} $1 LIMIT {k};",
        query_type(target),
        target.table_name,
        target.column,
    )
}

/// A search that no vector index serves: it orders by more than the distance alone.
pub fn exact_sql(target: &Target, filter: Option<&str>, k: usize) -> String {
    let conditions =
        [filter, target.predicate.as_deref()].into_iter().flatten().map(|condition| format!("({condition})"));
    let conditions = conditions.collect::<Vec<_>>().join(" AND ");
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {conditions}") };
    let operator = operator_text(&target.extension, target.answer_operator());
    let key = match target.reranked {
        true => target.column.to_string(),
        false => target.key_sql.clone(),
    };
    format!(
        "PREPARE nearest({}) AS SELECT * FROM {}{filter} ORDER BY ({key} {operator} $1) + 0 LIMIT {k};",
        query_type(target),
        target.table_name,
    )
}

fn query_type(target: &Target) -> String {
    let bare = target.query_type_sql.split('(').next().unwrap_or_default();
    match bare.strip_prefix("public.") {
        Some(in_public) if target.extension.schema.raw() == "public" => of_pgvector(&target.extension, in_public),
        _ => bare.to_string(),
    }
}
