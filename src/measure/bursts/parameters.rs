//! A hash of the values that a client has bound.

use super::text::{hash_bytes, mix};
use pgrx::pg_sys::{self, Oid, ParamExternData, ParamListInfoData};
use std::cell::Cell;

/// How long a value of a type is, as pg_type has it, and whether it is in the datum itself.
type Length = (i16, bool);

thread_local! {
    /// Of the type that was looked up last.
    static LOOKED_UP: Cell<(u32, Length)> = const { Cell::new((0, (0, true))) };
}

/// None: there are none.
///
/// SAFETY: null, or parameters of a query that has been executed.
pub unsafe fn hash(parameters: *const ParamListInfoData) -> Option<u64> {
    // SAFETY: as said above; with a hook to fetch them the array may be empty.
    unsafe {
        let parameters = parameters.as_ref().filter(|list| list.numParams > 0 && list.paramFetch.is_none())?;
        let values = parameters.params.as_slice(parameters.numParams as usize);
        Some(values.iter().fold(1, |hash, value| mix(hash, hash_value(value))))
    }
}

/// SAFETY: a parameter with its value.
unsafe fn hash_value(parameter: &ParamExternData) -> u64 {
    if parameter.isnull {
        return 0;
    }
    let value = parameter.value;
    // SAFETY: a value of this length is what the type says.
    unsafe {
        match length(parameter.ptype) {
            (_, true) => mix(1, value.value() as u64),
            (-1, _) => hash_bytes(pgrx::varlena::varlena_to_byte_slice(value.cast_mut_ptr()), 2),
            (-2, _) => hash_bytes(std::ffi::CStr::from_ptr(value.cast_mut_ptr()).to_bytes(), 3),
            (length, _) => {
                hash_bytes(std::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), length.max(0) as usize), 4)
            }
        }
    }
}

/// SAFETY: a type that a plan has used.
unsafe fn length(of: Oid) -> Length {
    match of {
        pg_sys::INT4OID | pg_sys::INT8OID | pg_sys::INT2OID | pg_sys::OIDOID | pg_sys::BOOLOID => (8, true),
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID | pg_sys::NUMERICOID => (-1, false),
        pg_sys::UUIDOID => (16, false),
        _ if LOOKED_UP.get().0 == of.to_u32() => LOOKED_UP.get().1,
        _ => {
            let (mut length, mut by_value) = (0, false);
            // SAFETY: as said above.
            unsafe { pg_sys::get_typlenbyval(of, &raw mut length, &raw mut by_value) };
            LOOKED_UP.set((of.to_u32(), (length, by_value)));
            (length, by_value)
        }
    }
}
