//! What an expression makes of a vector column.

use crate::db::string;
use crate::facts::vector::{Element, Key};
use pgrx::pg_sys::{self, Node, NodeTag, Oid};
use pgrx::{FromDatum, PgList};

/// pgvector's types and its schema, by which its functions are known.
#[derive(Clone, Debug, Default)]
pub struct Types {
    pub schema: u32,
    /// A function of its library.
    pub input: u32,
    pub elements: Vec<(u32, Element)>,
}

impl Types {
    /// Of a type or of a domain over it.
    pub fn element(&self, type_oid: Oid) -> Option<Element> {
        // SAFETY: a catalog lookup; a type that is gone is returned as it is.
        let base = unsafe { pg_sys::getBaseType(type_oid) };
        match base {
            pg_sys::BITOID => Some(Element::Bit),
            base => self.elements.iter().find(|(oid, _)| *oid == base.to_u32()).map(|(_, element)| *element),
        }
    }
}

/// A vector column, or what is made of one.
#[derive(Debug)]
pub struct Read {
    pub key: Key,
    /// Attribute number.
    pub column: i16,
    /// Of the value; None: any.
    pub dimensions: Option<u32>,
}

/// The only expression of an index, from pg_index.indexprs.
pub fn of_index(tree: &str, types: &Types) -> Option<Read> {
    let tree = std::ffi::CString::new(tree).ok()?;
    // SAFETY: the text is what the server wrote of a list of expressions.
    unsafe {
        let list = PgList::<Node>::from_pg(pg_sys::stringToNode(tree.as_ptr()).cast());
        of_node(list.get_ptr(0)?, types)
    }
}

/// None: it is no vector, or not made of one column.
///
/// SAFETY: `node` is an analyzed expression.
pub unsafe fn of_node(node: *mut Node, types: &Types) -> Option<Read> {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        let node = unrelabeled(node);
        let element = types.element(pg_sys::exprType(node))?;
        let dimensions = u32::try_from(pg_sys::exprTypmod(node)).ok().filter(|dimensions| *dimensions > 0);
        let (key, var) = match var(node) {
            Some(var) => (Key::Column, var),
            None => known(node, element, types).or_else(|| Some((Key::Other(String::new()), any_var(node)?)))?,
        };
        let dimensions = match key {
            Key::Column => dimensions.or_else(|| domain_dimensions(&*var)),
            _ => dimensions,
        };
        Some(Read { key, column: (*var).varattno, dimensions })
    }
}

unsafe fn known(node: *mut Node, element: Element, types: &Types) -> Option<(Key, *mut pg_sys::Var)> {
    // SAFETY: as in `of_node`.
    unsafe {
        let (argument, dimensions) = cast(node)?;
        if let Some(var) = var(argument) {
            return Some((Key::Cast { element, dimensions }, var));
        }
        let (name, arguments) = call(argument, types)?;
        let var = var(*arguments.first()?)?;
        let number = |position: usize| arguments.get(position).and_then(|argument| constant(*argument));
        match name.as_str() {
            "binary_quantize" if element == Element::Bit => Some((Key::BinaryQuantize { dimensions }, var)),
            "subvector" if element == types.element((*var).vartype)? && number(2)? == dimensions => {
                Some((Key::Subvector { first: number(1)?, dimensions }, var))
            }
            _ => None,
        }
    }
}

/// A cast to a number of dimensions: what is cast, and the number.
unsafe fn cast(node: *mut Node) -> Option<(*mut Node, u32)> {
    // SAFETY: as in `of_node`.
    unsafe {
        let mut dimensions = -1;
        if (*node).type_ != NodeTag::T_FuncExpr || !pg_sys::exprIsLengthCoercion(node, &raw mut dimensions) {
            return None;
        }
        let arguments = PgList::<Node>::from_pg((*node.cast::<pg_sys::FuncExpr>()).args);
        Some((unrelabeled(arguments.get_ptr(0)?), u32::try_from(dimensions).ok()?))
    }
}

/// A call of one of pgvector's functions.
unsafe fn call(node: *mut Node, types: &Types) -> Option<(String, Vec<*mut Node>)> {
    // SAFETY: as in `of_node`; the server allocates the name it returns, or returns null.
    unsafe {
        if (*node).type_ != NodeTag::T_FuncExpr {
            return None;
        }
        let call = &*node.cast::<pg_sys::FuncExpr>();
        let ours = pg_sys::get_func_namespace(call.funcid).to_u32() == types.schema;
        let arguments = PgList::<Node>::from_pg(call.args).iter_ptr().map(|node| unrelabeled(node)).collect();
        ours.then(|| (string(pg_sys::get_func_name(call.funcid)), arguments))
    }
}

unsafe fn constant(node: *mut Node) -> Option<u32> {
    // SAFETY: as in `of_node`; the value is read as the type that the node says.
    unsafe {
        if (*node).type_ != NodeTag::T_Const {
            return None;
        }
        let constant = &*node.cast::<pg_sys::Const>();
        let value = (constant.consttype == pg_sys::INT4OID)
            .then(|| i32::from_datum(constant.constvalue, constant.constisnull))??;
        u32::try_from(value).ok()
    }
}

unsafe fn var(node: *mut Node) -> Option<*mut pg_sys::Var> {
    // SAFETY: as in `of_node`.
    unsafe { ((*node).type_ == NodeTag::T_Var).then(|| node.cast()) }
}

/// The first column in it.
unsafe fn any_var(node: *mut Node) -> Option<*mut pg_sys::Var> {
    // SAFETY: as in `of_node`.
    unsafe { PgList::<Node>::from_pg(pg_sys::pull_var_clause(node, 0)).get_ptr(0).and_then(|node| var(node)) }
}

/// Of a column whose type is a domain over a type with dimensions.
unsafe fn domain_dimensions(var: &pg_sys::Var) -> Option<u32> {
    let mut modifier = -1;
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::getBaseTypeAndTypmod(var.vartype, &raw mut modifier) };
    u32::try_from(modifier).ok()
}

/// Below what only changes the type's name.
unsafe fn unrelabeled(mut node: *mut Node) -> *mut Node {
    // SAFETY: as in `of_node`.
    unsafe {
        while (*node).type_ == NodeTag::T_RelabelType {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        node
    }
}
