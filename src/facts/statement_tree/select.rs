//! One query: a SELECT or VALUES, with all that is in it.

use super::Expression;
use crate::facts::{Catalog, Table};

#[derive(Clone, Debug, Default)]
pub struct Select {
    pub with: Vec<With>,
    /// All that FROM names, at any depth of joins; columns refer to positions in it.
    pub items: Vec<Item>,
    /// How they are joined; those beside each other with no condition but WHERE.
    pub from: Vec<From>,
    pub condition: Option<Expression>,
    pub targets: Vec<Target>,
    pub group_by: Vec<Expression>,
    /// GROUPING SETS, ROLLUP or CUBE
    pub grouping_sets: bool,
    pub having: Option<Expression>,
    pub windows: Vec<Window>,
    pub distinct: Distinct,
    pub order_by: Vec<SortKey>,
    pub limit: Option<Expression>,
    pub with_ties: bool,
    pub offset: Option<Expression>,
    /// UNION, INTERSECT, EXCEPT; then `items` are the arms, and `from`, `condition` and `group_by` are empty.
    pub set_operation: Option<SetOperation>,
    /// FOR UPDATE and its kin
    pub locks: Vec<Lock>,
    pub has_aggregates: bool,
    /// Some target returns several rows for each.
    pub returns_sets: bool,
}

/// A WITH query.
#[derive(Clone, Debug)]
pub struct With {
    pub query: Select,
    pub recursive: bool,
    /// It inserts, updates or deletes; `query` is what reads its rows.
    pub writes: bool,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub kind: ItemKind,
    /// The alias or the name, raw.
    pub name: String,
    /// Names of its columns, raw; empty: not known.
    pub columns: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum ItemKind {
    /// A table, view, foreign table …
    Relation {
        oid: u32,
        /// Rows of tables that inherit from it come with its own.
        inherited: bool,
        sampled: bool,
    },
    /// Not looked up, for the statement was only parsed.
    Unresolved,
    Subquery(Box<Select>),
    /// Functions in FROM; `returns_set` of at least one.
    Function {
        calls: Vec<Expression>,
        returns_set: bool,
    },
    Values {
        rows: Vec<Vec<Expression>>,
    },
    /// A WITH query: of `level` queries further out, at `position` there. None: not known which.
    With {
        level: usize,
        position: Option<usize>,
    },
    /// The columns of a join; those of its sides are named instead wherever they can be.
    Join,
    Other,
}

#[derive(Clone, Debug)]
pub enum From {
    /// A position in `items`.
    Item(usize),
    Join {
        kind: JoinKind,
        left: Box<From>,
        right: Box<From>,
        condition: Option<Expression>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// CROSS JOIN too
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub expression: Expression,
    /// Raw.
    pub name: String,
    /// Written as `*` or `t.*`.
    pub star: bool,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub partition_by: Vec<Expression>,
    pub order_by: Vec<SortKey>,
}

#[derive(Clone, Debug)]
pub struct SortKey {
    pub expression: Expression,
    pub descending: bool,
}

#[derive(Clone, Debug, Default)]
pub enum Distinct {
    #[default]
    No,
    All,
    On(Vec<Expression>),
}

#[derive(Clone, Debug)]
pub struct SetOperation {
    pub kind: SetKind,
    pub all: bool,
    pub left: Box<SetPart>,
    pub right: Box<SetPart>,
}

#[derive(Clone, Debug)]
pub enum SetPart {
    /// A position in `items`.
    Arm(usize),
    Operation(SetOperation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug)]
pub struct Lock {
    pub strength: LockStrength,
    pub wait: LockWait,
    /// Names in FROM, raw; empty: all.
    pub of: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Waits,
    SkipLocked,
    NoWait,
}

impl Select {
    /// The table that an item is, if somebody looks after it: neither the system's nor temporary, nor a view.
    pub fn table<'a>(&self, catalog: &'a Catalog, item: usize) -> Option<&'a Table> {
        match self.items.get(item)?.kind {
            ItemKind::Relation { oid, .. } => catalog.known(oid).filter(|table| table.is_maintained()),
            _ => None,
        }
    }

    /// What every row that the query takes has fulfilled: WHERE and the ON of inner joins that no outer join surrounds.
    pub fn conjuncts(&self) -> Vec<&Expression> {
        let mut conjuncts: Vec<&Expression> = self.condition.iter().flat_map(Expression::conjuncts).collect();
        self.from.iter().for_each(|from| from.add_inner_conjuncts(&mut conjuncts));
        conjuncts
    }

    /// It groups all its rows into one.
    pub fn is_one_group(&self) -> bool {
        self.has_aggregates && self.group_by.is_empty() && !self.grouping_sets
    }
}

impl From {
    /// The items in it, from left to right.
    pub fn items(&self) -> Vec<usize> {
        match self {
            From::Item(item) => vec![*item],
            From::Join { left, right, .. } => [left.items(), right.items()].concat(),
        }
    }

    fn add_inner_conjuncts<'a>(&'a self, conjuncts: &mut Vec<&'a Expression>) {
        let From::Join { kind, left, right, condition } = self else { return };
        if *kind == JoinKind::Inner {
            conjuncts.extend(condition.iter().flat_map(Expression::conjuncts));
        }
        if matches!(kind, JoinKind::Inner | JoinKind::Left) {
            left.add_inner_conjuncts(conjuncts);
        }
        if matches!(kind, JoinKind::Inner | JoinKind::Right) {
            right.add_inner_conjuncts(conjuncts);
        }
    }
}
