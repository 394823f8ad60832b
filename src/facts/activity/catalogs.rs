//! Shared catalogs, read in C: without waiting for a session that has one locked, and so that no lock of ours remains.

use crate::db;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{FromDatum, IntoDatum};
use std::ffi::c_char;

/// pg_sys does not name these.
pub const DB_ROLE_SETTING: Oid = Oid::from_u32(2964);
const DEPEND: Oid = Oid::from_u32(2608);
const DEPEND_REFERENCE_INDEX: Oid = Oid::from_u32(2674);
const DEPEND_REFCLASSID: pg_sys::AttrNumber = 4;
const DEPEND_REFOBJID: pg_sys::AttrNumber = 5;

pub struct Tuple<'a> {
    values: &'a [Datum],
    nulls: &'a [bool],
    types: &'a [Oid],
}

impl Tuple<'_> {
    /// The attribute of this number, from 1.
    pub fn value<T: FromDatum + IntoDatum>(&self, attribute: u32) -> Option<T> {
        let position = attribute as usize - 1;
        assert!(
            T::is_compatible_with(self.types[position]),
            "attribute {attribute} has type {:?}",
            self.types[position]
        );
        // SAFETY: `scan` makes it of a tuple that lives until the closure returns; the type has just been looked at.
        unsafe { T::from_datum(self.values[position], self.nulls[position]) }
    }

    pub fn name(&self, attribute: u32) -> String {
        let position = attribute as usize - 1;
        assert_eq!(self.types[position], pg_sys::NAMEOID, "attribute {attribute}");
        // SAFETY: as above; a name is a string that ends with a zero byte, and its attributes are never NULL.
        unsafe { db::string(self.values[position].cast_mut_ptr::<c_char>()) }
    }
}

/// None: another session has it locked.
pub fn scan<T>(catalog: Oid, mut value: impl FnMut(&Tuple) -> T) -> Option<Vec<T>> {
    let share = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the calls pair up; if an error comes between, the resource owner lets go of lock, relation and scan. The arrays
    // have an element for each attribute.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(catalog, share) {
            return None;
        }
        let relation = pg_sys::table_open(catalog, pg_sys::NoLock as pg_sys::LOCKMODE);
        let descriptor = (*relation).rd_att;
        let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize);
        let types: Vec<Oid> = attributes.iter().map(|attribute| attribute.atttypid).collect();
        let (mut values, mut nulls) = (vec![Datum::null(); types.len()], vec![true; types.len()]);
        let by_heap =
            pg_sys::systable_beginscan(relation, Oid::INVALID, false, std::ptr::null_mut(), 0, std::ptr::null_mut());
        let mut found = Vec::new();
        loop {
            let tuple = pg_sys::systable_getnext(by_heap);
            if tuple.is_null() {
                break;
            }
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            found.push(value(&Tuple { values: &values, nulls: &nulls, types: &types }));
        }
        pg_sys::systable_endscan(by_heap);
        pg_sys::table_close(relation, share);
        Some(found)
    }
}

/// Which of these schemas of the database contain anything. None: another session has pg_depend locked.
pub fn schemas_in_use(schemas: &[Oid]) -> Option<Vec<Oid>> {
    let share = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the calls pair up, and what an error leaves open goes with its resource owner. Both keys are OIDs, as the attributes.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(DEPEND, share) {
            return None;
        }
        if !pg_sys::ConditionalLockRelationOid(DEPEND_REFERENCE_INDEX, share) {
            pg_sys::UnlockRelationOid(DEPEND, share);
            return None;
        }
        let relation = pg_sys::table_open(DEPEND, pg_sys::NoLock as pg_sys::LOCKMODE);
        let is_used = |schema: &Oid| {
            let mut keys = [pg_sys::ScanKeyData::default(); 2];
            let wanted = [(DEPEND_REFCLASSID, pg_sys::NamespaceRelationId), (DEPEND_REFOBJID, *schema)];
            for (key, (attribute, oid)) in keys.iter_mut().zip(wanted) {
                let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
                pg_sys::ScanKeyInit(key, attribute, equal, Oid::from(pg_sys::F_OIDEQ), Datum::from(oid));
            }
            let snapshot = std::ptr::null_mut();
            let scan =
                pg_sys::systable_beginscan(relation, DEPEND_REFERENCE_INDEX, true, snapshot, 2, keys.as_mut_ptr());
            let found = !pg_sys::systable_getnext(scan).is_null();
            pg_sys::systable_endscan(scan);
            found
        };
        let used = schemas.iter().copied().filter(is_used).collect();
        pg_sys::table_close(relation, share);
        pg_sys::UnlockRelationOid(DEPEND_REFERENCE_INDEX, share);
        Some(used)
    }
}
