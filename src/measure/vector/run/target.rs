//! The index that is searched: read from the catalogs, and refused where it can't be searched.

use crate::db::{self, PATIENCE, Row, raise, with_search_path, with_settings};
use crate::facts::vector::{Element, Extension, Key, Method, Operator};
use crate::facts::{Name, QualifiedName};
use crate::measure::vector::{catalog, key};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// An HNSW or IVFFlat index that can be searched.
#[derive(Clone, Debug)]
pub struct Target {
    pub index: u32,
    pub index_name: QualifiedName,
    pub table: u32,
    pub table_name: QualifiedName,
    pub method: Method,
    /// The column that the key is, or is made of.
    pub column: Name,
    pub column_number: i16,
    pub key: Key,
    /// As PostgreSQL prints it in the caller's search_path.
    pub key_sql: String,
    /// Of the key.
    pub element: Element,
    pub operator: Operator,
    /// Where the operator lives.
    pub operator_schema: Name,
    /// WHERE of a partial index, printed likewise.
    pub predicate: Option<String>,
    pub extension: Extension,
    /// Of query vectors.
    pub query_type: u32,
    /// With the number of dimensions that they must have, if that is known.
    pub query_type_sql: String,
    /// The key is less than the column: its candidates are ordered again by the column's distance.
    pub reranked: bool,
}

impl Target {
    /// Raises an error for what is no such index, and for a table that the caller may not read. The table and its index stay
    /// locked (ACCESS SHARE) until the transaction ends.
    pub fn read(index: u32, search_path: &CStr) -> Target {
        let Some(extension) = catalog::extension() else {
            raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "pgvector is not installed in this database",
                "create extension vector;",
            )
        };
        lock(index);
        let sql = include_str!("../../../../sql/facts/vector/searched_index.sql");
        let Some(relation) = db::read(sql, &[Oid::from(index).into()], Relation::of).pop() else {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("argument index: there is no relation with OID {index}"),
                "Name an HNSW or IVFFlat index: 'public.atoms_embedding_idx'.",
            )
        };
        relation.refuse_unless_searchable(index);
        let types = catalog::types();
        // Without the library its settings are not known.
        catalog::load(&types);
        let made_of = relation.expressions.as_deref().and_then(|tree| key::of_index(tree, &types));
        let (key, number) = match (&relation.expressions, made_of) {
            (None, _) => (Key::Column, relation.key_column),
            (_, Some(made)) => (made.key, made.column),
            (_, None) => relation.refuse("is an index of an expression that is made of no vector column"),
        };
        let (column, column_type, column_type_sql, modifier) = relation.column(number);
        let (key_sql, predicate) = printed(index, search_path);
        let (Some(element), Some(column_element), Some(operator)) =
            (types.element(relation.key_type), types.element(column_type), relation.operator())
        else {
            relation.refuse("has an operator class that is not pgvector's")
        };
        let schema = &extension.schema;
        let reranked = match key {
            Key::Column | Key::Other(_) => false,
            Key::Cast { element, .. } => element != column_element,
            Key::BinaryQuantize { .. } | Key::Subvector { .. } => true,
        };
        let (query_type, query_type_sql) = match (&key, reranked) {
            (_, false) => (base_type(relation.key_type), relation.key_type_sql.clone()),
            (Key::Cast { dimensions, .. } | Key::BinaryQuantize { dimensions }, true) if modifier < 0 => {
                (base_type(column_type), format!("{schema}.{}({dimensions})", column_element.name()))
            }
            (_, true) => (base_type(column_type), column_type_sql),
        };
        Target {
            index,
            table: relation.table,
            method: relation.searched_by(),
            column,
            column_number: number,
            key: match key {
                Key::Other(_) => Key::Other(key_sql.clone()),
                key => key,
            },
            key_sql,
            element,
            operator,
            operator_schema: relation.operator_schema.clone().expect("its operator was found"),
            predicate,
            query_type,
            query_type_sql,
            reranked,
            table_name: relation.table_name.clone().expect("an index has a table"),
            index_name: relation.name,
            extension,
        }
    }

    /// The operator by which answers are ordered: that of the index; of bits that stand for a vector it is the cosine distance.
    pub fn answer_operator(&self) -> Operator {
        match (self.operator, &self.key) {
            (_, Key::BinaryQuantize { .. }) => Operator::Cosine,
            (operator, _) => operator,
        }
    }

    pub fn is_hnsw(&self) -> bool {
        matches!(self.method, Method::Hnsw { .. })
    }
}

struct Relation {
    kind: String,
    name: QualifiedName,
    access_method: Option<String>,
    usable: bool,
    table: u32,
    table_name: Option<QualifiedName>,
    key_column: i16,
    expressions: Option<String>,
    key_type: Oid,
    key_type_sql: String,
    operator: Option<String>,
    operator_schema: Option<Name>,
    options: Vec<String>,
    /// None: the table is gone.
    readable: Option<bool>,
}

impl Relation {
    fn of(row: &mut Row) -> Relation {
        let name = |row: &mut Row| {
            let (schema, name) = (row.take_option::<String>(), row.take_option::<String>());
            schema.zip(name).map(|(schema, name)| QualifiedName { schema: schema.into(), name: name.into() })
        };
        Relation {
            kind: row.take(),
            name: name(row).expect("a relation has a name"),
            access_method: row.take_option(),
            usable: row.take_option().unwrap_or(false),
            table: row.take_option::<Oid>().map_or(0, Oid::to_u32),
            table_name: name(row),
            key_column: row.take_option().unwrap_or(0),
            expressions: row.take_option(),
            key_type: row.take_option().unwrap_or(pg_sys::InvalidOid),
            key_type_sql: row.take_option().unwrap_or_default(),
            operator: row.take_option(),
            operator_schema: row.take_option::<String>().map(Name::from),
            options: row.take_option().unwrap_or_default(),
            readable: row.take_option(),
        }
    }

    fn refuse(&self, what: &str) -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("argument index: {} {what}", self.name),
            "Name an HNSW or IVFFlat index: 'public.atoms_embedding_idx'.",
        )
    }

    fn refuse_unless_searchable(&self, index: u32) {
        let ours = ["hnsw", "ivfflat"].map(Some).contains(&self.access_method.as_deref());
        match self.kind.as_str() {
            "I" if ours => raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("argument index: {} is a partitioned index, which holds no vectors", self.name),
                match parts(index) {
                    names if names.is_empty() => "Its table has no partitions.".to_string(),
                    names => format!("Name the index of one partition: {}.", names.join(", ")),
                },
            ),
            "i" | "I" if ours => {}
            "i" | "I" => {
                self.refuse(&format!("is an index of kind {}", self.access_method.as_deref().unwrap_or("unknown")))
            }
            _ => self.refuse("is not an index"),
        }
        let table = self.table_name.as_ref().expect("an index has a table");
        let Some(readable) = self.readable else {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("argument index: {table} was dropped"),
                "Another session dropped it just now.",
            )
        };
        if !readable {
            raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("argument index: permission denied for table {table}"),
                format!(
                    "Its vectors are read with your rights: grant select on {table} to you, or call as a role that has it."
                ),
            )
        }
        if !self.usable {
            raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("argument index: {} is not valid, so no search uses it", self.name),
                format!("It is being built, or its build has failed: reindex index concurrently {};", self.name),
            )
        }
    }

    fn column(&self, number: i16) -> (Name, Oid, String, i32) {
        let sql = include_str!("../../../../sql/facts/vector/searched_column.sql");
        let arguments = [Oid::from(self.table).into(), number.into()];
        let read = db::read(sql, &arguments, |row| (row.take::<String>().into(), row.take(), row.take(), row.take()));
        read.into_iter().next().unwrap_or_else(|| self.refuse("has no column"))
    }

    fn operator(&self) -> Option<Operator> {
        self.operator.as_deref().and_then(Operator::from_sql)
    }

    /// With pgvector's defaults where the index has no options of its own.
    fn searched_by(&self) -> Method {
        let option = |name: &str, default: u32| {
            let values = self.options.iter().filter_map(|option| option.strip_prefix(name)?.strip_prefix('='));
            values.filter_map(|value| value.parse().ok()).next().unwrap_or(default)
        };
        match self.access_method.as_deref() {
            Some("hnsw") => Method::Hnsw { m: option("m", 16), ef_construction: option("ef_construction", 64) },
            _ => Method::Ivfflat { lists: option("lists", 100) },
        }
    }
}

fn lock(index: u32) {
    // SAFETY: an OID that is no index has no table.
    let gone = with_settings(&[PATIENCE], || unsafe {
        let access_share = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let table = pg_sys::IndexGetRelation(index.into(), true);
        if table == pg_sys::InvalidOid {
            return false;
        }
        pg_sys::LockRelationOid(table, access_share);
        pg_sys::LockRelationOid(index.into(), access_share);
        pg_sys::IndexGetRelation(index.into(), true) != table
    });
    if gone {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("argument index: the index with OID {index} was dropped"),
            "Another session dropped it just now.",
        )
    }
}

fn parts(index: u32) -> Vec<String> {
    const SOME: usize = 5;
    let sql = "select c.oid::pg_catalog.regclass::text from pg_catalog.pg_partition_tree($1) p
               join pg_catalog.pg_class c on c.oid = p.relid where p.isleaf and c.relkind = 'i' order by 1";
    db::read(sql, &[Oid::from(index).into()], |row| row.take()).into_iter().take(SOME).collect()
}

/// Key and predicate in the search_path in which they will be analyzed.
fn printed(index: u32, search_path: &CStr) -> (String, Option<String>) {
    let sql = "select pg_catalog.pg_get_indexdef(i.indexrelid, 1, false),
                      pg_catalog.pg_get_expr(i.indpred, i.indrelid)
               from pg_catalog.pg_index i where i.indexrelid operator(pg_catalog.=) $1";
    let read = || db::read(sql, &[Oid::from(index).into()], |row| (row.take(), row.take_option()));
    with_search_path(search_path, read).pop().expect("it is locked")
}

fn base_type(oid: Oid) -> u32 {
    // SAFETY: a catalog lookup; a type that is gone is returned as it is.
    unsafe { pg_sys::getBaseType(oid) }.to_u32()
}
