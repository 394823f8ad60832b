//! Values of a query that has been executed. A nested loop hands on pointers into its outer row, which may be in a page that is
//! another's by now: only what is in memory of the query's own is looked at.

use super::plan::elements;
use super::record::{MOST_BYTES, is_whole};
use crate::db;
use crate::facts::vector::Element;
use pgrx::pg_sys::{self, Const, Datum, Node, NodeTag, Oid, QueryDesc};

/// The value that a parameter has, or had last. None: it is not known, or may be gone. `once` are those that InitPlans have set once.
///
/// SAFETY: a parameter of the query's plan; the query still has its parameters.
pub unsafe fn parameter(query: &QueryDesc, once: &[i32], parameter: &pg_sys::Param) -> Option<*mut Const> {
    // SAFETY: the arrays have an element for each number that a plan names.
    unsafe {
        let (mut length, mut by_value) = (0, false);
        pg_sys::get_typlenbyval(parameter.paramtype, &raw mut length, &raw mut by_value);
        let (value, null) = match parameter.paramkind {
            pg_sys::ParamKind::PARAM_EXEC => {
                let values = (*query.estate).es_param_exec_vals;
                let known = (!values.is_null()).then(|| &*values.add(parameter.paramid as usize))?;
                let there = by_value || once.contains(&parameter.paramid);
                (there && known.execPlan.is_null()).then_some((known.value, known.isnull))?
            }
            pg_sys::ParamKind::PARAM_EXTERN => {
                let list = query.params.as_ref().filter(|list| (1..=list.numParams).contains(&parameter.paramid))?;
                let mut room = pg_sys::ParamExternData::default();
                let known = match list.paramFetch {
                    Some(fetch) => {
                        let (list, room) = (query.params, &raw mut room);
                        pg_sys::ffi::pg_guard_ffi_boundary(|| fetch(list, parameter.paramid, false, room))
                    }
                    None => list.params.as_ptr().add(parameter.paramid as usize - 1).cast_mut(),
                };
                let known = known.as_ref().filter(|known| known.ptype == parameter.paramtype)?;
                (known.value, known.isnull)
            }
            _ => return None,
        };
        let (of, modifier, collation) = (parameter.paramtype, parameter.paramtypmod, parameter.paramcollid);
        // Values out of line are read while what holds them is there.
        let value =
            if !null && length == -1 { Datum::from(pg_sys::pg_detoast_datum(value.cast_mut_ptr())) } else { value };
        Some(pg_sys::makeConst(of, modifier, collation, i32::from(length), value, null, by_value))
    }
}

/// Of the query's side of an operator.
///
/// SAFETY: an expression without columns.
pub unsafe fn value(node: *mut Node) -> Option<(Datum, Oid)> {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        match (*node).type_ {
            NodeTag::T_Const => {
                let known = &*node.cast::<Const>();
                (!known.constisnull).then_some((known.constvalue, known.consttype))
            }
            NodeTag::T_RelabelType => value((*node.cast::<pg_sys::RelabelType>()).arg.cast()),
            // To its own type: a cast that only looks at the number of dimensions.
            NodeTag::T_FuncExpr => {
                let function = &*node.cast::<pg_sys::FuncExpr>();
                let argument = elements::<Node>(function.args).first().copied()?;
                let cast = function.funcformat != pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
                (cast && pg_sys::exprType(argument) == function.funcresulttype).then(|| value(argument))?
            }
            NodeTag::T_CoerceViaIO => {
                let cast = &*node.cast::<pg_sys::CoerceViaIO>();
                let (text, of) = value(cast.arg.cast())?;
                if !matches!(of, pg_sys::TEXTOID | pg_sys::VARCHAROID) {
                    return None;
                }
                Element::from_name(&type_name(cast.resulttype))?;
                let (mut input, mut element) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(cast.resulttype, &raw mut input, &raw mut element);
                let text = pg_sys::text_to_cstring(text.cast_mut_ptr());
                Some((pg_sys::OidInputFunctionCall(input, text, element, -1), cast.resulttype))
            }
            _ => None,
        }
    }
}

/// Without schema.
///
/// SAFETY: a type that a plan uses.
pub unsafe fn type_name(of: Oid) -> String {
    // SAFETY: as said above.
    let name = unsafe { db::string(pg_sys::format_type_be(of)) };
    name.rsplit('.').next().unwrap_or_default().to_string()
}

/// Plain, with its header. None: it is no value of the type.
///
/// SAFETY: a value of variable length.
pub unsafe fn bytes(value: Datum, element: Element) -> Option<Vec<u8>> {
    // SAFETY: the value is plain now; its header tells its length.
    unsafe {
        let plain = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
        let length = pgrx::varlena::varsize_4b(plain);
        let bytes = (length <= MOST_BYTES).then(|| std::slice::from_raw_parts(plain.cast::<u8>(), length).to_vec())?;
        is_whole(element, &bytes).then_some(bytes)
    }
}
