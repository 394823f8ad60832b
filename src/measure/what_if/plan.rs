//! Calls the planner: no EXPLAIN text in between, no planner hook of others, and nothing is executed.

use super::definition::Definition;
use super::hook::Scope;
use super::{WhatIf, is_partitioned};
use crate::db::Arena;
use crate::measure::query::{Bound, Query};
use pgrx::PgList;
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::ffi::CStr;
use std::ptr::null_mut;

/// What the planner says of one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    pub cost: f64,
    pub rows: f64,
    /// Numbers of the hypothetical indexes that the plan uses, in order.
    pub created: Vec<usize>,
    /// OIDs of the real ones.
    pub existing: Vec<u32>,
    /// OIDs of tables that it reads as a whole.
    pub read_whole: Vec<u32>,
}

/// The same with the plan as EXPLAIN prints it.
pub struct Explained {
    pub planned: Planned,
    pub text: String,
    pub json: String,
}

impl WhatIf {
    /// Plans `query` with the hypothetical indexes `created` and without the real ones `hidden`.
    pub fn plan(&self, query: &Query, values: Bound, created: &[usize], hidden: &[u32]) -> Planned {
        // SAFETY: the plan is read before its memory goes.
        unsafe {
            self.with_plan(query, values, created, hidden, |planned, _, _| match planned.as_ref() {
                Some(statement) => self.read(statement),
                None => Planned::default(),
            })
        }
    }

    /// As `plan`, and checks that the caller may read what the query reads, as EXPLAIN does.
    pub fn explain(&self, query: &Query, values: Bound, created: &[usize], hidden: &[u32]) -> Explained {
        // SAFETY: the plan is read and printed before its memory goes.
        unsafe {
            self.with_plan(query, values, created, hidden, |planned, parameters, scope| match planned.as_ref() {
                None => Explained { planned: Planned::default(), text: String::new(), json: "[]".to_string() },
                Some(statement) => scope.run(|| {
                    pg_sys::ExecCheckPermissions(statement.rtable, statement.permInfos, true);
                    let print = |style| print(planned, query.text(), parameters, style);
                    Explained { text: print(Style::Text), json: print(Style::Json), planned: self.read(statement) }
                }),
            })
        }
    }

    /// The plan as EXPLAIN (VERBOSE, SETTINGS, FORMAT JSON) prints it, for a caller who may read what it reads. None: it reads
    /// nothing.
    pub fn explain_verbosely(&self, query: &Query, values: Bound) -> Option<String> {
        // SAFETY: the plan is printed before its memory goes.
        unsafe {
            self.with_plan(query, values, &[], &[], |planned, parameters, scope| match planned.as_ref() {
                None => None,
                Some(statement) => scope.run(|| {
                    pg_sys::ExecCheckPermissions(statement.rtable, statement.permInfos, true);
                    Some(print(planned, query.text(), parameters, Style::VerboseJson))
                }),
            })
        }
    }

    /// `body` gets a null plan when the query reads nothing.
    unsafe fn with_plan<T>(
        &self,
        query: &Query,
        values: Bound,
        created: &[usize],
        hidden: &[u32],
        body: impl FnOnce(*mut pg_sys::PlannedStmt, pg_sys::ParamListInfo, &Scope) -> T,
    ) -> T {
        let planned_as = (query.number(), values.address(), hidden.to_vec());
        // SAFETY: all that planning allocates is in the context, which outlives `body`. The planner gets a tree of its own.
        unsafe {
            Arena::new().enter(|| {
                let parameters = values.list(query);
                // A list of its own, be it empty, is what the scope knows the query by.
                let parameters = if parameters.is_null() { pg_sys::makeParamList(0) } else { parameters };
                let costs = self.costs.borrow_mut().of(planned_as);
                let known = costs.borrow().len();
                let scope = Scope::new(self, created, hidden, parameters, costs.clone());
                let planned = query.tree().map_or(null_mut(), |tree| {
                    scope.run(|| {
                        pg_sys::standard_planner(tree, query.text().as_ptr(), query.cursor_options(), parameters)
                    })
                });
                self.costs.borrow_mut().grew_by(costs.borrow().len() - known);
                body(planned, parameters, &scope)
            })
        }
    }

    unsafe fn read(&self, statement: &pg_sys::PlannedStmt) -> Planned {
        // SAFETY: a finished plan.
        unsafe {
            let mut scans = Scans::default();
            scans.add(statement.planTree);
            for subplan in PgList::<pg_sys::Plan>::from_pg(statement.subplans).iter_ptr() {
                scans.add(subplan);
            }
            let Scans { indexes: mut used, whole } = scans;
            used.sort_unstable_by_key(|oid| oid.to_u32());
            used.dedup();
            let plan = &*statement.planTree;
            let mut planned = Planned { cost: plan.total_cost, rows: plan.plan_rows, ..Planned::default() };
            let entries = PgList::<pg_sys::RangeTblEntry>::from_pg(statement.rtable);
            let tables = whole.into_iter().filter_map(|number| entries.get_ptr(number as usize - 1));
            planned.read_whole = tables.map(|entry| (*entry).relid.to_u32()).collect();
            planned.read_whole.sort_unstable();
            planned.read_whole.dedup();
            for oid in used {
                match self.number_of(oid) {
                    Some(number) => planned.created.push(number),
                    None => planned.existing.push(oid.to_u32()),
                }
            }
            planned.created.sort_unstable();
            planned
        }
    }
}

/// How a plan reads tables.
#[derive(Default)]
struct Scans {
    indexes: Vec<Oid>,
    /// Range table numbers of those that are read from beginning to end.
    whole: Vec<pg_sys::Index>,
}

impl Scans {
    /// SAFETY: `plan` is a node of a finished plan, or null; nodes are cast after a look at their tags.
    unsafe fn add(&mut self, plan: *mut pg_sys::Plan) {
        // SAFETY: as said above.
        unsafe {
            if plan.is_null() {
                return;
            }
            pg_sys::check_stack_depth();
            let children = match (*plan).type_ {
                NodeTag::T_SeqScan => {
                    self.whole.push((*plan.cast::<pg_sys::SeqScan>()).scan.scanrelid);
                    null_mut()
                }
                NodeTag::T_IndexScan => {
                    self.indexes.push((*plan.cast::<pg_sys::IndexScan>()).indexid);
                    null_mut()
                }
                NodeTag::T_IndexOnlyScan => {
                    self.indexes.push((*plan.cast::<pg_sys::IndexOnlyScan>()).indexid);
                    null_mut()
                }
                NodeTag::T_BitmapIndexScan => {
                    self.indexes.push((*plan.cast::<pg_sys::BitmapIndexScan>()).indexid);
                    null_mut()
                }
                NodeTag::T_Append => (*plan.cast::<pg_sys::Append>()).appendplans,
                NodeTag::T_MergeAppend => (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
                NodeTag::T_BitmapAnd => (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans,
                NodeTag::T_BitmapOr => (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans,
                NodeTag::T_CustomScan => (*plan.cast::<pg_sys::CustomScan>()).custom_plans,
                NodeTag::T_SubqueryScan => {
                    self.add((*plan.cast::<pg_sys::SubqueryScan>()).subplan);
                    null_mut()
                }
                _ => null_mut(),
            };
            for child in PgList::<pg_sys::Plan>::from_pg(children).iter_ptr() {
                self.add(child);
            }
            self.add((*plan).lefttree);
            self.add((*plan).righttree);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Text,
    Json,
    VerboseJson,
}

/// The plan as EXPLAIN prints it, without the executor hooks of others.
unsafe fn print(
    planned: *mut pg_sys::PlannedStmt,
    text: &CStr,
    parameters: pg_sys::ParamListInfo,
    style: Style,
) -> String {
    // SAFETY: the executor is started for EXPLAIN only, which opens no index, and ended again; all is in the plan's context.
    unsafe {
        let descriptor = pg_sys::CreateQueryDesc(
            planned,
            text.as_ptr(),
            pg_sys::GetActiveSnapshot(),
            null_mut(),
            pg_sys::None_Receiver,
            parameters,
            null_mut(),
            0,
        );
        let flags = pg_sys::EXEC_FLAG_EXPLAIN_ONLY | pg_sys::EXEC_FLAG_EXPLAIN_GENERIC;
        pg_sys::standard_ExecutorStart(descriptor, flags as i32);
        let state = pg_sys::NewExplainState();
        (*state).format = match style {
            Style::Text => pg_sys::ExplainFormat::EXPLAIN_FORMAT_TEXT,
            Style::Json | Style::VerboseJson => pg_sys::ExplainFormat::EXPLAIN_FORMAT_JSON,
        };
        (*state).costs = true;
        (*state).verbose = style == Style::VerboseJson;
        (*state).settings = style == Style::VerboseJson;
        pg_sys::ExplainBeginOutput(state);
        if style != Style::Text {
            pg_sys::ExplainOpenGroup(c"Query".as_ptr(), null_mut(), true, state);
        }
        pg_sys::ExplainPrintPlan(state, descriptor);
        if style != Style::Text {
            pg_sys::ExplainCloseGroup(c"Query".as_ptr(), null_mut(), true, state);
        }
        pg_sys::ExplainEndOutput(state);
        pg_sys::standard_ExecutorEnd(descriptor);
        pg_sys::FreeQueryDesc(descriptor);
        let printed = &*(*state).str_;
        let bytes = std::slice::from_raw_parts(printed.data.cast::<u8>(), printed.len as usize);
        String::from_utf8_lossy(bytes).trim_end().to_string()
    }
}

/// Of all rows, those that a predicate takes, as the planner estimates it.
pub fn selected_share(definition: &Definition, predicate: &str) -> f64 {
    let planner = WhatIf::new();
    // ONLY: what inherits from a table is not in its indexes. Of a partitioned one nothing would be left.
    let only = if is_partitioned(definition.table) { "" } else { "ONLY " };
    let table = &definition.table_name;
    let rows = |condition: String| {
        let query = Query::analyze("predicate", &format!("SELECT FROM {only}{table}{condition}"));
        planner.plan(&query, Bound::GENERIC, &[], &[]).rows
    };
    let (all, selected) = (rows(String::new()), rows(format!(" WHERE {predicate}")));
    (selected / all.max(1.0)).clamp(0.0, 1.0)
}
