//! Ways through the model: by search path, up and down inheritance, along foreign keys.

use super::{Model, TEMPORARY};
use crate::facts::migration::{Constraint, Id, NameAsWritten, Relation};

impl Model {
    /// As the server looks a name up: temporary relations and the system's come first, unless the path places them.
    pub(super) fn in_path<T>(&self, schema: Option<&str>, mut look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        if let Some(schema) = schema {
            return look(schema);
        }
        let listed = |schema: &str| self.search_path.iter().any(|name| name == schema);
        let implicit = [TEMPORARY, "pg_catalog"].into_iter().filter(|schema| !listed(schema));
        implicit.chain(self.search_path.iter().map(String::as_str)).find_map(look)
    }

    /// Children and partitions, theirs, and so on, each once; the parent before its children.
    pub fn descendants(&self, id: Id) -> Vec<Id> {
        let mut found: Vec<Id> = Vec::new();
        let mut open = vec![id];
        while let Some(relation) = open.pop().and_then(|next| self.relation(next)) {
            for child in relation.children.iter().filter(|child| **child != id) {
                if !found.contains(child) {
                    found.push(*child);
                    open.insert(0, *child);
                }
            }
        }
        found
    }

    /// Parents, theirs, and so on.
    pub fn ancestors(&self, id: Id) -> Vec<Id> {
        let mut found: Vec<Id> = Vec::new();
        let mut open = vec![id];
        while let Some(relation) = open.pop().and_then(|next| self.relation(next)) {
            for parent in &relation.parents {
                if !found.contains(parent) {
                    found.push(*parent);
                    open.push(*parent);
                }
            }
        }
        found
    }

    /// Foreign keys that refer to the table, with the tables that have them.
    pub fn referring(&self, id: Id) -> impl Iterator<Item = (&Relation, &Constraint)> {
        self.relations().flat_map(move |relation| {
            let here = relation.constraints.iter().filter(move |constraint| constraint.references == Some(id));
            here.map(move |constraint| (relation, constraint))
        })
    }

    /// Tables OF the composite type whose relation this is.
    pub fn tables_of(&self, composite: Id) -> Vec<Id> {
        let Some(relation) = self.relation(composite) else { return Vec::new() };
        let written = NameAsWritten {
            schema: Some(relation.name.schema.raw().to_string()),
            name: relation.name.name.raw().to_string(),
        };
        let Some(known) = self.find_type(&written).map(|known| known.id) else { return Vec::new() };
        self.relations().filter(|relation| relation.of_type == Some(known)).map(|relation| relation.id).collect()
    }

    pub fn find_id(&self, name: &NameAsWritten) -> Option<Id> {
        self.find(name).map(|relation| relation.id)
    }
}

/// The schemas that a setting of search_path names, in order. Those that do not exist match nothing.
pub fn schemas(setting: &str, role: &str) -> Vec<String> {
    let mut schemas = Vec::new();
    let mut rest = setting.trim_start();
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((position, character)) = characters.next() {
                match character {
                    '"' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                        characters.next();
                        text.push('"');
                    }
                    '"' => {
                        end = position + 1;
                        break;
                    }
                    other => text.push(other),
                }
            }
            (name, rest) = (text, &quoted[end..]);
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (name, rest) = (rest[..end].trim().to_lowercase(), &rest[end..]);
        }
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        match name.as_str() {
            "" => {}
            "$user" => schemas.push(role.to_string()),
            _ => schemas.push(name),
        }
    }
    schemas
}

#[cfg(test)]
mod unit_tests {
    use super::schemas;

    #[test]
    fn a_search_path_is_a_list_of_identifiers() {
        assert_eq!(schemas("\"$user\", public", "app"), ["app", "public"]);
        assert_eq!(schemas("Public,\"My \"\"S\"\", x\" , b", "app"), ["public", "My \"S\", x", "b"]);
        assert!(schemas(" ", "app").is_empty());
    }
}
