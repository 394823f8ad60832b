//! What a statement is, in the words of its command.

use super::statement::{
    AlterDomainAction, AlterEnumAction, AlterTable, AlterTableAction, ConstraintKind, NewType, ObjectKind, QueryKind,
    Statement, Transaction,
};

impl Statement {
    /// `alter table add column`, `create index concurrently`: command and what it does, in lower case.
    pub fn kind(&self) -> String {
        let concurrently = |concurrently: bool| if concurrently { " concurrently" } else { "" };
        match self {
            Statement::Transaction(transaction) => transaction_kind(transaction).to_string(),
            Statement::Set(set) if set.value.is_none() => "reset".to_string(),
            Statement::Set(set) => if set.local { "set local" } else { "set" }.to_string(),
            Statement::CreateTable(table) if table.foreign => "create foreign table".to_string(),
            Statement::CreateTable(table) if table.partition_of.is_some() => "create table partition of".to_string(),
            Statement::CreateTable(_) => "create table".to_string(),
            Statement::AlterTable(alter) => alter_kind(alter),
            Statement::CreateIndex(index) => format!("create index{}", concurrently(index.concurrently)),
            Statement::Reindex(reindex) => {
                format!("reindex {}{}", reindex.kind.words(), concurrently(reindex.concurrently))
            }
            Statement::Drop(drop) => format!("drop {}{}", drop.kind.words(), concurrently(drop.concurrently)),
            Statement::Truncate(_) => "truncate".to_string(),
            Statement::Rename(rename) => format!("rename {}", rename.kind.words()),
            Statement::SetSchema { kind, .. } => format!("alter {} set schema", kind.words()),
            Statement::Owner { kind, .. } => format!("alter {} owner", kind.words()),
            Statement::CreateView { replace, .. } => {
                if *replace { "create or replace view" } else { "create view" }.to_string()
            }
            Statement::CreateTableAs { materialized_view: true, .. } => "create materialized view".to_string(),
            Statement::CreateTableAs { .. } => "create table as".to_string(),
            Statement::RefreshMaterializedView { concurrently: online, .. } => {
                format!("refresh materialized view{}", concurrently(*online))
            }
            Statement::Cluster { .. } => "cluster".to_string(),
            Statement::Vacuum { full, .. } => if *full { "vacuum full" } else { "vacuum" }.to_string(),
            Statement::Analyze { .. } => "analyze".to_string(),
            Statement::CreateTrigger { .. } => "create trigger".to_string(),
            Statement::CreateRule { .. } => "create rule".to_string(),
            Statement::Policy { create, .. } => if *create { "create policy" } else { "alter policy" }.to_string(),
            Statement::CreateType { kind: NewType::Enum { .. }, .. } => "create type as enum".to_string(),
            Statement::CreateType { .. } => "create type".to_string(),
            Statement::AlterEnum(alter) => match alter.action {
                AlterEnumAction::AddValue { .. } => "alter type add value".to_string(),
                AlterEnumAction::RenameValue { .. } => "alter type rename value".to_string(),
            },
            Statement::CreateDomain { .. } => "create domain".to_string(),
            Statement::AlterDomain(alter) => format!("alter domain {}", domain_action(&alter.action)),
            Statement::CreateSequence { .. } => "create sequence".to_string(),
            Statement::AlterSequence { .. } => "alter sequence".to_string(),
            Statement::CreateSchema { .. } => "create schema".to_string(),
            Statement::CreateExtension { .. } => "create extension".to_string(),
            Statement::CreateFunction { procedure, .. } => {
                if *procedure { "create procedure" } else { "create function" }.to_string()
            }
            Statement::CreateStatistics { .. } => "create statistics".to_string(),
            Statement::Publication { create, .. } => {
                if *create { "create publication" } else { "alter publication" }.to_string()
            }
            Statement::Comment { kind, .. } => format!("comment on {}", kind.words()),
            Statement::Grant { grant, .. } => if *grant { "grant" } else { "revoke" }.to_string(),
            Statement::Lock { .. } => "lock table".to_string(),
            Statement::Copy { from, .. } => if *from { "copy from" } else { "copy to" }.to_string(),
            Statement::Query(query) => query_kind(query.kind).to_string(),
            Statement::Do { .. } => "do".to_string(),
            Statement::Call { .. } => "call".to_string(),
            Statement::Other { tag } => tag.clone(),
            Statement::SyntaxError(_) => "syntax error".to_string(),
        }
    }
}

fn transaction_kind(transaction: &Transaction) -> &'static str {
    match transaction {
        Transaction::Begin => "begin",
        Transaction::Commit { .. } => "commit",
        Transaction::Rollback { .. } => "rollback",
        Transaction::Savepoint(_) => "savepoint",
        Transaction::RollbackTo(_) => "rollback to savepoint",
        Transaction::Release(_) => "release savepoint",
        Transaction::Prepared => "two-phase commit",
    }
}

fn query_kind(kind: QueryKind) -> &'static str {
    match kind {
        QueryKind::Select => "select",
        QueryKind::Insert => "insert",
        QueryKind::Update => "update",
        QueryKind::Delete => "delete",
        QueryKind::Merge => "merge",
    }
}

fn domain_action(action: &AlterDomainAction) -> &'static str {
    match action {
        AlterDomainAction::SetDefault => "set default",
        AlterDomainAction::DropDefault => "drop default",
        AlterDomainAction::SetNotNull => "set not null",
        AlterDomainAction::DropNotNull => "drop not null",
        AlterDomainAction::AddConstraint(_) => "add constraint",
        AlterDomainAction::DropConstraint { .. } => "drop constraint",
        AlterDomainAction::ValidateConstraint { .. } => "validate constraint",
    }
}

/// Each of its actions once.
fn alter_kind(alter: &AlterTable) -> String {
    let mut actions: Vec<&str> = Vec::new();
    for action in alter.commands.iter().map(|command| action_kind(&command.what)) {
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    format!("alter {} {}", alter.kind.words(), actions.join(", "))
}

fn action_kind(action: &AlterTableAction) -> &str {
    match action {
        AlterTableAction::AddColumn { .. } => "add column",
        AlterTableAction::DropColumn { .. } => "drop column",
        AlterTableAction::SetType { .. } => "set data type",
        AlterTableAction::SetDefault { .. } => "set default",
        AlterTableAction::DropDefault { .. } => "drop default",
        AlterTableAction::SetNotNull { .. } => "set not null",
        AlterTableAction::DropNotNull { .. } => "drop not null",
        AlterTableAction::SetExpression { .. } => "set expression",
        AlterTableAction::DropExpression { .. } => "drop expression",
        AlterTableAction::AddIdentity { .. } => "add identity",
        AlterTableAction::SetIdentity { .. } => "set identity",
        AlterTableAction::DropIdentity { .. } => "drop identity",
        AlterTableAction::SetStatistics { .. } => "set statistics",
        AlterTableAction::SetStorage { .. } => "set storage",
        AlterTableAction::SetCompression { .. } => "set compression",
        AlterTableAction::SetColumnOptions { .. } => "set column options",
        AlterTableAction::AddConstraint(constraint) => match constraint.kind {
            ConstraintKind::Check => "add check",
            ConstraintKind::Unique => "add unique",
            ConstraintKind::PrimaryKey => "add primary key",
            ConstraintKind::Exclude => "add exclusion",
            ConstraintKind::ForeignKey => "add foreign key",
            ConstraintKind::NotNull => "add not null",
        },
        AlterTableAction::AlterConstraint { .. } => "alter constraint",
        AlterTableAction::ValidateConstraint { .. } => "validate constraint",
        AlterTableAction::DropConstraint { .. } => "drop constraint",
        AlterTableAction::SetOptions { .. } => "set options",
        AlterTableAction::SetLogged => "set logged",
        AlterTableAction::SetUnlogged => "set unlogged",
        AlterTableAction::SetTablespace { .. } => "set tablespace",
        AlterTableAction::SetAccessMethod { .. } => "set access method",
        AlterTableAction::ClusterOn { .. } => "cluster on",
        AlterTableAction::SetWithoutCluster => "set without cluster",
        AlterTableAction::ReplicaIdentity => "replica identity",
        AlterTableAction::Trigger { enable, .. } => {
            if *enable {
                "enable trigger"
            } else {
                "disable trigger"
            }
        }
        AlterTableAction::Rule { enable, .. } => {
            if *enable {
                "enable rule"
            } else {
                "disable rule"
            }
        }
        AlterTableAction::RowSecurity { enable } => {
            if *enable {
                "enable row level security"
            } else {
                "disable row level security"
            }
        }
        AlterTableAction::ForceRowSecurity { force } => {
            if *force {
                "force row level security"
            } else {
                "no force row level security"
            }
        }
        AlterTableAction::Inherit { .. } => "inherit",
        AlterTableAction::NoInherit { .. } => "no inherit",
        AlterTableAction::OfType => "of type",
        AlterTableAction::AttachPartition { .. } | AlterTableAction::AttachIndex { .. } => "attach partition",
        AlterTableAction::DetachPartition { finalize: true, .. } => "detach partition finalize",
        AlterTableAction::DetachPartition { concurrently: true, .. } => "detach partition concurrently",
        AlterTableAction::DetachPartition { .. } => "detach partition",
        AlterTableAction::Owner { .. } => "owner",
        AlterTableAction::Other { name } => name,
    }
}

impl ObjectKind {
    /// As the commands call it.
    pub fn words(self) -> &'static str {
        match self {
            ObjectKind::Table | ObjectKind::PartitionedTable => "table",
            ObjectKind::ForeignTable => "foreign table",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Index => "index",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Column => "column",
            ObjectKind::Constraint => "constraint",
            ObjectKind::Default => "default",
            ObjectKind::Trigger => "trigger",
            ObjectKind::Policy => "policy",
            ObjectKind::Rule => "rule",
            ObjectKind::Type => "type",
            ObjectKind::Domain => "domain",
            ObjectKind::DomainConstraint => "domain constraint",
            ObjectKind::Function => "function",
            ObjectKind::Schema => "schema",
            ObjectKind::Extension => "extension",
            ObjectKind::Publication => "publication",
            ObjectKind::Statistics => "statistics",
            ObjectKind::Database => "database",
            ObjectKind::Role => "role",
            ObjectKind::Other => "object",
        }
    }
}
