//! Migrations that others wrote: each is reviewed before it is applied, and does what the review says.
//! `bin/bench migrations` follows the large packages, too.

use crate::migration_packages::{Package, SMALL, follow};
use crate::server::{Database, Server};
use libtest_mimic::Trial;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let trial = |package: Package| {
        let server = server.clone();
        Trial::test(format!("migration_corpus::{}", package.name.replace('-', "_")), move || {
            follows(&Database::create(&server), &package);
            Ok(())
        })
    };
    SMALL.into_iter().map(trial).collect()
}

fn follows(database: &Database, package: &Package) {
    let migrations = package.migrations().unwrap();
    let followed = follow(package.name, &migrations, database.connect(), database.connect());
    let wrong = followed.wrong();
    assert!(followed.compared > 0, "{followed}");
    assert!(wrong.is_empty(), "{followed}\n{wrong:#?}");
    assert!(followed.do_not_apply.is_empty(), "{:#?}", followed.do_not_apply);
}
