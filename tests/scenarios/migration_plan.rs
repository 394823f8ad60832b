//! The plan leaves what the migration as written leaves, catalog and rows, and on the way it rewrites no table and reads none
//! under a strong lock.

use crate::server::{Database, Server, program, query, trial, try_run, value};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

mod alembic;
mod blocked;
mod cases;

use cases::{CASES, Case};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let cases = CASES.iter().map(|(area, cases)| {
        let server = server.clone();
        Trial::test(format!("migration_plan::{area}"), move || {
            let base = Database::create(&server);
            let schema =
                include_str!("../migrations/plan_schema.sql").replace("create role plan_writer nologin;", ROLE);
            base.psql(&schema);
            let failures: Vec<String> = cases.iter().filter_map(|case| same_end(&base, case).err()).collect();
            assert!(failures.is_empty(), "{}", failures.join("\n\n"));
            Ok(())
        })
    });
    let others = [
        trial(server, "migration_plan::bad_input", bad_input),
        trial(server, "migration_plan::alembic", alembic::same_end),
        trial(server, "migration_plan::once", blocked::once),
        trial(server, "migration_plan::retries", blocked::retries),
        trial(server, "migration_plan::interrupted", blocked::batches_go_on),
    ];
    cases.chain(others).collect()
}

const ROLE: &str = "do $$ begin create role plan_writer nologin; exception when duplicate_object or unique_violation then null; end $$;";

fn bad_input(database: &Database) {
    let mut client = database.connect();
    for (call, sqlstate) in [
        ("dbre.migration_plan(null)", "22004"),
        ("dbre.migration_plan('select 1', 'xml')", "22023"),
        ("dbre.migration_plan('select 1', null)", "22004"),
        ("dbre.migration_plan('select 1', many_rows => 0)", "22023"),
        ("dbre.migration_plan('select 1', lock_retries => -1)", "22023"),
        ("dbre.migration_plan('select 1', lock_timeout => '0 s')", "22023"),
    ] {
        let error = client.query(&format!("select * from {call}"), &[]).expect_err(call);
        assert_eq!(error.code().map(|code| code.code()), Some(sqlstate), "{call}");
    }
    for (migration, statement) in [
        ("\\set x 1\nselect 1;", "-- line 1 is left out: \\set x 1"),
        ("create table c (id int);\ncopy c from stdin;\n1\n2\n\\.\nselect 2;", "-- line 3 is left out: 1"),
        ("select 1; selekt 2; select 3;", "selekt 2;"),
        ("-- +goose Up\ncreate table g (id int); create index on pg_temp.nothing (x);", "create table g (id int);"),
    ] {
        let sql = format!("select statement from dbre.migration_plan($q${migration}$q$)");
        let rows: Vec<String> = query(&mut client, &sql).iter().map(|row| row.get(0)).collect();
        assert!(rows.iter().any(|row| row == statement), "{migration}\n{rows:#?}");
    }
    for nothing in ["", "  ", "-- nothing"] {
        let rows = query(&mut client, &format!("select * from dbre.migration_plan($q${nothing}$q$)"));
        assert!(rows.is_empty(), "{nothing:?}");
    }
}

/// One row of a plan.
struct Planned {
    statement: String,
    lock: Option<String>,
    why: String,
}

fn plan(database: &Database, case: &Case) -> Vec<Planned> {
    let sql =
        format!("select statement, lock, why from dbre.migration_plan($mig${}$mig$, many_rows => 100)", case.migration);
    let rows = query(&mut database.connect(), &sql);
    rows.iter().map(|row| Planned { statement: row.get(0), lock: row.get(1), why: row.get(2) }).collect()
}

fn same_end(base: &Database, case: &Case) -> Result<(), String> {
    let (as_written, safely) = (Database::copy(base), Database::copy(base));
    let plan = plan(&safely, case);
    let shown: Vec<&str> = plan.iter().map(|row| row.statement.as_str()).collect();
    let script = shown.join("\n");
    let failed = |what: &str| Err(format!("{}\n-- plan:\n{script}\n-- {what}", case.migration));
    for part in case.contains {
        if !script.contains(part) {
            return failed(&format!("{part} is missing"));
        }
    }
    if let Some(why) = case.as_it_is
        && !plan.iter().any(|row| row.why.contains(why))
    {
        return failed(&format!("nothing says {why:?}: {:?}", plan.iter().map(|row| &row.why).collect::<Vec<_>>()));
    }
    if let Err(failure) = as_written.psql_with(&["-v", "ON_ERROR_STOP=1", "-f", "-"], case.migration) {
        return failed(&format!("as written: {failure}"));
    }
    if let Err(failure) = run_watched(&safely, &plan, case.as_it_is.is_none()) {
        return failed(&failure);
    }
    let (left, right) = (dump(&as_written), dump(&safely));
    if left != right {
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).cloned().collect::<Vec<_>>().join("\n")
        };
        return failed(&format!("as written only:\n{}\n-- plan only:\n{}", only(&left, &right), only(&right, &left)));
    }
    let (left, right) = (rows(&as_written, case), rows(&safely, case));
    if left != right {
        let at = left.iter().zip(&right).find(|(left, right)| left != right);
        return failed(&format!("rows differ: {:.2000}", format!("{at:?}")));
    }
    Ok(())
}

/// Each row as psql sends it. What reads, writes or builds while others wait shows in the server's own messages.
fn run_watched(database: &Database, plan: &[Planned], online: bool) -> Result<(), String> {
    let mut script = String::from("set client_min_messages = debug1;\n");
    for (number, row) in plan.iter().enumerate() {
        script.push_str(&format!("\\warn ROW {number}\n{}\n", row.statement));
    }
    let mut psql = Command::new("sh");
    psql.arg("-c").arg("exec \"$0\" \"$@\" 2>&1").arg(program("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", &database.name]);
    psql.env("PGHOST", &database.server.folder).env("PGPORT", "5432").env("PGUSER", "postgres");
    let output = try_run(&mut psql, &script)?;
    let mut current = 0;
    for line in output.lines() {
        if let Some(number) = line.strip_prefix("ROW ") {
            current = number.parse().unwrap();
        }
        let heavy = ["rewriting table", "verifying table", "building index", "validating foreign key"];
        let statement = &plan[current].statement;
        let new = line.contains("table \"k\"");
        let alone = new || statement.contains("CONCURRENTLY") || statement.contains("VALIDATE CONSTRAINT");
        let system = line.contains("\"pg_toast");
        if online
            && !alone
            && !system
            && heavy.iter().any(|message| line.contains(message))
            && !on_parent(line, statement)
        {
            return Err(format!("{line}\nby {statement}\nunder {:?}", plan[current].lock));
        }
    }
    Ok(())
}

/// An index of a partitioned table alone, which has no rows.
fn on_parent(line: &str, statement: &str) -> bool {
    line.contains("building index") && (statement.contains(" ON ONLY ") || statement.contains("TABLE ONLY "))
}

/// Statements of pg_dump, each with its lines in order: the order of columns is no difference.
fn dump(database: &Database) -> BTreeSet<String> {
    let mut command = database.server.client("pg_dump");
    command.args(["-s", "--exclude-extension=pg_dbre", &database.name]);
    let text = crate::server::run(&mut command, "");
    let statements = text.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty());
        let mut lines: Vec<&str> = lines.map(|line| line.trim().trim_end_matches(',')).collect();
        if lines.first().is_some_and(|line| line.starts_with("CREATE TABLE")) {
            lines.sort_unstable();
        }
        lines.join("\n")
    });
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// All rows of all tables, without what is another each time.
fn rows(database: &Database, case: &Case) -> Vec<String> {
    let mut client = database.connect();
    let tables = query(
        &mut client,
        "select oid::regclass::text from pg_class
         where relkind in ('r', 'm') and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'dbre', 'pg_toast')
         order by 1",
    );
    let ignored: Vec<String> = case.ignored.iter().map(|column| format!(" - '{column}'")).collect();
    let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    let rows = tables.iter().map(|table| {
        let row = format!("(to_jsonb(t){})::text", ignored.concat());
        let all = format!("select coalesce(string_agg({row}, chr(10) order by {row}), '') from {table} t");
        format!("{table}: {}", value::<String>(&mut client, &all))
    });
    rows.collect()
}
