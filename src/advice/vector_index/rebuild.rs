//! Building an index that exists again, with other options or as it is.

use super::{Design, memory};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::units::Bytes;

/// REINDEX under its name, with the memory that it takes.
pub struct Rebuild {
    pub fix_sql: String,
    pub rollback_sql: String,
    pub verify_sql: String,
    pub risk: String,
    /// As SQLAlchemy writes the options.
    pub app_fix: String,
}

impl Rebuild {
    /// With the options of `design`. Only of an index with a file of its own: a partitioned one takes no options.
    pub fn with(facts: &Facts, column: &VectorColumn, index: &VectorIndex, design: &Design) -> Rebuild {
        let server = &facts.vectors().server;
        let name = &index.name;
        let ceiling = memory::ceiling(server, facts.vectors().goal.memory_bytes);
        let workers = memory::workers(column, server, ceiling);
        let needed = design.maintenance_work_mem(workers);
        let raised = needed.0 > server.maintenance_work_mem_bytes && needed.0 <= ceiling;
        let before = Design { method: index.method, ..design.clone() };
        let reindex = |options: String| {
            let build = format!("REINDEX INDEX CONCURRENTLY {name};");
            let build = match raised {
                true => format!(
                    "SET maintenance_work_mem = '{}MB';\n{build}\nRESET maintenance_work_mem;",
                    needed.0 / Bytes::MIB
                ),
                false => build,
            };
            format!("ALTER INDEX {name} SET ({options});\n{build}")
        };
        Rebuild {
            fix_sql: reindex(design.options()),
            rollback_sql: reindex(before.options()),
            verify_sql: format!(
                "SELECT i.indisvalid AND c.reloptions @> {} AS built FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON \
                 i.indexrelid = c.oid WHERE c.oid = {}::pg_catalog.regclass;",
                crate::db::quote_literal(&format!("{{{}}}", design.options().replace(' ', ""))),
                crate::db::quote_literal(&name.to_string()),
            ),
            risk: format!(
                "SHARE UPDATE EXCLUSIVE on the table: reads and writes go on, and searches use the old index until the new one is \
                 valid. It takes an estimated {:.0} s, {} of memory, and {} of disk beside the old one; it waits for open \
                 transactions and cannot run in a transaction block. If it fails it leaves an invalid index {name}_ccnew to \
                 drop.",
                design.build_seconds(ceiling.max(server.maintenance_work_mem_bytes), workers),
                design.build_memory(workers),
                design.size(),
            ),
            app_fix: format!(
                "In the model: postgresql_with={}, or the next Alembic autogenerate may create it as it was.",
                match design.method {
                    Method::Hnsw { m, ef_construction } =>
                        format!("{{\"m\": {m}, \"ef_construction\": {ef_construction}}}"),
                    Method::Ivfflat { lists } => format!("{{\"lists\": {lists}}}"),
                }
            ),
        }
    }
}
