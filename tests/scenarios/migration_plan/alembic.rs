//! The printed revision, run by Alembic itself: online, offline, and back.

use super::{ROLE, dump};
use crate::server::{Database, ROOT, fresh_folder, query, run, value};
use std::path::Path;
use std::process::Command;

/// A bit of everything that a plan consists of, with what SQLAlchemy could take for a parameter or a format.
const MIGRATION: &str = r#"
create index on orders (customer_id);
create index on "My Shop"."Order Items" ("Größe" desc) where "select" <> ':x %s "';
create unique index customers_name_key on customers (name);
drop index orders_note_idx;
alter table orders alter customer_id set not null;
alter table orders add constraint money check (amount > 0 and note <> 'a:b :c \ %');
alter table orders add foreign key (customer_id) references customers (id) on delete cascade;
alter table customers add unique (email);
alter table orders add column n bigserial;
alter table orders alter price type bigint;
alter table customers rename to clients;
alter table lines alter what set default E'it''s\n:d';
comment on table lines is '100% "sure" """';
begin;
create table k (id int primary key);
alter table k add y int;
commit;
update orders set payload = '{"b": ":p %"}' where ref > 10;
"#;

pub fn same_end(base: &Database) {
    let schema = include_str!("../../migrations/plan_schema.sql").replace("create role plan_writer nologin;", ROLE);
    base.psql(&schema);
    let (as_written, online, offline) = (Database::copy(base), Database::copy(base), Database::copy(base));
    let sql = format!("select statement from dbre.migration_plan($mig${MIGRATION}$mig$, 'alembic', many_rows => 100)");
    let rows = query(&mut online.connect(), &sql);
    let body: String = rows.last().unwrap().get(0);
    for operation in [
        "op.create_index(",
        "postgresql_concurrently=True",
        "retried(lambda: op.create_foreign_key(",
        "autocommit_block",
    ] {
        assert!(body.contains(operation), "{operation} is missing in\n{body}");
    }
    let before = dump(&as_written);
    as_written.psql(MIGRATION);
    let folder = fresh_folder();
    alembic(&online, &folder, "upgrade", &body);
    let printed = alembic(&offline, &folder, "offline", &body);
    offline.psql(&printed);
    let expected = dump(&as_written);
    for database in [&online, &offline] {
        database.psql("drop table alembic_version");
        let found = dump(database);
        let difference: Vec<_> = expected.symmetric_difference(&found).collect();
        assert!(difference.is_empty(), "{difference:#?}\n{body}\n{printed}");
        let mut client = database.connect();
        let payload = "select count(*) from orders where payload->>'b' = ':p %'";
        assert_eq!(value::<i64>(&mut client, payload), 11990);
    }
    online.psql("create table alembic_version (version_num varchar(32) primary key); insert into alembic_version values ('safe_way')");
    alembic(&online, &folder, "downgrade", "");
    online.psql("drop table alembic_version");
    let difference: Vec<_> = before.symmetric_difference(&dump(&online)).cloned().collect();
    assert!(difference.is_empty(), "{difference:#?}\n{body}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// `tests/app/sqlalchemy/revision.py`; what it printed.
fn alembic(database: &Database, folder: &Path, command: &str, body: &str) -> String {
    let packages = Path::new(ROOT).join("target/python");
    assert!(packages.join("alembic").exists(), "Alembic is missing: run bin/setup");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("PGHOST", &database.server.folder).env("PGPORT", "5432").env("PGDATABASE", &database.name);
    python.env("PGUSER", "postgres").arg(Path::new(ROOT).join("tests/app/sqlalchemy/revision.py")).arg(folder);
    run(python.arg(command), body)
}
