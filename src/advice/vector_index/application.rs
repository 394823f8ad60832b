//! A design in the terms of SQLAlchemy and Alembic.

use super::Design;
use super::statements::{key_text, of_pgvector};
use crate::advice::index_ddl;
use crate::facts::vector::{Extension, Key, Method, VectorColumn};
use crate::facts::{QualifiedName, Table, TableKind};
use std::fmt::Write;

impl Design {
    /// None: a materialized view has no model.
    pub fn in_sqlalchemy(
        &self,
        extension: &Extension,
        name: &QualifiedName,
        table: &Table,
        column: &VectorColumn,
    ) -> Option<String> {
        if table.kind == TableKind::MaterializedView {
            return None;
        }
        let class = of_pgvector(extension, &self.operator.class(self.element));
        let raw = column.name.raw();
        let (key, classes) = match &self.key {
            Key::Column => (format!("{raw:?}"), format!(", postgresql_ops={{{raw:?}: {class:?}}}")),
            key => {
                let key = key_text(extension, key, self.element, &column.name.to_string());
                (format!("text({:?})", format!("({key}) {class}")), String::new())
            }
        };
        let with = match self.method {
            Method::Hnsw { m, ef_construction } => format!("{{\"m\": {m}, \"ef_construction\": {ef_construction}}}"),
            Method::Ivfflat { lists } => format!("{{\"lists\": {lists}}}"),
        };
        let mut options = format!(", postgresql_using={:?}, postgresql_with={with}{classes}", self.method.name());
        if let Some(predicate) = &self.predicate {
            let _ = write!(options, ", postgresql_where=text({predicate:?})");
        }
        Some(index_ddl::in_terms_of_sqlalchemy(name, table, &key, &options))
    }
}
