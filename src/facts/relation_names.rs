//! The names that are taken, and new ones in Postgres' own style that are not.

use super::{Name, QualifiedName};
use crate::db;
use fnv::{FnvHashMap, FnvHashSet};

/// `NAMEDATALEN` less its terminating zero.
const MAX_NAME_BYTES: usize = 63;

/// By schema.
pub struct RelationNames(FnvHashMap<Box<str>, FnvHashSet<Box<str>>>);

impl RelationNames {
    pub fn read() -> RelationNames {
        let mut names = FnvHashMap::<Box<str>, FnvHashSet<Box<str>>>::default();
        db::read(include_str!("../../sql/facts/relation_names.sql"), &[], |row| {
            let schema: String = row.take();
            let name = row.take::<String>().into_boxed_str();
            match names.get_mut(schema.as_str()) {
                Some(names) => names.insert(name),
                None => names.entry(schema.into()).or_default().insert(name),
            };
        });
        RelationNames(names)
    }

    fn contains(&self, schema: &str, name: &str) -> bool {
        self.0.get(schema).is_some_and(|names| names.contains(name))
    }

    /// Gives out names of new indexes that collide neither with what exists nor with each other.
    pub fn namer(&self) -> Namer<'_> {
        Namer { taken: self, given: FnvHashSet::default() }
    }
}

pub struct Namer<'a> {
    taken: &'a RelationNames,
    given: FnvHashSet<(Box<str>, Box<str>)>,
}

impl Namer<'_> {
    /// `table_column1_column2_idx`, as CREATE INDEX without a name would choose.
    pub fn index(&mut self, table: &QualifiedName, columns: &[&Name]) -> QualifiedName {
        let columns = columns.iter().map(|column| column.raw()).collect::<Vec<_>>().join("_");
        let schema = table.schema.raw();
        let name = (0..)
            .map(|attempt| {
                let label = if attempt == 0 { "idx".to_string() } else { format!("idx{attempt}") };
                object_name(table.name.raw(), &columns, &label)
            })
            .find(|name| {
                !self.taken.contains(schema, name) && self.given.insert((Box::from(schema), Box::from(name.as_str())))
            })
            .expect("numbers do not run out");
        QualifiedName { schema: table.schema.clone(), name: name.into() }
    }
}

/// `name1_name2_label` in at most 63 bytes: the longer of the two names is shortened first, by whole characters.
fn object_name(name1: &str, name2: &str, label: &str) -> String {
    let available = MAX_NAME_BYTES - label.len() - 2;
    let (mut length1, mut length2) = (name1.len(), name2.len());
    while length1 + length2 > available {
        if length1 > length2 {
            length1 -= 1;
        } else {
            length2 -= 1;
        }
    }
    let clip = |name: &str, length: usize| name[..name.floor_char_boundary(length)].to_string();
    format!("{}_{}_{label}", clip(name1, length1), clip(name2, length2))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn short_names_are_joined() {
        assert_eq!(object_name("orders", "customer_id", "idx"), "orders_customer_id_idx");
    }

    #[test]
    fn long_names_are_cut_to_63_bytes_at_characters() {
        let long = object_name(&"a".repeat(63), &"b".repeat(63), "idx12");
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("_idx12"));
        let umlauts = object_name(&"ä".repeat(31), &"ö".repeat(31), "idx");
        assert!(umlauts.len() <= 63 && umlauts.ends_with("_idx"));
    }
}
