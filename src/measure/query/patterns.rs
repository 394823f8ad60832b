//! LIKE and its relatives: does the pattern have a fixed beginning?

use super::expressions::{any, without_relabeling};
use crate::db::string;
use pgrx::pg_sys::{self, Node, NodeTag, Oid};
use pgrx::{FromDatum, PgList};

/// `~~` of text, name, bpchar and bytea: the left type is the operator's, patterns are text (bytea's are bytea).
const LIKE: &[u32] = &[1209, 1207, 1211, 2016];
/// `~` of text, name and bpchar
const REGEX: &[u32] = &[641, 639, 1055];
/// `^@`
const STARTS_WITH: u32 = 3877;

/// How a pattern begins, as far as it is known.
enum Beginning {
    Text(String),
    /// A parameter's value is not known yet.
    Parameter,
    Unknown,
}

/// Rows that `… operator pattern` takes have a beginning in common: they are a range. A parameter of LIKE may have one.
pub unsafe fn has_prefix(operator: Oid, pattern: *mut Node) -> bool {
    let operator = operator.to_u32();
    // SAFETY: the pattern is an expression of the planner's.
    let beginning = || unsafe { beginning(pattern) };
    if operator == STARTS_WITH {
        return !matches!(beginning(), Beginning::Unknown);
    }
    if LIKE.contains(&operator) {
        return match beginning() {
            Beginning::Text(text) => !text.starts_with(['%', '_']) && !text.is_empty(),
            Beginning::Parameter => true,
            Beginning::Unknown => false,
        };
    }
    REGEX.contains(&operator) && matches!(beginning(), Beginning::Text(text) if is_anchored(&text))
}

/// `^` and a character that stands for itself.
fn is_anchored(regex: &str) -> bool {
    let mut characters = regex.chars();
    let literal = |character: char| character.is_alphanumeric() || " _-/:@#".contains(character);
    characters.next() == Some('^')
        && characters.next().is_some_and(literal)
        && !matches!(characters.next(), Some('*' | '?' | '{'))
        && !regex.contains('|')
}

unsafe fn beginning(pattern: *mut Node) -> Beginning {
    // SAFETY: nodes are cast after a look at their tags; a constant's datum is of its type.
    unsafe {
        let pattern = without_relabeling(pattern);
        match (*pattern).type_ {
            NodeTag::T_Const => {
                let constant = &*pattern.cast::<pg_sys::Const>();
                let text = match constant.consttype {
                    pg_sys::TEXTOID => String::from_datum(constant.constvalue, constant.constisnull),
                    pg_sys::BYTEAOID => <&[u8]>::from_datum(constant.constvalue, constant.constisnull)
                        .map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
                    _ => None,
                };
                text.map_or(Beginning::Unknown, Beginning::Text)
            }
            NodeTag::T_OpExpr => {
                let concatenation = &*pattern.cast::<pg_sys::OpExpr>();
                let arguments = PgList::<Node>::from_pg(concatenation.args);
                match arguments.get_ptr(0) {
                    Some(first) if string(pg_sys::get_opname(concatenation.opno)) == "||" => beginning(first),
                    _ => Beginning::Unknown,
                }
            }
            NodeTag::T_Param if (*pattern.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN => {
                Beginning::Parameter
            }
            NodeTag::T_FuncExpr | NodeTag::T_CoerceViaIO => {
                let known = !any(pattern, &mut |node| (*node).type_ == NodeTag::T_Var || is_internal(node));
                if known { Beginning::Parameter } else { Beginning::Unknown }
            }
            _ => Beginning::Unknown,
        }
    }
}

unsafe fn is_internal(node: *mut Node) -> bool {
    // SAFETY: cast after a look at the tag.
    unsafe {
        (*node).type_ == NodeTag::T_Param
            && (*node.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN
    }
}

#[cfg(test)]
mod unit_tests {
    use super::is_anchored;

    #[test]
    fn anchored_expressions_have_a_fixed_beginning() {
        assert!(["^a", "^ab.*c$", "^12+"].into_iter().all(is_anchored));
        assert!(!["a", "^", "^.*", "^a*", "^a?b", "^a|b", "^[ab]", "^(a)"].into_iter().any(is_anchored));
    }
}
