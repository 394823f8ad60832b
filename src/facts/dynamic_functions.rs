//! Functions that execute text.

use super::QualifiedName;
use crate::db;

/// One in PL/pgSQL.
#[derive(Debug)]
pub struct DynamicFunction {
    pub name: QualifiedName,
    /// As ALTER FUNCTION takes them.
    pub arguments: String,
    pub security_definer: bool,
    /// PUBLIC may call it.
    pub public: bool,
    /// Through which a caller can hand over text: names, or `$1` and so on.
    pub text_parameters: Vec<String>,
    pub source: String,
}

pub fn read(schemas: Option<&[String]>) -> Vec<DynamicFunction> {
    let schemas = schemas.map(<[String]>::to_vec);
    db::read(include_str!("../../sql/facts/dynamic_functions.sql"), &[schemas.into()], |row| DynamicFunction {
        name: QualifiedName { schema: row.take::<String>().into(), name: row.take::<String>().into() },
        arguments: row.take(),
        security_definer: row.take(),
        public: row.take(),
        text_parameters: row.take(),
        source: row.take(),
    })
}
