//! Vector columns as they are: catalogs, a sample of rows, the searches of the workload.

pub mod baselines;
mod builds;
mod built;
pub mod capture;
mod catalog;
mod cut;
mod key;
pub mod recall;
pub mod run;
mod sample;
mod searches;
pub mod tune;

use crate::db;
use crate::facts::vector::{Goal, VectorColumn, Vectors, WorkloadKnown};
use key::Types;
use std::time::Instant;

/// What is known of the vector columns of a table with its partitions, or of the database. Columns are sampled and searches
/// analyzed until `until`.
pub fn read(target: Option<u32>, goal: Goal, until: Instant) -> Vectors {
    let extension = catalog::extension();
    let types = extension.as_ref().map(|_| catalog::types()).inspect(catalog::load);
    let mut vectors = Vectors {
        server: catalog::server(),
        columns: Vec::new(),
        builds: Vec::new(),
        workload: WorkloadKnown::default(),
        cut: Vec::new(),
        left_out: Vec::new(),
        extension,
        goal,
    };
    if let Some(types) = types {
        (vectors.columns, vectors.left_out) = columns(target, &types);
        vectors.columns.iter_mut().flat_map(|column| &mut column.indexes).for_each(built::read);
        builds::read(&mut vectors);
        searches::read(&mut vectors, until);
        sample::read(&mut vectors, until);
        cut::read(&mut vectors, until);
    }
    vectors
}

/// Vector columns of the database with their indexes; none without pgvector.
pub fn indexed_columns() -> Vec<VectorColumn> {
    let types = catalog::extension().map(|_| catalog::types());
    types.map_or_else(Vec::new, |types| columns(None, &types).0)
}

/// What another session drops or locks in the meantime is gone or left out when it is read again.
fn columns(target: Option<u32>, types: &Types) -> (Vec<VectorColumn>, Vec<String>) {
    let read = || db::with_settings(&[db::PATIENCE], || catalog::read(target, types));
    db::guarded_twice(read).unwrap_or_else(|caught| {
        db::raise_sqlstate(
            &caught.sqlstate,
            format!("vector columns could not be read: {}", caught.message),
            "Another session may be changing these tables: call it again.",
        )
    })
}
