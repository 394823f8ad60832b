//! dbre.cascade_impact(): what a statement really does is what it says.

use crate::server::{Database, Server, execute, query, refused, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "cascade_impact::the_tree", the_tree),
        trial(server, "cascade_impact::deletes_reach_what_is_counted", deletes_reach_what_is_counted),
        trial(server, "cascade_impact::truncate_empties_what_is_listed", truncate_empties_what_is_listed),
        trial(server, "cascade_impact::cycles_and_diamonds_end", cycles_and_diamonds_end),
        trial(server, "cascade_impact::partitions", partitions),
        trial(server, "cascade_impact::privileges", privileges),
        trial(server, "cascade_impact::locked_children_are_said", locked_children_are_said),
        trial(server, "cascade_impact::arguments", arguments),
        trial(server, "cascade_impact::many_tables", many_tables),
    ]
}

fn edges(client: &mut postgres::Client, arguments: &str) -> Vec<Value> {
    let rows = query(client, &format!("select to_jsonb(e) from dbre.cascade_impact({arguments}) e"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn shop(database: &Database) -> postgres::Client {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table customers (id int primary key);
         create table orders (id int primary key, customer_id int not null references customers on delete cascade);
         create index on orders (customer_id);
         create table items (order_id int references orders on delete cascade, n int);
         create table notes (id int primary key, order_id int references orders on delete set null);
         create index on notes (order_id);
         create table invoices (order_id int references orders);
         create index on invoices (order_id) where order_id is not null;
         create function audit() returns trigger language plpgsql as 'begin return old; end';
         create trigger audit before delete on items for each row execute function audit();
         create trigger of_n after update of n on items for each row execute function audit();
         create trigger gone after delete on notes for each row execute function audit();
         insert into customers select generate_series(1, 100);
         insert into orders select g, 1 + g % 100 from generate_series(1, 1000) g;
         insert into items select 1 + g % 500, g from generate_series(1, 4000) g;
         insert into items select null, g from generate_series(1, 1000) g;
         insert into notes select g, g from generate_series(1, 1000) g;
         analyze",
    );
    client
}

fn the_tree(database: &Database) {
    let mut client = shop(database);
    let tree = edges(&mut client, "'customers'");
    let shown: Vec<String> = tree
        .iter()
        .map(|e| {
            format!(
                "{} {} {} {} {} {}",
                e["depth"], e["path"], e["on_action"], e["effect"], e["rows_per_parent_row"], e["expected_rows"]
            )
        })
        .collect();
    let way = "public.customers → public.orders";
    assert_eq!(
        shown,
        [
            format!(r#"1 "{way}" "ON DELETE CASCADE" "rows are deleted" 10 10"#),
            format!(r#"2 "{way} → public.invoices" "ON DELETE NO ACTION" "rows forbid the statement" 0 0"#),
            format!(r#"2 "{way} → public.items" "ON DELETE CASCADE" "rows are deleted" 4 40"#),
            format!(r#"2 "{way} → public.notes" "ON DELETE SET NULL" "order_id written" 1 10"#),
        ]
    );
    assert_eq!(tree[0]["child_index"], "public.orders_customer_id_idx");
    assert_eq!(tree[1]["child_index"], "public.invoices_order_id_idx", "the predicate is implied");
    assert!(tree[2]["child_index"].is_null());
    assert_eq!(tree[2]["rule"], "foreign_key_without_index");
    assert!(tree[2]["fix_sql"].as_str().unwrap().contains("CREATE INDEX CONCURRENTLY"), "{:#}", tree[2]);
    assert_eq!(tree[2]["triggers"], serde_json::json!(["audit (before delete, each row: public.audit())"]));
    assert_eq!(tree[3]["triggers"], serde_json::json!([]), "a trigger of deletes does not fire for an update");
    assert!(tree.iter().all(|edge| edge["cycle"] == false));
    let updated = edges(&mut client, "'orders', 'update'");
    assert!(updated.iter().all(|edge| edge["effect"] == "rows forbid the statement"), "{updated:#?}");
    execute(
        &mut client,
        "select dbre.suppress(rule => 'foreign_key_without_index', object_pattern => 'public.items(order\\_id)', reason => 'small')",
    );
    assert!(edges(&mut client, "'customers'")[2]["rule"].is_null(), "suppressed");
}

/// The rows that go are, over all parents, those that `exact` has counted.
fn deletes_reach_what_is_counted(database: &Database) {
    let mut client = shop(database);
    let tree = edges(&mut client, "'customers', exact => true");
    let per_customer = |edge: &Value| edge["expected_rows"].as_f64().unwrap();
    assert!(tree.iter().all(|edge| edge["basis"] == "counted"), "{tree:#?}");
    assert_eq!(tree[2]["most_rows_per_parent_row"], 8.0, "{:#}", tree[2]);
    let expected: Vec<f64> = tree.iter().map(per_customer).collect();
    execute(&mut client, "begin; delete from customers");
    let gone: i64 = value(&mut client, "select 4000 + 1000 - count(*) from items");
    let orphaned: i64 = value(&mut client, "select count(*) from notes where order_id is null");
    execute(&mut client, "rollback");
    assert_eq!([gone as f64, orphaned as f64], [expected[2] * 100.0, expected[3] * 100.0]);
}

fn truncate_empties_what_is_listed(database: &Database) {
    let mut client = shop(database);
    execute(&mut client, "create table apart (id int primary key); insert into apart values (1)");
    let mut listed: Vec<String> = query(&mut client, "select child from dbre.cascade_impact('orders', 'truncate')")
        .iter()
        .map(|row| row.get(0))
        .collect();
    listed.push("public.orders".to_string());
    listed.sort();
    let files =
        "select c.oid::regclass::text || c.relfilenode from pg_class c where relnamespace = 'public'::regnamespace
                 and relkind = 'r' order by 1";
    let files =
        |client: &mut postgres::Client| -> Vec<String> { query(client, files).iter().map(|r| r.get(0)).collect() };
    let before = files(&mut client);
    execute(&mut client, "set client_min_messages = error; begin; truncate orders cascade");
    let after = files(&mut client);
    let mut emptied: Vec<String> = before
        .iter()
        .filter(|file| !after.contains(file))
        .map(|file| format!("public.{}", file.trim_end_matches(|c: char| c.is_ascii_digit())))
        .collect();
    execute(&mut client, "rollback");
    emptied.sort();
    assert_eq!(emptied, listed);
    let rules = "select rule || ' ' || severity from dbre.cascade_findings('orders', 'truncate')";
    let rules: Vec<String> = query(&mut client, rules).iter().map(|row| row.get(0)).collect();
    assert_eq!(rules, ["truncate_empties_other_table high"; 2], "invoices is empty");
}

fn cycles_and_diamonds_end(database: &Database) {
    let mut client = database.connect();
    // Twenty diamonds in a row have a million ways through them.
    execute(&mut client, "create table d0 (id int primary key)");
    for n in 1..=20 {
        execute(
            &mut client,
            &format!(
                "create table l{n} (id int primary key references d{0} on delete cascade);
                 create table r{n} (id int primary key references d{0} on delete cascade);
                 create table d{n} (id int primary key references l{n} on delete cascade,
                     other int references r{n} on delete cascade)",
                n - 1
            ),
        );
    }
    execute(&mut client, "alter table d0 add back int references d20 on delete cascade; insert into d0 values (1)");
    let tree = edges(&mut client, "'d0'");
    assert_eq!(tree.len(), 20 * 4 + 1);
    let round: Vec<&Value> = tree.iter().filter(|edge| edge["cycle"] == true).collect();
    assert_eq!(round.len(), 1);
    assert_eq!(round[0]["child"], "public.d0");
    assert_eq!(round[0]["rule"], "cyclic_cascade", "more urgent than that it has no index");
    let rules =
        "select count(*) from dbre.cascade_findings('d0') where rule = 'cyclic_cascade' and severity = 'medium'";
    assert_eq!(value::<i64>(&mut client, rules), 1);
}

fn partitions(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table parent (id int primary key) partition by range (id);
         create table parent_1 partition of parent for values from (0) to (100);
         create table parent_2 partition of parent for values from (100) to (200);
         create table child (id int, at int, parent_id int references parent on delete cascade) partition by range (at);
         create table child_1 partition of child for values from (0) to (100);
         create table child_2 partition of child for values from (100) to (200);
         create index on child_1 (parent_id); create index on child_2 (parent_id);
         create table of_one (parent_id int references parent_1 on delete cascade);
         create function audit() returns trigger language plpgsql as 'begin return old; end';
         create trigger all_of_them after delete on child for each row execute function audit();
         create trigger of_2 after delete on child_2 for each row execute function audit();
         insert into parent select generate_series(0, 199); insert into child select g, g, g from generate_series(0, 199) g;
         analyze",
    );
    for top in ["parent", "parent_1"] {
        let tree = edges(&mut client, &format!("'{top}', exact => true"));
        let children: Vec<_> = tree.iter().map(|edge| edge["child"].as_str().unwrap()).collect();
        assert_eq!(children, ["public.child", "public.of_one"], "of {top}");
        assert_eq!(tree[0]["rows_per_parent_row"], 1.0);
        assert_eq!(tree[0]["child_index"], "one of each partition");
        let triggers = tree[0]["triggers"].as_array().unwrap();
        assert_eq!(triggers.len(), 2, "{triggers:?}");
    }
}

fn privileges(database: &Database) {
    let mut client = shop(database);
    let role = format!("{}_reader", database.name);
    execute(
        &mut client,
        &format!(
            "create role {role} login; grant usage on schema dbre to {role}; grant usage on type dbre.severity to {role};
             grant execute on all functions in schema dbre to {role}; grant select on all tables in schema dbre to {role};
             grant select on customers, orders to {role}"
        ),
    );
    let mut reader = database.connect_as(&role);
    let tree = edges(&mut reader, "'customers', exact => true");
    assert_eq!(tree[0]["basis"], "counted");
    let basis = tree[2]["basis"].as_str().unwrap();
    assert!(basis.contains("not counted: public.items may not be read"), "{basis}");
    assert_eq!(tree[2]["child_rows"], 5000.0, "the catalog's figure is everybody's");
    drop(reader);
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
}

fn locked_children_are_said(database: &Database) {
    let mut client = shop(database);
    let mut other = database.connect();
    execute(&mut other, "begin; lock table items in access exclusive mode");
    let tree = edges(&mut client, "'customers', exact => true");
    let items = tree.iter().find(|edge| edge["child"] == "public.items").expect("items is not left out");
    assert_eq!(items["effect"], "not known");
    assert!(items["note"].as_str().unwrap().contains("locked"), "{items:#}");
    execute(&mut other, "rollback; begin; lock table customers in access exclusive mode");
    let error = refused(&mut client, "select * from dbre.cascade_impact('customers')");
    assert_eq!(error.code().code(), "55006", "{error}");
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int); create view v as table t");
    let no_edges: i64 = value(&mut client, "select count(*) from dbre.cascade_impact('t')");
    assert_eq!(no_edges, 0);
    for (arguments, sqlstate) in [
        ("null", "22004"),
        ("'t', 'drop'", "22023"),
        ("'t', null", "22004"),
        ("'t', exact => null", "22004"),
        ("'v'", "42809"),
        ("'pg_class'", "42809"),
        ("4000000000::oid", "42P01"),
    ] {
        for function in ["cascade_impact", "cascade_findings"] {
            let error = refused(&mut client, &format!("select * from dbre.{function}({arguments})"));
            assert_eq!(error.code().code(), sqlstate, "{arguments}: {error}");
            assert!(error.hint().is_some(), "{arguments}: {error}");
        }
    }
}

/// A star of 1,000 children, and a chain that is longer than what is followed.
fn many_tables(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table hub (id int primary key);
         create table c0 (id int primary key);
         do $$
         begin
             for n in 1..1000 loop
                 execute format('create table t%s (hub_id int references hub on delete cascade)', n);
             end loop;
             for n in 1..120 loop
                 execute format('create table c%s (id int primary key references c%s on delete cascade)', n, n - 1);
             end loop;
         end
         $$",
    );
    assert_eq!(
        value::<i64>(&mut client, "select count(*) from dbre.cascade_impact('hub') where severity = 'low'"),
        1000
    );
    let chain = edges(&mut client, "'c0'");
    assert_eq!(chain.len(), 100);
    assert_eq!(chain[99]["note"], "not followed below 100 tables");
}
