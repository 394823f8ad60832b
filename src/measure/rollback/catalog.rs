//! How relations, columns and their parts are before the migration.

use super::state::Address;
use crate::db;
use pgrx::pg_sys::Oid;

pub struct Column {
    pub number: i16,
    /// With COLLATE.
    pub of_type: String,
    pub default: Option<String>,
    pub generated: Option<String>,
    pub not_null: bool,
    /// ALWAYS or BY DEFAULT
    pub identity: Option<String>,
    pub sequence_options: Option<String>,
    pub sequence: Option<String>,
    pub last_value: Option<i64>,
    pub statistics: i32,
    pub storage: String,
    pub compression: String,
    pub options: Vec<String>,
}

pub fn column(relation: u32, name: &str) -> Option<Column> {
    let sql = include_str!("../../../sql/facts/rollback_column.sql");
    db::read(sql, &[Oid::from(relation).into(), name.into()], |row| Column {
        number: row.take(),
        of_type: row.take(),
        default: row.take_option(),
        generated: row.take_option(),
        not_null: row.take(),
        identity: row.take_option(),
        sequence_options: row.take_option(),
        sequence: row.take_option(),
        last_value: row.take_option(),
        statistics: row.take(),
        storage: row.take(),
        compression: row.take(),
        options: row.take(),
    })
    .pop()
}

pub struct Relation {
    pub options: Vec<String>,
    /// p, u or t
    pub persistence: String,
    pub tablespace: String,
    pub method: Option<String>,
    pub replica_identity: Option<String>,
    pub clustered_on: Option<String>,
    pub row_security: bool,
    pub force_row_security: bool,
    pub owner: String,
    pub bound: Option<String>,
    /// By the planner's statistics, with all partitions.
    pub rows: Option<f64>,
}

pub fn relation(oid: u32) -> Option<Relation> {
    let sql = include_str!("../../../sql/facts/rollback_relation.sql");
    db::read(sql, &[Oid::from(oid).into()], |row| Relation {
        options: row.take(),
        persistence: row.take(),
        tablespace: row.take(),
        method: row.take_option(),
        replica_identity: row.take_option(),
        clustered_on: row.take_option(),
        row_security: row.take(),
        force_row_security: row.take(),
        owner: row.take(),
        bound: row.take_option(),
        rows: row.take_option(),
    })
    .pop()
}

/// A constraint, trigger, rule or policy.
pub struct Part {
    pub address: Address,
    pub definition: String,
    /// Of a constraint, when it is checked.
    pub deferrable: String,
    /// Of a trigger or rule, pg_trigger.tgenabled; of a constraint D where it is not valid.
    pub enabled: String,
}

/// `kind`: constraint, trigger, rule or policy; an empty name: all triggers.
pub fn parts(relation: u32, kind: &str, name: &str) -> Vec<Part> {
    let sql = include_str!("../../../sql/facts/rollback_named_parts.sql");
    db::read(sql, &[Oid::from(relation).into(), name.into(), kind.into()], |row| Part {
        address: Address { class: row.take::<Oid>().to_u32(), oid: row.take::<Oid>().to_u32(), column: 0 },
        definition: row.take(),
        deferrable: row.take(),
        enabled: row.take(),
    })
}

pub struct Sequence {
    /// As ALTER SEQUENCE has them.
    pub options: String,
    pub last_value: Option<i64>,
    /// `public.t.id`
    pub owned_by: Option<String>,
}

pub fn sequence(oid: u32) -> Option<Sequence> {
    let sql = include_str!("../../../sql/facts/rollback_sequence.sql");
    db::read(sql, &[Oid::from(oid).into()], |row| Sequence {
        options: row.take(),
        last_value: row.take_option(),
        owned_by: row.take_option(),
    })
    .pop()
}

/// Owner, privileges and comment as they are, also where there are none.
pub fn attributes(address: Address) -> Vec<String> {
    let (class, oid, column) = (vec![Oid::from(address.class)], vec![Oid::from(address.oid)], vec![address.column]);
    let sql = include_str!("../../../sql/facts/rollback_attributes.sql");
    db::read(sql, &[class.into(), oid.into(), column.into(), true.into()], |row| {
        let _: (Oid, Oid, i32) = (row.take(), row.take(), row.take());
        row.take::<String>()
    })
}
