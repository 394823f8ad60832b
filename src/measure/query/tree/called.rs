//! Operators, functions and constants, as the catalogs and types describe them.

use crate::db::string;
use crate::facts::statement_tree::{Call, Comparison, Expression, Operator, Volatility};
use pgrx::PgList;
use pgrx::pg_sys::{self, Oid};
use std::ffi::c_char;

/// In the order of SQLValueFunctionOp.
const SQL_VALUE_FUNCTIONS: [&str; 15] = [
    "current_date",
    "current_time",
    "current_time",
    "current_timestamp",
    "current_timestamp",
    "localtime",
    "localtime",
    "localtimestamp",
    "localtimestamp",
    "current_role",
    "current_user",
    "user",
    "session_user",
    "current_catalog",
    "current_schema",
];

pub unsafe fn operator(oid: Oid, arguments: Vec<Expression>) -> Operator {
    // SAFETY: looks into the catalogs; the operator is one of an analyzed tree.
    unsafe {
        Operator {
            name: string(pg_sys::get_opname(oid)),
            builtin: is_builtin(oid),
            comparison: comparison(oid),
            volatility: volatility(pg_sys::op_volatile(oid)),
            strict: pg_sys::op_strict(oid),
            arguments,
        }
    }
}

unsafe fn comparison(oid: Oid) -> Option<Comparison> {
    // SAFETY: looks into the catalogs.
    let meanings = unsafe {
        PgList::<pg_sys::OpBtreeInterpretation>::from_pg(pg_sys::get_op_btree_interpretation(oid))
            .iter_ptr()
            .map(|meaning| (*meaning).strategy)
            .next()
    };
    // The sixth is no strategy of a btree, but what the server calls the negation of equality.
    match meanings? {
        1 => Some(Comparison::Less),
        2 => Some(Comparison::LessOrEqual),
        3 => Some(Comparison::Equal),
        4 => Some(Comparison::GreaterOrEqual),
        5 => Some(Comparison::Greater),
        6 => Some(Comparison::NotEqual),
        _ => None,
    }
}

/// Without arguments.
pub unsafe fn named(oid: Oid) -> Call {
    // SAFETY: looks into the catalogs; the function is one of an analyzed tree.
    unsafe {
        Call {
            schema: string(pg_sys::get_namespace_name(pg_sys::get_func_namespace(oid))),
            name: string(pg_sys::get_func_name(oid)),
            builtin: is_builtin(oid),
            volatility: volatility(pg_sys::func_volatile(oid)),
            returns_set: false,
            arguments: Vec::new(),
            filter: None,
            level: 0,
        }
    }
}

pub fn sql_value_function(function: &pg_sys::SQLValueFunction) -> Call {
    Call {
        schema: "pg_catalog".to_string(),
        name: SQL_VALUE_FUNCTIONS[function.op as usize].to_string(),
        builtin: true,
        volatility: Volatility::Stable,
        returns_set: false,
        arguments: Vec::new(),
        filter: None,
        level: 0,
    }
}

pub fn volatility(letter: c_char) -> Volatility {
    match letter as u8 {
        pg_sys::PROVOLATILE_IMMUTABLE => Volatility::Immutable,
        pg_sys::PROVOLATILE_STABLE => Volatility::Stable,
        _ => Volatility::Volatile,
    }
}

fn is_builtin(oid: Oid) -> bool {
    oid.to_u32() < pg_sys::FirstNormalObjectId
}

pub unsafe fn printed(constant: &pg_sys::Const) -> Option<String> {
    // SAFETY: the value is of the type; its output function returns a C string.
    unsafe {
        if constant.constisnull {
            return None;
        }
        let (mut output, mut varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(constant.consttype, &raw mut output, &raw mut varlena);
        Some(string(pg_sys::OidOutputFunctionCall(output, constant.constvalue)))
    }
}
