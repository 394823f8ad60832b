//! EXPLAIN ANALYZE by our own hand: what a statement that is stopped at its time limit has done by then is kept.

use crate::db::{self, Arena, Caught, with_search_path};
use crate::measure::query::{Value, Whole};
use crate::measure::time_limit::TimeLimit;
use crate::measure::vector::capture::unseen;
use pgrx::pg_sys::{self, NodeTag};
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// A statement to be run, and how.
pub struct Execution<'a> {
    pub text: &'a CStr,
    pub values: &'a [Value],
    pub time_limit: Duration,
    pub allow_writes: bool,
    /// Of the caller.
    pub search_path: &'a CStr,
}

/// What a run has shown.
pub struct Ran {
    /// As EXPLAIN (ANALYZE, BUFFERS, WAL, SETTINGS, VERBOSE, FORMAT JSON) prints it. None: it was stopped, and its plan holds
    /// what can't be looked at any more (a foreign or custom scan).
    pub json: Option<String>,
    pub planning_ms: f64,
    pub execution_ms: f64,
    pub stopped: bool,
    /// It was stopped while triggers ran, when the plan itself was done.
    pub in_triggers: bool,
}

/// How far a run has come.
#[derive(Default)]
struct Progress {
    descriptor: Cell<*mut pg_sys::QueryDesc>,
    planning: Cell<Duration>,
    begun: Cell<Option<Instant>>,
    /// Rows that nobody asked for, and triggers.
    finishing: Cell<bool>,
}

/// Runs the statement in a subtransaction that is rolled back. Raises the statement's own error.
pub fn run(execution: &Execution) -> Ran {
    // What the executor leaves outlives the subtransaction.
    let arena = Arena::new();
    let progress = Progress::default();
    let outcome = arena.enter(|| {
        db::undone(
            || with_search_path(execution.search_path, || unseen(|| execute(execution, &progress))),
            TimeLimit::was_reached,
        )
    });
    let execution_ms = progress.begun.get().map_or(0.0, |begun| ms(begun.elapsed()));
    let planning_ms = ms(progress.planning.get());
    match outcome {
        Ok((json, execution)) => {
            Ran { json: Some(json), planning_ms, execution_ms: ms(execution), stopped: false, in_triggers: false }
        }
        Err(caught) if TimeLimit::caused(&caught) => {
            // SAFETY: the descriptor and all that hangs on it is in `arena`.
            let left = arena.enter(|| unsafe { end_nodes(progress.descriptor.get()) });
            let json = left.printable.then(|| print_stopped(&arena, progress.descriptor.get())).flatten();
            let in_triggers = progress.finishing.get() && !left.running;
            Ran { json, planning_ms, execution_ms, stopped: true, in_triggers }
        }
        Err(caught) if progress.begun.get().is_none() => {
            db::raise_sqlstate(&caught.sqlstate, caught.message, "It was to be run, and could not be planned.")
        }
        Err(caught) => raise_again(&caught, execution.allow_writes),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// SQLSTATE of a write in a read-only transaction.
const READ_ONLY: &str = "25006";

fn raise_again(caught: &Caught, allow_writes: bool) -> ! {
    let hint = match caught.sqlstate == READ_ONLY && !allow_writes {
        true => "It is run read-only; allow_writes => true lets it write, and what it wrote is rolled back.",
        false => "It was run, as the argument analyze is true; nothing of it is kept. Without, it is only planned.",
    };
    db::raise_sqlstate(&caught.sqlstate, format!("the statement failed when it was run: {}", caught.message), hint)
}

/// The plan with what was measured, and the time from start to end of the execution.
fn execute(execution: &Execution, progress: &Progress) -> (String, Duration) {
    // SAFETY: as EXPLAIN ANALYZE does it; all is in the arena of `run`, and undone with the subtransaction.
    unsafe {
        if !execution.allow_writes {
            pg_sys::XactReadOnly = true;
        }
        let limit = TimeLimit::start(execution.time_limit);
        let began = Instant::now();
        let Whole { planned, parameters } = Whole::plan("query", execution.text, execution.values);
        progress.planning.set(began.elapsed());
        pg_sys::PushCopiedSnapshot(pg_sys::GetActiveSnapshot());
        pg_sys::UpdateActiveSnapshotCommandId();
        let measured = pg_sys::InstrumentOption::INSTRUMENT_TIMER
            | pg_sys::InstrumentOption::INSTRUMENT_BUFFERS
            | pg_sys::InstrumentOption::INSTRUMENT_WAL;
        let descriptor = pg_sys::CreateQueryDesc(
            planned,
            execution.text.as_ptr(),
            pg_sys::GetActiveSnapshot(),
            null_mut(),
            pg_sys::None_Receiver,
            parameters,
            null_mut(),
            measured as i32,
        );
        let begun = Instant::now();
        progress.begun.set(Some(begun));
        pg_sys::ExecutorStart(descriptor, 0);
        progress.descriptor.set(descriptor);
        pg_sys::ExecutorRun(descriptor, pg_sys::ScanDirection::ForwardScanDirection, 0, true);
        progress.finishing.set(true);
        pg_sys::ExecutorFinish(descriptor);
        let took = begun.elapsed();
        drop(limit);
        let json = print(descriptor, true);
        pg_sys::ExecutorEnd(descriptor);
        pg_sys::FreeQueryDesc(descriptor);
        pg_sys::PopActiveSnapshot();
        (json, took)
    }
}

/// SAFETY: the descriptor is that of a statement that was run. `whole`: its resources are still held.
unsafe fn print(descriptor: *mut pg_sys::QueryDesc, whole: bool) -> String {
    // SAFETY: as EXPLAIN does it.
    unsafe {
        let state = pg_sys::NewExplainState();
        (*state).format = pg_sys::ExplainFormat::EXPLAIN_FORMAT_JSON;
        (*state).analyze = true;
        (*state).verbose = true;
        (*state).costs = true;
        (*state).buffers = true;
        (*state).wal = true;
        (*state).timing = true;
        (*state).settings = true;
        pg_sys::ExplainBeginOutput(state);
        pg_sys::ExplainOpenGroup(c"Query".as_ptr(), null_mut(), true, state);
        pg_sys::ExplainPrintPlan(state, descriptor);
        if whole {
            pg_sys::ExplainPrintTriggers(state, descriptor);
            pg_sys::ExplainPrintJITSummary(state, descriptor);
        }
        pg_sys::ExplainCloseGroup(c"Query".as_ptr(), null_mut(), true, state);
        pg_sys::ExplainEndOutput(state);
        let printed = &*(*state).str_;
        let bytes = std::slice::from_raw_parts(printed.data.cast::<u8>(), printed.len as usize);
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The plan of a statement that was stopped, whose subtransaction is gone: memory is there, other resources are not. None: it
/// names what another session has dropped since.
fn print_stopped(arena: &Arena, descriptor: *mut pg_sys::QueryDesc) -> Option<String> {
    // SAFETY: `end_nodes` found that it can be printed.
    db::guarded(|| arena.enter(|| unsafe { print(descriptor, false) })).ok()
}

/// What a statement left that was stopped.
struct Left {
    /// Nodes were made, and all of them can be printed.
    printable: bool,
    /// Some were at work.
    running: bool,
}

/// Makes the nodes of a statement that was stopped as if they had come to their ends.
///
/// SAFETY: the descriptor is null or that of a statement whose memory still is.
unsafe fn end_nodes(descriptor: *mut pg_sys::QueryDesc) -> Left {
    let mut left = Left { printable: true, running: false };
    // SAFETY: as said above.
    unsafe {
        if descriptor.is_null() || (*descriptor).planstate.is_null() {
            return Left { printable: false, ..left };
        }
        visit((*descriptor).planstate, (&raw mut left).cast());
    }
    left
}

/// Ends what a node's instruments were measuring, and forgets what parallel workers shared: that memory is gone.
///
/// SAFETY: the node's memory is there; `context` is a `Left`.
unsafe fn visit(node: *mut pg_sys::PlanState, context: *mut c_void) -> bool {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        let left = &mut *context.cast::<Left>();
        let instruments = (*node).instrument;
        if !instruments.is_null() && (*instruments).starttime.ticks != 0 {
            left.running = true;
            pg_sys::InstrStopNode(instruments, 0.0);
        }
        match (*node).type_ {
            NodeTag::T_SortState => (*node.cast::<pg_sys::SortState>()).shared_info = null_mut(),
            NodeTag::T_IncrementalSortState => (*node.cast::<pg_sys::IncrementalSortState>()).shared_info = null_mut(),
            NodeTag::T_HashState => (*node.cast::<pg_sys::HashState>()).shared_info = null_mut(),
            NodeTag::T_AggState => (*node.cast::<pg_sys::AggState>()).shared_info = null_mut(),
            NodeTag::T_MemoizeState => (*node.cast::<pg_sys::MemoizeState>()).shared_info = null_mut(),
            // What prints them may look at connections.
            NodeTag::T_ForeignScanState | NodeTag::T_CustomScanState => left.printable = false,
            NodeTag::T_ModifyTableState if writes_foreign_tables(&*node.cast()) => left.printable = false,
            _ => {}
        }
        pg_sys::planstate_tree_walker_impl(node, Some(walk), context)
    }
}

/// One partition may be foreign, and others not.
unsafe fn writes_foreign_tables(node: &pg_sys::ModifyTableState) -> bool {
    let number = if node.resultRelInfo.is_null() { 0 } else { node.mt_nrels as usize };
    // SAFETY: an array of so many.
    (0..number).any(|position| unsafe { !(*node.resultRelInfo.add(position)).ri_FdwRoutine.is_null() })
}

/// The server's walker calls this; our own code calls `visit`, for an error must unwind through it.
///
/// SAFETY: as of `visit`.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::PlanState, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { visit(node, context) }
}
