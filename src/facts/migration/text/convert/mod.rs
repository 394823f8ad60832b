//! The server's parse tree as a `Statement`.

mod alter_table;
mod column;
mod create;
mod names;
mod objects;
mod query;
mod source;

use super::do_block;
use super::node::Node;
use crate::facts::migration::statement::{Set, Statement, Transaction};
use names::{flag_of, option, relation};
use pgrx::pg_sys::{TransactionStmtKind, VariableSetKind};
use source::Source;

/// `start`: where `text` begins in the text that was parsed. `tag`: the command tag.
pub fn statement(tree: Node, tag: &str, text: &str, start: usize) -> Statement {
    convert(tree, tag, &Source::new(text, start))
}

fn convert(node: Node, tag: &str, source: &Source) -> Statement {
    match node.tag() {
        "TRANSACTIONSTMT" => transaction(node),
        "VARIABLESETSTMT" => set(node, tag),
        "CREATESTMT" | "CREATEFOREIGNTABLESTMT" => create::table(node, source),
        "ALTERTABLESTMT" => alter_table::alter_table(node, source),
        "INDEXSTMT" => create::index(node, source),
        "VIEWSTMT" => create::view(node, source),
        "CREATETABLEASSTMT" => create::table_as(node, source),
        "SELECTSTMT" if !query::into(node).is_null() => create::select_into(node, source),
        "SELECTSTMT" | "INSERTSTMT" | "UPDATESTMT" | "DELETESTMT" | "MERGESTMT" => Statement::Query(query::query(node)),
        "EXPLAINSTMT" if flag_of(node.field("options"), "analyze") => convert(node.field("query"), tag, source),
        "CREATESCHEMASTMT" => create::schema(node, source),
        "CREATEDOMAINSTMT" => objects::create_domain(node, source),
        "ALTERDOMAINSTMT" => objects::alter_domain(node, source),
        "DOSTMT" => {
            let of = |name: &str| option(node.field("args"), name).and_then(Node::text);
            let language = of("language").unwrap_or_else(|| "plpgsql".to_string());
            let body = of("as").unwrap_or_default();
            let (statements, dynamic) = do_block::statements(&language, &body);
            Statement::Do { body, statements, dynamic }
        }
        _ => objects::object(node, source).unwrap_or_else(|| Statement::Other { tag: tag.to_lowercase() }),
    }
}

fn transaction(node: Node) -> Statement {
    let chain = node.flag("chain");
    let savepoint = || node.name("savepoint_name");
    Statement::Transaction(match node.number("kind").unwrap_or_default() as u32 {
        TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => Transaction::Begin,
        TransactionStmtKind::TRANS_STMT_COMMIT => Transaction::Commit { chain },
        TransactionStmtKind::TRANS_STMT_ROLLBACK => Transaction::Rollback { chain },
        TransactionStmtKind::TRANS_STMT_SAVEPOINT => Transaction::Savepoint(savepoint()),
        TransactionStmtKind::TRANS_STMT_RELEASE => Transaction::Release(savepoint()),
        TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => Transaction::RollbackTo(savepoint()),
        _ => Transaction::Prepared,
    })
}

/// SET TRANSACTION and its like set nothing that matters here.
fn set(node: Node, tag: &str) -> Statement {
    let value = match node.number("kind").unwrap_or_default() as u32 {
        VariableSetKind::VAR_SET_VALUE => Some(values(node)),
        VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => None,
        VariableSetKind::VAR_RESET_ALL => {
            return Statement::Set(Set { name: "all".to_string(), value: None, local: false });
        }
        _ => return Statement::Other { tag: tag.to_lowercase() },
    };
    Statement::Set(Set { name: node.name("name").to_lowercase(), value, local: node.flag("is_local") })
}

/// A list's elements as the server joins them.
fn values(node: Node) -> String {
    let quotes = node.name("name").eq_ignore_ascii_case("search_path");
    let of = |argument: Node| {
        let constant = argument.all("A_CONST").next()?.field("val").text()?;
        let plain = constant.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        Some(match quotes && (constant.is_empty() || !plain) {
            true => format!("\"{}\"", constant.replace('"', "\"\"")),
            false => constant,
        })
    };
    node.field("args").children().filter_map(of).collect::<Vec<_>>().join(", ")
}

fn relations(list: Node) -> Vec<crate::facts::migration::NameAsWritten> {
    list.children().filter(|node| node.is("RANGEVAR")).map(relation).collect()
}
