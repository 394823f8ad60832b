//! What migration tools write into their files, in comments.

use super::super::Origin;

/// What a comment says to the tool that runs the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Directive {
    /// Seen in files of this tool only; whether it wraps a transaction around them, where it says so.
    Of(Origin, Option<bool>),
    Up(Origin, Option<bool>),
    Down(Origin),
    /// Up to StatementEnd, semicolons end nothing.
    StatementBegin,
    StatementEnd,
}

/// `comment` with its dashes.
pub fn directive(comment: &str) -> Option<Directive> {
    let text = comment.strip_prefix("--")?.trim();
    let lower = text.to_ascii_lowercase();
    let after = |prefix: &str| lower.strip_prefix(prefix).map(str::trim);
    if let Some(said) = after("+goose ") {
        return Some(match said {
            "up" => Directive::Up(Origin::Goose, Some(true)),
            "down" => Directive::Down(Origin::Goose),
            "statementbegin" => Directive::StatementBegin,
            "statementend" => Directive::StatementEnd,
            "no transaction" => Directive::Of(Origin::Goose, Some(false)),
            _ => return None,
        });
    }
    if let Some(said) = after("+migrate ") {
        return Some(match said {
            "statementbegin" => Directive::StatementBegin,
            "statementend" => Directive::StatementEnd,
            _ if said.starts_with("up") => Directive::Up(Origin::SqlMigrate, Some(!said.contains("notransaction"))),
            _ if said.starts_with("down") => Directive::Down(Origin::SqlMigrate),
            _ => return None,
        });
    }
    if let Some(options) = after("migrate:up") {
        return Some(Directive::Up(Origin::Dbmate, Some(!options.contains("transaction:false"))));
    }
    if after("migrate:down").is_some() {
        return Some(Directive::Down(Origin::Dbmate));
    }
    if let Some(options) = after("changeset ") {
        return Some(Directive::Of(Origin::Liquibase, Some(!options.contains("runintransaction:false"))));
    }
    Some(match lower.as_str() {
        "up migration" => Directive::Up(Origin::NodePgMigrate, Some(true)),
        "down migration" => Directive::Down(Origin::NodePgMigrate),
        "no-transaction" => Directive::Of(Origin::Sqlx, Some(false)),
        "add migration script here" | "add up migration script here" | "add down migration script here" => {
            Directive::Of(Origin::Sqlx, Some(true))
        }
        "your sql goes here" | "this file should undo anything in `up.sql`" => {
            Directive::Of(Origin::Diesel, Some(true))
        }
        "postgresql database dump" | "postgresql database cluster dump" => Directive::Of(Origin::PgDump, None),
        "liquibase formatted sql" => Directive::Of(Origin::Liquibase, Some(true)),
        _ if lower.starts_with("running upgrade ") || lower.starts_with("running downgrade ") => {
            Directive::Of(Origin::AlembicOffline, None)
        }
        _ if lower.starts_with("flyway:") => Directive::Of(Origin::Flyway, Some(true)),
        _ => return None,
    })
}

/// The source of a migration in Python: its first line is no SQL, and there are words of Alembic's or Django's.
pub fn is_python(text: &str) -> bool {
    const FIRST: &[&str] =
        &["\"\"\"", "'''", "from ", "import ", "#", "def ", "class ", "op.", "revision", "down_revision"];
    const WORDS: &[&str] = &["import ", "def upgrade", "def downgrade", "op.", "migrations.", "class Migration("];
    let first = text.lines().map(str::trim_start).find(|line| !line.is_empty()).unwrap_or_default();
    FIRST.iter().any(|start| first.starts_with(start))
        && text.lines().map(str::trim_start).any(|line| {
            WORDS.iter().any(|word| line.starts_with(word)) || line.starts_with("from ") && line.contains(" import ")
        })
}

/// Why a line of psql's own is passed over.
pub fn of_psql(line: &str) -> &'static str {
    let command = line.split_whitespace().next().unwrap_or_default();
    match command {
        "\\i" | "\\ir" | "\\include" | "\\include_relative" => {
            "psql reads another file there; review what is in that file, too"
        }
        "\\gexec" => "psql runs what the query before it returns, which is not known before; review that, too",
        "\\copy" => "psql copies data there; the server sees COPY … FROM STDIN or TO STDOUT",
        "\\c" | "\\connect" => "psql connects to another database there; what follows was reviewed against this one",
        "\\if" | "\\elif" | "\\else" | "\\endif" => {
            "psql decides there what it runs; all of what follows was reviewed as if it ran"
        }
        _ => "it is a line for psql, not SQL",
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn tools_are_known_by_their_comments() {
        assert_eq!(directive("-- +goose Up"), Some(Directive::Up(Origin::Goose, Some(true))));
        assert_eq!(directive("--+goose NO TRANSACTION"), Some(Directive::Of(Origin::Goose, Some(false))));
        assert_eq!(directive("-- migrate:up transaction:false"), Some(Directive::Up(Origin::Dbmate, Some(false))));
        assert_eq!(directive("-- Running upgrade 1a -> 2b, add x"), Some(Directive::Of(Origin::AlembicOffline, None)));
        assert_eq!(directive("-- no-transaction"), Some(Directive::Of(Origin::Sqlx, Some(false))));
        assert_eq!(directive("-- a goose +goose Up"), None);
    }

    #[test]
    fn python_is_no_sql_and_a_function_in_python_is() {
        assert!(is_python(
            "\"\"\"add x\n\nRevision ID: 1\n\"\"\"\nfrom alembic import op\n\ndef upgrade():\n    op.add_column()"
        ));
        assert!(is_python("\nfrom django.db import migrations\n"));
        assert!(!is_python("create function f() returns int language plpython3u as $$\nimport os\nreturn 1\n$$"));
        assert!(!is_python("# a comment that is no SQL\nselect 1"));
    }
}
