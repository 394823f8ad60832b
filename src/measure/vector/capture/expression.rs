//! What a search compares, with what, and what it filters by: from the expressions of its plan.

use super::plan::{Found, Place, elements};
use super::record::Record;
use super::value::{bytes, parameter, type_name, value};
use crate::db;
use crate::facts::vector::{Element, Operator};
use pgrx::pg_guard;
use pgrx::pg_sys::{self, List, Node, NodeTag, Oid, Plan, QueryDesc};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Longer conditions are not kept: those that hold vectors.
const MOST_FILTER_BYTES: usize = 32 * 1024;

/// `once` are parameters that InitPlans have set once.
///
/// SAFETY: found in the query, which has been executed and not ended, and has its parameters; in a transaction, and the names of
/// pg_catalog are seen.
pub unsafe fn record(query: &QueryDesc, once: &[i32], found: &Found) -> Option<Record> {
    // SAFETY: as said above; nodes are cast after a look at their tags.
    unsafe {
        let mut base = Base {
            query,
            once,
            plan: null_mut(),
            scan: null_mut(),
            varno: 0,
            failed: false,
            unknown: false,
            joined: false,
        };
        let mut record = Record {
            k: found.got.k,
            rows: found.got.rows,
            k_short: found.got.short,
            joined: found.joined,
            ..Record::default()
        };
        let mut filters: *mut List = null_mut();
        let distance: *mut Node;
        match found.place {
            Place::Index(state) => {
                let relation = &*(*state).iss_RelationDesc;
                let method = db::string(pg_sys::get_am_name((*relation.rd_rel).relam));
                base.plan = (*state).ss.ps.plan;
                let scan = &*base.plan.cast::<pg_sys::IndexScan>();
                distance = base.at_base(elements::<Node>(scan.indexorderbyorig).first().copied()?)?;
                match method.as_str() {
                    "hnsw" => record.ef_search = db::setting("hnsw.ef_search")?.parse().ok(),
                    "ivfflat" => record.probes = db::setting("ivfflat.probes")?.parse().ok(),
                    _ => return None,
                }
                record.iterative_scan = db::setting(&format!("{method}.iterative_scan"));
                record.index = relation.rd_id.to_u32();
                // The planner has left out what the predicate implies.
                let predicate = pg_sys::RelationGetIndexPredicate((*state).iss_RelationDesc);
                filters = pg_sys::list_concat_copy(filters, predicate);
            }
            Place::Sort(sort) => {
                base.plan = outer(sort.cast_mut().cast())?;
                let number = *(*sort).sortColIdx;
                let entry = target(base.plan, number)?;
                if (*entry).type_ != NodeTag::T_OpExpr && (*entry).type_ != NodeTag::T_Var {
                    return None;
                }
                distance = base.at_base(entry)?;
            }
        }
        if base.unknown || (*distance).type_ != NodeTag::T_OpExpr {
            return None;
        }
        let operator = &*distance.cast::<pg_sys::OpExpr>();
        record.joined |= base.joined;
        record.operator = Operator::from_sql(&db::string(pg_sys::get_opname(operator.opno)))?.sql().to_string();
        // Anybody may give an operator such a name, and a type.
        let pgvector = pg_sys::get_extension_oid(c"vector".as_ptr(), true);
        if pgvector == pg_sys::InvalidOid
            || pg_sys::getExtensionOfObject(pg_sys::OperatorRelationId, operator.opno) != pgvector
        {
            return None;
        }
        let [left, right] = elements::<Node>(operator.args)[..] else { return None };
        let (key, vector) = match (is_of_table(left), is_of_table(right)) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            _ => return None,
        };
        let (value, of) = match found.place {
            Place::Index(state) => {
                let given = &*(*state).iss_OrderByKeys;
                let null = given.sk_flags & pg_sys::SK_ISNULL as i32 != 0;
                // A constant's, or made in iss_RuntimeContext, which is reset only when it is made anew; what a function hands on
                // as it got it is of a parameter that is known.
                (!null).then(|| (given.sk_argument, pg_sys::exprType(vector)))?
            }
            Place::Sort(_) => value(vector)?,
        };
        record.vector_type = of.to_u32();
        record.vector = bytes(value, Element::from_name(&type_name(of))?)?;
        let entry = range_table_entry(query, base.varno)?;
        if entry.rtekind != pg_sys::RTEKind::RTE_RELATION
            || pg_sys::get_rel_persistence(entry.relid) as u8 == pg_sys::RELPERSISTENCE_TEMP
        {
            return None;
        }
        record.relation = entry.relid.to_u32();
        record.key = printed(key, entry.relid);
        filters = pg_sys::list_concat_copy(filters, conditions(base.scan));
        if !filters.is_null() {
            base.plan = base.scan;
            let filter: *mut Node = pg_sys::make_ands_explicit(filters).cast();
            // Predicates of an index speak of its table as number 1 already.
            if let Some(filter) = base.at_base_or(filter, 1) {
                record.filter_columns = columns(filter);
                if !base.unknown && !pg_sys::contain_volatile_functions(filter) {
                    record.filter = Some(printed(filter, entry.relid)).filter(|text| text.len() <= MOST_FILTER_BYTES);
                }
            }
        }
        Some(record)
    }
}

/// Follows what nodes of a plan hand on down to the table, and puts values in place of parameters.
struct Base<'a> {
    query: &'a QueryDesc,
    once: &'a [i32],
    /// Whose targets or conditions are looked at.
    plan: *mut Plan,
    /// That reads the table, and its number there.
    scan: *mut Plan,
    varno: i32,
    /// It is not one table's.
    failed: bool,
    /// There is more than one table, or an aggregate, on the way.
    joined: bool,
    /// There is a parameter whose value is not known, or a query for each row.
    unknown: bool,
}

impl Base<'_> {
    /// A copy that speaks of the one table as number 1.
    ///
    /// SAFETY: `node` is an expression of `plan`, which is of the query.
    unsafe fn at_base(&mut self, node: *mut Node) -> Option<*mut Node> {
        // SAFETY: as said above.
        unsafe { self.at_base_or(node, 0) }
    }

    /// As `at_base`; columns of the table number `also` stay as they are.
    unsafe fn at_base_or(&mut self, node: *mut Node, also: i32) -> Option<*mut Node> {
        let mut walk = Walk { base: self, also };
        // SAFETY: as said above.
        let copy = unsafe { walk.mutated(node) };
        (!self.failed).then_some(copy)
    }
}

struct Walk<'a, 'b> {
    base: &'a mut Base<'b>,
    also: i32,
}

impl Walk<'_, '_> {
    /// SAFETY: as of `Base::at_base`.
    unsafe fn mutated(&mut self, node: *mut Node) -> *mut Node {
        // SAFETY: nodes are cast after a look at their tags.
        unsafe {
            if node.is_null() {
                return node;
            }
            pg_sys::check_stack_depth();
            match (*node).type_ {
                NodeTag::T_Var => self.column(node.cast()),
                NodeTag::T_Param => match parameter(self.base.query, self.base.once, &*node.cast()) {
                    Some(known) => known.cast(),
                    None => {
                        self.base.unknown = true;
                        node
                    }
                },
                of => {
                    self.base.unknown |= of == NodeTag::T_SubPlan;
                    pg_sys::expression_tree_mutator_impl(node, Some(mutate), (&raw mut *self).cast())
                }
            }
        }
    }

    /// SAFETY: a column of what `plan` reads.
    unsafe fn column(&mut self, var: *mut pg_sys::Var) -> *mut Node {
        // SAFETY: as said above.
        unsafe {
            let (number, attribute) = ((*var).varno, (*var).varattno);
            let plan = self.base.plan;
            let below = match number {
                pg_sys::OUTER_VAR => outer(plan),
                pg_sys::INNER_VAR => Some((*plan).righttree).filter(|inner| !inner.is_null()),
                _ if (*plan).type_ == NodeTag::T_SubqueryScan => Some((*plan.cast::<pg_sys::SubqueryScan>()).subplan),
                _ => None,
            };
            if let Some(below) = below {
                self.base.joined |= !hands_on((*plan).type_);
                let Some(entry) = target(below, attribute) else {
                    self.base.failed = true;
                    return var.cast();
                };
                self.base.plan = below;
                let found = self.mutated(entry);
                self.base.plan = plan;
                return found;
            }
            let base = &mut *self.base;
            let first = base.scan.is_null();
            if first {
                (base.scan, base.varno) = (plan, number);
            }
            let ours = (base.scan, base.varno) == (plan, number) || number == self.also && !first;
            if number < 1 || attribute < 1 || (*var).varlevelsup > 0 || !ours {
                base.failed = true;
            }
            let copy: *mut pg_sys::Var = pg_sys::copyObjectImpl(var.cast()).cast();
            (*copy).varno = 1;
            (*copy).varnosyn = 0;
            copy.cast()
        }
    }
}

/// The server's mutator calls this; our own code calls `mutated`, for an error must unwind through it.
///
/// SAFETY: called by the server with a node and the walk.
#[pg_guard]
unsafe extern "C-unwind" fn mutate(node: *mut Node, context: *mut c_void) -> *mut Node {
    // SAFETY: as said above.
    unsafe { (*context.cast::<Walk>()).mutated(node) }
}

/// A node whose rows are those of the node below it, or of the nodes.
fn hands_on(node: NodeTag) -> bool {
    use NodeTag::*;
    matches!(
        node,
        T_Sort
            | T_IncrementalSort
            | T_Gather
            | T_GatherMerge
            | T_Append
            | T_MergeAppend
            | T_Material
            | T_LockRows
            | T_Result
            | T_SubqueryScan
    )
}

/// SAFETY: a plan.
unsafe fn outer(plan: *mut Plan) -> Option<*mut Plan> {
    // SAFETY: cast after a look at the tag.
    unsafe {
        let below = match (*plan).type_ {
            NodeTag::T_Append => elements((*plan.cast::<pg_sys::Append>()).appendplans).first().copied()?,
            NodeTag::T_MergeAppend => elements((*plan.cast::<pg_sys::MergeAppend>()).mergeplans).first().copied()?,
            _ => (*plan).lefttree,
        };
        (!below.is_null()).then_some(below)
    }
}

/// SAFETY: a plan.
unsafe fn target(plan: *mut Plan, number: i16) -> Option<*mut Node> {
    // SAFETY: a list of targets.
    unsafe {
        let targets = elements::<pg_sys::TargetEntry>((*plan).targetlist);
        targets.into_iter().find(|entry| (**entry).resno == number).map(|entry| (*entry).expr.cast())
    }
}

/// All that a scan's rows fulfil.
///
/// SAFETY: the plan of a scan.
unsafe fn conditions(scan: *mut Plan) -> *mut List {
    // SAFETY: cast after a look at the tag.
    unsafe {
        let by_index = match (*scan).type_ {
            NodeTag::T_IndexScan => (*scan.cast::<pg_sys::IndexScan>()).indexqualorig,
            NodeTag::T_BitmapHeapScan => (*scan.cast::<pg_sys::BitmapHeapScan>()).bitmapqualorig,
            _ => null_mut(),
        };
        pg_sys::list_concat_copy(by_index, (*scan).qual)
    }
}

/// SAFETY: an expression that `Base` has made.
unsafe fn is_of_table(node: *mut Node) -> bool {
    // SAFETY: as said above.
    unsafe { !columns(node).is_empty() }
}

/// Of table number 1.
///
/// SAFETY: an expression.
unsafe fn columns(node: *mut Node) -> Vec<i16> {
    let mut found: *mut pg_sys::Bitmapset = null_mut();
    let mut columns = Vec::new();
    // SAFETY: as said above; numbers in the set are so much higher than a column's.
    unsafe {
        pg_sys::pull_varattnos(node, 1, &raw mut found);
        let mut member = pg_sys::bms_next_member(found, -1);
        while member >= 0 {
            columns.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16);
            member = pg_sys::bms_next_member(found, member);
        }
    }
    columns
}

/// SAFETY: the number of a table in the query's plan, or another number.
unsafe fn range_table_entry<'a>(query: &QueryDesc, number: i32) -> Option<&'a pg_sys::RangeTblEntry> {
    // SAFETY: a list of them.
    unsafe {
        let entries = elements::<pg_sys::RangeTblEntry>((*query.plannedstmt).rtable);
        entries.get(usize::try_from(number - 1).ok()?).map(|entry| &**entry)
    }
}

/// As SQL, columns without their table's name.
///
/// SAFETY: an expression on table number 1, which is `relation`.
unsafe fn printed(node: *mut Node, relation: Oid) -> String {
    // SAFETY: as said above.
    unsafe {
        let context = pg_sys::deparse_context_for(pg_sys::get_rel_name(relation), relation);
        db::string(pg_sys::deparse_expression(node, context, false, false))
    }
}
