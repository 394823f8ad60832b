//! One statement by the server's own hand: parsed, analyzed, planned and executed, its rows thrown away.

use super::observe::Kind;
use super::utilities::outlives_rollback;
use crate::db::{self, raise};
use pgrx::pg_sys::{self, CommandTag, NodeTag};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::CStr;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

/// A statement's parse tree, in the memory context in which it was parsed.
pub struct Tree<'a> {
    text: &'a CStr,
    statements: Vec<*mut pg_sys::RawStmt>,
}

impl Tree<'_> {
    /// Raises the server's error when the text is wrong.
    pub fn parse(text: &CStr) -> Tree<'_> {
        // SAFETY: the text ends with NUL.
        let parsed = unsafe {
            PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
                text.as_ptr(),
                pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
            ))
        };
        Tree { text, statements: parsed.iter_ptr().collect() }
    }

    fn nodes(&self) -> impl Iterator<Item = *mut pg_sys::Node> {
        // SAFETY: made by the parser.
        self.statements.iter().map(|statement| unsafe { (**statement).stmt })
    }

    fn of<T>(&self, tag: NodeTag) -> Option<&T> {
        // SAFETY: cast after a look at the tag, as the caller names tag and type.
        self.nodes().find(|node| unsafe { (**node).type_ } == tag).map(|node| unsafe { &*node.cast::<T>() })
    }

    fn tag(&self) -> CommandTag::Type {
        // SAFETY: made by the parser.
        self.nodes().next().map_or(CommandTag::CMDTAG_UNKNOWN, |node| unsafe { pg_sys::CreateCommandTag(node) })
    }

    /// `ALTER TABLE`
    pub fn name(&self) -> String {
        // SAFETY: the server's own string.
        unsafe { db::string(pg_sys::GetCommandTagName(self.tag())) }
    }

    /// Why it is not even begun.
    pub fn cannot_be_undone(&self) -> Option<&'static str> {
        match self.tag() {
            CommandTag::CMDTAG_SET if self.sets_transaction() => {
                Some("steps run in the calling transaction, which has begun: its isolation level stays as it is")
            }
            CommandTag::CMDTAG_DO if self.is_untrusted() => Some("its language can do what a rollback does not undo"),
            tag => outlives_rollback(tag),
        }
    }

    fn sets_transaction(&self) -> bool {
        let set = self.of::<pg_sys::VariableSetStmt>(NodeTag::T_VariableSetStmt);
        // SAFETY: the name is the parser's.
        set.is_some_and(|set| {
            set.kind == pg_sys::VariableSetKind::VAR_SET_MULTI
                && unsafe { db::string(set.name) }.starts_with("TRANSACTION")
        })
    }

    fn is_untrusted(&self) -> bool {
        let Some(block) = self.of::<pg_sys::DoStmt>(NodeTag::T_DoStmt) else { return false };
        // SAFETY: arguments of DO are DefElems; that of LANGUAGE is a String.
        let language = unsafe {
            let arguments = PgList::<pg_sys::DefElem>::from_pg(block.args);
            let named = arguments.iter_ptr().find(|argument| db::string((**argument).defname) == "language");
            named.map(|argument| db::string((*(*argument).arg.cast::<pg_sys::String>()).sval))
        };
        const TRUSTED: &str =
            "select true from pg_catalog.pg_language as l where l.lanname = $1 and not l.lanpltrusted";
        language.is_some_and(|language| !db::read(TRUSTED, &[language.into()], |row| row.take::<bool>()).is_empty())
    }

    pub fn kind(&self) -> Kind {
        let refresh = self.of::<pg_sys::RefreshMatViewStmt>(NodeTag::T_RefreshMatViewStmt);
        Kind {
            reads_in_part: self.reads_in_part(),
            moves_to_tablespace: self.moves_to_tablespace(),
            refreshes_concurrently: refresh.is_some_and(|refresh| refresh.concurrent),
        }
    }

    /// The server takes it only between BEGIN and COMMIT.
    pub fn needs_transaction_block(&self) -> bool {
        matches!(self.tag(), CommandTag::CMDTAG_LOCK_TABLE)
    }

    fn reads_in_part(&self) -> bool {
        matches!(
            self.tag(),
            CommandTag::CMDTAG_SELECT
                | CommandTag::CMDTAG_SELECT_FOR_KEY_SHARE
                | CommandTag::CMDTAG_SELECT_FOR_NO_KEY_UPDATE
                | CommandTag::CMDTAG_SELECT_FOR_SHARE
                | CommandTag::CMDTAG_SELECT_FOR_UPDATE
                | CommandTag::CMDTAG_INSERT
                | CommandTag::CMDTAG_UPDATE
                | CommandTag::CMDTAG_DELETE
                | CommandTag::CMDTAG_MERGE
                | CommandTag::CMDTAG_SELECT_INTO
                | CommandTag::CMDTAG_CREATE_TABLE_AS
                | CommandTag::CMDTAG_CREATE_MATERIALIZED_VIEW
                | CommandTag::CMDTAG_REFRESH_MATERIALIZED_VIEW
                | CommandTag::CMDTAG_EXECUTE
                | CommandTag::CMDTAG_EXPLAIN
                | CommandTag::CMDTAG_CALL
                | CommandTag::CMDTAG_DO
        )
    }

    /// Names of relations change that it does not lock.
    pub fn renames_many(&self) -> bool {
        matches!(self.tag(), CommandTag::CMDTAG_ALTER_SCHEMA | CommandTag::CMDTAG_DO | CommandTag::CMDTAG_CALL)
    }

    pub fn adds_enum_value(&self) -> bool {
        self.of::<pg_sys::AlterEnumStmt>(NodeTag::T_AlterEnumStmt).is_some_and(|alter| alter.oldVal.is_null())
    }

    fn moves_to_tablespace(&self) -> bool {
        self.of::<pg_sys::AlterTableMoveAllStmt>(NodeTag::T_AlterTableMoveAllStmt).is_some()
            || self.command(pg_sys::AlterTableType::AT_SetTableSpace).is_some()
    }

    /// Of ALTER TABLE.
    fn command(&self, what: pg_sys::AlterTableType::Type) -> Option<*mut pg_sys::AlterTableCmd> {
        let alter = self.of::<pg_sys::AlterTableStmt>(NodeTag::T_AlterTableStmt)?;
        // SAFETY: a list of these.
        unsafe {
            let commands = PgList::<pg_sys::AlterTableCmd>::from_pg(alter.cmds);
            commands.iter_ptr().find(|command| (**command).subtype == what)
        }
    }

    /// Takes CONCURRENTLY out, of what does the same without it in a transaction; the table whose rows are then read under a
    /// lock, and whether there was anything to take out.
    pub fn without_concurrently(&mut self) -> Option<Plain> {
        let node = self.nodes().next()?;
        // SAFETY: nodes are cast after a look at their tags; nobody else looks at the tree.
        unsafe {
            match (*node).type_ {
                NodeTag::T_IndexStmt => {
                    let index = &mut *node.cast::<pg_sys::IndexStmt>();
                    let relation = &*index.relation;
                    let (schema, name) = (db::string(relation.schemaname), db::string(relation.relname));
                    let written = [schema, name].into_iter().filter(|part| !part.is_empty());
                    let reads = written.map(|part| db::quote_identifier(&part)).collect::<Vec<_>>().join(".");
                    std::mem::take(&mut index.concurrent).then_some(Plain { reads: Some(reads) })
                }
                NodeTag::T_DropStmt => {
                    let drop = &mut *node.cast::<pg_sys::DropStmt>();
                    std::mem::take(&mut drop.concurrent).then_some(Plain { reads: None })
                }
                NodeTag::T_AlterTableStmt => {
                    let detach = self.command(pg_sys::AlterTableType::AT_DetachPartition)?;
                    let partition = &mut *(*detach).def.cast::<pg_sys::PartitionCmd>();
                    std::mem::take(&mut partition.concurrent).then_some(Plain { reads: None })
                }
                _ => None,
            }
        }
    }

    /// Executes it in the current subtransaction, as a client's statement; the time it took.
    pub fn execute(&self) -> Duration {
        let began = Instant::now();
        for statement in &self.statements {
            // SAFETY: as the server runs the script of an extension; trees are in the current memory context.
            unsafe { execute(*statement, self.text) }
        }
        began.elapsed()
    }
}

/// A statement that has CONCURRENTLY no more.
pub struct Plain {
    /// The table whose rows it reads while others wait.
    pub reads: Option<String>,
}

/// SAFETY: the tree is the parser's, of that text.
unsafe fn execute(statement: *mut pg_sys::RawStmt, text: &CStr) {
    // SAFETY: as said above; snapshots and descriptors pair up, and the subtransaction cleans up after an error.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let rewritten = pg_sys::pg_analyze_and_rewrite_fixedparams(statement, text.as_ptr(), null(), 0, null_mut());
        let parallel = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
        let plans = pg_sys::pg_plan_queries(rewritten, text.as_ptr(), parallel, null_mut());
        pg_sys::PopActiveSnapshot();
        for plan in PgList::<pg_sys::PlannedStmt>::from_pg(plans).iter_ptr() {
            refuse_writes_elsewhere(&*plan);
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            if (*plan).utilityStmt.is_null() {
                run_plan(plan, text)
            } else {
                run_utility(plan, text)
            }
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::CommandCounterIncrement();
    }
}

unsafe fn run_plan(plan: *mut pg_sys::PlannedStmt, text: &CStr) {
    // SAFETY: as in `execute`.
    unsafe {
        let descriptor = pg_sys::CreateQueryDesc(
            plan,
            text.as_ptr(),
            pg_sys::GetActiveSnapshot(),
            null_mut(),
            pg_sys::None_Receiver,
            null_mut(),
            null_mut(),
            0,
        );
        pg_sys::ExecutorStart(descriptor, 0);
        pg_sys::ExecutorRun(descriptor, pg_sys::ScanDirection::ForwardScanDirection, 0, true);
        pg_sys::ExecutorFinish(descriptor);
        pg_sys::ExecutorEnd(descriptor);
        pg_sys::FreeQueryDesc(descriptor);
    }
}

unsafe fn run_utility(plan: *mut pg_sys::PlannedStmt, text: &CStr) {
    // SAFETY: as in `execute`.
    unsafe {
        pg_sys::ProcessUtility(
            plan,
            text.as_ptr(),
            false,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY,
            null_mut(),
            null_mut(),
            pg_sys::None_Receiver,
            null_mut(),
        )
    }
}

/// SQLSTATE of what is refused here.
pub const REFUSED: &str = "0A000";

/// SAFETY: the planner's own statement.
unsafe fn refuse_writes_elsewhere(plan: &pg_sys::PlannedStmt) {
    // SAFETY: result relations are positions in the range table, from 1.
    unsafe {
        let tables = PgList::<pg_sys::RangeTblEntry>::from_pg(plan.rtable);
        for position in PgList::<i32>::from_pg(plan.resultRelations).iter_int() {
            let table = tables.get_ptr(position as usize - 1).expect("a result relation is in the range table");
            if pg_sys::get_rel_relkind((*table).relid) as u8 == pg_sys::RELKIND_FOREIGN_TABLE {
                raise(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    FOREIGN,
                    "Its rows are on another server, where locks and work would be real.",
                )
            }
        }
    }
}

pub const FOREIGN: &str = "a dry run does not write foreign tables";
