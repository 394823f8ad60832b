//! SQL of a design: CREATE INDEX with the settings it is built with, and the searches that it serves.

use super::{Design, Setting, memory};
use crate::advice::index_ddl::{Creation, NewIndex};
use crate::facts::vector::{Element, Extension, Goal, Key, Method, Operator, VectorColumn};
use crate::facts::{Facts, Name, Namer};
use crate::units::Bytes;
use std::fmt::Write;

/// A name of pgvector's as statements need it: qualified unless it is in public.
pub fn of_pgvector(extension: &Extension, name: &str) -> String {
    match extension.schema.raw() {
        "public" => name.to_string(),
        _ => format!("{}.{name}", extension.schema),
    }
}

/// `<=>`, or `OPERATOR(ext.<=>)` where pgvector is not in public.
pub fn operator_text(extension: &Extension, operator: Operator) -> String {
    match extension.schema.raw() {
        "public" => operator.sql().to_string(),
        _ => format!("OPERATOR({}.{})", extension.schema, operator.sql()),
    }
}

/// `embedding`, `embedding::halfvec(1536)`: as a search compares it, of the column or of a parameter.
pub fn key_text(extension: &Extension, key: &Key, element: Element, operand: &str) -> String {
    let type_ = |element: Element, dimensions: u32| match element {
        // Not pgvector's.
        Element::Bit => format!("bit({dimensions})"),
        _ => format!("{}({dimensions})", of_pgvector(extension, element.name())),
    };
    match key {
        Key::Column => operand.to_string(),
        Key::Cast { element, dimensions } => format!("{operand}::{}", type_(*element, *dimensions)),
        Key::BinaryQuantize { dimensions } => {
            format!("{}({operand})::{}", of_pgvector(extension, "binary_quantize"), type_(Element::Bit, *dimensions))
        }
        Key::Subvector { first, dimensions } => format!(
            "{}({operand}, {first}, {dimensions})::{}",
            of_pgvector(extension, "subvector"),
            type_(element, *dimensions)
        ),
        Key::Other(expression) => expression.clone(),
    }
}

impl Design {
    /// The key as CREATE INDEX takes it, with its operator class.
    pub fn key_and_class(&self, extension: &Extension, column: &VectorColumn) -> String {
        let key = key_text(extension, &self.key, self.element, &column.name.to_string());
        let key = if self.key == Key::Column { key } else { format!("({key})") };
        format!("{key} {}", of_pgvector(extension, &self.operator.class(self.element)))
    }

    /// From USING on.
    pub fn specification(&self, extension: &Extension, column: &VectorColumn) -> String {
        let predicate = self.predicate.as_ref().map_or(String::new(), |predicate| format!(" WHERE {predicate}"));
        format!(
            "USING {} ({}) WITH ({}){predicate}",
            self.method.name(),
            self.key_and_class(extension, column),
            self.options()
        )
    }

    /// How to create it online, with memory for the build; None: the table is not in the catalog that was read, for it is locked.
    pub fn creation(&self, facts: &Facts, namer: &mut Namer, column: &VectorColumn) -> Option<Creation> {
        let vectors = facts.vectors();
        let extension = vectors.extension.as_ref()?;
        let table = facts.catalog().known(column.table)?;
        let expression = Name::from("expr".to_string());
        let name = if self.key == Key::Column { &column.name } else { &expression };
        let new = NewIndex { unique: false, specification: self.specification(extension, column), columns: vec![name] };
        let mut creation = new.creation(facts.catalog(), namer, table, |_, _| false);
        let memory = memory::ceiling(&vectors.server, vectors.goal.memory_bytes);
        let workers = memory::workers(column, &vectors.server, memory);
        let needed = self.maintenance_work_mem(workers);
        let now = vectors.server.maintenance_work_mem_bytes;
        if needed.0 > now && needed.0 <= memory.max(now) {
            let megabytes = needed.0 / Bytes::MIB;
            creation.fix_sql = format!(
                "SET maintenance_work_mem = '{megabytes}MB';\n{}\nRESET maintenance_work_mem;",
                creation.fix_sql
            );
            let _ = write!(
                creation.risk,
                " The build takes up to {} of memory{}.",
                self.build_memory(workers),
                match (self.method, workers) {
                    (Method::Hnsw { .. }, 1..) =>
                        ", which its processes share in /dev/shm: a container may have only 64 MB there (or set \
                         max_parallel_maintenance_workers = 0)",
                    _ => "",
                }
            );
        }
        Some(creation)
    }

    /// For the session, role or database that searches.
    pub fn search_settings(&self, setting: &Setting) -> String {
        match setting {
            Setting::EfSearch(ef) => format!("SET hnsw.ef_search = {ef};"),
            Setting::Probes(probes) => format!("SET ivfflat.probes = {probes};"),
        }
    }

    /// A search that the index serves, `$1` in it the query vector.
    pub fn search_sql(&self, extension: &Extension, column: &VectorColumn, goal: &Goal, setting: &Setting) -> String {
        let (table, k) = (&column.table_name, goal.k);
        let filter = self.predicate.as_ref().map_or(String::new(), |predicate| format!(" WHERE {predicate}"));
        let operator = operator_text(extension, self.operator);
        let own = |operand: &str| key_text(extension, &self.key, self.element, operand);
        let parameter = match self.key {
            Key::Column => "$1".to_string(),
            _ => format!("$1::{}", of_pgvector(extension, column.element.name())),
        };
        let compared = match &self.key {
            Key::Column => parameter.clone(),
            Key::Cast { .. } => own("$1"),
            _ => own(&parameter),
        };
        let order = format!("ORDER BY {} {operator} {compared}", own(&column.name.to_string()));
        if !self.reranks() {
            return format!("SELECT * FROM {table}{filter} {order} LIMIT {k};");
        }
        let candidates = match setting {
            Setting::EfSearch(ef) => (*ef).max(k),
            Setting::Probes(_) => 20 * k,
        };
        format!(
            "SELECT * FROM (SELECT * FROM {table}{filter} {order} LIMIT {candidates}) candidates ORDER BY candidates.{} {} \
             {parameter} LIMIT {k};",
            column.name,
            operator_text(extension, self.ranking),
        )
    }
}
