//! Conditions on one table that an index could serve, from what the planner has made of WHERE and ON.

use super::bindings::Bindings;
use super::expressions::Relation;
use super::patterns;
use super::ways::{Comparison, Ways};
use crate::db;
use crate::db::string;
use crate::facts::query::{Condition, ConditionKind, Part, Way};
use fnv::FnvHashSet;
use pgrx::PgList;
use pgrx::pg_sys::{self, BoolTestType, Node, NodeTag, NullTestType, Oid};

/// A predicate is cut nowhere, so a longer one is none.
const LONGEST_PREDICATE: usize = 1000;

/// Collects the conditions on one table.
pub struct Reader<'a> {
    pub relation: &'a Relation,
    pub ways: &'a mut Ways,
    pub bindings: &'a mut Bindings,
}

impl Reader<'_> {
    /// What WHERE and ON say of the table alone and, by equality, of it and others.
    pub unsafe fn all(&mut self) -> Vec<Condition> {
        // SAFETY: the relation is the planner's, its lists are of RestrictInfos.
        unsafe {
            let rel = self.relation.rel;
            let mut conditions = Vec::new();
            for clause in clauses((*rel).baserestrictinfo) {
                self.add(clause, &mut conditions);
            }
            for info in PgList::<pg_sys::RestrictInfo>::from_pg((*rel).joininfo).iter_ptr() {
                let mut joined = Vec::new();
                self.add((*info).clause.cast(), &mut joined);
                // An outer join's clause takes no row from its outer side, but a merge join wants that side in order.
                if !pg_sys::join_clause_is_movable_to(info, rel) {
                    joined.retain_mut(|condition| {
                        matches!(condition.kind, ConditionKind::Join { .. }) && keep_sorted(condition)
                    });
                }
                conditions.append(&mut joined);
            }
            self.add_equivalences(&mut conditions);
            without_repetitions(conditions)
        }
    }

    /// For each OR whose arms all have conditions: those of each arm, once where they ask for the same index.
    pub unsafe fn alternatives(&mut self) -> Vec<Vec<Condition>> {
        // SAFETY: as in `all`; nodes are cast after a look at their tags.
        unsafe {
            let rel = self.relation.rel;
            let mut alternatives: Vec<Vec<Condition>> = Vec::new();
            let joins = PgList::<pg_sys::RestrictInfo>::from_pg((*rel).joininfo);
            let joins = joins.iter_ptr().filter(|info| pg_sys::join_clause_is_movable_to(*info, rel));
            let joins = joins.map(|info| (*info).clause.cast());
            for clause in clauses((*rel).baserestrictinfo).into_iter().chain(joins) {
                if !is_bool(clause, pg_sys::BoolExprType::OR_EXPR) {
                    continue;
                }
                let arms = PgList::<Node>::from_pg((*clause.cast::<pg_sys::BoolExpr>()).args);
                let arms: Vec<Vec<Condition>> = arms
                    .iter_ptr()
                    .map(|arm| {
                        let mut conditions = Vec::new();
                        self.add(arm, &mut conditions);
                        without_repetitions(conditions)
                    })
                    .collect();
                if arms.iter().all(|arm| !arm.is_empty()) {
                    for arm in arms {
                        if !alternatives.iter().any(|known| is_alike(known, &arm)) {
                            alternatives.push(arm);
                        }
                    }
                }
            }
            alternatives
        }
    }

    /// Conditions that a partial index could have as its predicate.
    pub unsafe fn predicates(&self) -> Vec<String> {
        // SAFETY: as in `all`.
        unsafe {
            let own = clauses((*self.relation.rel).baserestrictinfo);
            let printed = own.into_iter().filter(|clause| self.relation.is_own(*clause));
            let mut seen = FnvHashSet::default();
            printed
                .map(|clause| self.relation.print(clause))
                .filter(|text| text.len() <= LONGEST_PREDICATE && seen.insert(text.clone()))
                .collect()
        }
    }

    unsafe fn add(&mut self, clause: *mut Node, conditions: &mut Vec<Condition>) {
        db::check_for_interrupts();
        // SAFETY: nodes are cast after a look at their tags.
        unsafe {
            match (*clause).type_ {
                NodeTag::T_RestrictInfo => self.add((*clause.cast::<pg_sys::RestrictInfo>()).clause.cast(), conditions),
                NodeTag::T_BoolExpr if is_bool(clause, pg_sys::BoolExprType::AND_EXPR) => {
                    for arm in PgList::<Node>::from_pg((*clause.cast::<pg_sys::BoolExpr>()).args).iter_ptr() {
                        self.add(arm, conditions);
                    }
                }
                NodeTag::T_OpExpr => conditions.extend(self.operator(&*clause.cast())),
                NodeTag::T_ScalarArrayOpExpr => conditions.extend(self.array(&*clause.cast())),
                NodeTag::T_RowCompareExpr => conditions.extend(self.row(&*clause.cast())),
                NodeTag::T_NullTest => conditions.extend(self.null(&*clause.cast())),
                _ => conditions.extend(match self.starts_with(clause) {
                    Some(condition) => Some(condition),
                    None => self.truth(clause),
                }),
            }
        }
    }

    /// `part operator value` or the other way round.
    unsafe fn operator(&mut self, clause: &pg_sys::OpExpr) -> Option<Condition> {
        // SAFETY: nodes are cast after a look at their tags.
        unsafe {
            let (left, right) = operands(clause.args)?;
            if let Some(condition) = self.compared(left, clause.opno, right, clause.inputcollid) {
                return Some(condition);
            }
            let commuted = pg_sys::get_commutator(clause.opno);
            (commuted != pg_sys::InvalidOid).then(|| self.compared(right, commuted, left, clause.inputcollid)).flatten()
        }
    }

    unsafe fn compared(
        &mut self,
        part: *mut Node,
        operator: Oid,
        value: *mut Node,
        collation: Oid,
    ) -> Option<Condition> {
        // SAFETY: as in `operator`.
        unsafe {
            if !self.is_value(value) {
                return None;
            }
            let side = self.relation.side(part)?;
            let comparison = self.ways.comparison(operator);
            self.bindings.compared(value, self.relation.table, &side, comparison);
            let mut ways = self.ways.search(&side, operator, collation);
            let kind = if patterns::has_prefix(operator, value) {
                let mut prefix = self.ways.prefix(&side);
                prefix.append(&mut ways);
                ways = prefix;
                ConditionKind::Prefix
            } else {
                match comparison? {
                    Comparison::Equal => self.equality(value),
                    Comparison::Less | Comparison::Greater => ConditionKind::Range,
                    Comparison::Other => ConditionKind::Other,
                }
            };
            self.condition(side.part, kind, ways, &format!("{} …", string(pg_sys::get_opname(operator))), value)
        }
    }

    /// An equality with another table's column is a join.
    unsafe fn equality(&self, value: *mut Node) -> ConditionKind {
        // SAFETY: as in `operator`.
        match unsafe { self.relation.other_table(value) } {
            Some(table) => ConditionKind::Join { table: table.to_u32() },
            None => ConditionKind::Equality,
        }
    }

    /// `part operator ANY (values)`
    unsafe fn array(&mut self, clause: &pg_sys::ScalarArrayOpExpr) -> Option<Condition> {
        // SAFETY: as in `operator`.
        unsafe {
            let (left, right) = operands(clause.args)?;
            if !clause.useOr || !self.is_value(right) {
                return None;
            }
            let side = self.relation.side(left)?;
            let comparison = self.ways.comparison(clause.opno)?;
            self.bindings.compared(right, self.relation.table, &side, Some(comparison));
            let ways = self.ways.search(&side, clause.opno, clause.inputcollid);
            let kind = match comparison {
                Comparison::Equal => ConditionKind::Membership,
                Comparison::Less | Comparison::Greater => ConditionKind::Range,
                Comparison::Other => ConditionKind::Other,
            };
            let form = format!("{} ANY (…)", string(pg_sys::get_opname(clause.opno)));
            self.condition(side.part, kind, ways, &form, right)
        }
    }

    /// `(a, b) > (1, 2)` is a range of its first column; the order by all of them is the query's, if it has one.
    unsafe fn row(&mut self, clause: &pg_sys::RowCompareExpr) -> Option<Condition> {
        // SAFETY: as in `operator`; the lists of a row comparison are equally long.
        unsafe {
            let (lefts, rights) = (PgList::<Node>::from_pg(clause.largs), PgList::<Node>::from_pg(clause.rargs));
            let mut first = None;
            for position in 0..lefts.len() {
                let operator = (*(*clause.opnos).elements.add(position)).oid_value;
                let collation = (*(*clause.inputcollids).elements.add(position)).oid_value;
                let (left, right) = (lefts.get_ptr(position)?, rights.get_ptr(position)?);
                let condition = self.compared(left, operator, right, collation).or_else(|| {
                    let commuted = pg_sys::get_commutator(operator);
                    self.compared(right, commuted, left, collation)
                });
                if position == 0 {
                    first = condition;
                }
            }
            let mut first = first?;
            keep_sorted(&mut first).then_some(first)
        }
    }

    /// `part IS NULL`
    unsafe fn null(&mut self, test: &pg_sys::NullTest) -> Option<Condition> {
        // SAFETY: as in `operator`.
        unsafe {
            if test.nulltesttype != NullTestType::IS_NULL || test.argisrow {
                return None;
            }
            let side = self.relation.side(test.arg.cast())?;
            let ways = self.ways.btree(&side, None, side.collation);
            let text = format!("{} IS NULL", self.relation.describe_part(&side.part));
            (!ways.is_empty()).then_some(Condition { part: side.part, kind: ConditionKind::Equality, ways, text })
        }
    }

    /// A boolean column or expression, or NOT one.
    unsafe fn truth(&mut self, clause: *mut Node) -> Option<Condition> {
        // SAFETY: as in `operator`.
        unsafe {
            let argument = match (*clause).type_ {
                NodeTag::T_BooleanTest => {
                    let test = &*clause.cast::<pg_sys::BooleanTest>();
                    matches!(test.booltesttype, BoolTestType::IS_TRUE | BoolTestType::IS_FALSE)
                        .then_some(test.arg.cast())?
                }
                NodeTag::T_BoolExpr if is_bool(clause, pg_sys::BoolExprType::NOT_EXPR) => {
                    PgList::<Node>::from_pg((*clause.cast::<pg_sys::BoolExpr>()).args).get_ptr(0)?
                }
                _ => clause,
            };
            if !matches!((*argument).type_, NodeTag::T_Var | NodeTag::T_FuncExpr | NodeTag::T_CoerceViaIO) {
                return None;
            }
            let side = self.relation.side(argument)?;
            let ways = self.ways.search(&side, Oid::from_u32(pg_sys::BooleanEqualOperator), pg_sys::InvalidOid);
            let text = self.relation.describe(clause);
            Some(Condition { part: side.part, kind: ConditionKind::Equality, ways, text })
        }
    }

    /// `starts_with(part, value)`
    unsafe fn starts_with(&mut self, clause: *mut Node) -> Option<Condition> {
        // SAFETY: as in `operator`.
        unsafe {
            if (*clause).type_ != NodeTag::T_FuncExpr {
                return None;
            }
            let call = &*clause.cast::<pg_sys::FuncExpr>();
            if call.funcid != Oid::from_u32(pg_sys::F_STARTS_WITH) {
                return None;
            }
            let (part, value) = operands(call.args)?;
            let side = self.relation.side(part).filter(|_| self.is_value(value))?;
            self.bindings.compared(value, self.relation.table, &side, None);
            let ways = self.ways.prefix(&side);
            self.condition(side.part, ConditionKind::Prefix, ways, "^@ …", value)
        }
    }

    /// Columns that the planner has found to be equal to those of other tables, be it by way of a third one.
    unsafe fn add_equivalences(&mut self, conditions: &mut Vec<Condition>) {
        // SAFETY: the classes are complete when paths are made.
        unsafe {
            let rel = &*self.relation.rel;
            let family_of = |class: &pg_sys::EquivalenceClass| (*(*class.ec_opfamilies).elements).oid_value;
            for class in PgList::<pg_sys::EquivalenceClass>::from_pg((*self.relation.root).eq_classes).iter_ptr() {
                let class = &*class;
                if class.ec_has_const || class.ec_has_volatile || !class.ec_merged.is_null() {
                    continue;
                }
                let members = PgList::<pg_sys::EquivalenceMember>::from_pg(class.ec_members);
                let ours = if rel.top_parent_relids.is_null() { rel.relids } else { rel.top_parent_relids };
                for mine in members.iter_ptr().filter(|member| pg_sys::bms_equal((**member).em_relids, rel.relids)) {
                    let Some(side) = self.relation.side((*mine).em_expr.cast()) else { continue };
                    for other in members.iter_ptr() {
                        if (*other).em_is_child || pg_sys::bms_overlap((*other).em_relids, ours) {
                            continue;
                        }
                        let (left, right) = ((*mine).em_datatype, (*other).em_datatype);
                        let strategy = pg_sys::BTEqualStrategyNumber as i16;
                        let operator = pg_sys::get_opfamily_member(family_of(class), left, right, strategy);
                        if operator == pg_sys::InvalidOid {
                            continue;
                        }
                        let ways = self.ways.search(&side, operator, class.ec_collation);
                        let value = (*other).em_expr.cast();
                        let kind = self.equality(value);
                        conditions.extend(self.condition(side.part.clone(), kind, ways, "= …", value));
                    }
                }
            }
        }
    }

    /// None: no operator class serves it. `form` is what follows the part, with … for the value.
    unsafe fn condition(
        &self,
        part: Part,
        kind: ConditionKind,
        ways: Vec<Way>,
        form: &str,
        value: *mut Node,
    ) -> Option<Condition> {
        if ways.is_empty() {
            return None;
        }
        // SAFETY: as in `operator`.
        let text = unsafe {
            format!("{} {}", self.relation.describe_part(&part), form.replace('…', &self.relation.describe(value)))
        };
        Some(Condition { part, kind, ways, text })
    }

    /// The other side of a condition: nothing of this table, and the same for all rows of a scan.
    unsafe fn is_value(&self, node: *mut Node) -> bool {
        // SAFETY: as in `operator`.
        unsafe { self.relation.is_free_of(node) && !pg_sys::contain_volatile_functions(node) }
    }
}

/// Each condition once: outer joins have their clauses in several forms.
fn without_repetitions(conditions: Vec<Condition>) -> Vec<Condition> {
    let mut seen = FnvHashSet::default();
    conditions.into_iter().filter(|condition| seen.insert((condition.part.clone(), condition.text.clone()))).collect()
}

/// Leaves the operator classes of sorted indexes; false: there are none.
fn keep_sorted(condition: &mut Condition) -> bool {
    condition.ways.retain(|way| way.method == "btree");
    !condition.ways.is_empty()
}

/// They differ in values only.
fn is_alike(one: &[Condition], other: &[Condition]) -> bool {
    let form = |condition: &Condition| (condition.part.clone(), condition.kind);
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| form(a) == form(b))
}

/// The clauses of RestrictInfos; those that are the same for all rows hold nothing of a table.
pub unsafe fn clauses(list: *mut pg_sys::List) -> Vec<*mut Node> {
    // SAFETY: the planner's list of RestrictInfos.
    unsafe {
        let clauses = PgList::<pg_sys::RestrictInfo>::from_pg(list);
        clauses.iter_ptr().filter(|info| !(**info).pseudoconstant).map(|info| (*info).clause.cast()).collect()
    }
}

unsafe fn is_bool(node: *mut Node, operation: pg_sys::BoolExprType::Type) -> bool {
    // SAFETY: cast after a look at the tag.
    unsafe { (*node).type_ == NodeTag::T_BoolExpr && (*node.cast::<pg_sys::BoolExpr>()).boolop == operation }
}

pub unsafe fn operands(arguments: *mut pg_sys::List) -> Option<(*mut Node, *mut Node)> {
    // SAFETY: a list of expressions.
    let arguments = unsafe { PgList::<Node>::from_pg(arguments) };
    (arguments.len() == 2).then(|| Some((arguments.get_ptr(0)?, arguments.get_ptr(1)?)))?
}
