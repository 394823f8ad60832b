//! What running a node took.

use super::super::{Actual, Blocks, Wal};
use super::object::{Object, Wrong, number};

pub fn actual(object: &Object) -> Result<Option<Actual>, Wrong> {
    let Some(loops) = number(object, "Actual Loops")? else { return Ok(None) };
    Ok(Some(Actual {
        startup_ms: number(object, "Actual Startup Time")?,
        total_ms: number(object, "Actual Total Time")?,
        rows: number(object, "Actual Rows")?.unwrap_or_default(),
        loops,
    }))
}

pub fn blocks(object: &Object) -> Result<Option<Blocks>, Wrong> {
    if !object.contains_key("Shared Hit Blocks") {
        return Ok(None);
    }
    let number = |key| Ok(number(object, key)?.unwrap_or_default());
    Ok(Some(Blocks {
        shared_hit: number("Shared Hit Blocks")?,
        shared_read: number("Shared Read Blocks")?,
        shared_dirtied: number("Shared Dirtied Blocks")?,
        shared_written: number("Shared Written Blocks")?,
        local_hit: number("Local Hit Blocks")?,
        local_read: number("Local Read Blocks")?,
        temp_read: number("Temp Read Blocks")?,
        temp_written: number("Temp Written Blocks")?,
    }))
}

pub fn wal(object: &Object) -> Result<Option<Wal>, Wrong> {
    let Some(records) = number(object, "WAL Records")? else { return Ok(None) };
    Ok(Some(Wal {
        records,
        full_page_images: number(object, "WAL FPI")?.unwrap_or_default(),
        bytes: number(object, "WAL Bytes")?.unwrap_or_default(),
    }))
}

/// Without "Shared" before PostgreSQL 17.
const IO: [&str; 8] = [
    "I/O Read Time",
    "I/O Write Time",
    "Shared I/O Read Time",
    "Shared I/O Write Time",
    "Local I/O Read Time",
    "Local I/O Write Time",
    "Temp I/O Read Time",
    "Temp I/O Write Time",
];

pub fn io_ms(object: &Object) -> Result<Option<f64>, Wrong> {
    let mut sum = None;
    for key in IO {
        if let Some(ms) = number(object, key)? {
            sum = Some(sum.unwrap_or_default() + ms);
        }
    }
    Ok(sum)
}
