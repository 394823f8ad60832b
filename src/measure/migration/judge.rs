//! What only the server can tell of types and expressions: nothing is executed but what the planner evaluates.

mod expressions;

use super::Model;
use crate::db::{self, Arena, Caught};
use crate::facts::migration::{Column, Relation};
use expressions::{c_string, is_the_column, known_columns, over_columns, raw_target, targets};
use pgrx::PgList;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CString;
use std::ptr::null_mut;

/// A type as a statement names it, looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub oid: u32,
    pub typmod: i32,
    /// The type's own.
    pub collation: u32,
}

/// Looks names up as the migration does.
pub struct Judge {
    search_path: CString,
    /// None: the session's.
    time_zone: Option<CString>,
}

impl Judge {
    /// As the statement that follows is read.
    pub fn of(model: &Model) -> Judge {
        Judge::new(&model.search_path, model.time_zone.as_deref())
    }

    fn new(search_path: &[String], time_zone: Option<&str>) -> Judge {
        let quoted: Vec<String> = search_path.iter().map(|schema| db::quote_identifier(schema)).collect();
        let time_zone = time_zone.and_then(|zone| CString::new(zone).ok());
        Judge { search_path: CString::new(quoted.join(", ")).unwrap_or_default(), time_zone }
    }

    fn ask<T>(&self, body: impl Fn() -> T) -> Result<T, Caught> {
        let mut settings = vec![(c"search_path", self.search_path.as_c_str())];
        settings.extend(self.time_zone.as_deref().map(|zone| (c"timezone", zone)));
        db::read_only(|| db::with_settings(&settings, || Arena::new().enter(&body)))
    }

    pub fn resolve_type(&self, text: &str) -> Result<Resolved, Caught> {
        let text = c_string(text)?;
        self.ask(|| {
            let (mut oid, mut typmod) = (pg_sys::InvalidOid, -1);
            // SAFETY: the server's own parser of type names; an error unwinds.
            unsafe {
                pg_sys::parseTypeString(text.as_ptr(), &raw mut oid, &raw mut typmod, null_mut());
                Resolved { oid: oid.to_u32(), typmod, collation: pg_sys::get_typcollation(oid).to_u32() }
            }
        })
    }

    pub fn collation(&self, name: &str) -> Result<u32, Caught> {
        let parts: Vec<String> = name.split('.').map(|part| db::quote_identifier(part.trim_matches('"'))).collect();
        let name = c_string(&parts.join("."))?;
        self.ask(|| {
            // SAFETY: catalog lookups; the list is of the parts of a name.
            unsafe {
                let parts = pg_sys::stringToQualifiedNameList(name.as_ptr(), null_mut());
                pg_sys::get_collation_oid(parts, false).to_u32()
            }
        })
    }

    /// As format_type prints it.
    pub fn type_name(&self, of: Resolved) -> String {
        let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN as u16;
        // SAFETY: a catalog lookup; the string is copied.
        let printed =
            self.ask(|| unsafe { db::string(pg_sys::format_type_extended(Oid::from(of.oid), of.typmod, flags)) });
        printed.unwrap_or_default()
    }

    /// A default of a column that is added must be computed for every row, for it is volatile once it is simplified.
    pub fn default_is_volatile(&self, default: &str, of: Resolved) -> Result<bool, Caught> {
        let text = c_string(&format!("select ({default})"))?;
        self.ask(|| {
            // SAFETY: the text is that of an expression; the server checks and coerces it as ADD COLUMN does.
            unsafe {
                let raw = raw_target(&text);
                let state = pg_sys::make_parsestate(null_mut());
                (*state).p_sourcetext = text.as_ptr();
                let cooked = pg_sys::cookDefault(state, raw, Oid::from(of.oid), of.typmod, c"column".as_ptr(), 0);
                let planned = pg_sys::expression_planner(cooked.cast());
                pg_sys::contain_volatile_functions(planned.cast())
            }
        })
    }

    /// SET DATA TYPE has to write every row: it looks at the planned expression as ALTER TABLE does.
    pub fn type_change_rewrites(
        &self,
        table: &Relation,
        column: &Column,
        to: Resolved,
        using: Option<&str>,
        is_constrained: impl Fn(u32) -> bool,
    ) -> Result<bool, Caught> {
        let columns = known_columns(table);
        let position = columns.iter().position(|known| known.name == column.name);
        let attribute = position.map_or(1, |position| position + 1) as i16;
        let text = match using {
            Some(using) => Some(over_columns(table, &columns, &[using])?),
            None => None,
        };
        self.ask(|| {
            // SAFETY: nodes are cast after a look at their tags; the expression is the server's own.
            unsafe {
                let expression = match &text {
                    Some(text) => targets(text)[0],
                    None => {
                        let (of, collation) = (Oid::from(column.type_oid), Oid::from(column.collation));
                        pg_sys::makeVar(1, attribute, of, column.typmod, collation, 0).cast()
                    }
                };
                let state = pg_sys::make_parsestate(null_mut());
                let coerced = pg_sys::coerce_to_target_type(
                    state,
                    expression,
                    pg_sys::exprType(expression),
                    Oid::from(to.oid),
                    to.typmod,
                    pg_sys::CoercionContext::COERCION_ASSIGNMENT,
                    pg_sys::CoercionForm::COERCE_IMPLICIT_CAST,
                    -1,
                );
                if coerced.is_null() {
                    let code = pgrx::PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH;
                    let type_name = db::string(pg_sys::format_type_be(Oid::from(to.oid)));
                    let message = match using {
                        Some(_) => format!(
                            "result of USING clause for column \"{}\" cannot be cast automatically to type {type_name}",
                            column.name
                        ),
                        None => {
                            format!("column \"{}\" cannot be cast automatically to type {type_name}", column.name)
                        }
                    };
                    db::raise(code, message, "")
                }
                pg_sys::assign_expr_collations(state, coerced);
                let planned = pg_sys::expression_planner(coerced.cast());
                !is_the_column(planned.cast(), attribute, &is_constrained)
            }
        })
    }

    /// Constraints that hold of every row say that the column is not null.
    pub fn checks_imply(&self, table: &Relation, checks: &[&str], condition: &str) -> bool {
        let columns = known_columns(table);
        let all: Vec<&str> = checks.iter().copied().chain([condition]).collect();
        let Ok(text) = over_columns(table, &columns, &all) else { return false };
        let implied = self.ask(|| {
            // SAFETY: the expressions are analyzed together, over the same columns; this is how ALTER TABLE compares them.
            unsafe {
                let targets = targets(&text);
                let (condition, checks) = targets.split_last().expect("the condition is the last");
                let mut known = null_mut();
                for check in checks {
                    let simple = pg_sys::eval_const_expressions(null_mut(), *check);
                    let simple = pg_sys::canonicalize_qual(simple.cast(), true);
                    known = pg_sys::list_concat(known, pg_sys::make_ands_implicit(simple.cast()));
                }
                let wanted = pg_sys::eval_const_expressions(null_mut(), *condition);
                let wanted = pg_sys::canonicalize_qual(wanted.cast(), true);
                pg_sys::predicate_implied_by(pg_sys::make_ands_implicit(wanted.cast()), known, true)
            }
        });
        implied.unwrap_or(false)
    }

    /// Columns of the table that the expression names, in alphabetic order.
    pub fn columns_used(&self, table: &Relation, expression: &str) -> Result<Vec<String>, Caught> {
        let columns = known_columns(table);
        let text = over_columns(table, &columns, &[expression])?;
        let used = self.ask(|| {
            // SAFETY: an analyzed expression over one relation.
            unsafe {
                let variables = PgList::<pg_sys::Var>::from_pg(pg_sys::pull_var_clause(targets(&text)[0], 0));
                variables.iter_ptr().map(|variable| (*variable).varattno).collect::<Vec<i16>>()
            }
        });
        let mut names: Vec<String> = Vec::new();
        for number in used? {
            // The whole row: all of them.
            let named = if number > 0 { &columns[number as usize - 1..number as usize] } else { &columns[..] };
            names.extend(named.iter().map(|column| column.name.clone()));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// A foreign key of one type can refer to a key of the other: there is an operator to compare them by.
    pub fn can_refer(&self, from: u32, to: u32) -> bool {
        const EQUAL: i16 = 3;
        let (from, to) = (Oid::from(from), Oid::from(to));
        // SAFETY: catalog lookups.
        let can = self.ask(|| unsafe {
            let class = pg_sys::GetDefaultOpClass(to, pg_sys::BTREE_AM_OID);
            let family = pg_sys::get_opclass_family(class);
            let (from, to) = (pg_sys::getBaseType(from), pg_sys::getBaseType(to));
            from == to
                || pg_sys::get_opfamily_member(family, to, from, EQUAL) != pg_sys::InvalidOid
                || pg_sys::can_coerce_type(
                    1,
                    &raw const from,
                    &raw const to,
                    pg_sys::CoercionContext::COERCION_IMPLICIT,
                )
        });
        can.unwrap_or(true)
    }

    /// The operator class that an index on a column of the type would take; 0: there is none.
    pub fn default_class(&self, type_oid: u32, method: &str) -> u32 {
        let Ok(method) = CString::new(method) else { return 0 };
        // SAFETY: catalog lookups.
        let class = self.ask(|| unsafe {
            pg_sys::GetDefaultOpClass(Oid::from(type_oid), pg_sys::get_index_am_oid(method.as_ptr(), true)).to_u32()
        });
        class.unwrap_or(0)
    }

    /// An index of the class is of one type only: arrays, enums, ranges.
    pub fn is_polymorphic(&self, class: u32) -> bool {
        // SAFETY: a catalog lookup.
        let input = self.ask(|| unsafe { pg_sys::get_opclass_input_type(Oid::from(class)) });
        const POLYMORPHIC: [Oid; 6] = [
            pg_sys::ANYARRAYOID,
            pg_sys::ANYENUMOID,
            pg_sys::ANYRANGEOID,
            pg_sys::ANYMULTIRANGEOID,
            pg_sys::ANYELEMENTOID,
            pg_sys::ANYNONARRAYOID,
        ];
        input.is_ok_and(|input| POLYMORPHIC.contains(&input))
    }

    /// Of a type that the catalogs know.
    pub fn is_constrained(&self, type_oid: u32) -> bool {
        // SAFETY: a catalog lookup.
        type_oid != 0 && self.ask(|| unsafe { pg_sys::DomainHasConstraints(Oid::from(type_oid)) }).unwrap_or(false)
    }
}
