use crate::advice::waits::groups;
use crate::facts::Facts;
use crate::facts::activity::Wait;
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "waits_on_io",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At this moment at least min_sessions sessions, and min_share of those that run, wait for the same kind of access to \
                files, but for WAL, or for others that read the same page. Medium where half of these statements have run for a second, or where \
                dbre.activity_history has the same share, of one session or more, in at least ten samples; else low, for one look is an accident. High \
                where it is at least half of those that run, ten or more, half of their statements have run for a second, and what else runs does not \
                fill the cores.",
    effect: "Storage is what everybody waits for: requests take as long as the disk, and hold their connections for as long.",
    workaround: "Read and write less before buying faster disks: missing indexes (dbre.workload_findings()), sorts and hashes that spill, \
                     memory for what is read all the time; then faster storage.",
    sources: &["https://www.postgresql.org/docs/17/monitoring-stats.html#WAIT-EVENT-IO-TABLE"],
    options: &[
        OptionSpec::number("min_sessions", (5.0, "sessions"), (1.0, 1e6), "Fewer are an accident of the moment."),
        OptionSpec::number("min_share", (0.5, "of those that run"), (0.0, 1.0), "Less is left alone."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "stopped in the middle of reading",
            // It stands still until SIGTERM, which is bit 14 of those that are pending, waits for it.
            setup: "select dbre.configure_rule('waits_on_io', options => '{\"min_sessions\": 1}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'busy', null, \
                    'set temp_buffers = 100; create temp table r as select generate_series(1, 300000)', false), \
                    (2, 'busy', null, \
                    'do $$ begin loop perform count(*) from r; end loop; end $$', true), \
                    (3, 'stops the other in the middle', null, $stop$do $$ declare busy int := (select pid from pg_stat_activity \
                    where datname = current_database() and application_name = 'busy'); begin \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; (trap \"\" TERM; while kill -0 %1$s && ! grep -Eq \
                    \"^ShdPnd:.*[4-7c-f]...$\" /proc/%1$s/status; do sleep 0.1; done; while kill -CONT %1$s; do sleep 0.2; \
                    done) > /dev/null 2>&1 &', busy)); \
                    for time in 1..1000 loop \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; kill -STOP %s', busy)); \
                    perform pg_stat_clear_snapshot(); \
                    exit when exists (select from pg_stat_activity where pid = busy and wait_event_type = 'IO'); \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; kill -CONT %s', busy)); \
                    end loop; end $$$stop$, false)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "only one waits",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'busy', null, \
                    'set temp_buffers = 100; create temp table r as select generate_series(1, 300000)', false), \
                    (2, 'busy', null, \
                    'do $$ begin loop perform count(*) from r; end loop; end $$', true), \
                    (3, 'stops the other in the middle', null, $stop$do $$ declare busy int := (select pid from pg_stat_activity \
                    where datname = current_database() and application_name = 'busy'); begin \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; (trap \"\" TERM; while kill -0 %1$s && ! grep -Eq \
                    \"^ShdPnd:.*[4-7c-f]...$\" /proc/%1$s/status; do sleep 0.1; done; while kill -CONT %1$s; do sleep 0.2; \
                    done) > /dev/null 2>&1 &', busy)); \
                    for time in 1..1000 loop \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; kill -STOP %s', busy)); \
                    perform pg_stat_clear_snapshot(); \
                    exit when exists (select from pg_stat_activity where pid = busy and wait_event_type = 'IO'); \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; kill -CONT %s', busy)); \
                    end loop; end $$$stop$, false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let groups = groups(activity, is_io);
    let many = groups.iter().filter(|group| group.is_many(options.number("min_sessions"), options.number("min_share")));
    Ok(many.map(|group| group.finding(activity, options.number("min_share"))).collect())
}

/// Those of WAL are of commits.
fn is_io(wait: &Wait) -> bool {
    let event = wait.event.to_lowercase();
    (wait.kind == "IO" && !event.starts_with("wal")) || (wait.kind == "IPC" && event == "bufferio")
}
