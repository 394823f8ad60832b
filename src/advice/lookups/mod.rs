//! Which statements look up, one by one, what the rows of another statement refer to.

mod relations;
mod repetition;
mod shape;

pub use relations::{Relation, RelationKind, relations};
pub use repetition::{Confidence, Repetition, Repetitions, Thresholds};
pub use shape::shape;
