//! Orders that one table alone can deliver, from the planner's path keys.

use super::expressions::Relation;
use super::ways::Ways;
use crate::facts::query::{Order, OrderKey};
use pgrx::PgList;
use pgrx::pg_sys::{self, List, Node, NodeTag, PathKey};

/// The orders that the query level of `relation` asks for.
pub unsafe fn orders(relation: &Relation, ways: &mut Ways) -> Vec<Order> {
    // SAFETY: path keys are complete when paths are made.
    unsafe {
        let root = &*relation.root;
        let grouped = root.num_groupby_pathkeys as usize;
        let group_keys = keys(root.group_pathkeys);
        let wanted = [
            (keys(root.sort_pathkeys), false),
            (group_keys[..grouped.min(group_keys.len())].to_vec(), true),
            // Longer than what is grouped by: an aggregate takes its input in order.
            (if group_keys.len() > grouped { group_keys } else { Vec::new() }, false),
            (keys(root.window_pathkeys), false),
            (keys(root.distinct_pathkeys), true),
            (keys(root.setop_pathkeys), true),
        ];
        let mut orders: Vec<Order> = Vec::new();
        for (keys, any_order) in wanted {
            let keys = delivered(relation, ways, &keys, any_order);
            let order = Order { keys, any_order };
            if !order.keys.is_empty() && !orders.contains(&order) {
                orders.push(order);
            }
        }
        orders
    }
}

/// The leading keys that are of the table, or all that are where the order does not matter.
unsafe fn delivered(relation: &Relation, ways: &mut Ways, keys: &[*mut PathKey], any_order: bool) -> Vec<OrderKey> {
    let mut delivered = Vec::new();
    for key in keys {
        // SAFETY: path keys of the planner's.
        match unsafe { delivered_key(relation, ways, &**key) } {
            Some((key, _)) if any_order => delivered.push(key),
            Some((key, is_distance)) => {
                // An index in order of distance has no second key.
                if is_distance && !delivered.is_empty() {
                    return delivered;
                }
                delivered.push(key);
                if is_distance {
                    return delivered;
                }
            }
            None if any_order => {}
            None => return delivered,
        }
    }
    delivered
}

/// The key, and is it a distance?
unsafe fn delivered_key(relation: &Relation, ways: &mut Ways, key: &PathKey) -> Option<(OrderKey, bool)> {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        let class = &*key.pk_eclass;
        if class.ec_has_volatile {
            return None;
        }
        let descending = key.pk_strategy as u32 == pg_sys::BTGreaterStrategyNumber;
        let nulls_first = key.pk_nulls_first;
        let members = PgList::<pg_sys::EquivalenceMember>::from_pg(class.ec_members);
        let own = members.iter_ptr().filter(|member| {
            !(**member).em_is_const && pg_sys::bms_equal((**member).em_relids, (*relation.rel).relids)
        });
        for expression in own.map(|member| (*member).em_expr.cast::<Node>()) {
            if (*expression).type_ == NodeTag::T_OpExpr
                && !descending
                && !nulls_first
                && let Some(key) = distance(relation, ways, &*expression.cast(), key.pk_opfamily)
            {
                return Some((key, true));
            }
            let Some(side) = relation.side(expression) else { continue };
            let ways = ways.btree(&side, Some(key.pk_opfamily), class.ec_collation);
            if !ways.is_empty() {
                return Some((OrderKey { part: side.part, descending, nulls_first, ways }, false));
            }
        }
        None
    }
}

/// ORDER BY `part <-> value`, or the other way round.
unsafe fn distance(
    relation: &Relation,
    ways: &mut Ways,
    call: &pg_sys::OpExpr,
    sorted_by: pg_sys::Oid,
) -> Option<OrderKey> {
    // SAFETY: an operator's arguments are expressions.
    unsafe {
        let arguments = PgList::<Node>::from_pg(call.args);
        let (left, right) = (arguments.get_ptr(0)?, arguments.get_ptr(1)?);
        for (part, operator, value) in [(left, call.opno, right), (right, pg_sys::get_commutator(call.opno), left)] {
            let is_value = relation.is_free_of(value) && !pg_sys::contain_volatile_functions(value);
            let Some(side) = relation.side(part).filter(|_| is_value) else { continue };
            let ways = ways.distance(&side, operator, call.inputcollid, sorted_by);
            if !ways.is_empty() {
                return Some(OrderKey { part: side.part, descending: false, nulls_first: false, ways });
            }
        }
        None
    }
}

unsafe fn keys(list: *mut List) -> Vec<*mut PathKey> {
    // SAFETY: a list of path keys.
    unsafe { PgList::<PathKey>::from_pg(list).iter_ptr().collect() }
}
