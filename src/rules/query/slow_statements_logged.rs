use crate::advice::logged::{of_group, times, verify};
use crate::advice::plan_weight::shown;
use crate::facts::server_log::Group;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::on_one_line;

pub static RULE: Rule = Rule {
    id: "slow_statements_logged",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The log has executions of a statement that took at least slow_ms. High when they take that long in \
                    the mean, at least many times; medium when it is so for some of them, or fewer; low for a single \
                    one, and for maintenance.",
    effect: "A user waits; and a connection of the pool is taken for as long.",
    workaround: "dbre.explain_findings() tells what makes it slow. What is below log_min_duration_statement is not in \
                    the log, so the mean is that of the slow ones.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-logging.html#GUC-LOG-MIN-DURATION-STATEMENT",
        "https://www.postgresql.org/docs/17/auto-explain.html",
    ],
    options: &[
        OptionSpec::number("slow_ms", (1000.0, "ms"), (0.0, 1e9), "Executions that take less are left alone."),
        OptionSpec::number("many", (10.0, "executions"), (1.0, 1e9), "So many of a statement are high."),
        OptionSpec::number(
            "findings",
            (20.0, "statements"),
            (1.0, 1000.0),
            "Those with the largest total time are told.",
        ),
    ],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "ten lookups of two seconds",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"duration: 2500.000 ms  statement: select * from orders where note = ' || g || \
                    '\",,,,,,,,,\"web\",\"client backend\",,0' as line from generate_series(1, 10) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the statement is in a plan of auto_explain",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"duration: 2500.000 ms  plan:' || chr(10) || 'Query Text: select * from orders \
                    where note = ' || g || chr(10) || 'Seq Scan on orders  (cost=0.00..1.00 rows=1 \
                    width=4)\",,,,,,,,,\"web\",\"client backend\",,0' as line from generate_series(1, 3) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all are fast enough",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"duration: 250.000 ms  statement: select * from orders where note = ' || g || \
                    '\",,,,,,,,,\"web\",\"client backend\",,0' as line from generate_series(1, 10) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// What is long by its nature, and waited for by nobody.
const MAINTENANCE: [&str; 9] =
    ["vacuum", "analyze", "create", "reindex", "cluster", "refresh", "alter", "copy", "drop"];
const FEW: u64 = 3;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    let slow = log.slow.iter().filter(|group| group.events.largest >= options.number("slow_ms"));
    Ok(slow.take(options.number("findings") as usize).map(|group| judge(log, group, options)).collect())
}

fn judge(log: &ServerLog, group: &Group, options: &Options) -> Finding {
    let (slow, events) = (options.number("slow_ms"), &group.events);
    let word = group.text.split_whitespace().next().unwrap_or_default().to_lowercase();
    let many = events.count as f64 >= options.number("many");
    let severity = if MAINTENANCE.contains(&word.as_str()) {
        Severity::low
    } else if events.mean() >= slow && many {
        Severity::high
    } else if (events.mean() >= slow && events.count >= FEW) || (events.p95() >= slow && many) {
        Severity::medium
    } else {
        Severity::low
    };
    let mut evidence = of_group(log, group, "ms");
    evidence.extend(object! {
        "log_min_duration_statement": log.settings.shown("log_min_duration_statement"),
        "plans_logged": group.plans.count,
    });
    Finding {
        severity,
        object: group.object.clone(),
        weight: events.total as u64,
        summary: format!(
            "Logged {} with {} ms in the mean, {} ms at most, {} s in all: {}",
            times(events.count),
            shown(events.mean()),
            shown(events.largest),
            shown(events.total / 1000.0),
            on_one_line(&group.text)
        ),
        cause: format!(
            "95% of the logged executions took at most {} ms. select * from dbre.explain_findings(…) with largest_query of the \
             evidence tells where the time goes.",
            shown(events.p95())
        ),
        evidence,
        verify_sql: Some(verify(RULE.id, &group.object)),
        ..Finding::that_changes_nothing()
    }
}
