//! What a query asks of indexes, as plain data; `measure::query` takes it from the analyzed tree.

use super::vector::Distance;

/// One query, or the reading part of a statement that writes.
#[derive(Clone, Debug, Default)]
pub struct QueryShape {
    /// One for each reference to a table, at any depth; an arm of an OR is a reference of its own.
    pub references: Vec<Reference>,
    /// `$1` and what it is compared with.
    pub parameters: Vec<Parameter>,
    /// Distances of pgvector that it computes.
    pub distances: Vec<Distance>,
    pub write: Option<Write>,
}

/// A table as one FROM item uses it.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// OID of a plain or partitioned table or a materialized view, never of the system's.
    pub table: u32,
    /// Conditions that must all hold and that some index could serve.
    pub conditions: Vec<Condition>,
    /// Orders that this table alone can deliver: ORDER BY, GROUP BY, DISTINCT, min() and max(), window functions.
    pub orders: Vec<Order>,
    /// Attribute numbers of all columns that the query reads, in order; an index that holds them may be scanned alone.
    pub columns: Vec<i16>,
    /// It reads whole rows or system columns: no index-only scan.
    pub whole_rows: bool,
    /// Printed conditions on this table alone that hold no parameter and only immutable functions: a partial index could
    /// have them as its predicate.
    pub predicates: Vec<String>,
}

/// One side of a condition, as an index would hold it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Column(i16),
    /// Printed, without the table's name; immutable.
    Expression(String),
}

#[derive(Clone, Debug)]
pub struct Condition {
    pub part: Part,
    pub kind: ConditionKind,
    /// Operator classes that serve it, the type's default of each access method first.
    pub ways: Vec<Way>,
    /// As printed, for evidence.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionKind {
    /// `part = value`, `part IS NULL`, a boolean column
    Equality,
    /// `part = ANY (values)`
    Membership,
    /// `part = column of another reference`, whose table is named
    Join { table: u32 },
    /// `<`, `<=`, `>`, `>=`, BETWEEN
    Range,
    /// `LIKE 'abc%'`: a range for a btree in C collation or of a pattern operator class
    Prefix,
    /// Any other operator that an operator class knows: `@>`, `&&`, `@@`, `~~`, `<@` …
    Other,
}

/// An operator class with which an index on the part serves the condition or order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    pub method: String,
    /// As CREATE INDEX takes it, qualified and quoted where needed; None: the type's default for the method.
    pub class: Option<String>,
    /// As CREATE INDEX takes it; None: the part's own.
    pub collation: Option<String>,
}

/// Keys in the order wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub keys: Vec<OrderKey>,
    /// For GROUP BY and DISTINCT any order of the keys and any direction will do.
    pub any_order: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderKey {
    pub part: Part,
    pub descending: bool,
    pub nulls_first: bool,
    /// Operator classes that deliver it; a distance operator's are those of GiST, HNSW, IVFFlat.
    pub ways: Vec<Way>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// 1 for `$1`
    pub number: i32,
    pub type_oid: u32,
    /// Table and column it is compared with, where it is one.
    pub column: Option<(u32, i16)>,
    pub role: ParameterRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRole {
    /// equal to the column, or one of an array of such values
    Equal,
    /// the column is greater (or equal)
    LowerBound,
    /// the column is less (or equal)
    UpperBound,
    /// LIMIT
    Limit,
    /// OFFSET
    Offset,
    Other,
}

/// What a statement changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub table: u32,
    pub kind: WriteKind,
    /// Columns that UPDATE (also of MERGE and ON CONFLICT) sets.
    pub columns: Vec<i16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    Insert,
    Update,
    Delete,
    Merge,
}
