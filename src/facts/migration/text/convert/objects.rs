//! Statements on objects that are told by their names.

use super::super::node::Node;
use super::column::{domain_constraint, domain_constraints};
use super::names::{cascade, flag_of, kind, option, optional_relation, parts, qualified, relation};
use super::relations;
use super::source::Source;
use crate::facts::migration::ObjectKind;
use crate::facts::migration::statement::{
    AlterDomain, AlterDomainAction, AlterEnum, AlterEnumAction, Drop, LockMode, NameAsWritten, NewType, Reindex,
    Rename, Statement, Truncate,
};
use pgrx::pg_sys::{ObjectType, ReindexObjectType};

/// None: another kind of statement.
pub fn object(node: Node, source: &Source) -> Option<Statement> {
    let target = || relation(node.field("relation"));
    let qualified_name = |field: &str| qualified(&node.names(field));
    Some(match node.tag() {
        "DROPSTMT" => Statement::Drop(Drop {
            kind: kind(node, "removeType"),
            objects: node.field("objects").children().map(parts).collect(),
            arguments: arguments(node.field("objects"), source),
            cascade: cascade(node),
            missing_ok: node.flag("missing_ok"),
            concurrently: node.flag("concurrent"),
        }),
        "TRUNCATESTMT" => Statement::Truncate(Truncate {
            relations: relations(node.field("relations")),
            only: node.field("relations").children().map(|relation| !relation.flag("inh")).collect(),
            cascade: cascade(node),
            restart_identity: node.flag("restart_seqs"),
        }),
        "RENAMESTMT" => rename(node),
        "ALTEROBJECTSCHEMASTMT" => Statement::SetSchema {
            kind: kind(node, "objectType"),
            object: object_or_relation(node),
            schema: node.name("newschema"),
            missing_ok: node.flag("missing_ok"),
        },
        "ALTEROWNERSTMT" => Statement::Owner { kind: kind(node, "objectType"), object: object_or_relation(node) },
        "REINDEXSTMT" => reindex(node),
        "REFRESHMATVIEWSTMT" => Statement::RefreshMaterializedView {
            name: target(),
            concurrently: node.flag("concurrent"),
            with_data: !node.flag("skipData"),
        },
        "CLUSTERSTMT" => {
            Statement::Cluster { relation: optional_relation(node.field("relation")), index: node.string("indexname") }
        }
        "VACUUMSTMT" => vacuum(node),
        "CREATETRIGSTMT" => Statement::CreateTrigger {
            name: node.name("trigname"),
            relation: target(),
            function: node.names("funcname"),
            constraint_from: optional_relation(node.field("constrrel")),
            each_row: node.flag("row"),
            replace: node.flag("replace"),
        },
        "RULESTMT" => {
            Statement::CreateRule { name: node.name("rulename"), relation: target(), replace: node.flag("replace") }
        }
        "CREATEPOLICYSTMT" | "ALTERPOLICYSTMT" => Statement::Policy {
            name: node.name("policy_name"),
            relation: relation(node.field("table")),
            create: node.is("CREATEPOLICYSTMT"),
        },
        "COMPOSITETYPESTMT" => {
            Statement::CreateType { name: relation(node.field("typevar")), kind: NewType::Composite }
        }
        "CREATEENUMSTMT" => Statement::CreateType {
            name: qualified_name("typeName"),
            kind: NewType::Enum { labels: node.names("vals") },
        },
        "CREATERANGESTMT" => Statement::CreateType { name: qualified_name("typeName"), kind: NewType::Range },
        "DEFINESTMT" if node.number("kind") == Some(i64::from(ObjectType::OBJECT_TYPE)) => {
            Statement::CreateType { name: qualified_name("defnames"), kind: NewType::Base }
        }
        "ALTERENUMSTMT" => alter_enum(node),
        "CREATESEQSTMT" => Statement::CreateSequence {
            name: relation(node.field("sequence")),
            if_not_exists: node.flag("if_not_exists"),
            temporary: super::names::persistence(node.field("sequence")) == 't',
        },
        "ALTERSEQSTMT" => Statement::AlterSequence {
            name: relation(node.field("sequence")),
            owned_by: owned_by(node),
            restart: option(node.field("options"), "restart").is_some(),
            missing_ok: node.flag("missing_ok"),
        },
        "CREATEEXTENSIONSTMT" => {
            Statement::CreateExtension { name: node.name("extname"), if_not_exists: node.flag("if_not_exists") }
        }
        "CREATEFUNCTIONSTMT" => Statement::CreateFunction {
            name: node.names("funcname"),
            replace: node.flag("replace"),
            procedure: node.flag("is_procedure"),
            language: option(node.field("options"), "language").and_then(Node::text),
            body: option(node.field("options"), "as").and_then(|body| body.children().find_map(Node::text)),
        },
        "CREATESTATSSTMT" => Statement::CreateStatistics {
            name: Some(qualified_name("defnames")).filter(|name| !name.name.is_empty()),
            relations: relations(node.field("relations")),
        },
        "CREATEPUBLICATIONSTMT" | "ALTERPUBLICATIONSTMT" => publication(node),
        "COMMENTSTMT" => Statement::Comment { kind: kind(node, "objtype"), object: parts(node.field("object")) },
        "GRANTSTMT" => Statement::Grant {
            grant: node.flag("is_grant"),
            kind: match node.number("targtype") {
                // ON ALL … IN SCHEMA
                Some(1) => ObjectKind::Schema,
                _ => kind(node, "objtype"),
            },
            objects: node.field("objects").children().map(parts).collect(),
        },
        "LOCKSTMT" => Statement::Lock {
            relations: relations(node.field("relations")),
            only: node.field("relations").children().map(|relation| !relation.flag("inh")).collect(),
            mode: mode(node),
            nowait: node.flag("nowait"),
        },
        "COPYSTMT" => {
            Statement::Copy { relation: optional_relation(node.field("relation")), from: node.flag("is_from") }
        }
        "CALLSTMT" => Statement::Call { procedure: node.field("funccall").names("funcname") },
        _ => return None,
    })
}

/// Of DROP FUNCTION and its like.
fn arguments(objects: Node, source: &Source) -> Vec<Option<String>> {
    let mut from = 0;
    let of = |object: Node| {
        let given = object.is("OBJECTWITHARGS") && !object.flag("args_unspecified");
        let end = source.element_end(from);
        let text = given.then(|| source.in_parentheses(from).text);
        from = end + 1;
        text
    };
    objects.children().map(of).collect()
}

fn object_or_relation(node: Node) -> Vec<String> {
    let relation = node.field("relation");
    parts(if relation.is_null() { node.field("object") } else { relation })
}

fn rename(node: Node) -> Statement {
    Statement::Rename(Rename {
        kind: kind(node, "renameType"),
        relation: optional_relation(node.field("relation")),
        object: match node.field("object") {
            object if !object.is_null() => parts(object),
            // A schema, role, database or tablespace.
            _ if node.field("relation").is_null() => node.string("subname").into_iter().collect(),
            _ => Vec::new(),
        },
        part: node.string("subname"),
        new_name: node.name("newname"),
        missing_ok: node.flag("missing_ok"),
    })
}

fn reindex(node: Node) -> Statement {
    let kind = match node.number("kind").unwrap_or_default() as u32 {
        ReindexObjectType::REINDEX_OBJECT_INDEX => ObjectKind::Index,
        ReindexObjectType::REINDEX_OBJECT_TABLE => ObjectKind::Table,
        ReindexObjectType::REINDEX_OBJECT_SCHEMA => ObjectKind::Schema,
        _ => ObjectKind::Database,
    };
    let other = || node.string("name").map(|name| NameAsWritten { schema: None, name });
    Statement::Reindex(Reindex {
        kind,
        name: optional_relation(node.field("relation")).or_else(other),
        concurrently: flag_of(node.field("params"), "concurrently"),
    })
}

fn vacuum(node: Node) -> Statement {
    let relations = node.field("rels").children().filter_map(|item| optional_relation(item.field("relation")));
    let relations = relations.collect();
    let options = node.field("options");
    match node.flag("is_vacuumcmd") {
        true => Statement::Vacuum {
            relations,
            full: flag_of(options, "full"),
            analyze: flag_of(options, "analyze") || flag_of(options, "analyse"),
        },
        false => Statement::Analyze { relations },
    }
}

fn alter_enum(node: Node) -> Statement {
    let action = match node.string("oldVal") {
        Some(from) => AlterEnumAction::RenameValue { from, to: node.name("newVal") },
        None => {
            AlterEnumAction::AddValue { value: node.name("newVal"), if_not_exists: node.flag("skipIfNewValExists") }
        }
    };
    Statement::AlterEnum(AlterEnum { name: qualified(&node.names("typeName")), action })
}

fn owned_by(node: Node) -> Option<Vec<String>> {
    option(node.field("options"), "owned_by").map(parts)
}

fn publication(node: Node) -> Statement {
    let tables = node.field("pubobjects").children().map(|object| object.field("pubtable").field("relation"));
    Statement::Publication {
        name: node.name("pubname"),
        create: node.is("CREATEPUBLICATIONSTMT"),
        relations: tables.filter_map(optional_relation).collect(),
    }
}

fn mode(node: Node) -> LockMode {
    let number = node.number("mode").and_then(|mode| usize::try_from(mode).ok()).unwrap_or(LockMode::ALL.len());
    LockMode::ALL.get(number.wrapping_sub(1)).copied().unwrap_or(LockMode::AccessExclusive)
}

pub fn create_domain(node: Node, source: &Source) -> Statement {
    let (constraints, has_default) = domain_constraints(node.field("constraints"), source);
    Statement::CreateDomain {
        name: qualified(&node.names("domainname")),
        base: source.of_type(node.field("typeName")),
        constraints,
        has_default,
    }
}

pub fn alter_domain(node: Node, source: &Source) -> Statement {
    let definition = node.field("def");
    let action = match node.string("subtype").as_deref() {
        Some("T") if definition.is_null() => AlterDomainAction::DropDefault,
        Some("T") => AlterDomainAction::SetDefault,
        Some("N") => AlterDomainAction::DropNotNull,
        Some("O") => AlterDomainAction::SetNotNull,
        Some("C") => match domain_constraint(definition, source, source.at(definition)..source.tokens().len()) {
            Some(constraint) => AlterDomainAction::AddConstraint(constraint),
            None => return Statement::Other { tag: "alter domain".to_string() },
        },
        Some("X") => AlterDomainAction::DropConstraint { name: node.name("name"), missing_ok: node.flag("missing_ok") },
        _ => AlterDomainAction::ValidateConstraint { name: node.name("name") },
    };
    Statement::AlterDomain(AlterDomain { name: qualified(&node.names("typeName")), action })
}
