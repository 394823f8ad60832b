//! Expressions of an analyzed statement.

use super::Select;

#[derive(Clone, Debug)]
pub struct Expression {
    pub kind: Kind,
    /// Byte offset in the statement's text.
    pub location: Option<usize>,
    /// Of its value; 0: not known.
    pub type_oid: u32,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Column(Column),
    /// A column that was not looked up, for the statement was only parsed.
    Name,
    /// As printed; None: NULL.
    Constant(Option<String>),
    /// 1 for `$1`
    Parameter(i32),
    /// In the test of a subquery: its output column.
    Output,
    Operator(Operator),
    Function(Call),
    Aggregate(Call),
    Window(Call),
    Cast(Cast),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    IsNull {
        argument: Box<Expression>,
        negated: bool,
    },
    /// `left operator ANY (array)` and, where `all`, `left operator ALL (array)`: `NOT IN (…)`. IN lists are arrays of
    /// elements; the operator has no arguments of its own.
    AnyArray {
        operator: Operator,
        all: bool,
        left: Box<Expression>,
        array: Box<Expression>,
    },
    /// `ARRAY[…]`, the list of an IN
    Array(Vec<Expression>),
    SubLink(SubLink),
    Case(Vec<Expression>),
    Coalesce(Vec<Expression>),
    Row(Vec<Expression>),
    /// `IS [NOT] DISTINCT FROM`, whichever
    Distinct(Operator),
    /// Anything else, with its parts.
    Other(Vec<Expression>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    /// Of how many queries further out: 0, of this one.
    pub level: usize,
    /// Position in the `items` of that query.
    pub item: usize,
    /// Of a table the attribute number; of others the output column, from 1. 0: the whole row; negative: a system column.
    pub attribute: i16,
    /// Raw.
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct Operator {
    /// Without schema.
    pub name: String,
    /// It comes with the server.
    pub builtin: bool,
    /// What it says of the btree order of its sides, where it does.
    pub comparison: Option<Comparison>,
    pub volatility: Volatility,
    pub strict: bool,
    pub arguments: Vec<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
    /// The statement was only parsed.
    Unknown,
}

/// A call of a function or of an aggregate.
#[derive(Clone, Debug)]
pub struct Call {
    /// Raw; empty: not known.
    pub schema: String,
    pub name: String,
    /// It comes with the server.
    pub builtin: bool,
    pub volatility: Volatility,
    pub returns_set: bool,
    pub arguments: Vec<Expression>,
    /// FILTER of an aggregate
    pub filter: Option<Box<Expression>>,
    /// Of aggregates: of how many queries further out it is one.
    pub level: usize,
}

#[derive(Clone, Debug)]
pub struct Cast {
    pub argument: Box<Expression>,
    /// The text does not say it.
    pub implicit: bool,
    /// The value stays as it is, only the type's name or the collation changes.
    pub relabels: bool,
    pub volatility: Volatility,
}

#[derive(Clone, Debug)]
pub struct SubLink {
    pub kind: SubLinkKind,
    /// It names columns of queries around it.
    pub correlated: bool,
    pub query: Box<Select>,
    /// Of ANY and ALL: the left side against `Output`. IN is ANY of equality, NOT IN is the negation of that.
    pub test: Option<Box<Expression>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubLinkKind {
    Exists,
    Any,
    All,
    /// `(SELECT …)` as a value
    Scalar,
    Array,
    Other,
}

impl Expression {
    /// The column of this query that it is, beneath casts that the text does not say and that change no value.
    pub fn column(&self) -> Option<&Column> {
        match &self.bare().kind {
            Kind::Column(column) if column.level == 0 => Some(column),
            _ => None,
        }
    }

    /// Without casts that change no value.
    pub fn bare(&self) -> &Expression {
        match &self.kind {
            Kind::Cast(cast) if cast.relabels => cast.argument.bare(),
            _ => self,
        }
    }

    /// What must all be true for it to be true.
    pub fn conjuncts(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::And(parts) => parts.iter().flat_map(Expression::conjuncts).collect(),
            _ => vec![self],
        }
    }

    /// The sides of `left = right`, by an operator that is the equality of a btree.
    pub fn equality(&self) -> Option<(&Expression, &Expression)> {
        match &self.kind {
            Kind::Operator(operator) if operator.comparison == Some(Comparison::Equal) => operator.sides(),
            _ => None,
        }
    }

    /// The number that the constant is, casts aside.
    pub fn number(&self) -> Option<f64> {
        match &self.kind {
            Kind::Constant(Some(text)) => text.parse().ok(),
            Kind::Cast(cast) => cast.argument.number(),
            _ => None,
        }
    }

    pub fn is_null_constant(&self) -> bool {
        match &self.kind {
            Kind::Constant(text) => text.is_none(),
            Kind::Cast(cast) => cast.argument.is_null_constant(),
            _ => false,
        }
    }
}

impl Operator {
    /// Of a binary one.
    pub fn sides(&self) -> Option<(&Expression, &Expression)> {
        match self.arguments.as_slice() {
            [left, right] => Some((left, right)),
            _ => None,
        }
    }
}
