//! Lookups that are repeated for each row of another statement: what is found, what is not, and what is said.

use crate::rule_cases::is_complete;
use crate::server::{Database, Server, describe, execute, query, refused, shown, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = FORMS
        .iter()
        .map(|form| {
            let server = server.clone();
            Trial::test(format!("n_plus_one::form: {}", form.name), move || {
                is_found(&Database::create(&server), form);
                Ok(())
            })
        })
        .collect();
    trials.extend(SILENT.iter().map(|(name, steps)| {
        let server = server.clone();
        Trial::test(format!("n_plus_one::silent: {name}"), move || {
            is_silent(&Database::create(&server), steps);
            Ok(())
        })
    }));
    trials.extend([
        trial(server, "n_plus_one::another_role_is_no_parent", other_role),
        trial(server, "n_plus_one::batch_jobs_are_not_high", batch),
        trial(server, "n_plus_one::several_lists_of_one_page", several_lists),
        trial(server, "n_plus_one::few_different_values", few_values),
        trial(server, "n_plus_one::seen_exactly_told_once", told_once),
        trial(server, "n_plus_one::nothing_is_watched", nothing_watched),
        trial(server, "n_plus_one::many_statements", many_statements),
        trial(server, "n_plus_one::locked_tables_are_not_waited_for", locked),
        trial(server, "n_plus_one::the_role_is_gone", role_is_gone),
        trial(server, "n_plus_one::arguments", arguments),
    ]);
    trials
}

/// Users with tasks, tasks with comments and tags, a tree; names that need quotes.
const SCHEMA: &str = r#"
create extension pg_stat_statements;
create table users (id bigint primary key, name text);
create table profiles (user_id bigint primary key references users, photo text);
create table tasks (
    id bigint primary key,
    assignee_id bigint not null references users,
    created_by bigint references users,
    title text
);
create view open_tasks as select id as number, assignee_id as who, title from tasks where title <> '';
create table comments (id bigint primary key, task_id bigint not null references tasks, deleted boolean default false, body text);
create table tags (id int primary key, name text);
create table task_tags (task_id bigint references tasks, tag_id int references tags, primary key (task_id, tag_id));
create table nodes (id int primary key, parent_id int references nodes, name text);
create table orders (tenant int, number int, primary key (tenant, number));
create table lines (tenant int, id int, order_number int, primary key (tenant, id), foreign key (tenant, order_number) references orders);
create table "Größe" ("Schlüssel" int primary key, "a b" text);
create table "Teil $1" ("Id" int primary key, "Größe_Id" int references "Größe");
create table events (id int, at int, user_id bigint references users, primary key (id, at)) partition by range (at);
create table events_1 partition of events for values from (0) to (500);
create table events_2 partition of events for values from (500) to (5000);
insert into users select g, 'u' || g from generate_series(1, 1000) g;
insert into profiles select id, 'p' from users;
insert into tasks select g, 1 + (g * 37) % 1000, 1 + (g * 13) % 1000, 't' from generate_series(1, 1000) g;
insert into comments select g, 1 + g % 1000, false, 'b' from generate_series(1, 3000) g;
insert into tags select g, 'x' from generate_series(1, 40) g;
insert into task_tags select t, 1 + (t + k) % 40 from generate_series(1, 1000) t, generate_series(1, 3) k;
insert into nodes select g, nullif(g / 5, 0), 'n' from generate_series(1, 400) g;
insert into orders select 1, g from generate_series(1, 400) g;
insert into lines select 1, g, 1 + g % 400 from generate_series(1, 800) g;
insert into "Größe" select g, 'x' from generate_series(1, 1000) g;
insert into "Teil $1" select g, g from generate_series(1, 1000) g;
insert into events select g, g, 1 + g % 1000 from generate_series(1, 1000) g;
create index on tasks (assignee_id); create index on tasks (created_by); create index on comments (task_id);
create index on lines (tenant, order_number); create index on nodes (parent_id); create index on events (user_id);
create index on "Teil $1" ("Größe_Id");
analyze
"#;

/// A statement, so many times; `%s` is the number of the time, `%t` too, from 1 again behind 400.
type Step<'a> = (&'a str, usize);

struct Form {
    name: &'static str,
    parent: &'static str,
    lookup: &'static str,
    /// For ten pages.
    times: usize,
    cardinality: &'static str,
    /// In `app_fix`.
    loader: &'static str,
}

const FORMS: &[Form] = &[
    Form {
        name: "many-to-one",
        parent: "select id, assignee_id from tasks where id > %s order by id limit 40",
        lookup: "SELECT users.id AS users_id, users.name AS users_name FROM users WHERE users.id = %s",
        times: 390,
        cardinality: "many-to-one",
        loader: "select(Task).options(joinedload(Task.assignee, innerjoin=True))",
    },
    Form {
        name: "many-to-one, nullable, the row as such",
        parent: "select t from tasks t where id > %s limit 40",
        lookup: "select * from users u left join profiles p on p.user_id = u.id where u.id = %s::bigint",
        times: 395,
        cardinality: "many-to-one",
        loader: "joinedload(Task.",
    },
    Form {
        name: "one-to-many with a soft delete and an order",
        parent: "select * from tasks where id > %s limit 40",
        lookup: "SELECT c.id AS c_id, c.body AS c_body FROM comments c WHERE %s = c.task_id AND NOT c.deleted ORDER BY c.id",
        times: 400,
        cardinality: "one-to-many",
        loader: "select(Task).options(selectinload(Task.comments))",
    },
    Form {
        name: "the newest of each",
        parent: "select * from tasks where id > %s limit 40",
        lookup: "select * from comments where task_id = %s order by id desc limit 1",
        times: 400,
        cardinality: "one-to-many",
        loader: "row_number",
    },
    Form {
        name: "a count of each",
        parent: "select * from tasks where id > %s limit 40",
        lookup: "select count(*) as n from comments where task_id = %s",
        times: 400,
        cardinality: "one-to-many",
        loader: "func.count(Comment.task_id)",
    },
    Form {
        name: "many-to-many",
        parent: "select * from tasks where id > %s limit 40",
        lookup: "SELECT tags.id AS tags_id, tags.name AS tags_name FROM tags, task_tags WHERE %s = task_tags.task_id AND tags.id = task_tags.tag_id",
        times: 400,
        cardinality: "many-to-many",
        loader: "select(Task).options(selectinload(Task.tags))",
    },
    Form {
        name: "one-to-one",
        parent: "select * from users where id > %s limit 40",
        lookup: "select user_id, photo from profiles where user_id = %s",
        times: 400,
        cardinality: "one-to-one",
        loader: "select(User).options(joinedload(User.profile))",
    },
    Form {
        name: "a tree, level by level",
        parent: "select * from nodes where parent_id is null and id > -%s",
        lookup: "select id, parent_id, name from nodes where parent_id = %t",
        times: 4000,
        cardinality: "one-to-many",
        loader: "recursion_depth",
    },
    Form {
        name: "keys of several columns",
        parent: "select tenant, number from orders where tenant = 1 and number > %s order by number limit 40",
        lookup: "select id, order_number from lines where lines.tenant = 1 and lines.order_number = %s",
        times: 400,
        cardinality: "one-to-many",
        loader: "select(Order).options(selectinload(Order.lines))",
    },
    Form {
        name: "names that need quotes",
        parent: r#"select "Id", "Größe_Id" from "Teil $1" where "Id" > %s limit 40"#,
        lookup: r#"select "a b" from "Größe" where "Größe"."Schlüssel" = %s"#,
        times: 400,
        cardinality: "many-to-one",
        loader: "joinedload(Teil1.größe)",
    },
    Form {
        name: "a view, and a view of a view",
        parent: "select number, who from (select * from open_tasks) o where number > %s limit 40",
        lookup: "select u.* from (select * from users) u where u.id = %s",
        times: 390,
        cardinality: "many-to-one",
        loader: "joinedload(Task.assignee",
    },
    Form {
        name: "partitions",
        parent: "select id, name from users where id > %s limit 40",
        lookup: "select id, at from events_1 where user_id = %s",
        times: 400,
        cardinality: "one-to-many",
        loader: "selectinload(User.events)",
    },
    Form {
        name: "the same rows once more",
        parent: "select id, title from tasks where id > %s limit 40",
        lookup: "select * from tasks where id = %s",
        times: 400,
        cardinality: "the same row again",
        loader: "expire_on_commit",
    },
];

const LIST: &str = "select id, assignee_id, created_by from tasks where id > %s order by id limit 40";

const SILENT: &[(&str, &[Step])] = &[
    (
        "several keys at once",
        &[
            (LIST, 50),
            ("SELECT users.id, users.name FROM users WHERE users.id IN (%s, 2, 3)", 2000),
            ("select * from users where id = any (array[%s, 1, 2])", 2000),
            ("select * from comments where task_id in (%s, 3)", 2000),
        ],
    ),
    (
        "an export by pages",
        &[
            ("select id, name from users where id > %s order by id limit 40", 10),
            ("select id, title from tasks where assignee_id = %s and id > 5 order by id limit 50", 400),
        ],
    ),
    (
        "a join",
        &[
            ("select t.*, u.* from tasks t left join users u on u.id = t.assignee_id where t.id > %s limit 40", 50),
            ("select * from users where id = %s", 0),
        ],
    ),
    (
        "the page has joined what is looked up elsewhere",
        &[
            (
                "select t.id, t.assignee_id, u.id, u.name from tasks t left join users u on u.id = t.assignee_id where t.id > %s limit 40",
                10,
            ),
            ("select * from users where id = %s", 400),
        ],
    ),
    ("a lookup that is hot by itself", &[(LIST, 3), ("select * from users where id = %s", 2000)]),
    ("hardly more lookups than lists", &[(LIST, 100), ("select * from users where id = %s", 300)]),
    ("many more rows than lookups", &[(LIST, 400), ("select * from users where id = %s", 2000)]),
    (
        "one user's tasks, all of one assignee",
        &[
            ("select id, assignee_id from tasks where assignee_id = %s", 200),
            ("select * from users where id = %s", 200),
        ],
    ),
    ("rows that are locked one by one", &[(LIST, 10), ("select * from users where id = %s for update", 400)]),
    (
        "writes",
        &[
            (LIST, 10),
            ("update users set name = 'x' where id = %s", 400),
            ("insert into comments values (%s + 10000, 1, false, 'x') returning id", 400),
            ("delete from profiles where user_id = %s returning photo", 400),
        ],
    ),
    (
        "a range, and a group of each",
        &[
            (LIST, 10),
            ("select * from users where id > %s limit 1", 400),
            ("select assignee_id, count(*) from tasks where created_by = %s group by 1", 400),
        ],
    ),
    ("a column that is no key", &[(LIST, 10), ("select * from users where name = 'u%s'", 400)]),
    (
        "a list without the key's column",
        &[("select id, title from tasks where id > %s limit 40", 10), ("select * from users where id = %s", 400)],
    ),
];

pub fn send(client: &mut Client, (statement, times): Step) {
    for time in 1..=times {
        let turn = 1 + (time - 1) % 400;
        execute(client, &statement.replace("%s", &time.to_string()).replace("%t", &turn.to_string()));
    }
}

pub fn found(client: &mut Client, arguments: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(f) from dbre.n_plus_one({arguments}) f order by f.step");
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

pub fn of_rule(findings: &[Value], rule: &str) -> Vec<Value> {
    findings.iter().filter(|finding| text(finding, "rule") == rule).cloned().collect()
}

fn is_found(database: &Database, form: &Form) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    send(&mut client, (form.parent, 10));
    send(&mut client, (form.lookup, form.times));
    let all = found(&mut client, "");
    let findings = of_rule(&all, "n_plus_one_query");
    assert_eq!(findings.len(), 1, "{}", shown(&all));
    let finding = &findings[0];
    is_complete(finding);
    let evidence = &finding["evidence"];
    assert_eq!(text(evidence, "cardinality"), form.cardinality, "{finding:#}");
    assert!(text(finding, "app_fix").contains(form.loader), "{finding:#}");
    assert!(text(finding, "severity") <= "medium", "{finding:#}");
    assert_eq!(evidence["index_serves"], true, "{finding:#}");
    query(&mut client, text(finding, "verify_sql"));
    replaces(&mut client, text(evidence, "replacement_query"), form.lookup);
}

/// The one statement finds what the lookups find: rows of its own columns, for keys 1 to 30.
fn replaces(client: &mut Client, replacement: &str, lookup: &str) {
    let statement =
        client.prepare(replacement).unwrap_or_else(|error| panic!("{replacement}\n-- {}", describe(&error)));
    let columns: Vec<String> = statement.columns().iter().map(|column| column.name().to_string()).collect();
    assert!(columns.len() > 1, "nothing tells whose rows they are: {columns:?} of {replacement}");
    let keys: Vec<String> = (1..=30).map(|key: i32| key.to_string()).collect();
    let list = format!("'{{{}}}'", keys.join(","));
    let mut literal = replacement.to_string();
    for number in (1..=statement.params().len()).rev() {
        let array = literal.contains(&format!("${number}::")) && statement.params()[number - 1].name().starts_with('_');
        let is_tenant = lookup.contains("tenant = 1") && number == 1;
        let value = match (array, is_tenant) {
            (true, true) => format!("'{{{}}}'", vec!["1"; 30].join(",")),
            (true, false) => list.clone(),
            // A LIMIT.
            (false, _) => "1".to_string(),
        };
        literal = literal.replace(&format!("${number}"), &value);
    }
    let rows = |client: &mut Client, sql: &str| -> Vec<Value> {
        query(client, &format!("select to_jsonb(r) from ({sql}) r")).iter().map(|row| row.get(0)).collect()
    };
    let mut expected: Vec<Value> = Vec::new();
    for key in &keys {
        expected.extend(rows(client, &lookup.replace("%s", key).replace("%t", key)));
    }
    let known: BTreeSet<&String> = expected.iter().flat_map(|row| row.as_object().unwrap().keys()).collect();
    let kept = |row: &Value| {
        let object = row.as_object().unwrap().iter().filter(|(name, _)| known.contains(name));
        Value::Object(object.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
    };
    let sorted = |rows: Vec<Value>| {
        let mut rows: Vec<String> = rows.iter().map(kept).collect();
        rows.sort();
        rows
    };
    let actual = rows(client, &literal);
    assert!(!expected.is_empty(), "{lookup}");
    assert_eq!(sorted(actual), sorted(expected.clone()), "{literal}");
}

fn is_silent(database: &Database, steps: &[Step]) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    steps.iter().for_each(|step| send(&mut client, *step));
    let all = found(&mut client, "");
    let told = of_rule(&all, "n_plus_one_query");
    assert!(told.is_empty(), "{}", shown(&told));
    assert!(of_rule(&all, "n_plus_one_not_judged").is_empty(), "{}", shown(&all));
}

fn other_role(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    let role = format!("worker_of_{}", database.name);
    execute(&mut client, &format!("create role {role} login; grant select on all tables in schema public to {role}"));
    send(&mut client, (LIST, 10));
    let mut worker = database.connect_as(&role);
    send(&mut worker, ("select * from users where id = %s", 400));
    assert!(of_rule(&found(&mut client, ""), "n_plus_one_query").is_empty());
    send(&mut worker, (LIST, 10));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(told.len(), 1);
    assert!(text(&told[0], "object").ends_with(&format!(" of {role}")), "{}", shown(&told));
}

fn batch(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        &format!("{SCHEMA}; insert into tasks select g, 1 + g % 1000, null, 't' from generate_series(2001, 5000) g"),
    );
    // One job over all rows, and one by pages of which there were few.
    send(&mut client, ("select id, title from tasks where id > %s and title = 't'", 1));
    send(&mut client, ("select * from comments where task_id = %s", 4000));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(told.len(), 1, "{}", shown(&told));
    assert_eq!(text(&told[0], "severity"), "low", "{}", shown(&told));
    assert!(text(&told[0], "cause").contains("batch"), "{}", shown(&told));
    query(
        &mut client,
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()))",
    );
    send(&mut client, ("select id, title from tasks where id > %s limit 100", 3));
    send(&mut client, ("select * from comments where task_id = %s", 300));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(
        told.iter().map(|finding| text(finding, "severity")).collect::<Vec<_>>(),
        ["medium"],
        "{}",
        shown(&told)
    );
}

/// The same list with other filters is another statement.
fn several_lists(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    send(&mut client, ("select id, title from tasks where id > %s limit 40", 5));
    send(&mut client, ("select id, title from tasks where id > %s and title = 't' limit 40", 5));
    send(&mut client, ("select * from comments where task_id = %s", 400));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(told.len(), 1, "{}", shown(&told));
    let statistics = &told[0]["evidence"]["statistics"];
    assert_eq!(statistics["parents"].as_array().unwrap().len(), 2, "{}", shown(&told));
    assert_eq!(statistics["confidence"], "medium", "{}", shown(&told));
}

/// Objects that are loaded are not loaded again: five users, forty rows.
fn few_values(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "{SCHEMA}; drop index tasks_assignee_id_idx; update tasks set assignee_id = 1 + id % 5; analyze tasks"
        ),
    );
    send(&mut client, ("select id, assignee_id from tasks where id > %s limit 40", 90));
    send(&mut client, ("select * from users where id = %s", 450));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(told.len(), 1, "{}", shown(&told));
    let statistics = &told[0]["evidence"]["statistics"];
    assert_eq!(statistics["lookups_expected"].as_f64().map(f64::round), Some(450.0), "{}", shown(&told));
    assert!(text(&told[0], "app_fix").contains("selectinload(Task.assignee)"), "{}", shown(&told));
}

fn told_once(database: &Database) {
    let watched = format!("alter database {} set session_preload_libraries = pg_dbre", database.name);
    execute(&mut database.connect(), &format!("{SCHEMA}; {watched}"));
    for page in 0..5 {
        let mut session = database.connect();
        execute(
            &mut session,
            &format!(
                "begin; set application_name = 'page'; select id, assignee_id from tasks where id > {page} * 40 order by id limit 40"
            ),
        );
        for task in 1..=40 {
            let user = 1 + ((page * 40 + task) * 37) % 1000;
            execute(&mut session, &format!("select * from users where id = {user} /*route='%2Ftasks'*/"));
        }
        execute(&mut session, "commit");
    }
    let mut client = database.connect();
    let all = found(&mut client, "");
    assert!(of_rule(&all, "n_plus_one_query").is_empty(), "{}", shown(&all));
    assert!(of_rule(&all, "n_plus_one_not_watched").is_empty(), "{}", shown(&all));
    let told = of_rule(&all, "n_plus_one_burst");
    assert_eq!(told.len(), 1, "{}", shown(&all));
    let (finding, evidence) = (&told[0], &told[0]["evidence"]);
    is_complete(finding);
    assert_eq!(text(finding, "severity"), "medium", "5 pages of 20 ms: {finding:#}");
    assert_eq!(
        (&evidence["bursts"], &evidence["executions"], &evidence["tags"]["route"]),
        (&5.into(), &200.into(), &"/tasks".into()),
        "{finding:#}"
    );
    assert_eq!(evidence["statistics"]["calls"], 200, "{finding:#}");
    assert!(text(finding, "app_fix").contains("joinedload(Task.assignee, innerjoin=True)"), "{finding:#}");
    assert!(!text(evidence, "replacement_query").contains("route"), "{finding:#}");
    client.prepare(text(evidence, "replacement_query")).unwrap();
    // Without the sums the texts that the hook kept tell the same.
    execute(&mut client, "drop extension pg_stat_statements");
    query(&mut client, "select dbre.configure_rule('n_plus_one_burst', options => '{\"high_total_ms\": 90}')");
    let told = of_rule(&found(&mut client, ""), "n_plus_one_burst");
    assert_eq!(told.len(), 1);
    assert_eq!(text(&told[0], "severity"), "high", "{}", shown(&told));
    assert_eq!(text(&told[0]["evidence"], "cardinality"), "many-to-one", "{}", shown(&told));
}

fn nothing_watched(database: &Database) {
    let mut client = database.connect();
    let rules = |client: &mut Client| -> Vec<String> {
        let mut rules: Vec<String> =
            found(client, "").iter().map(|finding| text(finding, "rule").to_string()).collect();
        rules.sort();
        rules
    };
    assert_eq!(rules(&mut client), ["n_plus_one_not_watched", "statements_not_tracked"]);
    execute(&mut client, "create extension pg_stat_statements");
    assert_eq!(rules(&mut client), ["n_plus_one_not_watched"]);
}

fn many_statements(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    send(&mut client, (LIST, 10));
    send(&mut client, ("select * from users where id = %s", 390));
    for number in 1..=1100 {
        execute(&mut client, &format!("select id, assignee_id as a{number} from tasks where id = 1"));
    }
    let begun = Instant::now();
    let all = found(&mut client, "max_statements => 2000");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(of_rule(&all, "n_plus_one_query").len(), 1, "{}", shown(&all));
    assert!(of_rule(&all, "n_plus_one_not_judged").is_empty(), "{}", shown(&all));
    let all = found(&mut client, "max_statements => 2000, time_limit => '1 ms'");
    assert!(text(&of_rule(&all, "n_plus_one_not_judged")[0], "summary").contains("time_limit"), "{}", shown(&all));
    execute(&mut client, "set statement_timeout = '5 ms'");
    assert_eq!(refused(&mut client, "select * from dbre.n_plus_one(2000)").code().code(), "57014");
}

fn locked(database: &Database) {
    let (mut client, mut other) = (database.connect(), database.connect());
    execute(&mut client, SCHEMA);
    send(&mut client, (LIST, 10));
    send(&mut client, ("select * from comments where task_id = %s", 400));
    send(&mut client, ("select * from users where id = %s", 3));
    execute(&mut other, "begin; lock table users in access exclusive mode");
    let begun = Instant::now();
    let all = found(&mut client, "");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(of_rule(&all, "n_plus_one_query").len(), 1, "{}", shown(&all));
    let refused = of_rule(&all, "n_plus_one_not_judged");
    assert!(refused.iter().any(|finding| text(finding, "object") == "SQLSTATE 55P03"), "{}", shown(&all));
}

fn role_is_gone(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    let role = format!("gone_of_{}", database.name);
    execute(&mut client, &format!("create role {role} login; grant select on all tables in schema public to {role}"));
    send(&mut database.connect_as(&role), ("select * from users where id = %s", 400));
    execute(&mut client, &format!("drop owned by {role}; drop role {role}"));
    send(&mut client, (LIST, 10));
    send(&mut client, ("select * from comments where task_id = %s", 400));
    let all = found(&mut client, "");
    assert_eq!(of_rule(&all, "n_plus_one_query").len(), 1, "{}", shown(&all));
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    for (arguments, code, name) in [
        ("max_statements => 0", "22023", "max_statements"),
        ("max_statements => null", "22004", "max_statements"),
        ("time_limit => '-1 s'", "22023", "time_limit"),
        ("time_limit => null", "22004", "time_limit"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.n_plus_one({arguments})"));
        assert_eq!(error.code().code(), code, "{arguments}");
        assert!(error.message().contains(name) && error.hint().is_some(), "{arguments}: {}", error.message());
    }
}
