//! What rules judge: plain structs, read once per call and only where a selected rule needs them.

pub mod activity;
mod bursts;
mod calendar;
pub mod cascade;
mod catalog;
mod column_statistics;
mod database;
mod dynamic_functions;
mod explained;
mod files;
mod foreign_keys;
mod index_advice;
mod indexes;
mod lock_mode;
mod lookups;
pub mod migration;
mod names;
pub mod normalized;
pub mod pgbouncer;
pub mod plan;
mod planned_tables;
mod predicate;
pub mod query;
mod relation_names;
pub mod server_log;
mod session_statements;
mod settings;
mod statement;
mod statement_change;
mod statement_statistics;
mod statement_tracking;
pub mod statement_tree;
mod statements;
mod tables;
pub mod vector;
mod workload;

pub use bursts::{Burst, bursts, hook_is_loaded, why_bursts_are_not_recorded};
pub use catalog::{Catalog, same_columns};
pub use column_statistics::{ColumnStatistics, Statistics};
pub use database::Database;
pub use dynamic_functions::DynamicFunction;
pub use explained::{
    Explained, ExtendedStatistics, Function, ParameterOrigin, PlanOrigin, PlannedColumn, PlannedTable, Policy, Sample,
    Trial, Volatility,
};
pub use files::bytes as file_bytes;
pub use foreign_keys::{ForeignKey, ReferentialAction};
pub use index_advice::{AdvisedQuery, IndexAdvice, NotPlanned, Source, shortened};
pub use indexes::{Index, index_definitions};
pub use lock_mode::LockMode;
pub use lookups::{
    Lookup, LookupKey, Lookups, NotAnalyzed, ReadingShape, ReadingStatement, Source as ReadingSource, Watch,
    search_path_of,
};
pub use names::{Name, QualifiedName};
pub use planned_tables::{planned_functions, planned_tables, planner_settings};
pub use relation_names::{Namer, RelationNames, free_name, joined_columns};
pub use server_log::ServerLog;
pub use session_statements::SessionStatement;
pub use settings::{RuleSetting, rule_settings, suppressed};
#[cfg(any(test, feature = "pg_test"))]
pub use statement::{TableNames, filters};
pub use statement_change::{Change, Counters};
pub use statement_statistics::{StatementStatistics, Targets};
pub use statement_tracking::{Setup, Tracking};
pub use statement_tree::Statement;
pub use statements::{MeasuredStatement, statements, statements_days};
pub use tables::{Column, Table, TableKind};
pub use workload::Workload;

use crate::db::{Caught, guarded_twice};
use crate::rule::{Need, Skip};
use crate::units::{Count, Days};

/// The facts of one call. An accessor panics when the rule that calls it does not declare the need.
pub struct Facts {
    pub database: Database,
    catalog: Option<Result<Catalog, Caught>>,
    column_statistics: Option<Result<ColumnStatistics, Caught>>,
    relation_names: Option<Result<RelationNames, Caught>>,
    workload: Option<Result<Workload, Caught>>,
    dynamic_functions: Option<Result<Vec<DynamicFunction>, Caught>>,
    index_advice: Option<IndexAdvice>,
    explained: Option<Explained>,
    statement: Option<Statement>,
    statement_statistics: Option<StatementStatistics>,
    server_log: Option<ServerLog>,
    lookups: Option<Lookups>,
    bursts: Option<Vec<Burst>>,
    migration: Option<migration::Migration>,
    cascade: Option<cascade::Cascade>,
    vectors: Option<vector::Vectors>,
    activity: Option<activity::Activity>,
    pgbouncer: Option<pgbouncer::Pgbouncer>,
    /// Which of several queries the plan is of.
    query: Option<String>,
}

impl Facts {
    /// Reads what `needs` names. Tables outside `schemas` (None: all but the system's) are known, but not judged.
    pub fn read(needs: &[Need], schemas: Option<&[String]>) -> Facts {
        let database = Database::read();
        let needed = |need| needs.contains(&need);
        let catalog =
            (needed(Need::Catalog) || needed(Need::Workload)).then(|| guarded_twice(|| Catalog::read(schemas)));
        let workload = needed(Need::Workload).then(|| match &catalog {
            Some(Ok(catalog)) => guarded_twice(|| Workload::read(&database, catalog)),
            Some(Err(caught)) => Err(caught.clone()),
            None => unreachable!("whoever needs the workload needs the catalog"),
        });
        Facts {
            catalog,
            column_statistics: needed(Need::ColumnStatistics).then(|| guarded_twice(ColumnStatistics::read)),
            relation_names: needed(Need::RelationNames).then(|| guarded_twice(RelationNames::read)),
            workload,
            dynamic_functions: needed(Need::DynamicFunctions)
                .then(|| guarded_twice(|| dynamic_functions::read(schemas))),
            ..Facts::of(database)
        }
    }

    /// Nothing that another session could have locked is read.
    pub fn of_this_moment(activity: activity::Activity) -> Facts {
        Facts { activity: Some(activity), ..Facts::of(Database::without_extensions()) }
    }

    fn of(database: Database) -> Facts {
        Facts {
            catalog: None,
            column_statistics: None,
            relation_names: None,
            workload: None,
            dynamic_functions: None,
            index_advice: None,
            explained: None,
            statement: None,
            statement_statistics: None,
            server_log: None,
            lookups: None,
            bursts: None,
            migration: None,
            cascade: None,
            vectors: None,
            activity: None,
            pgbouncer: None,
            query: None,
            database,
        }
    }

    pub fn catalog(&self) -> &Catalog {
        available(&self.catalog, Need::Catalog)
    }

    pub fn column_statistics(&self) -> &ColumnStatistics {
        available(&self.column_statistics, Need::ColumnStatistics)
    }

    pub fn relation_names(&self) -> &RelationNames {
        available(&self.relation_names, Need::RelationNames)
    }

    pub fn workload(&self) -> &Workload {
        available(&self.workload, Need::Workload)
    }

    pub fn dynamic_functions(&self) -> &[DynamicFunction] {
        available(&self.dynamic_functions, Need::DynamicFunctions).as_slice()
    }

    pub fn index_advice(&self) -> &IndexAdvice {
        self.index_advice.as_ref().expect("advice is asked for before it is judged")
    }

    /// Adds what a search with the catalog has found.
    pub fn advise(&mut self, search: impl FnOnce(&Database, &Catalog) -> IndexAdvice) {
        self.index_advice = Some(search(&self.database, self.catalog()));
    }

    pub fn explained(&self) -> &Explained {
        self.explained.as_ref().expect("a plan is made before it is judged")
    }

    /// Adds a plan, with what is known and was tried.
    pub fn explain(&mut self, explained: Explained) {
        self.explained = Some(explained);
    }

    /// As `explain`, with what the query is called, for several are judged in one call.
    pub fn explain_one_of_several(&mut self, query: String, explained: Explained) {
        self.query = Some(query);
        self.explained = Some(explained);
    }

    /// The identity of something in the plan.
    pub fn object_in_plan(&self, object: &str) -> String {
        match &self.query {
            Some(query) => format!("{object} in {query}"),
            None => object.to_string(),
        }
    }

    pub fn statement(&self) -> &Statement {
        self.statement.as_ref().expect("a statement is given before it is judged")
    }

    pub fn set_statement(&mut self, statement: Statement) {
        self.statement = Some(statement);
    }

    pub fn statement_statistics(&self) -> &StatementStatistics {
        self.statement_statistics.as_ref().expect("statistics are read before they are judged")
    }

    pub fn set_statement_statistics(&mut self, statistics: StatementStatistics) {
        self.statement_statistics = Some(statistics);
    }

    pub fn server_log(&self) -> &ServerLog {
        self.server_log.as_ref().expect("a log is read before it is judged")
    }

    pub fn set_server_log(&mut self, log: ServerLog) {
        self.server_log = Some(log);
    }

    pub fn lookups(&self) -> &Lookups {
        self.lookups.as_ref().expect("statements are analyzed before lookups are judged")
    }

    pub fn set_lookups(&mut self, lookups: Lookups) {
        self.lookups = Some(lookups);
    }

    pub fn bursts(&self) -> &[Burst] {
        self.bursts.as_ref().expect("bursts are read before they are judged")
    }

    pub fn set_bursts(&mut self, bursts: Vec<Burst>) {
        self.bursts = Some(bursts);
    }

    pub fn migration(&self) -> &migration::Migration {
        self.migration.as_ref().expect("a migration is followed before it is judged")
    }

    pub fn set_migration(&mut self, migration: migration::Migration) {
        self.migration = Some(migration);
    }

    pub fn cascade(&self) -> &cascade::Cascade {
        self.cascade.as_ref().expect("a cascade is followed before it is judged")
    }

    pub fn set_cascade(&mut self, cascade: cascade::Cascade) {
        self.cascade = Some(cascade);
    }

    pub fn vectors(&self) -> &vector::Vectors {
        self.vectors.as_ref().expect("vectors are read before they are judged")
    }

    pub fn set_vectors(&mut self, vectors: vector::Vectors) {
        self.vectors = Some(vectors);
    }

    pub fn activity(&self) -> &activity::Activity {
        self.activity.as_ref().expect("sessions are read before they are judged")
    }

    pub fn activity_mut(&mut self) -> &mut activity::Activity {
        self.activity.as_mut().expect("sessions are read before they are judged")
    }

    pub fn pgbouncer(&self) -> &pgbouncer::Pgbouncer {
        self.pgbouncer.as_ref().expect("PgBouncer is asked before it is judged")
    }

    pub fn set_pgbouncer(&mut self, pgbouncer: pgbouncer::Pgbouncer) {
        self.pgbouncer = Some(pgbouncer);
    }

    /// Why a need could not be read, if so.
    pub fn failure(&self, need: Need) -> Option<&Caught> {
        match need {
            Need::Catalog => self.catalog.as_ref()?.as_ref().err(),
            Need::ColumnStatistics => self.column_statistics.as_ref()?.as_ref().err(),
            Need::RelationNames => self.relation_names.as_ref()?.as_ref().err(),
            Need::Workload => self.workload.as_ref()?.as_ref().err(),
            Need::IndexAdvice | Need::Statement | Need::Plan => None,
            Need::StatementStatistics
            | Need::ServerLog
            | Need::Lookups
            | Need::Bursts
            | Need::Migration
            | Need::Cascade
            | Need::Vectors
            | Need::Activity
            | Need::Pgbouncer => None,
            Need::DynamicFunctions => self.dynamic_functions.as_ref()?.as_ref().err(),
        }
    }

    /// For how many days scans have been counted, if that is long enough and they are all there are.
    pub fn observed_days(&self, min_days: f64) -> Result<f64, Skip> {
        if self.database.in_recovery {
            return Err(Skip("a standby does not know the scans of its primary: run it there".to_string()));
        }
        match self.database.statistics_days {
            Some(days) if days >= min_days => Ok(days),
            Some(days) => {
                Err(Skip(format!("statistics count for {} only; min_statistics_days is {min_days}", Days(days))))
            }
            None => Err(Skip("nothing says since when statistics count".to_string())),
        }
    }

    /// How many tables a rule with these needs could not judge, and why.
    pub fn left_out(&self, needs: &[Need]) -> LeftOut {
        let Some(Ok(catalog)) = &self.catalog else { return LeftOut::default() };
        let no_privilege = match needs.contains(&Need::ColumnStatistics) {
            true => catalog.tables().filter(|table| !table.readable).count() as u64,
            false => 0,
        };
        LeftOut { locked: catalog.locked, no_privilege }
    }
}

/// Tables that could not be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// locked in ACCESS EXCLUSIVE mode by another session
    pub locked: u64,
    /// planner statistics need the privilege SELECT
    pub no_privilege: u64,
}

impl LeftOut {
    pub fn tables(self) -> u64 {
        self.locked + self.no_privilege
    }

    pub fn reason(self) -> Option<String> {
        let of = |count: u64, why: &str| (count > 0).then(|| format!("{} {why}", Count(count).of("table")));
        let reasons: Vec<_> = [
            of(self.locked, "left out: locked by another session"),
            of(self.no_privilege, "judged without column statistics: no privilege SELECT, or row security"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

fn available<T>(fact: &Option<Result<T, Caught>>, need: Need) -> &T {
    match fact {
        Some(Ok(fact)) => fact,
        Some(Err(error)) => panic!("reading the {} failed: {}", need.name(), error.message),
        None => panic!("the rule does not declare that it needs the {}", need.name()),
    }
}
