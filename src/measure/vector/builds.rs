//! Builds of vector indexes that run now.

use crate::db;
use crate::facts::QualifiedName;
use crate::facts::vector::{Build, Vectors};
use pgrx::pg_sys::Oid;

pub fn read(vectors: &mut Vectors) {
    let found = db::read(include_str!("../../../sql/facts/vector/builds.sql"), &[], |row| {
        let pid: i32 = row.take();
        let table = row.take_option::<Oid>().map(Oid::to_u32);
        let (schema, name) = (row.take_option::<String>(), row.take_option::<String>());
        let index_name =
            schema.zip(name).map(|(schema, name)| QualifiedName { schema: schema.into(), name: name.into() });
        let method = row.take_option::<String>().unwrap_or_default();
        let phase = row.take_option::<String>().unwrap_or_default();
        let mut count = || row.take_option::<i64>().unwrap_or(0).max(0) as u64;
        let (blocks_done, blocks_total) = (count(), count());
        let (tuples_done, tuples_total) = (count(), count());
        let seconds = row.take_option::<f64>().unwrap_or(0.0).max(0.0);
        let workers = row.take::<i64>() as u32;
        let Some(table) = table else { return Err(pid) };
        Ok(Build {
            pid,
            table,
            index_name,
            method,
            phase,
            blocks_done,
            blocks_total,
            tuples_done,
            tuples_total,
            seconds,
            workers,
        })
    });
    for build in found {
        match build {
            Ok(build) if vectors.columns.iter().any(|column| column.table == build.table) => vectors.builds.push(build),
            Ok(_) => {}
            Err(pid) => vectors.left_out.push(format!(
                "an index that process {pid} of another role builds: which one it is shows to pg_read_all_stats only"
            )),
        }
    }
}
