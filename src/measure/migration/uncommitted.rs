//! Values added to an enum, which nothing may use before COMMIT.

use super::Model;
use super::session::Session;
use crate::facts::migration::statement::{AlterEnumAction, NameAsWritten, QueryKind};
use crate::facts::migration::text::{Parsed, constants};
use crate::facts::migration::{Effect, Failure, Statement};

/// An enum's value that its own transaction added; the type was there before.
#[derive(Clone, Debug)]
pub struct Added {
    of: NameAsWritten,
    /// As columns name it.
    printed: String,
    value: String,
}

impl Session {
    /// Uses of such values: PostgreSQL refuses them with 55P04.
    pub fn uncommitted_values(&mut self, parsed: &Parsed, model: &Model) -> Vec<Effect> {
        let Some(added) = self.added() else { return Vec::new() };
        if let Some(value) = new_value(&parsed.statement, model) {
            added.push(value);
            return Vec::new();
        }
        if added.is_empty() || matches!(parsed.statement, Statement::CreateFunction { .. } | Statement::Comment { .. })
        {
            return Vec::new();
        }
        let strings = constants::strings(&parsed.text);
        let used = added.iter().filter(|added| strings.contains(&added.value) && concerns(parsed, added, model));
        let fails = used.map(|added| Effect::Fails {
            why: Failure::EnumValueNotCommitted { value: added.value.clone() },
            sqlstate: "55P04",
            certain: false,
        });
        fails.collect()
    }
}

fn new_value(statement: &Statement, model: &Model) -> Option<Added> {
    let Statement::AlterEnum(alter) = statement else { return None };
    let AlterEnumAction::AddValue { value, .. } = &alter.action else { return None };
    let known = model.find_type(&alter.name)?;
    // Values of a type that is as new as they are may be used.
    (!known.created_here).then(|| Added {
        of: alter.name.clone(),
        printed: known.name.to_string(),
        value: value.clone(),
    })
}

/// The statement names the type, or a table with a column of it.
fn concerns(parsed: &Parsed, added: &Added, model: &Model) -> bool {
    let of_type = |written: &str| {
        let written = written.trim_end_matches("[]");
        written.eq_ignore_ascii_case(&added.of.name) || written.rsplit('.').next() == Some(&added.of.name)
    };
    let words = parsed.text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    if words.into_iter().any(|word| word.eq_ignore_ascii_case(&added.of.name)) {
        return true;
    }
    let named: Vec<&NameAsWritten> = match &parsed.statement {
        Statement::Query(query) => {
            let writes = query.writes.iter().filter(|(kind, _)| *kind != QueryKind::Select).map(|(_, name)| name);
            writes.chain(&query.reads).collect()
        }
        Statement::AlterTable(alter) => vec![&alter.relation],
        Statement::CreateIndex(index) => vec![&index.relation],
        _ => Vec::new(),
    };
    let relations = named.into_iter().filter_map(|name| model.find(name));
    let mut columns = relations.flat_map(|relation| &relation.columns);
    columns.any(|column| column.type_name == added.printed || of_type(&column.type_name))
}
