//! Changes of columns and of a relation's settings, back to what they were.

use super::alter_table::Altered;
use super::{Walk, catalog};
use crate::db::{quote_identifier, quote_literal};
use crate::facts::migration::statement::AlterTableAction as Action;

impl Walk {
    /// The column that the command changes.
    pub(super) fn on_column(&self, action: &Action) -> Option<String> {
        match action {
            Action::SetType { column, .. }
            | Action::SetDefault { column, .. }
            | Action::DropDefault { column }
            | Action::SetNotNull { column }
            | Action::DropNotNull { column }
            | Action::SetExpression { column, .. }
            | Action::DropExpression { column }
            | Action::AddIdentity { column }
            | Action::SetIdentity { column }
            | Action::DropIdentity { column, .. }
            | Action::SetStatistics { column }
            | Action::SetStorage { column }
            | Action::SetCompression { column }
            | Action::SetColumnOptions { column } => Some(column.clone()),
            _ => None,
        }
    }

    pub(super) fn change_column(&mut self, altered: &Altered, action: &Action, column: &str) {
        let Some(original) = self.state.original_column(altered.oid, column) else { return };
        let Some(before) = catalog::column(altered.oid, &original) else { return };
        let head = format!("ALTER TABLE {} ALTER COLUMN {}", altered.name, quote_identifier(column));
        let first = self.undos.len();
        let default = before.default.as_ref().map(|default| format!("{head} SET DEFAULT {default};"));
        match action {
            Action::SetType { .. } => {
                let using = match before.generated {
                    Some(_) => String::new(),
                    None => {
                        let bare = before.of_type.split(" COLLATE ").next().unwrap_or_default();
                        format!(" USING {}::{bare}", quote_identifier(column))
                    }
                };
                let change = format!("{head} TYPE {}{using};", before.of_type);
                let sql = match &default {
                    Some(default) => format!("{head} DROP DEFAULT;\n{change}\n{default}"),
                    None => change,
                };
                let note = "A value that does not fit the old type makes it fail; what the change cuts off or rounds does not come back.";
                self.restore(sql, Some(note.to_string()));
            }
            Action::SetDefault { .. } | Action::DropDefault { .. } => {
                match default {
                    Some(default) => self.restore(default, None),
                    None => self.undo(format!("{head} DROP DEFAULT;")),
                };
            }
            Action::SetNotNull { .. } if !before.not_null => {
                self.undo(format!("{head} DROP NOT NULL;"));
            }
            Action::DropNotNull { .. } if before.not_null => {
                let at = self.undo(format!("{head} SET NOT NULL;"));
                self.undos[at].note = Some("It fails if NULLs have come: fill them before.".to_string());
            }
            Action::SetExpression { .. } => {
                if let Some(expression) = before.generated {
                    self.restore(format!("{head} SET EXPRESSION AS ({expression});"), None);
                }
            }
            Action::DropExpression { .. } if before.generated.is_some() => {
                self.note("A column cannot be made a generated one: drop it and add it again with its expression, and what depends on it.");
            }
            Action::AddIdentity { .. } => {
                self.undo(format!("{head} DROP IDENTITY;"));
            }
            Action::SetIdentity { .. } => {
                if let (Some(identity), Some(options)) = (&before.identity, &before.sequence_options) {
                    let options: Vec<String> = set_each(options);
                    self.undo(format!("{head} SET GENERATED {identity} {};", options.join(" ")));
                }
            }
            Action::DropIdentity { .. } => {
                if let (Some(identity), Some(options), Some(sequence)) =
                    (before.identity, before.sequence_options, before.sequence)
                {
                    let mut sql =
                        format!("{head} ADD GENERATED {identity} AS IDENTITY (SEQUENCE NAME {sequence} {options});");
                    if let Some(last) = before.last_value {
                        sql += &format!("\nSELECT pg_catalog.setval({}, {last}, true);", quote_literal(&sequence));
                    }
                    let note = "Its sequence goes on from where it is now, before the migration.";
                    self.restore(sql, Some(note.to_string()));
                }
            }
            Action::SetStatistics { .. } => {
                self.undo(format!("{head} SET STATISTICS {};", before.statistics));
            }
            Action::SetStorage { .. } => {
                self.undo(format!("{head} SET STORAGE {};", before.storage));
            }
            Action::SetCompression { .. } => {
                self.undo(format!("{head} SET COMPRESSION {};", before.compression));
            }
            Action::SetColumnOptions { .. } => {
                let mut sql = format!("{head} RESET (n_distinct, n_distinct_inherited);");
                if !before.options.is_empty() {
                    sql += &format!("\n{head} SET ({});", before.options.join(", "));
                }
                self.undo(sql);
            }
            _ => {}
        }
        for undo in &mut self.undos[first..] {
            undo.columns = vec![original.clone()];
        }
    }

    pub(super) fn change_settings(&mut self, altered: &Altered, action: &Action) {
        let Some(before) = catalog::relation(altered.oid) else { return };
        let head = format!("ALTER TABLE {}", altered.name);
        let sql = match action {
            Action::SetOptions { options } => {
                let old = |name: &String| before.options.iter().find(|option| option.split('=').next() == Some(name));
                let set: Vec<&str> = options.iter().filter_map(old).map(String::as_str).collect();
                let reset: Vec<&str> = options.iter().filter(|name| old(name).is_none()).map(String::as_str).collect();
                let mut sql = Vec::new();
                if !reset.is_empty() {
                    sql.push(format!("{head} RESET ({});", reset.join(", ")));
                }
                if !set.is_empty() {
                    sql.push(format!("{head} SET ({});", set.join(", ")));
                }
                sql.join("\n")
            }
            Action::SetLogged if before.persistence == "u" => format!("{head} SET UNLOGGED;"),
            Action::SetUnlogged if before.persistence == "p" => format!("{head} SET LOGGED;"),
            Action::SetTablespace { .. } => format!("{head} SET TABLESPACE {};", quote_identifier(&before.tablespace)),
            Action::SetAccessMethod { .. } => match &before.method {
                Some(method) => format!("{head} SET ACCESS METHOD {};", quote_identifier(method)),
                None => return,
            },
            Action::ClusterOn { .. } | Action::SetWithoutCluster => match &before.clustered_on {
                Some(index) => {
                    self.restore(format!("{head} CLUSTER ON {};", quote_identifier(index)), None);
                    return;
                }
                None => format!("{head} SET WITHOUT CLUSTER;"),
            },
            Action::ReplicaIdentity => match &before.replica_identity {
                Some(identity) => {
                    self.restore(format!("{head} REPLICA IDENTITY {identity};"), None);
                    return;
                }
                None => return,
            },
            Action::RowSecurity { .. } => {
                format!("{head} {} ROW LEVEL SECURITY;", if before.row_security { "ENABLE" } else { "DISABLE" })
            }
            Action::ForceRowSecurity { .. } => {
                format!("{head} {} ROW LEVEL SECURITY;", if before.force_row_security { "FORCE" } else { "NO FORCE" })
            }
            Action::Owner { .. } => format!("{head} OWNER TO {};", quote_identifier(&before.owner)),
            _ => return,
        };
        self.undo(sql);
    }
}

/// `INCREMENT BY 1 MINVALUE 1 …` with SET before each.
fn set_each(options: &str) -> Vec<String> {
    let mut set = Vec::new();
    let mut words = options.split(' ').peekable();
    while let Some(word) = words.next() {
        let option = match word {
            "INCREMENT" | "START" | "NO" => [Some(word), words.next(), (word != "NO").then(|| words.next()).flatten()],
            "CYCLE" => [Some(word), None, None],
            _ => [Some(word), words.next(), None],
        };
        set.push(format!("SET {}", option.into_iter().flatten().collect::<Vec<_>>().join(" ")));
    }
    set
}

#[cfg(test)]
mod unit_tests {
    #[test]
    fn each_option_is_set() {
        let set = super::set_each("INCREMENT BY 1 MINVALUE 1 START WITH 5 CACHE 1 NO CYCLE");
        assert_eq!(set, ["SET INCREMENT BY 1", "SET MINVALUE 1", "SET START WITH 5", "SET CACHE 1", "SET NO CYCLE"]);
    }
}
