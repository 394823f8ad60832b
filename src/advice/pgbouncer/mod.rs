//! What rules on PgBouncer's pools conclude.

mod breaks;
mod waiting;

pub use breaks::{Breaks, ConnectQueries};
pub use waiting::{Held, Root, app_fix, cause, identifier};
