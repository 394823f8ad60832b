use crate::advice::waits::{groups, is_lwlock};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "waits_on_lwlock",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At this moment at least min_sessions sessions, and min_share of those that run, wait for the same LWLock, a short lock on \
                the server's own memory; but not one of a commit, of which waits_on_commit tells. Medium where half of these statements have run for a second, or where \
                dbre.activity_history has the same share, of one session or more, in at least ten samples; else low, for one look is an accident. High \
                where it is at least half of those that run, ten or more, half of their statements have run for a second, and what else runs does not \
                fill the cores.",
    effect: "More sessions do not do more work: they queue inside of the server, and each added connection makes it slower.",
    workaround: "What the lock protects tells the remedy (each finding says it for its lock); in all cases fewer sessions that run at once, \
                     by a pooler in transaction mode.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#WAIT-EVENT-LWLOCK-TABLE"],
    options: &[
        OptionSpec::number("min_sessions", (5.0, "sessions"), (1.0, 1e6), "Fewer are an accident of the moment."),
        OptionSpec::number("min_share", (0.25, "of those that run"), (0.0, 1.0), "Less is left alone."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "two write to one page of an index",
            // The comparison of keys runs while the page is locked, and who holds such a lock is not interrupted.
            setup: "select dbre.configure_rule('waits_on_lwlock', options => '{\"min_sessions\": 1}'); create function slow_compare(a int, b int) returns int language plpgsql as $$ begin \
                    if current_setting('application_name') = 'first' then \
                    for time in 1..300 loop perform pg_stat_clear_snapshot(); exit when exists (select from pg_stat_activity where \
                    datname = current_database() and query like 'select pg_terminate_backend%'); perform pg_sleep(0.1); end loop; \
                    end if; \
                    return sign(a - b)::int; end $$; \
                    create operator class slow for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, \
                    operator 5 >, function 1 slow_compare(int, int); \
                    create table t (id int); create index on t (id slow); insert into t values (1); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'first', null, 'insert into t values (2)', true), \
                    (2, 'second', null, 'insert into t values (3)', true)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "only one waits",
            setup: "create function slow_compare(a int, b int) returns int language plpgsql as $$ begin \
                    if current_setting('application_name') = 'first' then \
                    for time in 1..300 loop perform pg_stat_clear_snapshot(); exit when exists (select from pg_stat_activity where \
                    datname = current_database() and query like 'select pg_terminate_backend%'); perform pg_sleep(0.1); end loop; \
                    end if; \
                    return sign(a - b)::int; end $$; \
                    create operator class slow for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, \
                    operator 5 >, function 1 slow_compare(int, int); \
                    create table t (id int); create index on t (id slow); insert into t values (1); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'first', null, 'insert into t values (2)', true), \
                    (2, 'second', null, 'insert into t values (3)', true)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let groups = groups(activity, is_lwlock);
    let many = groups.iter().filter(|group| group.is_many(options.number("min_sessions"), options.number("min_share")));
    Ok(many.map(|group| group.finding(activity, options.number("min_share"))).collect())
}
