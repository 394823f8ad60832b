//! What one backend remembers of its client's last statements, and when that makes a burst. Pure: no server in it.

use super::parents::{Parents, Seen};

const SLOTS: usize = 32;
/// Rows of a lookup, on average at most.
const FEW_ROWS: u64 = 100;
/// Bursts are published at every execution until they are this many times the threshold, then now and then.
const AT_ONCE: u64 = 4;
const NOW_AND_THEN_US: i64 = 100_000;
/// Of the set of parameters seen: linear counting knows about 2000 of them apart.
pub const PARAMETER_WORDS: usize = 8;

/// One statement of the client's that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Execution {
    pub query_id: i64,
    pub role: u32,
    /// Local to the backend.
    pub transaction: u32,
    /// In a transaction block, explicit or of a pipeline.
    pub in_block: bool,
    /// When the client's message came, in microseconds.
    pub at: i64,
    pub rows: u64,
    pub ms: f64,
    /// A hash of their values.
    pub parameters: u64,
    /// A hash of the id of the trace that it is of; 0: not said, or in a block.
    pub trace: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Executions that make a burst.
    pub threshold: u64,
    pub window_us: i64,
}

/// A set of hashes whose size can be estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Parameters([u64; PARAMETER_WORDS]);

impl Parameters {
    pub fn add(&mut self, hash: u64) {
        // The upper bits of a product are the well mixed ones.
        let bit = (hash >> 32) as usize % (PARAMETER_WORDS * 64);
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// By linear counting, from the bits that are not set.
    pub fn distinct(&self) -> f64 {
        let bits = (PARAMETER_WORDS * 64) as f64;
        let unset = bits - f64::from(self.0.iter().map(|word| word.count_ones()).sum::<u32>());
        -bits * (unset.max(1.0) / bits).ln()
    }
}

/// What is counted of one burst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Counts {
    pub executions: u64,
    pub rows: u64,
    pub ms: f64,
    pub parent_rows: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    pub query_id: i64,
    pub role: u32,
    transaction: u32,
    pub in_block: bool,
    begun: i64,
    pub last: i64,
    pub counts: Counts,
    pub parameters: Parameters,
    seen: Seen,
    /// Where it is among the parents, chosen when the burst reaches the threshold.
    parent: Option<usize>,
    pub parent_query_id: i64,
    parent_times: u64,
    published: Counts,
    published_at: i64,
    /// What was put into the window that sessions share, and when that window began.
    pub shared: Counts,
    pub shared_begun: i64,
    pub trace: u64,
}

/// What is to become known of a burst.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Nothing,
    /// Too few here, but other connections may have more.
    Share,
    /// The executions are this session's burst.
    Publish,
}

impl Slot {
    /// Since the last call, and whether that was for another burst.
    pub fn take_news(&mut self) -> (Counts, bool) {
        let (all, told) = (self.counts, std::mem::replace(&mut self.published, self.counts));
        self.published_at = self.last;
        let news = Counts {
            executions: all.executions - told.executions,
            rows: all.rows - told.rows,
            ms: all.ms - told.ms,
            parent_rows: all.parent_rows.saturating_sub(told.parent_rows),
        };
        (news, told.executions == 0)
    }

    /// Executions of a burst that was published, which were not.
    fn has_news(&self) -> bool {
        self.published.executions > 0 && self.published.executions < self.counts.executions
    }

    fn continues(&self, execution: &Execution, limits: Limits, parents: &Parents) -> bool {
        let known = self.counts.executions >= limits.threshold;
        let same = self.counts.executions > 0
            && self.role == execution.role
            && self.in_block == execution.in_block
            && self.trace == execution.trace
            && if self.in_block {
                self.transaction == execution.transaction
            } else {
                execution.at - if known { self.last } else { self.begun } <= limits.window_us
            };
        // The parent's next rows are another burst's.
        same && !(known && self.parent.is_some_and(|parent| parents.times(parent) != self.parent_times))
    }

    fn add(&mut self, execution: &Execution) {
        self.last = execution.at;
        self.counts.executions += 1;
        self.counts.rows += execution.rows;
        self.counts.ms += execution.ms;
        self.parameters.add(execution.parameters);
    }

    fn step(&mut self, limits: Limits, parents: &Parents) -> Step {
        let Counts { executions, rows, .. } = self.counts;
        if rows > FEW_ROWS * executions {
            return Step::Nothing;
        }
        if executions < limits.threshold {
            return if self.in_block { Step::Nothing } else { Step::Share };
        }
        if self.published.executions == 0 && self.parent.is_none() {
            self.parent = parents.choose(&self.seen, executions);
            self.parent_query_id = self.parent.map_or(0, |parent| parents.query_id(parent));
        }
        if let Some(parent) = self.parent {
            self.parent_times = parents.times(parent);
            self.counts.parent_rows = parents.rows_since(parent, &self.seen).unwrap_or(self.counts.parent_rows);
        }
        let soon = executions <= limits.threshold.saturating_mul(AT_ONCE);
        let due = soon || self.last - self.published_at >= NOW_AND_THEN_US || self.published.executions == 0;
        if due { Step::Publish } else { Step::Nothing }
    }
}

pub struct Ring {
    /// Beside the slots: looked through at every execution.
    ids: [i64; SLOTS],
    slots: [Slot; SLOTS],
    pub parents: Parents,
    /// Bursts in the current transaction block have news.
    unpublished: bool,
}

impl Ring {
    pub fn new() -> Box<Ring> {
        Box::new(Ring {
            ids: [0; SLOTS],
            slots: [Slot::default(); SLOTS],
            parents: Parents::default(),
            unpublished: false,
        })
    }

    /// Counts a lookup. `publish` is given a burst that is over and has news, and is told when it is the current one.
    pub fn count(&mut self, execution: &Execution, limits: Limits, mut publish: impl FnMut(&mut Slot, &Parents, Step)) {
        let found = self.ids.iter().position(|id| *id == execution.query_id);
        let place = found.unwrap_or_else(|| self.longest_unused());
        let slot = &mut self.slots[place];
        // One message of the client's may run a statement several times.
        if found.is_some() && slot.last == execution.at {
            return;
        }
        if found.is_none() || !slot.continues(execution, limits, &self.parents) {
            if slot.has_news() {
                publish(slot, &self.parents, Step::Nothing);
            }
            self.ids[place] = execution.query_id;
            *slot = Slot {
                query_id: execution.query_id,
                role: execution.role,
                transaction: execution.transaction,
                in_block: execution.in_block,
                trace: execution.trace,
                begun: execution.at,
                seen: self.parents.seen(execution, limits.window_us),
                ..Slot::default()
            };
        }
        slot.add(execution);
        match slot.step(limits, &self.parents) {
            Step::Nothing => {}
            step => publish(slot, &self.parents, step),
        }
        self.unpublished |= slot.in_block && slot.has_news();
    }

    /// Publishes what is left of the bursts, at the end of a transaction those in it.
    pub fn flush(&mut self, all: bool, mut publish: impl FnMut(&mut Slot, &Parents)) {
        if !all && !self.unpublished {
            return;
        }
        for slot in &mut self.slots {
            if (all || slot.in_block) && slot.has_news() {
                publish(slot, &self.parents);
            }
        }
        self.unpublished = false;
    }

    fn longest_unused(&self) -> usize {
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.last);
        oldest.map_or(0, |(place, _)| place)
    }
}
