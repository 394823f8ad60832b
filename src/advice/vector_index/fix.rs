//! What a finding says of a design that is to be built.

use super::search::BASIS;
use super::{Candidate, memory};
use crate::facts::vector::VectorColumn;
use crate::facts::{Facts, Namer};
use crate::finding::object;
use crate::units::rounded;
use serde_json::{Map, Value};

/// The statements that build an index, and all that a finding has to say of it.
pub struct Fix {
    pub fix_sql: String,
    pub app_fix: Option<String>,
    pub rollback_sql: String,
    pub verify_sql: String,
    pub risk: String,
    /// Size, memory, time, recall, settings, query: all estimated, and said from what.
    pub evidence: Map<String, Value>,
}

impl Candidate {
    /// None: this is no index, or its table cannot be looked at now.
    pub fn fix(&self, facts: &Facts, namer: &mut Namer, column: &VectorColumn) -> Option<Fix> {
        let (design, setting) = (self.design.as_ref()?, self.setting.as_ref()?);
        let vectors = facts.vectors();
        let extension = vectors.extension.as_ref()?;
        let creation = design.creation(facts, namer, column)?;
        let table = facts.catalog().known(column.table)?;
        let memory_bytes = memory::ceiling(&vectors.server, vectors.goal.memory_bytes);
        let workers = memory::workers(column, &vectors.server, memory_bytes);
        let now = vectors.server.maintenance_work_mem_bytes;
        let query = design.search_sql(extension, column, &vectors.goal, setting);
        let settings = design.search_settings(setting);
        let evidence = object! {
            "index": design.specification(extension, column),
            "estimated_bytes": self.size,
            "estimated_build_memory_bytes": self.build_memory,
            "maintenance_work_mem_bytes": now,
            "memory_ceiling_bytes": memory_bytes,
            "build_fits_maintenance_work_mem": design.fits(now, memory::workers(column, &vectors.server, now)),
            "build_fits_memory_ceiling": design.fits(memory_bytes, workers),
            "estimated_build_seconds": rounded(self.build_seconds),
            "search_settings": settings,
            "query": query,
            "expected_recall": rounded(self.recall),
            "target_recall": vectors.goal.recall,
            "k": vectors.goal.k,
            "estimated_search_ms": rounded(self.search_ms),
            "recall_basis": BASIS,
            "build_basis": "memory and size by pgvector's own allocation; seconds from rates measured on two cores",
        };
        let model = design.in_sqlalchemy(extension, &creation.name, table, column);
        let searches = format!("Before searching: {settings} Query: {query}");
        Some(Fix {
            app_fix: Some(match model {
                Some(model) => format!("{model} {searches}"),
                None => searches,
            }),
            fix_sql: creation.fix_sql,
            rollback_sql: creation.rollback_sql,
            verify_sql: creation.verify_sql,
            risk: format!(
                "{} Answers become approximate: dbre.vector_recall() measures what they miss.",
                creation.risk
            ),
            evidence,
        })
    }
}
