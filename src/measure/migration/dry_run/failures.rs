//! What an error says of the migration, and what only of its being tried here.

use super::course::Course;
use super::statement::{FOREIGN, REFUSED};
use super::tried::Status;
use crate::db::Caught;
use crate::facts::migration::text::Parsed;
use crate::measure::time_limit::{CANCELED, TimeLimit};

const LOCK_NOT_AVAILABLE: &str = "55P03";
const IN_TRANSACTION: &str = "25001";
const ENDS_TRANSACTION: &str = "2D000";
const ENUM_VALUE_NOT_COMMITTED: &str = "55P04";
const IN_USE: &str = "55006";
/// Class of the SQLSTATEs of what does not exist.
const NAME_OR_RULE: &str = "42";

impl Course<'_> {
    /// False: what follows cannot be tried.
    pub(super) fn failed(&mut self, parsed: &Parsed, caught: Caught) -> bool {
        let refused = self.observer.refused();
        let (status, message) = self.outcome(&caught, refused);
        let message = self.with_what_is_missing(message, &caught.sqlstate);
        self.record(parsed, status, Some(message));
        status == Status::NotTried
    }

    fn outcome(&self, caught: &Caught, refused: Option<String>) -> (Status, String) {
        match caught.sqlstate.as_str() {
            REFUSED if refused.is_some() => {
                let called = refused.unwrap_or_default();
                (Status::NotTried, format!("it calls {called}, which a rollback does not undo"))
            }
            REFUSED if caught.message == FOREIGN => (Status::NotTried, caught.message.clone()),
            IN_TRANSACTION if self.in_transaction => {
                (Status::Failed, "it cannot run inside a transaction block".to_string())
            }
            IN_TRANSACTION => {
                (Status::NotTried, "it cannot run inside a transaction, and a dry run is one".to_string())
            }
            ENDS_TRANSACTION if !self.in_transaction => {
                (Status::NotTried, format!("it ends transactions, which a dry run cannot: {}", caught.message))
            }
            ENUM_VALUE_NOT_COMMITTED if self.enum_value_committed => (
                Status::NotTried,
                format!(
                    "a dry run does not commit, and the value was added in an earlier transaction: {}",
                    caught.message
                ),
            ),
            LOCK_NOT_AVAILABLE => (
                Status::Failed,
                format!(
                    "{} (another session holds a lock; lock_timeout here is {:?})",
                    caught.message, self.options.lock_timeout
                ),
            ),
            IN_USE => (
                Status::Failed,
                format!("{} (if it is the query that calls the dry run, leave the table out there)", caught.message),
            ),
            CANCELED if TimeLimit::was_reached() && self.is_over() => {
                (Status::Failed, format!("not done when time_limit ({:?}) was up", self.options.time_limit))
            }
            CANCELED if TimeLimit::was_reached() => {
                (Status::Failed, "not done when the statement_timeout in force was up".to_string())
            }
            _ => (Status::Failed, with_detail(caught)),
        }
    }

    /// What was not tried may be why something is not there.
    fn with_what_is_missing(&self, message: String, sqlstate: &str) -> String {
        let missing: Vec<String> =
            self.tried.iter().filter(|tried| tried.leaves_gap).map(|tried| tried.step.to_string()).collect();
        match sqlstate.starts_with(NAME_OR_RULE) && !missing.is_empty() {
            true => format!("{message} (not tried before it: step {})", missing.join(", ")),
            false => message,
        }
    }
}

/// `message (detail)`
pub(super) fn with_detail(caught: &Caught) -> String {
    match &caught.detail {
        Some(detail) => format!("{} ({})", caught.message, detail.trim_end_matches('.')),
        None => caught.message.clone(),
    }
}
