use crate::advice::blocked_finding::{OPTIONS, sessions_wait, severity};
use crate::advice::blocked_trees::{Reason, Tree, trees};
use crate::advice::blocking::{self, Blocking};
use crate::advice::end_session::{Ending, duration};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vacuum_blocks_ddl",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A VACUUM that does not yield, which is autovacuum to prevent wraparound or a client's VACUUM (not FULL), holds a lock \
                that others have waited for, one of them for at least min_seconds. At least many wait: critical; none for \
                long_seconds: medium; else high.",
    effect: "DDL waits until it is done, which on a large table takes hours, and everything else on the table waits behind the DDL.",
    workaround: "Let the VACUUM finish, and run the DDL after it: the one to prevent wraparound is started again when it is cancelled, \
                 and begins anew.",
    sources: &["https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND"],
    options: &OPTIONS,
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "readers behind ALTER TABLE, which waits for VACUUM",
            setup: "select dbre.configure_rule('vacuum_blocks_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); insert \
                    into t select generate_series(1, 100000); create table sessions (step int, session text, role text, statement text, \
                    waits bool default false); insert into sessions values (1, 'nightly', null, 'set vacuum_cost_limit = 1; set \
                    vacuum_cost_delay = 100', false), (2, 'nightly', null, 'vacuum t', true), (3, 'migration', null, 'alter table t \
                    add n int', true), (4, 'one', null, 'select from t limit 1', true)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "nobody waits",
            setup: "select dbre.configure_rule('vacuum_blocks_ddl', options => '{\"min_seconds\": 0}'); create table t (id int); insert \
                    into t select generate_series(1, 100000); create table sessions (step int, session text, role text, statement text, \
                    waits bool default false); insert into sessions values (1, 'nightly', null, 'set vacuum_cost_limit = 1; set \
                    vacuum_cost_delay = 100', false), (2, 'nightly', null, 'vacuum t', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let blocking = Blocking::of(facts.activity());
    let of_vacuum = trees(&blocking).into_iter().filter(|tree| tree.reason == Reason::Vacuum);
    Ok(of_vacuum.filter_map(|tree| judge(&blocking, &tree, options)).collect())
}

fn judge(blocking: &Blocking, tree: &Tree, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&tree.waiting);
    let root = blocking.party(&blocking.nodes[tree.root]);
    let session = blocking.session(root)?;
    if waiting.longest_seconds < options.number("min_seconds") || !blocking.concerns_any(tree.root, &tree.waiting) {
        return None;
    }
    let count = tree.waiting.len();
    // Those whom others queue behind; one that waits alone harms nobody.
    let in_front =
        tree.waiting.iter().map(|place| &blocking.nodes[*place]).filter(|node| node.parent == Some(tree.root));
    let in_front: Vec<_> = in_front.filter(|node| node.blocks_directly > 0).map(|node| blocking.party(node)).collect();
    let endings: Result<Vec<Ending>, String> = in_front.iter().map(|party| blocking.ending(party)).collect();
    let fix = endings.as_ref().ok().filter(|all| !all.is_empty());
    let (who, doing) = (blocking.described(root), blocking.doing(root));
    let mut evidence = blocking.of_root(root);
    evidence.extend(object! {
        "blocked": count,
        "blocked_directly": waiting.directly,
        "longest_wait_seconds": waiting.longest_seconds,
        "waiting": waiting.rows,
    });
    Some(Finding {
        severity: severity(options, count, waiting.longest_seconds),
        object: blocking.identity(root),
        weight: count as u64,
        summary: format!("{} for {}; the longest for {}", sessions_wait(count), named(session), duration(waiting.longest_seconds)),
        cause: format!(
            "{} ({who}) {doing}.{} {}{}",
            named(session),
            blocking.last_statement(root),
            match in_front.first() {
                Some(party) => format!(
                    "The {} waits for it, and others queue behind that: fix_sql cancels what waits, which has done nothing yet.",
                    blocking.described(party)
                ),
                None => "Nobody queues behind those that wait: no fix_sql, they go on when it is done, or are cancelled where they run."
                    .to_string(),
            },
            endings.as_ref().err().map_or(String::new(), |why| format!(" No fix_sql: {why}.")),
        ),
        evidence,
        impact: object! { "sessions_waiting": change((count, "measured"), (0, "estimated")) },
        fix_sql: fix.map(|all| all.iter().map(|ending| ending.sql.as_str()).collect::<Vec<_>>().join("\n")),
        app_fix: Some(
            "Run the migration when the VACUUM is done (dbre.long_running shows how far it is), with SET lock_timeout = '2s' and retries on \
             SQLSTATE 55P03, so that nothing queues behind it."
                .to_string(),
        ),
        risk: fix.and_then(|all| all.first()).map_or_else(|| Finding::that_changes_nothing().risk, |ending| ending.risk.clone()),
        verify_sql: Some(blocking::verify_sql(root)),
        ..Finding::that_changes_nothing()
    })
}

fn named(session: &Session) -> &'static str {
    match session.is_client() {
        true => "A VACUUM",
        false => "Autovacuum to prevent wraparound",
    }
}
