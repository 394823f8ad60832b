//! What was recorded of pools and waits over time: what dbre.activity_history shows.

/// Sessions at a time, over what was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use {
    pub mean: f64,
    pub most: u32,
}

/// Of connections. In use: active, or in a transaction; nobody else can be given such a one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connections {
    pub open: Use,
    pub in_use: Use,
    pub active: Use,
}

/// What is asked for of all that was recorded: with applications that come and go there may be tens of thousands of pools.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recorded {
    /// By a recording that goes on: waits, and the pools that have sessions now, since the oldest of these began.
    Open,
    /// The most that roles had in use.
    Peaks,
}

/// Of a role in a database, in the period in which it was most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordedPeak {
    pub database_oid: u32,
    pub role_oid: u32,
    /// At the same time.
    pub in_use: u32,
    /// No more than that: several applications had connections in use, and how many together was not recorded.
    pub is_bound: bool,
}

#[derive(Clone, Debug, Default)]
pub struct RecordedPool {
    pub database_oid: u32,
    pub role_oid: u32,
    /// None: of the applications for which there was no room, together.
    pub application: Option<String>,
    /// In which it was recorded.
    pub seconds: f64,
    /// Means are over all of the recorded time, not only that in which the pool had sessions.
    pub connections: Connections,
}

/// What active sessions waited for, those of background processes among them.
#[derive(Clone, Debug)]
pub struct RecordedWait {
    /// None: of no database, or of one dropped since.
    pub database: Option<String>,
    /// None: they ran.
    pub wait: Option<super::Wait>,
    pub sessions: Use,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    /// The time that samples stand for, without gaps.
    pub seconds: f64,
    pub samples: u64,
    pub pools: Vec<RecordedPool>,
    pub waits: Vec<RecordedWait>,
    pub peaks: Vec<RecordedPeak>,
}
