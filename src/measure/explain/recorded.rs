//! A statement that the server has recorded, planned with the rights of the role that ran it. It is not run.

use super::{Request, Rights, bound, explain};
use crate::db::{Caught, as_role};
use crate::facts::{Catalog, Database, Explained, IndexAdvice, MeasuredStatement, ParameterOrigin, Statement};
use crate::measure::query::Text;
use crate::measure::what_if::WhatIf;
use std::time::Duration;

pub struct Recorded {
    pub statement: Statement,
    pub explained: Explained,
    pub advice: IndexAdvice,
    /// As EXPLAIN prints it.
    pub plan: String,
}

/// With values from column statistics that give a plan whose rows are near those measured; generic, where there are none.
pub fn recorded(
    measured: &MeasuredStatement,
    time_limit: Duration,
    database: &Database,
    catalog: &Catalog,
) -> Result<Recorded, Caught> {
    let text = Text::recorded(measured);
    text.guarded(|how| {
        let analyzed = text.analyze(how);
        let values = text.plan_with_sampled(&analyzed).printed;
        let parameters = match (analyzed.query.parameters(), values.is_empty()) {
            (0, _) => ParameterOrigin::None,
            (_, true) => ParameterOrigin::Generic,
            (_, false) => ParameterOrigin::Sampled,
        };
        let request = Request {
            query: analyzed.query,
            text: &measured.text,
            values,
            parameters,
            analyze: false,
            allow_writes: false,
            compare_runs: false,
            time_limit,
            search_path: &text.search_path,
            rights: Rights::Of(analyzed.role, measured),
        };
        let statement = as_role(analyzed.role, &text.search_path, || request.query.statement());
        let (explained, advice) = explain(&request, database, catalog);
        let plan = request.planning(|| WhatIf::new().explain(&request.query, bound(&request), &[], &[]).text);
        Recorded { statement, explained, advice, plan }
    })
}
