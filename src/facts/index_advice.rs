//! What the search for indexes has found: a fact like any other, that the rules on advice judge.

use super::query::QueryShape;
use crate::advice::index_selection::{QueryCost, Selection, Stage};
use crate::db::Caught;
use crate::units::rounded;
use serde_json::{Value, json};
use std::time::Duration;

pub struct IndexAdvice {
    pub selection: Selection,
    /// Those that were planned, in the order of the selection's.
    pub queries: Vec<AdvisedQuery>,
    pub not_planned: Vec<NotPlanned>,
    /// Statements that are not one query, or read no table that could get an index.
    pub left_out: u64,
    pub source: Source,
    /// The cost of queries is in milliseconds, as measured, scaled by the planner's cost; otherwise in planner units.
    pub in_ms: bool,
    pub elapsed: Duration,
}

pub struct AdvisedQuery {
    /// Of pg_stat_statements.
    pub query_id: Option<i64>,
    pub text: String,
    pub calls: f64,
    pub mean_ms: Option<f64>,
    pub shape: QueryShape,
    pub weight: f64,
    /// OIDs of the indexes in its plan as things are.
    pub indexes: Vec<u32>,
}

pub struct NotPlanned {
    pub query_id: Option<i64>,
    pub text: String,
    pub calls: f64,
    pub why: Caught,
}

/// Where the workload comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One query, or a list of them: what else runs is not known.
    Texts,
    Table,
    Statements,
}

/// Of a longer text the beginning is shown.
const TEXT_SHOWN: usize = 500;

impl IndexAdvice {
    /// Of a search that there was no reason for.
    pub fn none() -> IndexAdvice {
        IndexAdvice {
            selection: Selection::nothing(),
            queries: Vec::new(),
            not_planned: Vec::new(),
            left_out: 0,
            source: Source::Texts,
            in_ms: false,
            elapsed: Duration::ZERO,
        }
    }

    /// What was looked at and what came out, for the evidence of every finding.
    pub fn summary(&self) -> Value {
        let selection = &self.selection;
        json!({
            "source": match self.source {
                Source::Texts => "queries given",
                Source::Table => "table or query given",
                Source::Statements => "pg_stat_statements",
            },
            "cost_unit": if self.in_ms { "ms, measured, scaled by planned cost" } else { "planner cost times calls" },
            "cost_before": rounded(selection.cost_before),
            "cost_after": rounded(selection.cost_after),
            "write_cost": rounded(selection.write_cost),
            "index_bytes": selection.bytes,
            "queries": self.queries.len(),
            "queries_not_planned": self.not_planned.len(),
            "statements_left_out": self.left_out,
            "plans": selection.statistics.plans,
            "plans_saved": selection.statistics.cache_hits,
            "candidates": selection.statistics.candidates,
            "elapsed_ms": self.elapsed.as_millis() as u64,
            "complete": selection.complete,
            "reached": self.stage(),
        })
    }

    /// What the search was at when it ended.
    pub fn stage(&self) -> &'static str {
        match self.selection.reached {
            Stage::Proposing => "making candidates of what the queries ask for",
            Stage::Probing => "learning which candidates the planner takes",
            Stage::Choosing => "choosing among them",
            Stage::Improving => "improving the choice",
            Stage::Dropping => "looking for indexes without use",
            Stage::Done => "done",
        }
    }

    /// One query of the workload, by its place, with what it costs before and after all steps.
    pub fn query(&self, place: usize) -> Value {
        let query = &self.queries[place];
        let cost = self.selection.queries[place].as_ref();
        json!({
            "query_id": query.query_id,
            "query": shortened(&query.text),
            "calls": query.calls,
            "mean_ms": query.mean_ms.map(rounded),
            "cost_before": cost.map(|cost| rounded(cost.before)),
            "cost_after": cost.map(|cost| rounded(cost.after)),
        })
    }

    /// By how much all steps cut the weighted cost of a query; negative where they raise it.
    pub fn gain(&self, place: usize) -> f64 {
        let cost = self.selection.queries[place].as_ref();
        cost.map_or(0.0, |cost| (cost.before - cost.after) * self.queries[place].weight)
    }

    /// The query's share of the cost of the workload as it is, 0 to 1.
    pub fn share(&self, place: usize) -> f64 {
        let cost = self.selection.queries[place].as_ref().map_or(0.0, |cost| cost.before * self.queries[place].weight);
        if self.selection.cost_before > 0.0 { cost / self.selection.cost_before } else { 0.0 }
    }

    /// Places of the queries that are planned to be dearer afterwards.
    pub fn harmed(&self) -> impl Iterator<Item = usize> {
        let costs = self.selection.queries.iter().enumerate();
        costs.filter(|(_, cost)| cost.as_ref().is_some_and(QueryCost::is_harmed)).map(|(place, _)| place)
    }
}

pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_SHOWN) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_string(),
    }
}
