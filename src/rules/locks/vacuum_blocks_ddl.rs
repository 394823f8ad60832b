use crate::advice::blocked_finding::{OPTIONS, sessions_wait, severity};
use crate::advice::blocked_trees::{Reason, Tree, trees};
use crate::advice::blocking::{self, Blocking};
use crate::facts::Facts;
use crate::facts::activity::Session;
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{capitalized, duration};

pub static RULE: Rule = Rule {
    id: "vacuum_blocks_ddl",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A VACUUM that does not yield, which is autovacuum to prevent wraparound or a client's VACUUM (not FULL), holds a lock \
                that others have waited for, one of them for at least min_seconds. At least many wait: critical; none for \
                long_seconds: medium; else high. Not where it waits itself for who has pinned a page with an open cursor, \
                or in the only long statement on the table: that one holds up all (sessions_blocked). Not for a queue behind DDL that another session holds up, too \
                (lock_queue_behind_ddl).",
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
        Case {
            name: "its statement begins with a comment",
            setup: "select dbre.configure_rule('vacuum_blocks_ddl', options => '{\"min_seconds\": 0}'); create \
                    table t (id int); insert into t select generate_series(1, 100000); create table sessions (step \
                    int, session text, role text, statement text, waits bool default false); insert into sessions \
                    values (1, 'nightly', null, 'set vacuum_cost_limit = 1; set vacuum_cost_delay = 100', false), (2, \
                    'nightly', null, '/* nightly job */ vacuum t', true), (3, 'migration', null, 'alter table t add n \
                    int', true), (4, 'one', null, 'select from t limit 1', true)",
            finds: 1,
            fix_clears: true,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let blocking = Blocking::of(facts.activity());
    Ok(trees(&blocking, Reason::Vacuum).iter().filter_map(|tree| judge(&blocking, tree, options)).collect())
}

fn judge(blocking: &Blocking, tree: &Tree, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&tree.roots, &tree.waiting);
    let waits = blocking.waits();
    let root = blocking.party(&blocking.nodes[tree.roots[0]]);
    let session = blocking.session(root.who)?;
    if waiting.longest_seconds < options.number("min_seconds") || !blocking.concerns_any(&tree.roots, &tree.waiting) {
        return None;
    }
    let count = tree.waiting.len();
    // Those whom others queue behind; one that waits alone harms nobody.
    let direct = waits.blocked_by(&tree.roots);
    let others_wait = |place: &usize| direct[*place] && !waits.waiters(*place).is_empty();
    let in_front: Vec<usize> = tree.waiting.iter().copied().filter(others_wait).collect();
    let in_front = waits.needed(in_front);
    let goes_on = match in_front.is_empty() {
        true => tree.freed,
        false => waits.freed(&in_front).iter().filter(|place| tree.waiting.binary_search(place).is_ok()).count(),
    };
    let in_front = blocking.parties(&in_front);
    let script = blocking.end_all(&in_front);
    let fix = script.as_ref().ok().filter(|_| !in_front.is_empty());
    let (name, who, doing) = (named(session), blocking.described(root.who), blocking.doing(root));
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
        summary: format!("{} for {}; the longest for {}", sessions_wait(count), name, duration(waiting.longest_seconds)),
        cause: format!(
            "{} ({who}) {doing}.{} {}{}{}{}",
            capitalized(name),
            blocking.last_statement(root),
            match session.waits_at("BufferPin") {
                true => {
                    "At this moment it waits for a page that somebody has pinned (BufferPin), whom the server does not name: if it lasts, \
                     it does not go on before that one does. Look for long statements and open cursors on the table (dbre.long_running). "
                }
                false => "",
            },
            match in_front.first() {
                Some(party) => format!(
                    "The {} waits for it, and others queue behind that: fix_sql cancels what waits{}.",
                    blocking.described(party.who),
                    match in_front.iter().all(|party| blocking.has_done_nothing(party)) {
                        true => ", which has done nothing yet",
                        false => ", with all that its transaction has done",
                    }
                ),
                None => format!(
                    "Nobody waits for those alone that wait for it: no fix_sql, they {}are cancelled where they run.",
                    if session.waits_at("BufferPin") { "" } else { "go on when it is done, or " }
                ),
            },
            match tree.others.is_empty() {
                true => String::new(),
                false => format!(" Who waits also waits for {}.", blocking.with_endings(&blocking.parties(&tree.others))),
            },
            blocking::why_no_fix(&script),
        ),
        evidence,
        impact: object! { "sessions_waiting": change((count, "measured"), (count - in_front.len() - goes_on, "estimated")) },
        fix_sql: fix.map(|script| script.sql.clone()),
        app_fix: Some(
            "Run the migration when the VACUUM is done (dbre.long_running shows how far it is), with SET lock_timeout = '2s' and retries on \
             SQLSTATE 55P03, so that nothing queues behind it."
                .to_string(),
        ),
        risk: fix.map_or_else(|| Finding::that_changes_nothing().risk, |script| script.risk.clone()),
        verify_sql: Some(blocking::verify_sql(&[root], &[])),
        ..Finding::that_changes_nothing()
    })
}

fn named(session: &Session) -> &'static str {
    match session.is_client() {
        true => "a VACUUM",
        false => "autovacuum to prevent wraparound",
    }
}
