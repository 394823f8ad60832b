//! Distances of pgvector that a query computes on a table, from what the planner has made of the query.

use super::conditions::{clauses, operands};
use super::expressions::{Relation, any, without_relabeling};
use super::ways::{Comparison, Ways};
use crate::db::{quote_identifier, string};
use crate::facts::vector::{Distance, Element, Filter, Key, Limit, Operator, Order};
use pgrx::PgList;
use pgrx::pg_sys::{self, Node, NodeTag, Oid, RelOptKind, SysCacheIdentifier};

/// Where pgvector's types, operators and functions are.
pub struct Vocabulary {
    schema: Oid,
    /// As printed before an operator's name.
    qualifier: String,
}

/// A call of a distance, by operator or function.
struct Call {
    node: *mut Node,
    /// One argument, and the other.
    sides: (*mut Node, *mut Node),
    operator: Operator,
    function: Option<String>,
}

struct Part {
    column: i16,
    key: Key,
    sql: String,
}

impl Vocabulary {
    /// None: pgvector is not installed.
    pub fn read() -> Option<Vocabulary> {
        // SAFETY: reads the catalogs.
        unsafe {
            let extension = pg_sys::get_extension_oid(c"vector".as_ptr(), true);
            (extension != pg_sys::InvalidOid).then(|| {
                let schema = pg_sys::get_extension_schema(extension);
                let name = quote_identifier(&string(pg_sys::get_namespace_name(schema)));
                Vocabulary { schema, qualifier: format!("OPERATOR({name}.") }
            })
        }
    }

    /// What is printed under a search_path that does not have pgvector's schema, as it is written under one that has it.
    fn without_schema(&self, printed: String) -> String {
        let mut short = printed;
        for operator in Operator::ALL {
            short = short.replace(&format!("{}{})", self.qualifier, operator.sql()), operator.sql());
        }
        short
    }

    unsafe fn element(&self, type_oid: Oid) -> Option<Element> {
        if type_oid == pg_sys::BITOID {
            return Some(Element::Bit);
        }
        // SAFETY: the row is of pg_type; its name is copied before it is released.
        unsafe {
            let type_oid = pg_sys::getBaseType(type_oid);
            let row = pg_sys::SearchSysCache1(SysCacheIdentifier::TYPEOID as i32, type_oid.into());
            if row.is_null() {
                return None;
            }
            let form = &*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_type>();
            let (name, schema) = (string(form.typname.data.as_ptr()), form.typnamespace);
            pg_sys::ReleaseSysCache(row);
            Element::from_name(&name).filter(|_| schema == self.schema)
        }
    }

    unsafe fn is_own_function(&self, function: Oid, name: &str) -> bool {
        // SAFETY: reads the catalogs.
        unsafe {
            pg_sys::get_func_namespace(function) == self.schema && string(pg_sys::get_func_name(function)) == name
        }
    }

    unsafe fn operator(&self, oid: Oid) -> Option<Operator> {
        // SAFETY: the row is of pg_operator; what is needed of it is copied before it is released.
        unsafe {
            let row = pg_sys::SearchSysCache1(SysCacheIdentifier::OPEROID as i32, oid.into());
            if row.is_null() {
                return None;
            }
            let form = *pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_operator>();
            pg_sys::ReleaseSysCache(row);
            // Others have operators of such names, too, and may share the schema.
            if form.oprnamespace != self.schema || self.element(form.oprleft).is_none() {
                return None;
            }
            Operator::from_sql(&string(form.oprname.data.as_ptr()))
        }
    }

    unsafe fn function(&self, oid: Oid) -> Option<(Operator, String)> {
        // SAFETY: reads the catalogs.
        unsafe {
            if pg_sys::get_func_namespace(oid) != self.schema {
                return None;
            }
            let name = string(pg_sys::get_func_name(oid));
            let operator = match name.as_str() {
                "l2_distance" => Operator::L2,
                "inner_product" => Operator::InnerProduct,
                "cosine_distance" => Operator::Cosine,
                "l1_distance" => Operator::L1,
                "hamming_distance" => Operator::Hamming,
                "jaccard_distance" => Operator::Jaccard,
                _ => return None,
            };
            Some((operator, name))
        }
    }

    unsafe fn calls(&self, node: *mut Node) -> Vec<Call> {
        let mut calls = Vec::new();
        // SAFETY: an expression of the planner's; nodes are cast after a look at their tags.
        unsafe {
            any(node, &mut |node| {
                let (called, arguments) = match (*node).type_ {
                    NodeTag::T_OpExpr => {
                        let call = &*node.cast::<pg_sys::OpExpr>();
                        (self.operator(call.opno).map(|operator| (operator, None)), call.args)
                    }
                    NodeTag::T_FuncExpr => {
                        let call = &*node.cast::<pg_sys::FuncExpr>();
                        (self.function(call.funcid).map(|(operator, name)| (operator, Some(name))), call.args)
                    }
                    _ => return false,
                };
                if let (Some((operator, function)), Some(sides)) = (called, operands(arguments)) {
                    calls.push(Call { node, sides, operator, function });
                }
                false
            });
        }
        calls
    }

    /// What an index on the table could hold, and is compared.
    unsafe fn part(&self, relation: &Relation, node: *mut Node) -> Option<Part> {
        // SAFETY: as in `calls`.
        unsafe {
            let node = without_relabeling(node);
            if let Some(column) = own_column(relation, node) {
                let name = quote_identifier(&string(pg_sys::get_attname(relation.table, column, true)));
                return Some(Part { column, key: Key::Column, sql: name });
            }
            let numbers = pg_sys::pull_varnos(relation.root, node);
            let own = pg_sys::bms_membership(numbers) == pg_sys::BMS_Membership::BMS_SINGLETON
                && pg_sys::bms_is_member((*relation.rel).relid as i32, numbers);
            if !own || !relation.is_printable(node) {
                return None;
            }
            let mut columns = Vec::new();
            any(node, &mut |node| {
                let number = own_column(relation, node);
                let is_vector = number.is_some() && self.element(pg_sys::exprType(node)).is_some();
                columns.extend(number.filter(|_| is_vector));
                false
            });
            let sql = self.without_schema(relation.print(node));
            let key = self.cast(relation, node).unwrap_or_else(|| Key::Other(sql.clone()));
            Some(Part { column: *columns.first()?, key, sql })
        }
    }

    /// A cast of the column, or of what a function makes of it, to a type with dimensions.
    unsafe fn cast(&self, relation: &Relation, node: *mut Node) -> Option<Key> {
        // SAFETY: as in `calls`.
        unsafe {
            let element = self.element(pg_sys::exprType(node))?;
            let dimensions = u32::try_from(pg_sys::exprTypmod(node)).ok().filter(|number| *number > 0)?;
            let inner = without_relabeling(first_argument(node)?);
            if own_column(relation, inner).is_some() {
                return Some(Key::Cast { element, dimensions });
            }
            let of_column = first_argument(inner).is_some_and(|node| own_column(relation, node).is_some());
            let call = &*inner.cast::<pg_sys::FuncExpr>();
            if !of_column {
                None
            } else if element == Element::Bit && self.is_own_function(call.funcid, "binary_quantize") {
                Some(Key::BinaryQuantize { dimensions })
            } else if self.is_own_function(call.funcid, "subvector") {
                let first = PgList::<Node>::from_pg(call.args).get_ptr(1)?;
                // What pg_stat_statements has made a parameter of is taken for the beginning.
                let first = match (*first).type_ {
                    NodeTag::T_Const => (*first.cast::<pg_sys::Const>()).constvalue.value() as u32,
                    NodeTag::T_Param => 1,
                    _ => return None,
                };
                Some(Key::Subvector { first, dimensions })
            } else {
                None
            }
        }
    }
}

/// Of one table of the query level that is being planned; what is ordered by comes first.
pub unsafe fn distances(vocabulary: &Vocabulary, relation: &Relation, ways: &mut Ways) -> Vec<Distance> {
    // SAFETY: the planner calls the hook when its lists are complete.
    unsafe {
        let mut reader = Reader { vocabulary, relation, ways, found: Vec::new() };
        reader.read();
        reader.found
    }
}

struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    relation: &'a Relation,
    ways: &'a mut Ways,
    found: Vec<Distance>,
}

impl Reader<'_> {
    unsafe fn read(&mut self) {
        // SAFETY: the lists are of the nodes named here.
        unsafe {
            let root = &*self.relation.root;
            let parse = &*root.parse;
            for (position, key) in PgList::<pg_sys::SortGroupClause>::from_pg(parse.sortClause).iter_ptr().enumerate() {
                let expression = self.translated(pg_sys::get_sortgroupclause_expr(key, root.processed_tlist).cast());
                let mut descending = false;
                pg_sys::get_equality_op_for_ordering_op((*key).sortop, &raw mut descending);
                for call in self.vocabulary.calls(expression) {
                    let whole = std::ptr::eq(without_relabeling(expression), call.node);
                    // inner_product() is greatest where <#> is least.
                    let farthest = descending != (call.function.as_deref() == Some("inner_product"));
                    let order = match (whole, position, farthest) {
                        (false, ..) => Order::Wrapped { expression: self.print(expression), descending },
                        (_, 1.., _) => Order::Later,
                        (_, _, true) => Order::Descending,
                        (..) if (*key).nulls_first && !descending => {
                            let expression = format!("{} NULLS FIRST", self.print(expression));
                            Order::Wrapped { expression, descending }
                        }
                        _ => Order::Ascending,
                    };
                    self.add(&call, order, false);
                }
            }
            for clause in self.conditions() {
                for call in self.vocabulary.calls(clause) {
                    self.add(&call, Order::None, true);
                }
            }
            for target in PgList::<pg_sys::TargetEntry>::from_pg(root.processed_tlist).iter_ptr() {
                let expression = self.translated((*target).expr.cast());
                for call in self.vocabulary.calls(expression) {
                    self.add(&call, Order::None, false);
                }
            }
        }
    }

    /// On the table alone, and on it and others.
    unsafe fn conditions(&self) -> Vec<*mut Node> {
        // SAFETY: the planner's lists.
        unsafe {
            let rel = &*self.relation.rel;
            let mut conditions = clauses(rel.baserestrictinfo);
            conditions.extend(clauses(rel.joininfo));
            conditions
        }
    }

    /// As it is of this relation, where that is one of those of a UNION ALL or of an inheritance parent.
    unsafe fn translated(&self, node: *mut Node) -> *mut Node {
        // SAFETY: a member relation has an element in the array of what it is a member of.
        unsafe {
            let (root, rel) = (self.relation.root, &*self.relation.rel);
            if rel.reloptkind != RelOptKind::RELOPT_OTHER_MEMBER_REL {
                return node;
            }
            let mut member = *(*root).append_rel_array.add(rel.relid as usize);
            pg_sys::adjust_appendrel_attrs(root, node, 1, &raw mut member)
        }
    }

    unsafe fn print(&self, node: *mut Node) -> String {
        // SAFETY: an expression of the planner's.
        self.vocabulary.without_schema(unsafe { self.relation.describe(node) })
    }

    /// Each side that is of the table: both are in a join of it with itself.
    unsafe fn add(&mut self, call: &Call, order: Order, within_condition: bool) {
        // SAFETY: as in `read`.
        unsafe {
            for (side, other) in [call.sides, (call.sides.1, call.sides.0)] {
                if !self.relation.is_free_of(other) {
                    continue;
                }
                let Some(part) = self.vocabulary.part(self.relation, side) else { continue };
                let same = |known: &&mut Distance| {
                    known.column == part.column && known.key == part.key && known.operator == call.operator
                };
                if let Some(known) = self.found.iter_mut().find(same) {
                    known.within_condition |= within_condition;
                    continue;
                }
                let joined = !pg_sys::pull_varnos(self.relation.root, other).is_null();
                let distance = Distance {
                    table: self.relation.table.to_u32(),
                    column: part.column,
                    key: part.key,
                    key_sql: part.sql,
                    operator: call.operator,
                    function: call.function.clone(),
                    compared_with: self.print(other),
                    joined,
                    within_condition,
                    order: order.clone(),
                    limit: self.limit(),
                    filters: self.filters(),
                };
                self.found.push(distance);
            }
        }
    }

    unsafe fn limit(&self) -> Limit {
        // SAFETY: LIMIT is of the query level; constants are bigints.
        unsafe {
            let parse = &*(*self.relation.root).parse;
            match (number(parse.limitCount), number(parse.limitOffset)) {
                (Number::None, _) => Limit::None,
                (Number::Known(rows), Number::None) => Limit::Rows(rows),
                (Number::Known(rows), Number::Known(skipped)) => Limit::Rows(rows.saturating_add(skipped)),
                _ => Limit::Parameter,
            }
        }
    }

    /// What is no condition on a distance.
    unsafe fn filters(&mut self) -> Vec<Filter> {
        // SAFETY: as in `conditions`.
        unsafe {
            let own = clauses((*self.relation.rel).baserestrictinfo);
            let mut filters = Vec::new();
            for clause in own.into_iter().filter(|clause| self.vocabulary.calls(*clause).is_empty()) {
                let has_parameter = any(clause, &mut |node| (*node).type_ == NodeTag::T_Param);
                filters.push(Filter {
                    sql: match self.relation.is_printable(clause) {
                        true => self.relation.print(clause),
                        false => self.relation.describe(clause),
                    },
                    columns: self.columns(clause),
                    equality: self.is_equality(clause),
                    constant: !has_parameter,
                    distinct: None,
                    indexed: false,
                    selectivity: None,
                });
            }
            filters
        }
    }

    unsafe fn columns(&self, clause: *mut Node) -> Vec<i16> {
        let mut columns = Vec::new();
        // SAFETY: as in `read`.
        unsafe {
            any(clause, &mut |node| {
                columns.extend(own_column(self.relation, node));
                false
            });
        }
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    unsafe fn is_equality(&mut self, clause: *mut Node) -> bool {
        // SAFETY: as in `read`; nodes are cast after a look at their tags.
        unsafe {
            if own_column(self.relation, clause).is_some() {
                return true;
            }
            if (*clause).type_ != NodeTag::T_OpExpr {
                return false;
            }
            let operation = &*clause.cast::<pg_sys::OpExpr>();
            let Some((left, right)) = operands(operation.args) else { return false };
            let of_column = |side: *mut Node, other: *mut Node| {
                own_column(self.relation, without_relabeling(side)).is_some() && self.relation.is_free_of(other)
            };
            (of_column(left, right) || of_column(right, left))
                && self.ways.comparison(operation.opno) == Some(Comparison::Equal)
        }
    }
}

enum Number {
    None,
    Known(u64),
    Unknown,
}

unsafe fn number(node: *mut Node) -> Number {
    // SAFETY: null, or what LIMIT or OFFSET says, of type bigint.
    unsafe {
        if node.is_null() {
            return Number::None;
        }
        if (*node).type_ != NodeTag::T_Const {
            return Number::Unknown;
        }
        let constant = &*node.cast::<pg_sys::Const>();
        // LIMIT NULL is LIMIT ALL.
        if constant.constisnull {
            Number::None
        } else {
            Number::Known((constant.constvalue.value() as i64).max(0) as u64)
        }
    }
}

unsafe fn own_column(relation: &Relation, node: *mut Node) -> Option<i16> {
    // SAFETY: a node of the planner's, cast after a look at its tag.
    unsafe {
        if node.is_null() || (*node).type_ != NodeTag::T_Var {
            return None;
        }
        let var = &*node.cast::<pg_sys::Var>();
        relation.has_var(var).then_some(var.varattno)
    }
}

/// Of a function call.
unsafe fn first_argument(node: *mut Node) -> Option<*mut Node> {
    // SAFETY: as in `own_column`.
    unsafe {
        if (*node).type_ != NodeTag::T_FuncExpr {
            return None;
        }
        PgList::<Node>::from_pg((*node.cast::<pg_sys::FuncExpr>()).args).get_ptr(0)
    }
}
