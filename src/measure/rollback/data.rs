//! Rows that are written or removed: no SQL of the catalogs brings them back.

use super::{Walk, catalog};
use crate::facts::migration::statement::{Query, QueryKind, Truncate};

impl Walk {
    pub(super) fn truncate(&mut self, truncate: &Truncate) {
        for relation in &truncate.relations {
            let Some(altered) = self.original(relation) else { continue };
            let rows = catalog::relation(altered.oid).and_then(|relation| relation.rows);
            let others =
                if truncate.cascade { " CASCADE empties others, too: dbre.cascade_impact() lists them." } else { "" };
            self.loses(
                rows,
                format!(
                    "Only a backup brings the rows back. To keep them, run before the migration: CREATE TABLE {} AS TABLE {};{others}",
                    super::state::quoted(&altered.key.0, &format!("{}_saved", altered.key.1)),
                    altered.name
                ),
            );
        }
    }

    pub(super) fn query(&mut self, query: &Query) {
        for (kind, relation) in &query.writes {
            let Some(altered) = self.original(relation) else { continue };
            let rows = catalog::relation(altered.oid).and_then(|relation| relation.rows);
            let table = &altered.name;
            let (rows, note) = match kind {
                QueryKind::Insert => (
                    query.value_rows.map(|rows| rows as f64),
                    format!(
                        "Rows are added to {table}: delete them by what tells them from the others. Sequences do not go back."
                    ),
                ),
                _ => (
                    rows,
                    format!(
                        "Only a backup brings the rows of {table} back as they were; at stake are at most those that it has{}. To keep \
                         them, run before the migration: CREATE TABLE {} AS TABLE {table};",
                        if query.has_condition {
                            ", as far as they meet the condition"
                        } else {
                            ": there is no condition"
                        },
                        super::state::quoted(&altered.key.0, &format!("{}_saved", altered.key.1)),
                    ),
                ),
            };
            self.loses(rows, note);
        }
    }
}
