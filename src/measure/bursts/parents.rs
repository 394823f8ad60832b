//! The client's last statements with several rows: one of them is what a burst is about.

use super::ring::Execution;

const PARENTS: usize = 8;
/// For each time that a list comes again, so many lookups at least, unless its rows are as few: two or three beside a list are
/// no N+1.
const LOOKUPS: u64 = 4;
/// Of a text, before its constants are replaced.
const TEXT_BYTES: usize = 2048;

struct Parent {
    query_id: i64,
    role: u32,
    transaction: u32,
    in_block: bool,
    /// When it ended.
    at: i64,
    /// Numbers of the executions with which this statement came here, and of its last.
    since: u64,
    last: u64,
    times: u64,
    rows: u64,
    last_rows: u64,
    text: [u8; TEXT_BYTES],
    text_length: usize,
}

impl Parent {
    const NONE: Parent = Parent {
        query_id: 0,
        role: 0,
        transaction: 0,
        in_block: false,
        at: 0,
        since: 0,
        last: 0,
        times: 0,
        rows: 0,
        last_rows: 0,
        text: [0; TEXT_BYTES],
        text_length: 0,
    };
}

/// How a parent was when a burst began; `last` is 0 where there was none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Then {
    since: u64,
    last: u64,
    times: u64,
    rows_before: u64,
}

pub type Seen = [Then; PARENTS];

pub struct Parents {
    parents: [Parent; PARENTS],
    executions: u64,
}

impl Default for Parents {
    fn default() -> Parents {
        Parents { parents: [Parent::NONE; PARENTS], executions: 0 }
    }
}

impl Parents {
    /// A statement with several rows has ended.
    pub fn add(&mut self, execution: &Execution, text: &[u8]) {
        self.executions += 1;
        let same = |parent: &Parent| parent.query_id == execution.query_id && parent.role == execution.role;
        let found = self.parents.iter().position(same);
        let place = found.unwrap_or_else(|| {
            let oldest = self.parents.iter().enumerate().min_by_key(|(_, parent)| parent.at);
            oldest.map_or(0, |(place, _)| place)
        });
        let parent = &mut self.parents[place];
        if found.is_none() {
            let length = text.len().min(TEXT_BYTES);
            parent.text[..length].copy_from_slice(&text[..length]);
            parent.text_length = length;
            parent.query_id = execution.query_id;
            parent.role = execution.role;
            (parent.since, parent.times, parent.rows) = (self.executions, 0, 0);
        }
        (parent.transaction, parent.in_block) = (execution.transaction, execution.in_block);
        parent.at = execution.at;
        parent.last = self.executions;
        parent.times += 1;
        parent.rows += execution.rows;
        parent.last_rows = execution.rows;
    }

    /// Those that a burst which begins with `execution` can be about.
    pub fn seen(&self, execution: &Execution, window_us: i64) -> Seen {
        self.parents.each_ref().map(|parent| {
            let here = parent.in_block && execution.in_block && parent.transaction == execution.transaction;
            let before = here || execution.at - parent.at <= window_us;
            let other = parent.query_id != execution.query_id && parent.role == execution.role;
            if parent.last == 0 || !before || !other {
                return Then::default();
            }
            let Parent { since, last, times, .. } = *parent;
            Then { since, last, times, rows_before: parent.rows - parent.last_rows }
        })
    }

    /// The last before the burst, unless it has been repeated along with it: then both repeat for the rows of another.
    pub fn choose(&self, seen: &Seen, executions: u64) -> Option<usize> {
        let fits = |place: &usize| {
            let (then, parent) = (&seen[*place], &self.parents[*place]);
            if then.last == 0 || then.since != parent.since {
                return false;
            }
            let again = parent.times - then.times;
            let all_rows = || self.rows_since(*place, seen).is_some_and(|rows| rows <= 4 * executions);
            again * LOOKUPS <= executions || (again * 2 <= executions && all_rows())
        };
        (0..PARENTS).filter(fits).max_by_key(|place| seen[*place].last)
    }

    pub fn query_id(&self, place: usize) -> i64 {
        self.parents[place].query_id
    }

    /// How often it has been executed.
    pub fn times(&self, place: usize) -> u64 {
        self.parents[place].times
    }

    /// Of the executions that a burst is about. None: another statement is at its place.
    pub fn rows_since(&self, place: usize, seen: &Seen) -> Option<u64> {
        let (then, parent) = (&seen[place], &self.parents[place]);
        (then.since == parent.since).then(|| parent.rows - then.rows_before)
    }

    /// As the client wrote it. None: it is forgotten.
    pub fn text(&self, query_id: i64) -> Option<&[u8]> {
        let parent = self.parents.iter().find(|parent| parent.query_id == query_id && query_id != 0)?;
        Some(&parent.text[..parent.text_length])
    }
}
