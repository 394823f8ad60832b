//! What CREATE INDEX would make, from its text, by the checks that CREATE INDEX itself does.

use super::column::{self, Resembles};
use super::refusals::{
    create_index, immutable, refuse_class_options, refuse_collation, refuse_kind, refuse_on_partitioned,
    refuse_parameters, refuse_system_columns, refuse_what_the_method_cannot,
};
use crate::advice::index_size::KeyColumn;
use crate::db::{Arena, check_for_interrupts, raise, string};
use crate::facts::QualifiedName;
use crate::measure::server;
use pgrx::pg_sys::{self, NodeTag, Oid};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;

/// A hypothetical index: the arrays that the planner copies into its IndexOptInfo, for the table that CREATE INDEX names.
pub struct Definition {
    pub table: Oid,
    pub table_name: QualifiedName,
    pub name: String,
    /// The statement, as given.
    pub statement: String,
    pub method: Oid,
    pub method_name: String,
    pub routine: *mut pg_sys::IndexAmRoutine,
    pub tablespace: Oid,
    pub unique: bool,
    /// Keys first, then what INCLUDE names.
    pub columns: Vec<Column>,
    pub key_columns: usize,
    /// In the order of the columns that are expressions; of range table entry 1.
    pub expressions: *mut pg_sys::List,
    /// Implicitly ANDed; of range table entry 1.
    pub predicate: *mut pg_sys::List,
    /// Printed.
    pub predicate_text: Option<String>,
    /// Storage parameters, by name.
    pub parameters: Vec<(String, f64)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// 0: an expression.
    pub attribute: i16,
    pub type_oid: Oid,
    pub type_modifier: i32,
    pub collation: Oid,
    /// Of the table's column, which the index may override; invalid for an expression.
    pub own_collation: Oid,
    /// Invalid for what INCLUDE names.
    pub class: Oid,
    pub family: Oid,
    /// The type that the operator class takes.
    pub class_type: Oid,
    pub descending: bool,
    pub nulls_first: bool,
    /// An index-only scan can return it.
    pub returned: bool,
    /// Of an expression.
    pub resembles: Option<Resembles>,
}

impl Definition {
    pub fn parameter(&self, name: &str) -> Option<f64> {
        self.parameters.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| *value)
    }

    /// Raises an error when the role in force may not read the columns: sizes and estimates tell of what is in them.
    pub fn check_permissions(&self) {
        // SAFETY: catalog lookups; the sets are of attribute numbers, shifted so that they are not negative.
        unsafe {
            let (role, select) = (pg_sys::GetUserId(), u64::from(pg_sys::ACL_SELECT));
            let granted = |result| result == pg_sys::AclResult::ACLCHECK_OK;
            if granted(pg_sys::pg_class_aclcheck(self.table, role, select)) {
                return;
            }
            let mut attributes = null_mut();
            pg_sys::pull_varattnos(self.expressions.cast(), 1, &raw mut attributes);
            pg_sys::pull_varattnos(self.predicate.cast(), 1, &raw mut attributes);
            let mut read: Vec<i16> = self.columns.iter().map(|column| column.attribute).filter(|n| *n > 0).collect();
            let mut member = pg_sys::bms_next_member(attributes, -1);
            while member >= 0 {
                read.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16);
                member = pg_sys::bms_next_member(attributes, member);
            }
            let may = |attribute: &i16| granted(pg_sys::pg_attribute_aclcheck(self.table, *attribute, role, select));
            if !read.iter().all(may) {
                raise(
                    PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                    format!("permission denied for table {}", self.table_name),
                    "What an index would be like tells of what is in it: GRANT SELECT on its columns.",
                )
            }
        }
    }

    pub fn keys(&self) -> &[Column] {
        &self.columns[..self.key_columns]
    }
}

/// Reads a CREATE INDEX statement; what the server would refuse to build is refused here. The table is locked in ACCESS SHARE
/// mode. Lists and expressions are allocated in `keep`.
pub fn parse(argument: &str, text: &str, keep: &Arena) -> Definition {
    check_for_interrupts();
    let Ok(statement) = CString::new(text) else {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument} holds a zero byte"),
            "SQL text has none.",
        )
    };
    // SAFETY: what the parser allocates goes with the context; what is kept is copied into `keep`.
    unsafe { Arena::new().enter(|| read(argument, &statement, keep)) }
}

unsafe fn read(argument: &str, text: &CStr, keep: &Arena) -> Definition {
    // SAFETY: the tree is the server's own; nodes are cast after a look at their tags; the table is locked before it is opened.
    unsafe {
        let statement = create_index(argument, text);
        let no_flags = 0;
        let table = pg_sys::RangeVarGetRelidExtended(
            (*statement).relation,
            pg_sys::AccessShareLock as i32,
            no_flags,
            None,
            null_mut(),
        );
        let table_name = qualified_name(table);
        refuse_kind(argument, table, &table_name);
        let statement = server::transformIndexStmt(table, statement, text.as_ptr());
        let method_text = (*statement).accessMethod;
        let method = pg_sys::get_index_am_oid(method_text, false);
        let routine = keep.enter(|| pg_sys::GetIndexAmRoutineByAmId(method, false));
        let method_name = string(method_text);
        let keys = PgList::<pg_sys::IndexElem>::from_pg((*statement).indexParams);
        let included = PgList::<pg_sys::IndexElem>::from_pg((*statement).indexIncludingParams);
        refuse_what_the_method_cannot(&*statement, &*routine, &method_name, keys.len() + included.len());
        refuse_parameters(&*statement, &*routine);
        refuse_on_partitioned(argument, &*statement, table, &table_name);
        let (mut columns, mut expressions) = (Vec::new(), null_mut());
        for element in keys.iter_ptr() {
            let (column, expression) = key(&*element, table, (&method_name, method, method_text), &*routine);
            columns.push(column);
            if !expression.is_null() {
                expressions = pg_sys::lappend(expressions, expression.cast());
            }
        }
        let key_columns = columns.len();
        columns.extend(included.iter_ptr().map(|element| included_column(&*element, table, &*routine)));
        let predicate = predicate((*statement).whereClause);
        refuse_system_columns(expressions);
        refuse_system_columns(predicate);
        Definition {
            table,
            name: name(&*statement, &table_name, table, &columns),
            table_name,
            statement: text.to_string_lossy().trim().trim_end_matches(';').to_string(),
            method,
            method_name,
            routine,
            tablespace: tablespace((*statement).tableSpace),
            unique: (*statement).unique,
            columns,
            key_columns,
            predicate_text: printed(predicate, table),
            expressions: keep.enter(|| pg_sys::copyObjectImpl(expressions.cast()).cast()),
            predicate: keep.enter(|| pg_sys::copyObjectImpl(predicate.cast()).cast()),
            parameters: parameters((*statement).options),
        }
    }
}

/// A key and its expression, if it is one.
unsafe fn key(
    element: &pg_sys::IndexElem,
    table: Oid,
    (method_name, method, method_text): (&str, Oid, *const c_char),
    routine: &pg_sys::IndexAmRoutine,
) -> (Column, *mut pg_sys::Node) {
    // SAFETY: transformIndexStmt has analyzed the expression; the rest are catalog lookups.
    unsafe {
        let mut expression = null_mut();
        let (attribute, type_oid, type_modifier, own_collation) = match plain_column(element, table) {
            Some(attribute) => attribute_type(table, attribute),
            None => {
                expression = pg_sys::eval_const_expressions(null_mut(), immutable(element.expr));
                pg_sys::fix_opfuncids(expression);
                let node = element.expr.cast_const();
                (0, pg_sys::exprType(node), pg_sys::exprTypmod(node), pg_sys::InvalidOid)
            }
        };
        // COLLATE within the parentheses counts, too.
        let mut collation = match element.expr.is_null() {
            true => own_collation,
            false => pg_sys::exprCollation(element.expr),
        };
        if !element.collation.is_null() {
            collation = pg_sys::get_collation_oid(element.collation, false);
        }
        refuse_collation(type_oid, collation, !element.collation.is_null());
        let class = pg_sys::ResolveOpClass(element.opclass, type_oid, method_text, method);
        let family = pg_sys::get_opclass_family(class);
        let class_type = pg_sys::get_opclass_input_type(class);
        refuse_class_options(element, routine, (family, class_type));
        let ordered = element.ordering != pg_sys::SortByDir::SORTBY_DEFAULT
            || element.nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT;
        if ordered && !routine.amcanorder {
            raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("access method {method_name} does not support ASC, DESC and NULLS options"),
                "Only btree does.",
            )
        }
        let descending = element.ordering == pg_sys::SortByDir::SORTBY_DESC;
        let nulls_first = match element.nulls_ordering {
            pg_sys::SortByNulls::SORTBY_NULLS_FIRST => true,
            pg_sys::SortByNulls::SORTBY_NULLS_LAST => false,
            _ => descending,
        };
        let returned = column::is_returned(method_name, family, class_type);
        let collation = if pg_sys::type_is_collatable(type_oid) { collation } else { pg_sys::InvalidOid };
        let column = Column {
            attribute,
            type_oid,
            type_modifier,
            collation,
            own_collation,
            class,
            family,
            class_type,
            descending,
            nulls_first,
            returned,
            resembles: if expression.is_null() { None } else { column::resembles(expression) },
        };
        (column, expression)
    }
}

unsafe fn included_column(element: &pg_sys::IndexElem, table: Oid, routine: &pg_sys::IndexAmRoutine) -> Column {
    // SAFETY: catalog lookups.
    unsafe {
        let Some(attribute) = plain_column(element, table) else {
            raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "expressions are not supported in included columns",
                "INCLUDE takes plain columns.",
            )
        };
        let (attribute, type_oid, type_modifier, own_collation) = attribute_type(table, attribute);
        Column {
            attribute,
            type_oid,
            type_modifier,
            collation: pg_sys::InvalidOid,
            own_collation,
            class: pg_sys::InvalidOid,
            family: pg_sys::InvalidOid,
            class_type: pg_sys::InvalidOid,
            descending: false,
            nulls_first: false,
            returned: routine.amcanreturn.is_some(),
            resembles: None,
        }
    }
}

/// The attribute that the element names, also as an expression in parentheses that is nothing but a column.
pub unsafe fn plain_column(element: &pg_sys::IndexElem, table: Oid) -> Option<i16> {
    // SAFETY: the name is a C string; an expression is cast after a look at its tag.
    unsafe {
        if element.name.is_null() {
            let mut expression = element.expr;
            while (*expression).type_ == NodeTag::T_CollateExpr {
                expression = (*expression.cast::<pg_sys::CollateExpr>()).arg.cast();
            }
            let column = (*expression).type_ == NodeTag::T_Var;
            return column.then(|| (*expression.cast::<pg_sys::Var>()).varattno).filter(|attribute| *attribute > 0);
        }
        let attribute = pg_sys::get_attnum(table, element.name);
        if attribute <= 0 {
            let name = string(element.name);
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("column {name:?} of {} does not exist", qualified_name(table)),
                "An index holds columns of its table; system columns cannot be indexed.",
            )
        }
        Some(attribute)
    }
}

unsafe fn attribute_type(table: Oid, attribute: i16) -> (i16, Oid, i32, Oid) {
    let (mut type_oid, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: the attribute exists.
    unsafe {
        pg_sys::get_atttypetypmodcoll(table, attribute, &raw mut type_oid, &raw mut modifier, &raw mut collation);
    }
    (attribute, type_oid, modifier, collation)
}

unsafe fn predicate(condition: *mut pg_sys::Node) -> *mut pg_sys::List {
    if condition.is_null() {
        return null_mut();
    }
    // SAFETY: transformIndexStmt has analyzed the condition; this is what the relation cache does with a predicate.
    unsafe {
        let condition = pg_sys::eval_const_expressions(null_mut(), immutable(condition));
        let condition = pg_sys::canonicalize_qual(condition.cast(), false);
        let list = pg_sys::make_ands_implicit(condition.cast());
        pg_sys::fix_opfuncids(list.cast());
        list
    }
}

unsafe fn printed(predicate: *mut pg_sys::List, table: Oid) -> Option<String> {
    if predicate.is_null() {
        return None;
    }
    // SAFETY: the table is locked; expressions refer to it as range table entry 1.
    unsafe {
        let context = pg_sys::deparse_context_for(pg_sys::get_rel_name(table), table);
        let condition = pg_sys::make_ands_explicit(predicate);
        let text = pg_sys::deparse_expression(condition.cast(), context, false, false);
        Some(string(text))
    }
}

unsafe fn tablespace(name: *const c_char) -> Oid {
    // SAFETY: a C string, or null.
    match name.is_null() {
        true => unsafe { pg_sys::GetDefaultTablespace(pg_sys::RELPERSISTENCE_PERMANENT as c_char, false) },
        false => unsafe { pg_sys::get_tablespace_oid(name, false) },
    }
}

/// Numbers and booleans (0 and 1) among the storage parameters; the others do not change plans.
unsafe fn parameters(options: *mut pg_sys::List) -> Vec<(String, f64)> {
    // SAFETY: the list's elements are DefElems of the parse tree.
    unsafe {
        let options = PgList::<pg_sys::DefElem>::from_pg(options);
        let numbers = options.iter_ptr().filter_map(|option| {
            let value = match (*option).arg.is_null() {
                true => "true".to_string(),
                false => string(pg_sys::defGetString(option)),
            };
            let number = match value.as_str() {
                "true" | "on" | "yes" => 1.0,
                "false" | "off" | "no" => 0.0,
                number => number.parse().ok()?,
            };
            Some((string((*option).defname), number))
        });
        numbers.collect()
    }
}

/// The name given, or made as the server would, of table and columns.
unsafe fn name(statement: &pg_sys::IndexStmt, table_name: &QualifiedName, table: Oid, columns: &[Column]) -> String {
    // SAFETY: C strings; attributes of the table.
    unsafe {
        if !statement.idxname.is_null() {
            return string(statement.idxname);
        }
        let mut parts = vec![table_name.name.raw().to_string()];
        parts.extend(columns.iter().map(|column| match column.attribute {
            0 => "expr".to_string(),
            attribute => string(pg_sys::get_attname(table, attribute, false)),
        }));
        parts.push("idx".to_string());
        parts.join("_")
    }
}

/// Its parts are empty when another session has dropped the object.
pub fn qualified_name(table: Oid) -> QualifiedName {
    // SAFETY: catalog lookups; null when there is nothing.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(table));
        QualifiedName { schema: string(schema).into(), name: string(pg_sys::get_rel_name(table)).into() }
    }
}

/// Keys and included columns as the size model takes them, of `relation`: the table itself or one of its partitions, whose
/// attribute numbers `number` gives.
pub fn size_columns(
    definition: &Definition,
    relation: Oid,
    rows: f64,
    number: impl Fn(i16) -> i16,
) -> (Vec<KeyColumn>, Vec<KeyColumn>) {
    let mut all: Vec<KeyColumn> = definition
        .columns
        .iter()
        .map(|column| column::size_column(&definition.method_name, column, relation, &number, rows))
        .collect();
    let included = all.split_off(definition.key_columns);
    (all, included)
}
