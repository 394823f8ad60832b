//! What a statement on one table reaches through foreign keys.

use super::{QualifiedName, ReferentialAction};

pub struct Cascade {
    pub top: QualifiedName,
    pub action: Action,
    /// Each below the one that leads to it.
    pub edges: Vec<Edge>,
}

/// What is done to the table at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Delete,
    Truncate,
    /// Of its keys.
    Update,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Delete => "DELETE",
            Action::Truncate => "TRUNCATE CASCADE",
            Action::Update => "UPDATE",
        }
    }
}

/// What becomes of the rows of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deleted,
    /// The key's columns follow, or are set to NULL or their defaults.
    Updated,
    Truncated,
    /// While there are any, the statement fails.
    Forbids,
    /// Another session has locked the child: what lies below is not known.
    Unknown,
}

impl Fate {
    pub fn writes(self) -> bool {
        matches!(self, Fate::Deleted | Fate::Updated | Fate::Truncated)
    }
}

#[derive(Clone, Debug)]
pub struct Edge {
    /// 1: it references the table at the top.
    pub depth: usize,
    /// Tables from the top to the child, quoted.
    pub path: Vec<String>,
    pub parent: String,
    pub child: String,
    /// Raw.
    pub constraint: String,
    /// Of the child, quoted.
    pub columns: Vec<String>,
    /// Those that a SET NULL writes and that are NOT NULL, quoted.
    pub columns_not_null: Vec<String>,
    /// As the key says for a delete or an update.
    pub on: ReferentialAction,
    pub fate: Fate,
    pub child_rows: Option<f64>,
    pub child_bytes: u64,
    /// On average, of all rows of the parent.
    pub rows_per_parent: Option<f64>,
    /// Of the parent row with the most children.
    pub most_rows_per_parent: Option<f64>,
    /// For one row of the table at the top; of a TRUNCATE, all.
    pub expected_rows: Option<f64>,
    /// What these figures rest on.
    pub basis: String,
    /// What finds the children of a row.
    pub index: Option<String>,
    /// Those of the child that what happens to it fires.
    pub triggers: Vec<String>,
    /// The child lies on the way from the top.
    pub cycle: bool,
    /// The same happens to the child's rows as before on that way: it goes on until none is left.
    pub goes_round: bool,
    pub notes: Vec<String>,
}

impl Edge {
    /// Distinct for each edge of a cascade.
    pub fn object(&self) -> String {
        let fate = match self.fate {
            Fate::Deleted => "deleted",
            Fate::Updated => "updated",
            Fate::Truncated => "truncated",
            Fate::Forbids => "looked up",
            Fate::Unknown => "unknown",
        };
        format!("{} ({}, {fate})", self.path.join(" → "), crate::db::quote_identifier(&self.constraint))
    }
}
