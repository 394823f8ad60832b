//! Which operator classes serve an operator, from the catalogs: nothing is known of any type or extension by name.

use super::expressions::Side;
use crate::db::{quote_identifier, string};
use crate::facts::query::Way;
use crate::measure::server;
use fnv::FnvHashMap;
use pgrx::pg_sys::{self, FormData_pg_amop, FormData_pg_opclass, Oid, SysCacheIdentifier};

/// Access methods that indexes are proposed of, the plainest first.
const METHODS: &[&str] = &["btree", "hash", "gist", "gin", "spgist", "brin", "hnsw", "ivfflat"];

/// How an operator orders its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    Greater,
    Other,
}

/// Operator classes as they are looked up.
#[derive(Default)]
pub struct Ways {
    classes: FnvHashMap<Oid, Vec<FormData_pg_opclass>>,
    methods: FnvHashMap<Oid, Option<usize>>,
    /// By type and access method.
    defaults: FnvHashMap<(Oid, Oid), Oid>,
}

impl Ways {
    /// None: no operator class has it as something to search for.
    pub unsafe fn comparison(&mut self, operator: Oid) -> Option<Comparison> {
        // SAFETY: reads the catalog cache.
        let known = unsafe { members(operator, pg_sys::AMOP_SEARCH) };
        let strategy = |method: Oid| known.iter().find(|member| member.amopmethod == method).map(|m| m.amopstrategy);
        match (strategy(pg_sys::BTREE_AM_OID), strategy(pg_sys::HASH_AM_OID)) {
            (Some(1 | 2), _) => Some(Comparison::Less),
            (Some(3), _) | (None, Some(1)) => Some(Comparison::Equal),
            (Some(4 | 5), _) => Some(Comparison::Greater),
            _ => {
                // SAFETY: reads the catalog cache.
                let mut usable = |member: &FormData_pg_amop| unsafe { self.method(member.amopmethod).is_some() };
                known.iter().any(&mut usable).then_some(Comparison::Other)
            }
        }
    }

    /// For `side operator …`, where the operator compares by `collation`.
    pub unsafe fn search(&mut self, side: &Side, operator: Oid, collation: Oid) -> Vec<Way> {
        // SAFETY: reads the catalog cache.
        unsafe {
            let members = members(operator, pg_sys::AMOP_SEARCH);
            self.ways(side, collation, members.iter().map(|member| (member.amopmethod, member.amopfamily)))
        }
    }

    /// For ORDER BY `side operator …`, where the distance is sorted by the operator family `sorted_by`.
    pub unsafe fn distance(&mut self, side: &Side, operator: Oid, collation: Oid, sorted_by: Oid) -> Vec<Way> {
        // SAFETY: reads the catalog cache.
        unsafe {
            let members = members(operator, pg_sys::AMOP_ORDER);
            let members = members.iter().filter(|member| member.amopsortfamily == sorted_by);
            self.ways(side, collation, members.map(|member| (member.amopmethod, member.amopfamily)))
        }
    }

    /// For ORDER BY `side`, and for `side IS NULL`.
    pub unsafe fn btree(&mut self, side: &Side, family: Option<Oid>, collation: Oid) -> Vec<Way> {
        // SAFETY: reads the catalog cache.
        unsafe {
            let family = family.unwrap_or_else(|| {
                let class = self.default_class(side.type_oid, pg_sys::BTREE_AM_OID);
                if class == pg_sys::InvalidOid { class } else { pg_sys::get_opclass_family(class) }
            });
            self.ways(side, collation, std::iter::once((pg_sys::BTREE_AM_OID, family)))
        }
    }

    /// For a pattern with a fixed beginning: a btree that sorts byte by byte has these values in one range.
    pub unsafe fn prefix(&mut self, side: &Side) -> Vec<Way> {
        // SAFETY: reads the catalog cache.
        unsafe {
            if side.collation == pg_sys::InvalidOid || server::lc_collate_is_c(side.collation) {
                return self.btree(side, None, side.collation);
            }
            let blank_padded = pg_sys::getBaseType(side.type_oid) == pg_sys::BPCHAROID;
            let family =
                if blank_padded { pg_sys::BPCHAR_PATTERN_BTREE_FAM_OID } else { pg_sys::TEXT_PATTERN_BTREE_FAM_OID };
            self.btree(side, Some(family), side.collation)
        }
    }

    unsafe fn ways(&mut self, side: &Side, collation: Oid, families: impl Iterator<Item = (Oid, Oid)>) -> Vec<Way> {
        // SAFETY: reads the catalog cache.
        unsafe {
            let other_collation =
                collation != pg_sys::InvalidOid && side.collation != pg_sys::InvalidOid && collation != side.collation;
            let collation = other_collation.then(|| string(pg_sys::generate_collation_name(collation)));
            let mut ways: Vec<(bool, usize, u32, Way)> = Vec::new();
            for (method, family) in families {
                let Some(rank) = self.method(method) else { continue };
                let default = self.default_class(side.type_oid, method);
                let Some(class) = self.class(method, family, side.type_oid, default) else { continue };
                let name = (class.oid != default).then(|| qualified(&class));
                let way = Way { method: METHODS[rank].to_string(), class: name, collation: collation.clone() };
                ways.push((class.oid != default, rank, class.oid.to_u32(), way));
            }
            ways.sort();
            ways.dedup();
            ways.into_iter().map(|(.., way)| way).collect()
        }
    }

    /// The server does not cache it.
    unsafe fn default_class(&mut self, type_oid: Oid, method: Oid) -> Oid {
        // SAFETY: reads the catalog.
        let read = || unsafe { pg_sys::GetDefaultOpClass(type_oid, method) };
        *self.defaults.entry((type_oid, method)).or_insert_with(read)
    }

    /// Position in `METHODS`.
    unsafe fn method(&mut self, oid: Oid) -> Option<usize> {
        *self.methods.entry(oid).or_insert_with(|| {
            // SAFETY: reads the catalog cache.
            let name = unsafe { string(pg_sys::get_am_name(oid)) };
            METHODS.iter().position(|method| *method == name)
        })
    }

    /// The class of the family that takes values of the type: the default one, one for just this type, or the first.
    unsafe fn class(&mut self, method: Oid, family: Oid, type_oid: Oid, default: Oid) -> Option<FormData_pg_opclass> {
        // SAFETY: reads the catalog cache.
        unsafe {
            let classes = self.classes.entry(method).or_insert_with(|| list(SysCacheIdentifier::CLAAMNAMENSP, method));
            let type_oid = pg_sys::getBaseType(type_oid);
            let takes = |class: &&FormData_pg_opclass| {
                class.opcfamily == family && pg_sys::IsBinaryCoercible(type_oid, class.opcintype)
            };
            let rank =
                |class: &&FormData_pg_opclass| (class.oid != default, class.opcintype != type_oid, class.oid.to_u32());
            classes.iter().filter(takes).min_by_key(rank).copied()
        }
    }
}

/// What operator families have the operator for.
unsafe fn members(operator: Oid, purpose: u8) -> Vec<FormData_pg_amop> {
    // SAFETY: reads the catalog cache.
    let mut members: Vec<FormData_pg_amop> = unsafe { list(SysCacheIdentifier::AMOPOPID, operator) };
    members.retain(|member| member.amoppurpose as u8 == purpose);
    members.sort_by_key(|member| member.oid.to_u32());
    members
}

/// All rows of a catalog cache that has `key` as its first column; `T` is the struct of the catalog.
unsafe fn list<T: Copy>(cache: SysCacheIdentifier::Type, key: Oid) -> Vec<T> {
    // SAFETY: the rows are copied before the list is released; the caller names the catalog's own struct.
    unsafe {
        let null = pg_sys::Datum::null();
        let list = pg_sys::SearchSysCacheList(cache as i32, 1, key.into(), null, null);
        let members = (*list).members.as_slice((*list).n_members as usize);
        let rows = members.iter().map(|member| *pg_sys::GETSTRUCT(&raw mut (**member).tuple).cast::<T>()).collect();
        pg_sys::ReleaseCatCacheList(list);
        rows
    }
}

fn qualified(class: &FormData_pg_opclass) -> String {
    // SAFETY: reads the catalog cache; a catalog's name is a C string.
    unsafe {
        let name = quote_identifier(&string(class.opcname.data.as_ptr()));
        if class.opcnamespace == Oid::from_u32(pg_sys::PG_CATALOG_NAMESPACE) {
            return name;
        }
        format!("{}.{name}", quote_identifier(&string(pg_sys::get_namespace_name(class.opcnamespace))))
    }
}
