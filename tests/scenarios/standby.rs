//! A real hot standby: everything that reads works there, and takes no transaction id on either side.

use crate::server::{
    Database, Server, check, cluster_command, execute, fresh_folder, identities, program, query, refused, run, trial,
    value, wait_until,
};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "standby::reads_take_no_transaction_id", no_transaction_id),
        Trial::test("standby::a_hot_standby_is_checked", || {
            hot_standby();
            Ok(())
        }),
    ]
}

const TABLES: &str = "create table parent (id int primary key);
    create table child (id int primary key, parent_id int references parent);
    create index child_id on child (id); create index child_id_again on child (id);
    create extension vector; create table embedded (id int primary key, e vector(3), u vector);
    insert into embedded select g, array[g, 1, 2]::vector, array[g, 1]::vector from generate_series(1, 3000) g;
    create index on embedded using hnsw (e vector_l2_ops) with (m = 4, ef_construction = 8); analyze";

/// With expressions that the server evaluates, and some that it refuses.
macro_rules! reviewed {
    ($function:literal) => {
        concat!(
            "select * from ",
            $function,
            "($m$begin; alter table child add a uuid default gen_random_uuid(), alter parent_id type bigint using parent_id + 1;
            alter table child add b int default nowhere(1); alter table child alter id type nothing;
            alter table child add check (id > 'x'); alter table child alter id type text using 1 / 0;
            create unique index on child (parent_id); update child set parent_id = 1 where id in (select id from parent); commit;
            alter table child add check (id > 0), alter parent_id set not null; drop table parent cascade;
            do $$ begin drop table child; end $$$m$)"
        )
    };
}

const READING: &[&str] = &[
    "select * from dbre.check()",
    "select * from dbre.findings",
    "select * from dbre.rules",
    "select * from dbre.rule_runs()",
    "select * from dbre.sample_activity('20 ms', '10 ms')",
    "select * from dbre.activity_history",
    "select * from dbre.activity_recording()",
    "select dbre.report()",
    "select dbre.report('json')",
    "select dbre.report('brief')",
    "select * from dbre.missing_fk_indexes()",
    "select * from dbre.pool_sizing(4, 2, 2)",
    "select * from dbre.what_if('delete from child where parent_id = 1', '{create index on child (parent_id)}')",
    "select * from dbre.index_advice(queries => array['select * from child where parent_id = 1', 'update child set id = 1', 'selec'])",
    "select * from dbre.suggest_index('child', '{parent_id}')",
    "select * from dbre.validate_index('child_id', array['select * from child where id = 1'])",
    "select * from dbre.last_index_advice",
    "select * from dbre.explain_findings('select * from child where parent_id = 1')",
    "select * from dbre.explain_findings('select * from child where parent_id = 1', true)",
    "select * from dbre.plan_nodes('delete from child where parent_id = 1')",
    "select * from dbre.plan_findings('[{\"Plan\": {\"Node Type\": \"Result\"}}]')",
    "select * from dbre.query_findings('select * from child')",
    "select * from dbre.query_findings('select id from child where parent_id = 1 for update')",
    "select * from dbre.query_findings('update child set parent_id = 1')",
    "select * from dbre.query_findings('select a from gone')",
    "select * from dbre.workload_findings()",
    "select * from dbre.long_running",
    "select * from dbre.slow_queries",
    "select * from dbre.n_plus_one()",
    "select * from dbre.n_plus_one_bursts",
    "select * from dbre.log_findings()",
    "select * from dbre.cascade_impact('parent', exact => true)",
    "select * from dbre.cascade_findings('parent')",
    "select * from dbre.vector_index_advice()",
    "select * from dbre.vector_index_advice('embedded', expected_dimensions => 4)",
    "select * from dbre.vector_indexes",
    "select * from dbre.pool_pressure()",
    "select * from dbre.lock_tree",
    "select * from dbre.long_running",
    "select * from dbre.sample_activity('20 ms', '5 ms')",
    "select * from dbre.activity_history",
    "select * from dbre.activity_recording()",
    reviewed!("dbre.migration_findings"),
    reviewed!("dbre.migration_steps"),
    reviewed!("dbre.migration_plan"),
    reviewed!("dbre.migration_rollback"),
];

fn no_transaction_id(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TABLES);
    for sql in READING {
        execute(&mut client, "begin");
        query(&mut client, sql);
        let xid: Option<String> = value(&mut client, "select pg_current_xact_id_if_assigned()::text");
        assert_eq!(xid, None, "{sql}");
        execute(&mut client, "commit");
        execute(&mut client, "begin read only");
        query(&mut client, sql);
        execute(&mut client, "commit");
    }
}

fn hot_standby() {
    let primary = Arc::new(Server::start(&["wal_level = replica", "hot_standby = on", "autovacuum = off"]));
    let database = Database::create(&primary);
    let mut client = database.connect();
    execute(&mut client, TABLES);
    execute(
        &mut client,
        "select dbre.suppress(rule => 'redundant_index', object_pattern => 'public.none', reason => 'why')",
    );
    let standby = standby_of(&primary);
    let position: String = value(&mut client, "select pg_current_wal_lsn()::text");
    let mut there = standby.connect(&database.name, "postgres");
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
    wait_until("the standby has replayed all", || value(&mut there, &replayed));

    assert!(value::<bool>(&mut there, "select pg_is_in_recovery()"));
    for sql in READING {
        query(&mut there, sql);
    }
    let found = identities(&check(&mut there, ""));
    assert!(found.contains(&"foreign_key_without_index public.child(parent_id) low".to_string()), "{found:?}");
    assert_eq!(found, identities(&check(&mut client, "")), "standby and primary differ");
    let failed = "select count(*) from dbre.rule_runs() where status = 'failed'";
    assert_eq!(value::<i64>(&mut there, failed), 0);
    for format in ["markdown", "brief"] {
        let report: String = value(&mut there, &format!("select dbre.report('{format}')"));
        let header: String = report.lines().take(4).collect();
        assert!(header.contains("standby"), "{report}");
        let report: String = value(&mut client, &format!("select dbre.report('{format}')"));
        assert!(!report.lines().take(4).collect::<String>().contains("standby"), "{report}");
    }
    let report: String = value(&mut there, "select dbre.report('json')");
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["in_recovery"], true, "{report}");
    for sql in [
        "select dbre.suppress('0123456789abcdef', reason => 'why')",
        "select * from dbre.migration_dry_run('alter table child add a int', confirm => true)",
        "select * from dbre.migration_round_trip('alter table child add a int', 'alter table child drop a', confirm => true)",
    ] {
        assert_eq!(refused(&mut there, sql).code().code(), "25006", "{sql}");
    }
}

pub fn standby_of(primary: &Server) -> Server {
    let standby = Server { folder: fresh_folder() };
    let (folder, log) = (standby.folder.to_str().unwrap(), standby.folder.join("server.log"));
    fs::create_dir(folder).unwrap();
    // bin/cluster stops only what carries its mark.
    fs::write(standby.folder.join(".pg_dbre_cluster"), "").unwrap();
    let owner = fs::metadata(primary.folder.join("data")).unwrap();
    std::os::unix::fs::chown(folder, Some(std::os::unix::fs::MetadataExt::uid(&owner)), None).unwrap();
    let data = standby.folder.join("data");
    let as_owner = |name: &str| {
        let mut command = cluster_command();
        command.arg("run").arg(program(name));
        command
    };
    let source = primary.folder.to_str().unwrap();
    run(as_owner("pg_basebackup").args(["-R", "-c", "fast", "-U", "postgres", "-h", source, "-D"]).arg(&data), "");
    let options = format!("-c unix_socket_directories='{folder}'");
    run(as_owner("pg_ctl").args(["-w", "-s", "start", "-o", &options, "-D"]).arg(&data).arg("-l").arg(log), "");
    standby
}
