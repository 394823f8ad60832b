use crate::advice::waits::{Group, ends_transaction, groups};
use crate::facts::Facts;
use crate::facts::activity::{Activity, Session, Standby};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{duration, listing};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "waits_on_commit",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At this moment at least min_sessions sessions, and min_share of those that run, wait for the same thing in their \
                commit: WAL that is written or flushed, the end of transactions, a synchronous standby. Medium where half of these statements have run for a second, or where \
                dbre.activity_history has the same share, of one session or more, in at least ten samples; else low, for one look is an accident. High \
                where it is at least half of those that run, ten or more, half of their statements have run for a second, and what else runs does not \
                fill the cores; critical where a COMMIT, or with no synchronous standby connected any statement, has waited for a standby for \
                standby_seconds.",
    effect: "Every write takes as long as the slowest of disk and standby. When no standby confirms, commits never end, and connections run \
                 out.",
    workaround: "More rows in each transaction, faster storage for WAL, a second synchronous standby: synchronous_standby_names = \
                     'ANY 1 (a, b)'.",
    sources: &[
        "https://www.postgresql.org/docs/17/warm-standby.html#SYNCHRONOUS-REPLICATION",
        "https://www.postgresql.org/docs/17/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT",
    ],
    options: &[
        OptionSpec::number("min_sessions", (5.0, "sessions"), (1.0, 1e6), "Fewer are an accident of the moment."),
        OptionSpec::number("min_share", (0.25, "of those that run"), (0.0, 1.0), "Less is left alone."),
        OptionSpec::number(
            "standby_seconds",
            (10.0, "seconds"),
            (0.0, 1e9),
            "A commit that takes so long has no standby.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "stopped in the middle of writing WAL",
            // Where it holds what this session needs as well, it is freed after a second at most; once it is caught, it stands still
            // until SIGTERM, which is bit 14 of those that are pending, waits for it, or all have waited for too long.
            setup: "select dbre.configure_rule('waits_on_commit', options => '{\"min_sessions\": 1}'); \
                    create table t (id int); create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (2, 'busy', null, \
                    'do $$ begin loop insert into t values (1); commit; end loop; end $$', true), \
                    (3, 'stops the other in the middle', null, $stop$do $$ declare busy int := (select pid from pg_stat_activity \
                    where datname = current_database() and application_name = 'busy'); begin \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; (trap \"\" TERM; n=0; while [ $n -lt 200 ] && kill -0 %1$s \
                    && ! grep -Eq \"^ShdPnd:.*[4-7c-f]...$\" /proc/%1$s/status; do sleep 0.1; if [ -e caught_%1$s ]; then n=$((n+1)); else \
                    r=$(((r+1) %% 10)); [ $r -gt 0 ] || kill -CONT %1$s; fi; done; while kill -CONT %1$s; do sleep 0.2; done; rm -f caught_%1$s) \
                    > /dev/null 2>&1 &', busy)); \
                    for time in 1..1000 loop \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; kill -STOP %s', busy)); \
                    perform pg_stat_clear_snapshot(); \
                    if exists (select from pg_stat_activity where pid = busy and wait_event = 'WalWrite') then \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; touch caught_%s; sleep 0.2', busy)); \
                    perform pg_stat_clear_snapshot(); \
                    exit when exists (select from pg_stat_activity where pid = busy and wait_event = 'WalWrite'); \
                    end if; \
                    execute format('copy (select 1) to program %L', format('cat > /dev/null; rm -f caught_%1$s; kill -CONT %1$s', busy)); \
                    end loop; end $$$stop$, false)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "commits that do not wait",
            setup: "create table t (id int); create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'web', null, 'insert into t values (1)', false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let groups = groups(activity, ends_transaction);
    let findings = groups.iter().filter_map(|group| {
        let hangs = waited(activity, group).filter(|seconds| *seconds >= options.number("standby_seconds"));
        match hangs {
            Some(seconds) if group.wait.event == "SyncRep" => Some(no_standby(activity, group, seconds, options)),
            _ if group.is_many(options.number("min_sessions"), options.number("min_share")) => {
                Some(group.finding(activity, options.number("min_share")))
            }
            _ => None,
        }
    });
    Ok(findings.collect())
}

/// For how long one has certainly waited: since when it commits is not known of a statement that did something else before, unless no
/// standby is there to confirm any.
fn waited(activity: &Activity, group: &Group) -> Option<f64> {
    let confirms = activity.standbys.iter().any(|standby| standby.synchronous != Some(false));
    let commits = |session: &&&Session| {
        let text = session.query.as_deref().unwrap_or_default().trim_start().to_lowercase();
        !confirms || text.starts_with("commit") || text.starts_with("end")
    };
    group.sessions.iter().filter(commits).filter_map(|session| session.query_seconds).max_by(f64::total_cmp)
}

fn no_standby(activity: &Activity, group: &Group, seconds: f64, options: &Options) -> Finding {
    let named = |standby: &Standby| {
        let session = activity.sessions.iter().find(|session| session.pid == standby.pid)?;
        Some(match standby.synchronous {
            Some(false) => format!("{} (asynchronous)", session.application),
            _ => session.application.clone(),
        })
    };
    let names: Vec<String> = activity.standbys.iter().filter_map(named).collect();
    let connected = match names.is_empty() {
        true => "No standby is connected".to_string(),
        false => format!("Connected are {}", listing(&names)),
    };
    let mut finding = group.finding(activity, options.number("min_share"));
    finding.severity = Severity::critical;
    finding.summary = format!(
        "{}, for up to {}: synchronous_standby_names = '{}'",
        group.summary("have committed and wait for a synchronous standby"),
        duration(seconds),
        activity.synchronous_standby_names
    );
    finding.cause = format!("{connected}; needed are those of synchronous_standby_names. {}", finding.cause);
    finding.evidence.insert("longest_seconds".to_string(), json!(seconds));
    finding.evidence.insert("synchronous_standby_names".to_string(), json!(activity.synchronous_standby_names));
    finding.evidence.insert("connected_standbys".to_string(), json!(names));
    finding.verify_sql = Some(
        "select not exists (select from pg_catalog.pg_stat_get_activity(null) where wait_event = 'SyncRep' and \
         query_start < pg_catalog.clock_timestamp() - interval '10 s') as commits_end;"
            .to_string(),
    );
    finding
}
