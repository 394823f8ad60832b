//! How long the statements that run now have taken before, where pg_stat_statements has counted them.

use super::Session;
use crate::db;
use pgrx::pg_sys;
use std::collections::HashMap;

/// By query id, role and database.
#[derive(Debug, Default)]
pub struct UsualTimes {
    times: HashMap<(i64, u32, u32), Usual>,
    /// Why nothing is known. None: what was counted is here.
    pub unknown: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    pub calls: i64,
    pub mean_ms: f64,
    pub most_ms: f64,
}

impl UsualTimes {
    pub fn of(&self, session: &Session) -> Option<Usual> {
        self.times.get(&(session.query_id?, session.role_oid?, session.database_oid?)).copied()
    }

    /// Of statements that have run for at least so long.
    pub fn read(sessions: &[Session], min_seconds: f64) -> UsualTimes {
        let mut queries: Vec<i64> = sessions
            .iter()
            .filter(|session| session.runs() && session.query_seconds.is_some_and(|seconds| seconds >= min_seconds))
            .filter_map(|session| session.query_id)
            .collect();
        queries.sort_unstable();
        queries.dedup();
        if queries.is_empty() {
            return UsualTimes::default();
        }
        let counted = db::read_only(|| {
            let Some(schema) = schema() else {
                return Err("pg_stat_statements is not installed in this database".to_string());
            };
            let sql = include_str!("../../../sql/facts/activity/usual.sql").replace("{schema}", &schema);
            Ok(db::read(&sql, &[queries.into()], |row| {
                let query: i64 = row.take();
                let role = row.take::<pg_sys::Oid>().to_u32();
                let database = row.take::<pg_sys::Oid>().to_u32();
                let calls: i64 = row.take();
                let total_ms: f64 = row.take();
                ((query, role, database), Usual { calls, mean_ms: total_ms / calls as f64, most_ms: row.take() })
            }))
        });
        match counted {
            Ok(Ok(times)) => UsualTimes { times: times.into_iter().collect(), unknown: None },
            Ok(Err(why)) => UsualTimes { unknown: Some(why), ..UsualTimes::default() },
            Err(caught) => UsualTimes { unknown: Some(caught.message), ..UsualTimes::default() },
        }
    }
}

fn schema() -> Option<String> {
    // SAFETY: within a transaction, which lookups in the catalogs need; the name, if there is one, is a copy in our memory.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"pg_stat_statements".as_ptr(), true);
        if extension == pg_sys::InvalidOid {
            return None;
        }
        let name = pg_sys::get_namespace_name(pg_sys::get_extension_schema(extension));
        (!name.is_null()).then(|| db::quote_identifier(&db::string(name)))
    }
}
