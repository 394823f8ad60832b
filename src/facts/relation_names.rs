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
        let columns = joined_columns(columns.iter().map(|column| column.raw()));
        let schema = table.schema.raw();
        let name = free_name(table.name.raw(), &columns, "idx", |name| {
            !self.taken.contains(schema, name) && self.given.insert((Box::from(schema), Box::from(name)))
        });
        QualifiedName { schema: table.schema.clone(), name: name.into() }
    }
}

/// `name1_name2_label` in at most 63 bytes: the longer of the two names is shortened first, by whole characters. An empty
/// name2 is left out.
fn object_name(name1: &str, name2: &str, label: &str) -> String {
    let available = MAX_NAME_BYTES - label.len() - 1 - usize::from(!name2.is_empty());
    let (mut length1, mut length2) = (name1.len(), name2.len());
    while length1 + length2 > available {
        if length1 > length2 {
            length1 -= 1;
        } else {
            length2 -= 1;
        }
    }
    let clip = |name: &str, length: usize| name[..name.floor_char_boundary(length)].to_string();
    let mut name = clip(name1, length1);
    if !name2.is_empty() {
        name.push('_');
        name.push_str(&clip(name2, length2));
    }
    format!("{name}_{label}")
}

/// The first of `label`, `label1`, … whose name is free: what the server calls an index or constraint without a name.
pub fn free_name(name1: &str, name2: &str, label: &str, mut free: impl FnMut(&str) -> bool) -> String {
    let numbered = |attempt: usize| match attempt {
        0 => object_name(name1, name2, label),
        _ => object_name(name1, name2, &format!("{label}{attempt}")),
    };
    (0..).map(numbered).find(|name| free(name)).expect("numbers do not run out")
}

/// Columns as they go into such a name: a repeated one is numbered, and what is beyond the length of a name is left out.
pub fn joined_columns<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let mut used: Vec<String> = Vec::new();
    for column in columns {
        let numbered = |number: usize| match number {
            0 => column.to_string(),
            _ => {
                let digits = number.to_string();
                let most = column.len().min(MAX_NAME_BYTES - digits.len());
                format!("{}{digits}", &column[..column.floor_char_boundary(most)])
            }
        };
        let name = (0..).map(numbered).find(|name| !used.contains(name)).expect("numbers do not run out");
        used.push(name);
    }
    let mut text = used.join("_");
    text.truncate(text.floor_char_boundary(MAX_NAME_BYTES));
    text
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn short_names_are_joined() {
        assert_eq!(object_name("orders", "customer_id", "idx"), "orders_customer_id_idx");
    }

    #[test]
    fn names_are_those_of_the_server() {
        assert_eq!(object_name("orders", "", "pkey"), "orders_pkey");
        assert_eq!(joined_columns(["a", "a", "a1"]), "a_a1_a11");
        assert_eq!(free_name("t", "a", "idx", |name| name == "t_a_idx2"), "t_a_idx2");
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
