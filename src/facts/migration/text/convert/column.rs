//! Definitions of columns and constraints.

use super::super::node::Node;
use super::names::relation;
use super::source::Source;
use crate::facts::migration::statement::{
    ColumnDefinition, ConstraintDefinition, ConstraintKind, DomainConstraint, Reference,
};
use pgrx::pg_sys::ConstrType::*;
use std::ops::Range;

pub fn column(node: Node, source: &Source) -> ColumnDefinition {
    let from = source.at(node);
    let end = source.element_end(from);
    let name = node.name("colname");
    let mut column = ColumnDefinition {
        text: source.slice(from..end).to_string(),
        of_type: source.of_type(node.field("typeName")),
        not_null: node.flag("is_not_null"),
        default: None,
        identity: None,
        generated: None,
        constraints: Vec::new(),
        name,
    };
    for (constraint, range) in ranges(node.field("constraints"), source, end) {
        match contype(constraint) {
            CONSTR_NOTNULL => column.not_null = true,
            CONSTR_DEFAULT => column.default = source.behind(range, "default"),
            CONSTR_IDENTITY => {
                let always = constraint.string("generated_when").as_deref() == Some("a");
                column.identity = Some(if always { "ALWAYS" } else { "BY DEFAULT" }.to_string());
            }
            CONSTR_GENERATED => column.generated = Some(source.in_parentheses(range.start)),
            _ => {
                let defined = constraint_in(constraint, source, range);
                column.constraints.extend(defined.map(|mut defined| {
                    if defined.columns.is_empty() {
                        defined.columns.push(column.name.clone());
                    }
                    defined
                }));
            }
        }
    }
    column.not_null |= column.identity.is_some()
        || column.of_type.serial
        || column.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
    column
}

fn contype(constraint: Node) -> u32 {
    constraint.number("contype").and_then(|kind| u32::try_from(kind).ok()).unwrap_or(u32::MAX)
}

/// Constraints that follow each other, with their tokens; their attributes (DEFERRABLE …) are among those.
fn ranges<'t>(list: Node<'t>, source: &Source, end: usize) -> Vec<(Node<'t>, Range<usize>)> {
    let is_own = |node: &Node| {
        !matches!(
            contype(*node),
            CONSTR_ATTR_DEFERRABLE | CONSTR_ATTR_NOT_DEFERRABLE | CONSTR_ATTR_DEFERRED | CONSTR_ATTR_IMMEDIATE
        )
    };
    let own: Vec<(Node, usize)> = list.children().filter(is_own).map(|node| (node, source.at(node))).collect();
    let ends = own.iter().skip(1).map(|(_, at)| *at).chain([end]);
    own.iter().zip(ends).map(|((node, at), end)| (*node, *at..end)).collect()
}

/// Of a table; None: what is none of ours.
pub fn table_constraint(node: Node, source: &Source) -> Option<ConstraintDefinition> {
    let from = source.at(node);
    constraint_in(node, source, from..source.element_end(from))
}

fn constraint_in(node: Node, source: &Source, range: Range<usize>) -> Option<ConstraintDefinition> {
    let kind = match contype(node) {
        CONSTR_CHECK => ConstraintKind::Check,
        CONSTR_UNIQUE => ConstraintKind::Unique,
        CONSTR_PRIMARY => ConstraintKind::PrimaryKey,
        CONSTR_EXCLUSION => ConstraintKind::Exclude,
        CONSTR_FOREIGN => ConstraintKind::ForeignKey,
        CONSTR_NOTNULL => ConstraintKind::NotNull,
        _ => return None,
    };
    let mut columns = node.names(if kind == ConstraintKind::ForeignKey { "fk_attrs" } else { "keys" });
    for excluded in node.field("exclusions").children() {
        columns.extend(excluded.children().filter(|part| part.is("INDEXELEM")).filter_map(|part| part.string("name")));
    }
    for column in node.field("raw_expr").all("COLUMNREF").filter_map(|column| column.names("fields").pop()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    // Of a column's constraint the attributes are nodes of their own: the text has them all.
    let has = |words: &[&str]| has_words(source, range.clone(), words);
    let initially_deferred = node.flag("initdeferred") || has(&["initially", "deferred"]);
    Some(ConstraintDefinition {
        name: node.string("conname"),
        kind,
        columns,
        text: source.slice(range.clone()).to_string(),
        not_valid: node.flag("skip_validation"),
        no_inherit: node.flag("is_no_inherit"),
        deferrable: node.flag("deferrable")
            || initially_deferred
            || (has(&["deferrable"]) && !has(&["not", "deferrable"])),
        initially_deferred,
        include: node.names("including"),
        nulls_not_distinct: node.flag("nulls_not_distinct"),
        using_index: node.string("indexname"),
        check: (kind == ConstraintKind::Check).then(|| source.in_parentheses(range.start)),
        references: (kind == ConstraintKind::ForeignKey).then(|| Reference {
            table: relation(node.field("pktable")),
            columns: node.names("pk_attrs"),
            on_delete: action(node, "fk_del_action"),
            on_update: action(node, "fk_upd_action"),
        }),
    })
}

/// These keywords follow each other, in no brackets.
fn has_words(source: &Source, range: Range<usize>, words: &[&str]) -> bool {
    let mut from = range.start;
    while let Some(at) = source.find(from..range.end, words[0]) {
        if words.iter().enumerate().all(|(i, word)| source.token(at + i).is_some_and(|token| token.word(word))) {
            return true;
        }
        from = at + 1;
    }
    false
}

fn action(node: Node, field: &str) -> &'static str {
    match node.string(field).as_deref() {
        Some("r") => "RESTRICT",
        Some("c") => "CASCADE",
        Some("n") => "SET NULL",
        Some("d") => "SET DEFAULT",
        _ => "NO ACTION",
    }
}

/// Of CREATE DOMAIN, whose constraints follow each other.
pub fn domain_constraints(list: Node, source: &Source) -> (Vec<DomainConstraint>, bool) {
    let end = source.tokens().len();
    let all = ranges(list, source, end);
    let has_default = all.iter().any(|(node, _)| contype(*node) == CONSTR_DEFAULT);
    (all.into_iter().filter_map(|(node, range)| domain_constraint(node, source, range)).collect(), has_default)
}

pub fn domain_constraint(node: Node, source: &Source, range: Range<usize>) -> Option<DomainConstraint> {
    let kind = contype(node);
    matches!(kind, CONSTR_CHECK | CONSTR_NOTNULL).then(|| DomainConstraint {
        name: node.string("conname"),
        not_null: kind == CONSTR_NOTNULL,
        not_valid: node.flag("skip_validation"),
        check: (kind == CONSTR_CHECK).then(|| source.in_parentheses(range.start)),
    })
}
