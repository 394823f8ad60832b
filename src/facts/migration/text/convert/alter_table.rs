//! ALTER TABLE and its like.

use super::super::node::Node;
use super::column::{column, table_constraint};
use super::create::bound;
use super::names::{cascade, kind, relation};
use super::source::Source;
use crate::facts::migration::ObjectKind;
use crate::facts::migration::statement::{
    AlterTable, AlterTableAction as Action, AlterTableCommand, Bound, ExpressionText, Statement, TypeAsWritten,
};
use pgrx::pg_sys::AlterTableType::*;
use std::ops::Range;

pub fn alter_table(node: Node, source: &Source) -> Statement {
    let target = node.field("relation");
    let of = kind(node, "objtype");
    let commands: Vec<Node> = node.field("cmds").children().collect();
    let ranges = ranges(source, commands.len());
    let commands = commands.into_iter().zip(ranges).map(|(command, range)| AlterTableCommand {
        text: source.slice(range.clone()).to_string(),
        what: action(command, of, source, range),
    });
    Statement::AlterTable(AlterTable {
        kind: of,
        relation: relation(target),
        only: !target.flag("inh"),
        missing_ok: node.flag("missing_ok"),
        commands: commands.collect(),
    })
}

/// The tokens of each of so many commands: the tree does not say where they are.
fn ranges(source: &Source, count: usize) -> Vec<Range<usize>> {
    let all = source.tokens().len();
    let mut from = first_command(source);
    let mut ranges = Vec::with_capacity(count);
    while from < all {
        let end = source.element_end(from);
        ranges.push(from..end);
        from = end + 1;
    }
    if ranges.len() != count {
        ranges = vec![0..all; count];
    }
    ranges
}

/// Behind ALTER TABLE [IF EXISTS] [ONLY] name [*], with TABLE or what stands there for another kind.
fn first_command(source: &Source) -> usize {
    let is = |at: usize, word: &str| source.token(at).is_some_and(|token| token.word(word));
    let is_mark = |at: usize, mark: &str| source.token(at).is_some_and(|token| token.is(mark));
    let mut at = if is(1, "materialized") || is(1, "foreign") { 3 } else { 2 };
    if is(at, "if") && is(at + 1, "exists") {
        at += 2;
    }
    if is(at, "only") {
        at += 1;
    }
    let parenthesis = is_mark(at, "(");
    at += 1 + usize::from(parenthesis);
    while is_mark(at, ".") {
        at += 2;
    }
    at += usize::from(parenthesis);
    at + usize::from(is_mark(at, "*"))
}

#[allow(non_upper_case_globals, reason = "the server's own names")]
fn action(command: Node, of: ObjectKind, source: &Source, range: Range<usize>) -> Action {
    let name = || command.name("name");
    let definition = command.field("def");
    let missing_ok = command.flag("missing_ok");
    let subtype = command.number("subtype").unwrap_or(-1) as u32;
    match subtype {
        AT_AddColumn => Action::AddColumn { column: column(definition, source), if_not_exists: missing_ok },
        AT_DropColumn => Action::DropColumn { column: name(), cascade: cascade(command), missing_ok },
        AT_AlterColumnType => Action::SetType {
            column: name(),
            to: of_type(definition, source),
            collation: definition.field("collClause").names("collname").pop(),
            using: (!definition.field("raw_default").is_null()).then(|| behind(source, range, "using")),
        },
        AT_ColumnDefault if definition.is_null() => Action::DropDefault { column: name() },
        AT_ColumnDefault => Action::SetDefault { column: name(), default: default(source, range) },
        AT_SetNotNull => Action::SetNotNull { column: name() },
        AT_DropNotNull => Action::DropNotNull { column: name() },
        AT_SetExpression => Action::SetExpression { column: name(), expression: source.in_parentheses(range.start) },
        AT_DropExpression => Action::DropExpression { column: name() },
        AT_AddIdentity => Action::AddIdentity { column: name() },
        AT_SetIdentity => Action::SetIdentity { column: name() },
        AT_DropIdentity => Action::DropIdentity { column: name(), missing_ok },
        AT_SetStatistics => Action::SetStatistics { column: name() },
        AT_SetStorage => Action::SetStorage { column: name() },
        AT_SetCompression => Action::SetCompression { column: name() },
        AT_SetOptions | AT_ResetOptions => Action::SetColumnOptions { column: name() },
        AT_AddConstraint => match table_constraint(definition, source) {
            Some(constraint) => Action::AddConstraint(constraint),
            None => other(subtype),
        },
        AT_AlterConstraint => Action::AlterConstraint { name: definition.name("conname") },
        AT_ValidateConstraint => Action::ValidateConstraint { name: name() },
        AT_DropConstraint => Action::DropConstraint { name: name(), cascade: cascade(command), missing_ok },
        AT_SetRelOptions | AT_ResetRelOptions => {
            Action::SetOptions { options: definition.children().map(|option| option.name("defname")).collect() }
        }
        AT_SetLogged => Action::SetLogged,
        AT_SetUnLogged => Action::SetUnlogged,
        AT_SetTableSpace => Action::SetTablespace { tablespace: name() },
        AT_SetAccessMethod => Action::SetAccessMethod { method: command.string("name") },
        AT_ClusterOn => Action::ClusterOn { index: name() },
        AT_DropCluster => Action::SetWithoutCluster,
        AT_ReplicaIdentity => Action::ReplicaIdentity,
        AT_EnableTrig | AT_EnableAlwaysTrig | AT_EnableReplicaTrig => {
            Action::Trigger { name: Some(name()), enable: true }
        }
        AT_DisableTrig => Action::Trigger { name: Some(name()), enable: false },
        AT_EnableTrigAll | AT_EnableTrigUser => Action::Trigger { name: None, enable: true },
        AT_DisableTrigAll | AT_DisableTrigUser => Action::Trigger { name: None, enable: false },
        AT_EnableRule | AT_EnableAlwaysRule | AT_EnableReplicaRule => Action::Rule { name: name(), enable: true },
        AT_DisableRule => Action::Rule { name: name(), enable: false },
        AT_EnableRowSecurity | AT_DisableRowSecurity => Action::RowSecurity { enable: subtype == AT_EnableRowSecurity },
        AT_ForceRowSecurity | AT_NoForceRowSecurity => {
            Action::ForceRowSecurity { force: subtype == AT_ForceRowSecurity }
        }
        AT_AddInherit => Action::Inherit { parent: relation(definition) },
        AT_DropInherit => Action::NoInherit { parent: relation(definition) },
        AT_AddOf | AT_DropOf => Action::OfType,
        AT_AttachPartition if of == ObjectKind::Index => {
            Action::AttachIndex { index: relation(definition.field("name")) }
        }
        AT_AttachPartition => Action::AttachPartition {
            partition: relation(definition.field("name")),
            bound: bound(definition.field("bound"), source).unwrap_or(Bound { default: false, text: String::new() }),
        },
        AT_DetachPartition | AT_DetachPartitionFinalize => Action::DetachPartition {
            partition: relation(definition.field("name")),
            concurrently: definition.flag("concurrent"),
            finalize: subtype == AT_DetachPartitionFinalize,
        },
        AT_ChangeOwner => Action::Owner { owner: command.field("newowner").name("rolename") },
        _ => other(subtype),
    }
}

fn of_type(definition: Node, source: &Source) -> TypeAsWritten {
    source.of_type(definition.field("typeName"))
}

fn behind(source: &Source, range: Range<usize>, word: &str) -> ExpressionText {
    source.behind(range.clone(), word).unwrap_or_else(|| source.expression(range))
}

/// Behind SET DEFAULT: a column may have either name.
fn default(source: &Source, range: Range<usize>) -> ExpressionText {
    let pairs = source.tokens()[range.clone()].windows(2);
    let at = pairs.into_iter().position(|pair| pair[0].word("set") && pair[1].word("default"));
    source.expression(at.map_or(range.start, |at| range.start + at + 2)..range.end)
}

#[allow(non_upper_case_globals, reason = "the server's own names")]
fn other(subtype: u32) -> Action {
    let name = match subtype {
        AT_GenericOptions => "options",
        AT_AlterColumnGenericOptions => "column options",
        AT_DropOids => "set without oids",
        _ => "another command",
    };
    Action::Other { name: name.to_string() }
}
