//! What a plan's conditions call and compare, beyond their text.

use crate::facts::plan::{Conjunct, Node, Operand, OperandKind, Plan, conjuncts};
use crate::facts::{Explained, Function};

/// The functions that a call may mean: its overloads, and those of its name in other schemas where the call names none.
pub fn functions<'a>(explained: &'a Explained, call: &str) -> Vec<&'a Function> {
    let is_meant = |function: &&Function| {
        call == function.name
            || call.strip_suffix(function.name.as_str()).and_then(|rest| rest.strip_suffix('.'))
                == Some(function.schema.as_str())
    };
    explained.functions.iter().filter(is_meant).collect()
}

/// All calls in the conditions, at any depth, an outer one before those within it.
pub fn calls(conditions: &[Conjunct]) -> Vec<&Operand> {
    let mut found = Vec::new();
    let mut open: Vec<&Operand> = conditions.iter().rev().flat_map(sides).collect();
    while let Some(operand) = open.pop() {
        if matches!(operand.kind, OperandKind::Call { .. }) {
            found.push(operand);
        }
        open.extend(parts(operand));
    }
    found
}

fn sides(conjunct: &Conjunct) -> impl Iterator<Item = &Operand> {
    conjunct.right.iter().chain([&conjunct.left])
}

/// Last first.
fn parts(operand: &Operand) -> Vec<&Operand> {
    match &operand.kind {
        OperandKind::Cast { of, .. } => vec![of],
        OperandKind::Call { arguments: operands, .. } | OperandKind::Operation { operands, .. } => {
            operands.iter().rev().collect()
        }
        OperandKind::Or(arms) => arms.iter().flatten().rev().flat_map(sides).collect(),
        _ => Vec::new(),
    }
}

/// Its value is the same for all rows of the scan: no column, no sub-plan, nothing that could not be read.
pub fn is_constant(operand: &Operand) -> bool {
    match &operand.kind {
        OperandKind::Constant(_) | OperandKind::Parameter(_) => true,
        OperandKind::Column { .. } | OperandKind::SubPlan { .. } | OperandKind::Or(_) | OperandKind::Other => false,
        _ => parts(operand).into_iter().all(is_constant),
    }
}

/// What the node tests for each row, rather than once for each scan.
pub fn tested_per_row(node: &Node) -> Vec<Conjunct> {
    let texts = [&node.filter, &node.join_filter];
    texts.into_iter().flatten().flat_map(|text| conjuncts(text)).collect()
}

/// What the node computes in its output, and does not get from those below it.
pub fn computed(plan: &Plan, node: usize) -> Vec<Conjunct> {
    let below: Vec<&String> = plan.nodes[node].children.iter().flat_map(|child| &plan.nodes[*child].output).collect();
    let outputs = plan.nodes[node].output.iter().filter(|text| text.contains('('));
    let expressions = outputs.flat_map(|text| conjuncts(text));
    expressions
        .filter(|expression| {
            let calls = calls(std::slice::from_ref(expression));
            let is_given = |call: &&Operand| below.iter().any(|text| text.contains(&call.text));
            !calls.is_empty() && !calls.iter().any(is_given)
        })
        .collect()
}

/// The name of the function that a call names.
pub fn called(operand: &Operand) -> Option<&str> {
    match &operand.kind {
        OperandKind::Call { function, .. } => Some(function),
        _ => None,
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn called_in(condition: &str) -> Vec<String> {
        calls(&conjuncts(condition)).iter().filter_map(|call| called(call)).map(str::to_string).collect()
    }

    #[test]
    fn calls_are_found_at_any_depth_in_their_order() {
        assert_eq!(called_in("((a = f(g(1))) AND ((b = h()) OR (k((c)::text) > 3)))"), ["f", "g", "h", "k"]);
        assert!(called_in("((a = 1) AND (b = $1))").is_empty());
    }

    #[test]
    fn constant_is_what_reads_no_row() {
        let is_constant_call = |condition: &str| {
            let conjuncts = conjuncts(condition);
            calls(&conjuncts).first().is_some_and(|call| is_constant(call))
        };
        assert!(is_constant_call("(a = f('x'::text, $1))"));
        assert!(is_constant_call("(a = (current_setting('app.user'::text))::integer)"));
        assert!(!is_constant_call("(f(b) = 1)"));
        assert!(!is_constant_call("(a = f((SubPlan 1)))"));
    }
}
