//! What LIMIT got.

use pgrx::pg_sys::{LimitState, LimitStateCond};

pub struct Got {
    /// LIMIT and OFFSET; None: no LIMIT.
    pub k: Option<i64>,
    pub rows: Option<i64>,
    /// There were no more rows, and fewer than k.
    pub short: bool,
}

/// None: nobody has asked for rows, or not since it began anew.
pub fn got(state: &LimitState) -> Option<Got> {
    if matches!(state.lstate, LimitStateCond::LIMIT_INITIAL | LimitStateCond::LIMIT_RESCAN) {
        return None;
    }
    let k = (!state.noCount).then(|| state.count.saturating_add(state.offset));
    let ran_dry = matches!(state.lstate, LimitStateCond::LIMIT_EMPTY | LimitStateCond::LIMIT_SUBPLANEOF);
    // LIMIT 0 asks for none.
    let short = ran_dry && !state.noCount && state.count > 0 && k.is_some_and(|k| state.position < k);
    (state.noCount || state.count > 0).then_some(Got { k, rows: Some(state.position), short })
}
