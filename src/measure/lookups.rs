//! The SELECTs of pg_stat_statements, analyzed with the rights of those who ran them.

use super::query::{NOT_A_QUERY, may_be_select, recorded_statement};
use crate::advice::lookups;
use crate::db::{self, Caught};
use crate::facts::{
    Burst, Catalog, Database, Lookups, MeasuredStatement, NotAnalyzed, ReadingStatement, Statement, Watch,
    search_path_of, statements,
};
use std::time::Instant;

/// Of the statements that took most time, `limit` at most (None: none are counted), and of those in bursts, until it is too late.
pub fn read(database: &Database, catalog: &Catalog, bursts: &[Burst], limit: Option<u32>, until: Instant) -> Lookups {
    let mut lookups = Lookups { watch: Watch::read(), ..Lookups::default() };
    if let Some(statements) = limit.and_then(|limit| statements(database, limit)) {
        lookups.known = true;
        add_measured(&mut lookups, catalog, statements, until);
    }
    for burst in bursts {
        let texts = [(Some(burst.query_id), &burst.text), (burst.parent_query_id, &burst.parent_text)];
        for (query_id, text) in texts {
            if let (Some(query_id), Some(text)) = (query_id, text) {
                add_burst(&mut lookups, catalog, (query_id, burst.role), text, until);
            }
        }
    }
    lookups
}

/// Analysis takes ACCESS SHARE. Behind a lock of another session, or in the queue for one, is no place to wait.
fn analyzed(statement: &MeasuredStatement) -> Result<Statement, Caught> {
    db::with_settings(&[(c"lock_timeout", c"20ms")], || recorded_statement(statement))
}

/// What pg_stat_statements does not have.
fn add_burst(lookups: &mut Lookups, catalog: &Catalog, key: (i64, u32), text: &str, until: Instant) {
    db::check_for_interrupts();
    if lookups.shape(key.0, key.1).is_some() || Instant::now() > until {
        return;
    }
    let (query_id, role) = key;
    let Ok(search_path) = db::guarded(|| search_path_of(role)) else { return };
    let statement = MeasuredStatement { text: text.to_string(), query_id, role, search_path, ..Default::default() };
    // A text that was cut off is no SQL.
    let Ok(statement) = analyzed(&statement) else { return };
    lookups.burst_shapes.extend(lookups::shape(&statement, catalog).map(|shape| (key, shape)));
}

fn add_measured(lookups: &mut Lookups, catalog: &Catalog, statements: Vec<MeasuredStatement>, until: Instant) {
    // What functions run costs no round trip, and is in the time of who calls them.
    for measured in statements.into_iter().filter(|statement| statement.top_level) {
        db::check_for_interrupts();
        lookups.total_ms += measured.total_ms;
        if measured.calls == 0 || !may_be_select(&measured.text) {
            continue;
        }
        if Instant::now() > until {
            lookups.not_reached += 1;
            continue;
        }
        match analyzed(&measured) {
            Ok(statement) => {
                let shape = lookups::shape(&statement, catalog);
                lookups.statements.extend(shape.map(|shape| ReadingStatement { measured, shape }));
            }
            Err(why) if why.sqlstate == NOT_A_QUERY => {}
            Err(why) => lookups.not_analyzed.push(NotAnalyzed {
                query_id: measured.query_id,
                calls: measured.calls,
                total_ms: measured.total_ms,
                why,
            }),
        }
    }
}
