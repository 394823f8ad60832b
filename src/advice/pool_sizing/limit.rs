//! One limit in time of the role: what is advised, unless what is in force is left as it is.

use super::Input;
use super::rows::{Basis, Part, Row, Statements, number, span};
use crate::facts::activity::timeouts::{Level, Timeout};

pub const RISK: &str = "New sessions get it; those that are open keep what they have until they reconnect. statement_timeout and \
                    lock_timeout fail the statement, the others end the session. That holds for migrations of this role, too (CREATE INDEX \
                    CONCURRENTLY, VACUUM): let them connect past the pooler and begin with SET statement_timeout = 0 and SET \
                    transaction_timeout = 0, or use a role of their own, as long jobs do. No lock on tables; needs the right to alter the \
                    role, and is run on the primary: a standby refuses it.";

const OF_SUPERUSER: &str =
    ". Not for a superuser, whose sessions also do maintenance: name the role of the application (target_role)";

#[derive(Clone, Debug)]
pub struct Limit {
    pub name: &'static str,
    /// None: there is nothing to set.
    advised: Option<f64>,
    basis: Basis,
    why: String,
    /// What new sessions have; None: not known.
    now: Option<Timeout>,
}

impl Limit {
    pub fn of(input: &Input, name: &'static str, advised: Option<f64>, basis: Basis, why: String) -> Limit {
        let now = input.activity.timeouts.of(input.role.oid, input.role.database_oid, name);
        Limit { name, advised, basis, why, now }
    }

    /// In force once the advice is followed. None: no limit.
    pub fn seconds(&self) -> Option<f64> {
        self.sets().or(self.seconds_now())
    }

    /// What is advised and not in force.
    pub fn sets(&self) -> Option<f64> {
        self.advised.filter(|_| !self.is_shorter_now() && self.decided().is_none())
    }

    /// In force whatever is advised.
    pub fn stays(&self) -> Option<f64> {
        self.seconds_now().filter(|_| self.sets().is_none())
    }

    fn seconds_now(&self) -> Option<f64> {
        let now = self.now.as_ref().filter(|now| now.milliseconds > 0)?;
        Some(now.milliseconds as f64 / 1000.0)
    }

    /// It was set on purpose.
    fn is_shorter_now(&self) -> bool {
        self.seconds_now().zip(self.advised).is_some_and(|(now, advised)| now <= advised)
    }

    /// For whom it was set on purpose: for the role or the database itself, and nothing that was measured speaks against it.
    fn decided(&self) -> Option<&'static str> {
        let now = self.now.as_ref()?;
        let nothing_measured = self.basis == Basis::Default;
        match now.level {
            Level::Role | Level::RoleInDatabase if nothing_measured || now.milliseconds == 0 => Some("role"),
            Level::Database if nothing_measured => Some("database"),
            _ => None,
        }
    }

    /// `other`: the limit that has to be longer.
    pub fn row(&self, input: &Input, other: Option<&Limit>) -> Row {
        let has = match (&self.now, self.seconds_now()) {
            (None, _) => "what its new sessions have now could not be read".to_string(),
            (_, None) => "its new sessions have none now".to_string(),
            (_, Some(seconds)) => format!("its new sessions have {} now", span(seconds)),
        };
        let decided = self.decided().map(|whose| format!("; it is set for the {whose} itself: a decision"));
        let decided = decided.unwrap_or_default();
        let beside = match other.and_then(|other| Some((other.name, other.seconds()?))) {
            Some((name, seconds)) if self.seconds().is_some_and(|own| own >= seconds) => {
                format!(". It does nothing beside {name} ({})", span(seconds))
            }
            _ => String::new(),
        };
        let told = match (self.advised, self.sets()) {
            (_, Some(_)) => format!("{}; {has}", self.why),
            (None, None) => format!("{}; {has}{beside}", self.why),
            (Some(advised), None) => {
                format!(
                    "{has}, which is left as it is{decided}{beside}. By the rule it would be {}: {}",
                    span(advised),
                    self.why
                )
            }
        };
        let is_superuser = input.role.is_superuser;
        Row {
            part: Part::Timeouts,
            name: self.name,
            value: Some(self.seconds().unwrap_or_default()),
            unit: Some("seconds"),
            basis: if self.sets().is_some() { self.basis } else { Basis::Measured },
            rests_on: format!("{told}{}", if is_superuser { OF_SUPERUSER } else { "" }),
            statements: self.sets().filter(|_| !is_superuser).map(|seconds| self.statements(input, seconds)),
            text: None,
        }
    }

    fn statements(&self, input: &Input, seconds: f64) -> Statements {
        let name = self.name;
        let whose = format!("alter role {} in database {}", input.role_identifier, input.database_identifier);
        let rollback = match input.role.setting_here(name) {
            Some(value) => format!("{whose} set {name} = '{}';", value.replace('\'', "''")),
            None => format!("{whose} reset {name};"),
        };
        Statements { fix: format!("{whose} set {name} = '{}s';", number(seconds)), rollback, risk: RISK }
    }
}
