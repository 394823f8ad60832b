//! How to end those who block others, one or several at once; and what it would throw away.

use super::blocked_trees::is_vacuum;
use super::blocking::Blocking;
use super::end_loss::Work;
use super::end_session::Ending;
use crate::facts::activity::locks::{Kind, Mode, Party};

/// So many are told of one by one.
const NAMED: usize = 3;

pub struct Script {
    pub sql: String,
    pub risk: String,
}

impl Blocking<'_> {
    /// Err: why one of them cannot be ended.
    pub fn end_all(&self, parties: &[&Party]) -> Result<Script, String> {
        let endings: Vec<Ending> = parties.iter().map(|party| self.ending(party)).collect::<Result<_, String>>()?;
        let risk = match endings.as_slice() {
            [one] => one.risk.clone(),
            _ => {
                let of_party =
                    |(party, ending): (&&Party, &Ending)| format!("{}: {}", self.described(party.who), ending.risk);
                let mut named: Vec<String> = parties.iter().zip(&endings).take(NAMED).map(of_party).collect();
                if endings.len() > NAMED {
                    named.push(format!("{} more likewise.", endings.len() - NAMED));
                }
                named.join(" ")
            }
        };
        Ok(Script { sql: endings.iter().map(|ending| ending.sql.as_str()).collect::<Vec<_>>().join("\n"), risk })
    }

    /// `process 4711 (app@shop), which has been idle in transaction for 12 min (to end it: …), …`
    pub fn with_endings(&self, parties: &[&Party]) -> String {
        let how = |party: &Party| match self.ending(party) {
            _ if !party.waits.is_empty() => ", and waits itself".to_string(),
            _ if is_vacuum(self, party) => " (a VACUUM: let it finish)".to_string(),
            _ if self.is_to_finish(party) => " (let it finish: it would have to be done again)".to_string(),
            Ok(ending) => format!(" (to end it: {})", ending.sql),
            Err(why) => format!(" ({why})"),
        };
        let one = |party: &&Party| format!("{}, which {}{}", self.described(party.who), self.doing(party), how(party));
        let mut named: Vec<String> = parties.iter().take(NAMED).map(one).collect();
        if parties.len() > NAMED {
            named.push(format!("and {} more (column end_sql of dbre.lock_tree)", parties.len() - NAMED));
        }
        named.join("; ")
    }

    /// Its statement is all that its transaction is, and waits at its start. The transaction id does not tell: the request for ACCESS
    /// EXCLUSIVE takes one, for the standbys, before it waits.
    pub fn has_done_nothing(&self, party: &Party) -> bool {
        let Some(session) = self.session(party.who) else { return false };
        let holds = party.holds.iter().any(|held| held.target.kind == Kind::Relation && held.mode > Mode::RowShare);
        !holds && (session.is_whole_transaction() || session.runs_one_statement() && session.transaction_id.is_none())
    }

    /// How far what it runs is, where that reports it.
    pub fn progress(&self, party: &Party) -> Option<String> {
        self.activity.progress_of(self.session(party.who)?).map(|progress| progress.text())
    }

    /// To end it costs more than it does to let others wait.
    pub fn is_to_finish(&self, party: &Party) -> bool {
        matches!(self.work(party), Some(Work::ConcurrentBuild | Work::Dump))
    }

    pub fn work(&self, party: &Party) -> Option<Work> {
        let session = self.session(party.who)?;
        Work::of(session, self.activity.progress_of(session))
    }
}
