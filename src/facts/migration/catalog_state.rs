//! What the catalogs say of everything that users have made, in a form that does not depend on OIDs nor on the order of columns.

use crate::db::Picture;
use std::collections::{BTreeMap, HashSet};

const READ: [&str; 9] = [
    include_str!("../../../sql/facts/catalog_state/database.sql"),
    include_str!("../../../sql/facts/catalog_state/types.sql"),
    include_str!("../../../sql/facts/catalog_state/relations.sql"),
    include_str!("../../../sql/facts/catalog_state/columns.sql"),
    include_str!("../../../sql/facts/catalog_state/constraints.sql"),
    include_str!("../../../sql/facts/catalog_state/indexes.sql"),
    include_str!("../../../sql/facts/catalog_state/table_parts.sql"),
    include_str!("../../../sql/facts/catalog_state/routines.sql"),
    include_str!("../../../sql/facts/catalog_state/others.sql"),
];
const REMARKS: &str = include_str!("../../../sql/facts/catalog_state/remarks.sql");

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    pub kind: String,
    pub name: String,
}

/// Objects with their definitions.
pub struct CatalogState(BTreeMap<Object, String>);

/// An object that is not the same in two states. None: it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub object: Object,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl CatalogState {
    /// To be called with a search_path of the system's own, so that all names are printed with their schemas.
    pub fn read(picture: &Picture) -> CatalogState {
        let mut state = BTreeMap::new();
        for sql in READ.into_iter().chain([REMARKS]) {
            for (object, definition) in picture.read(sql, |row| {
                let object = Object { kind: row.take(), name: row.take() };
                (object, row.take_option::<String>().unwrap_or_default())
            }) {
                state.insert(object, definition);
            }
        }
        CatalogState(state)
    }

    pub fn differences(&self, later: &CatalogState) -> Vec<Difference> {
        let gone_or_changed = self.0.iter().filter_map(|(object, before)| {
            let after = later.0.get(object);
            (after != Some(before)).then(|| Difference {
                object: object.clone(),
                before: Some(before.clone()),
                after: after.cloned(),
            })
        });
        let new = later.0.iter().filter(|(object, _)| !self.0.contains_key(object));
        let new =
            new.map(|(object, after)| Difference { object: object.clone(), before: None, after: Some(after.clone()) });
        let mut differences: Vec<Difference> = gone_or_changed.chain(new).collect();
        differences.sort_by(|one, other| one.object.cmp(&other.object));
        without_columns_of_whole_relations(differences)
    }
}

/// Of a relation that is there in one of the states only, nothing more needs to be said.
fn without_columns_of_whole_relations(mut differences: Vec<Difference>) -> Vec<Difference> {
    let whole = |difference: &&Difference| difference.before.is_none() || difference.after.is_none();
    let names = differences.iter().filter(whole).map(|difference| format!("{}.", difference.object.name));
    let names: HashSet<String> = names.collect();
    differences.retain(|Difference { object, .. }| {
        let relation = object.name.rfind('.').map(|dot| &object.name[..=dot]);
        object.kind != "column" || relation.is_none_or(|relation| !names.contains(relation))
    });
    differences
}
