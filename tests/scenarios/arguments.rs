//! Bad input is an error that names the argument and what is valid, and changes nothing; good input takes effect.

use crate::server::{Database, Server, check, execute, query, refused, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::{Value, json};
use std::sync::Arc;

const RULE: &str = "foreign_key_without_index";
const INVALID: &str = "22023";
const NULL: &str = "22004";

/// SQL, SQLSTATE, part of the message, part of the hint.
type Refusal = (&'static str, &'static str, &'static str, &'static str);

const OF_READING: &[Refusal] = &[
    ("select dbre.check(array['indices'])", INVALID, "categories: unknown category \"indices\"", ", index, "),
    ("select dbre.check(rules => array['none'])", INVALID, "rules: unknown rule \"none\"", RULE),
    ("select dbre.check(rules => array['foreign_key_without_index', ''])", INVALID, "rules: unknown rule \"\"", RULE),
    ("select dbre.check(schemas => array['nowhere'])", "3F000", "schemas: schema \"nowhere\" does not exist", "public"),
    ("select dbre.check(schemas => array['\"public\"'])", "3F000", "argument schemas", "not quoted"),
    ("select dbre.check(min_severity => null)", NULL, "argument min_severity", "critical, high, medium, low"),
    ("select dbre.check(min_severity => 'urgent')", "22P02", "dbre.severity", ""),
    ("select dbre.check(array[]::text[])", INVALID, "argument categories is an empty array", "NULL"),
    ("select dbre.check(rules => '{}')", INVALID, "argument rules is an empty array", "NULL"),
    ("select dbre.check(schemas => '{}')", INVALID, "argument schemas is an empty array", "NULL"),
    ("select dbre.check(array[null])", NULL, "argument categories, one element", "NULL"),
    (
        "select dbre.check(rules => array['foreign_key_without_index', null])",
        NULL,
        "argument rules, one element",
        "NULL",
    ),
    ("select dbre.check(schemas => array[null])", NULL, "argument schemas, one element", "NULL"),
    ("select dbre.rule_runs(array['indices'])", INVALID, "categories: unknown category", ", index, "),
    ("select dbre.rule_runs(rules => array['none'])", INVALID, "rules: unknown rule", RULE),
    ("select dbre.rule_runs(schemas => array['nowhere'])", "3F000", "argument schemas", "public"),
    ("select dbre.missing_fk_indexes(array['nowhere'])", "3F000", "argument schemas", "public"),
    ("select dbre.report('html')", INVALID, "argument format: unknown format \"html\"", "markdown, brief, json"),
    ("select dbre.report('')", INVALID, "argument format", "markdown, brief, json"),
    ("select dbre.report(null)", NULL, "argument format", "markdown, brief, json"),
    ("select dbre.report(categories => array['indices'])", INVALID, "unknown category", ", index, "),
    ("select dbre.report(min_severity => null)", NULL, "argument min_severity", "critical, high, medium, low"),
];

const OF_CONFIGURING: &[Refusal] = &[
    ("select dbre.configure_rule('none', true)", INVALID, "unknown rule \"none\"", RULE),
    ("select dbre.configure_rule(null, true)", NULL, "argument rule", "dbre.rules"),
    ("select dbre.reset_rule('none')", INVALID, "unknown rule \"none\"", RULE),
    ("select dbre.reset_rule(null)", NULL, "argument rule", "dbre.rules"),
    ("select dbre.configure_rule('foreign_key_without_index')", INVALID, "nothing to set", "reset_rule"),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => '{\"tiny\": 1}')",
        INVALID,
        "argument options: rule foreign_key_without_index has no option \"tiny\"",
        "small_bytes, large_bytes",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => '{\"tiny\": null}')",
        INVALID,
        "has no option \"tiny\"",
        "small_bytes, large_bytes",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => '{\"small_bytes\": -1}')",
        INVALID,
        "argument options: small_bytes must be a number from 0",
        "",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => '{\"small_bytes\": 1e30}')",
        INVALID,
        "argument options: small_bytes must be a number from 0",
        "",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', true, 'low', '{\"small_bytes\": \"1 MB\"}')",
        INVALID,
        "argument options: small_bytes must be a number from 0",
        "",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => '[1]')",
        INVALID,
        "argument options is not",
        "{",
    ),
    (
        "select dbre.configure_rule('foreign_key_without_index', options => 'null')",
        INVALID,
        "argument options is not",
        "{",
    ),
    (
        "select dbre.configure_rule('index_name_convention', options => '{\"pattern\": \"(\"}')",
        INVALID,
        "argument options: pattern is no regular expression",
        "",
    ),
    (
        "select dbre.configure_rule('index_name_convention', options => '{\"pattern\": 1}')",
        INVALID,
        "argument options: pattern must be a string",
        "",
    ),
];

const OF_SUPPRESSING: &[Refusal] = &[
    ("select dbre.suppress(reason => 'why')", INVALID, "argument fingerprint, or argument rule", "object_pattern"),
    ("select dbre.suppress(object_pattern => '%', reason => 'why')", INVALID, "argument rule", "object_pattern"),
    (
        "select dbre.suppress('0123456789abcdef', 'foreign_key_without_index', reason => 'why')",
        INVALID,
        "either argument fingerprint, or argument rule",
        "object_pattern",
    ),
    ("select dbre.suppress('0123456789abcdef')", NULL, "argument reason", "why"),
    ("select dbre.suppress('0123456789abcdef', reason => ' ')", INVALID, "argument reason", "why"),
    ("select dbre.suppress('0123456789ABCDEF', reason => 'why')", INVALID, "argument fingerprint", "16 hexadecimal"),
    ("select dbre.suppress('0123', reason => 'why')", INVALID, "argument fingerprint", "16 hexadecimal"),
    ("select dbre.suppress(rule => 'none', reason => 'why')", INVALID, "unknown rule \"none\"", RULE),
    ("select dbre.unsuppress()", INVALID, "argument fingerprint, or argument rule", "object_pattern"),
    ("select dbre.unsuppress('x')", INVALID, "argument fingerprint", "16 hexadecimal"),
    ("select dbre.unsuppress(rule => 'none')", INVALID, "unknown rule \"none\"", RULE),
];

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "arguments::bad_input_of_reading_functions", |database| refuses(database, OF_READING)),
        trial(server, "arguments::bad_input_of_configure_rule", |database| refuses(database, OF_CONFIGURING)),
        trial(server, "arguments::bad_input_of_suppress", |database| refuses(database, OF_SUPPRESSING)),
        trial(server, "arguments::categories_rules_schemas_and_severity_select", selection),
        trial(server, "arguments::configure_rule_and_reset_rule", configure),
        trial(server, "arguments::suppress_and_unsuppress", suppress),
    ]
}

fn refuses(database: &Database, refusals: &[Refusal]) {
    let mut client = database.connect();
    execute(&mut client, "select dbre.configure_rule('foreign_key_without_index', severity => 'high')");
    execute(&mut client, "select dbre.suppress('00000000deadbeef', reason => 'there before')");
    let before = settings(&mut client);
    for (sql, state, message, hint) in refusals {
        let error = refused(&mut client, sql);
        let (given, given_hint) = (error.message(), error.hint().unwrap_or_default());
        let right = error.code().code() == *state && given.contains(message) && given_hint.contains(hint);
        assert!(
            right,
            "{sql}\n-- {} {given}\n-- hint: {given_hint}\n-- wanted: {state} {message}, {hint}",
            error.code().code()
        );
        assert!(hint.is_empty() || error.hint().is_some(), "{sql}\n-- no hint");
        assert!(error.detail().is_none(), "{sql}\n-- detail: {:?}", error.detail());
        assert_eq!(settings(&mut client), before, "{sql}\n-- changed settings");
    }
}

fn settings(client: &mut Client) -> Value {
    let sql = "select jsonb_build_array((select jsonb_agg(r order by rule) from dbre.rule_settings r),
                                        (select jsonb_agg(s order by reason) from dbre.suppressions s))";
    value(client, sql)
}

const TWO_SCHEMAS: &str = "create schema a; create schema b;
    create table a.parent (id int primary key); create table a.child (id int primary key, parent_id int references a.parent);
    create table b.child (id int primary key, parent_id int references a.parent)";

fn objects(client: &mut Client, arguments: &str) -> Vec<String> {
    check(client, arguments).iter().map(|finding| text(finding, "object").to_string()).collect()
}

fn selection(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TWO_SCHEMAS);
    let rule = "rules => array['foreign_key_without_index']";
    let both = ["a.child(parent_id)", "b.child(parent_id)"];
    assert_eq!(objects(&mut client, rule), both);
    assert_eq!(objects(&mut client, &format!("{rule}, schemas => array['b']")), ["b.child(parent_id)"]);
    assert_eq!(objects(&mut client, &format!("{rule}, schemas => array['a', 'b']")), both);
    assert!(objects(&mut client, &format!("{rule}, schemas => array['public']")).is_empty());
    assert!(objects(&mut client, &format!("{rule}, min_severity => 'medium'")).is_empty());
    assert_eq!(objects(&mut client, &format!("{rule}, categories => array['index']")), both);
    let view = query(&mut client, "select object from dbre.findings where rule = 'foreign_key_without_index'");
    assert_eq!(view.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), both);
    let ran: Vec<String> =
        query(&mut client, &format!("select rule from dbre.rule_runs({rule})")).iter().map(|r| r.get(0)).collect();
    assert_eq!(ran, [RULE]);
    let keys = query(
        &mut client,
        "select child, ddl from (select child, fix_sql as ddl from dbre.missing_fk_indexes(array['b'])) k",
    );
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].get::<_, String>(0), "b.child");
}

fn configure(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TWO_SCHEMAS);
    let check = "rules => array['foreign_key_without_index']";
    let shown = |client: &mut Client| -> Value {
        value(
            client,
            "select jsonb_build_array(enabled, current_severity, options -> 'small_bytes' -> 'current',
                options -> 'large_bytes' -> 'current') from dbre.rules where rule = 'foreign_key_without_index'",
        )
    };
    let severities = |client: &mut Client| -> Vec<String> {
        crate::server::check(client, check).iter().map(|f| text(f, "severity").to_string()).collect()
    };
    let configure = |client: &mut Client, arguments: &str| {
        execute(client, &format!("select dbre.configure_rule('foreign_key_without_index', {arguments})"));
    };
    let large = 100 * 1024 * 1024;
    assert_eq!(severities(&mut client), ["low", "low"]);

    configure(&mut client, "options => '{\"small_bytes\": 0}'");
    assert_eq!(severities(&mut client), ["medium", "medium"]);
    assert_eq!(shown(&mut client), json!([true, null, 0, large]));

    configure(&mut client, "severity => 'critical'");
    assert_eq!(severities(&mut client), ["critical", "critical"]);
    assert_eq!(shown(&mut client), json!([true, "critical", 0, large]));

    configure(&mut client, "options => '{\"small_bytes\": null, \"large_bytes\": 5}'");
    assert_eq!(shown(&mut client), json!([true, "critical", 1048576, 5]));

    configure(&mut client, "false");
    assert_eq!(shown(&mut client), json!([false, "critical", 1048576, 5]));
    let all = crate::server::check(&mut client, "");
    assert!(all.iter().all(|finding| text(finding, "rule") != RULE), "a disabled rule has findings: {all:?}");
    let run = "select status || ': ' || reason from dbre.rule_runs() where rule = 'foreign_key_without_index'";
    let status: String = value(&mut client, run);
    assert_eq!(status, "skipped: disabled by dbre.rule_settings");
    assert_eq!(severities(&mut client), ["critical", "critical"], "named by its id, a disabled rule runs");

    execute(&mut client, "select dbre.reset_rule('foreign_key_without_index')");
    assert_eq!(shown(&mut client), json!([true, null, 1048576, large]));
    assert_eq!(severities(&mut client), ["low", "low"]);
    assert_eq!(value::<i64>(&mut client, "select count(*) from dbre.rule_settings"), 0);
}

fn suppress(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, TWO_SCHEMAS);
    let check = "rules => array['foreign_key_without_index']";
    let fingerprint = text(&crate::server::check(&mut client, check)[0], "fingerprint").to_string();
    let suppressed = "select suppressed from dbre.rule_runs(rules => array['foreign_key_without_index'])";
    let unsuppress =
        |client: &mut Client, target: &str| -> i64 { value(client, &format!("select dbre.unsuppress({target})")) };

    execute(&mut client, &format!("select dbre.suppress('{fingerprint}', reason => 'one')"));
    execute(&mut client, &format!("select dbre.suppress('{fingerprint}', reason => 'said again')"));
    assert_eq!(objects(&mut client, check), ["b.child(parent_id)"]);
    assert_eq!(value::<i64>(&mut client, suppressed), 1);
    assert_eq!(value::<String>(&mut client, "select string_agg(reason, ',') from dbre.suppressions"), "said again");
    for format in ["markdown", "brief"] {
        let report: String = value(&mut client, &format!("select dbre.report('{format}', {check})"));
        assert!(report.contains("1 finding suppressed"), "{report}");
    }
    let report: String = value(&mut client, &format!("select dbre.report('json', {check})"));
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["suppressed"], 1, "{report}");
    assert_eq!(unsuppress(&mut client, &format!("'{fingerprint}'")), 1);
    assert_eq!(unsuppress(&mut client, &format!("'{fingerprint}'")), 0);
    assert_eq!(objects(&mut client, check).len(), 2);

    execute(
        &mut client,
        "select dbre.suppress(rule => 'foreign_key_without_index', object_pattern => 'b.%', reason => 'b')",
    );
    assert_eq!(objects(&mut client, check), ["a.child(parent_id)"]);
    execute(&mut client, "select dbre.suppress(rule => 'foreign_key_without_index', reason => 'all of them')");
    assert!(objects(&mut client, check).is_empty());
    assert_eq!(value::<i64>(&mut client, suppressed), 2);
    assert_eq!(unsuppress(&mut client, "rule => 'foreign_key_without_index'"), 1);
    assert_eq!(unsuppress(&mut client, "rule => 'foreign_key_without_index', object_pattern => 'b.%'"), 1);

    let until = |client: &mut Client, until: &str| {
        execute(client, &format!("select dbre.suppress('{fingerprint}', reason => 'for a while', until => {until})"));
    };
    until(&mut client, "now() - interval '1 second'");
    assert_eq!(objects(&mut client, check).len(), 2, "a suppression that has ended");
    until(&mut client, "now() + interval '1 hour'");
    assert_eq!(objects(&mut client, check).len(), 1);
}
