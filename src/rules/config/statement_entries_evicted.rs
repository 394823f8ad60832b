use crate::facts::Facts;
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, Days, rounded};

pub static RULE: Rule = Rule {
    id: "statement_entries_evicted",
    category: "config",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "pg_stat_statements was full and has evicted entries since its reset. Of severity medium where at least as many as it holds \
                 are gone and it was full once a day or more, else low. Low, too, where nothing is evicted yet but it is full to nearly_full.",
    effect: "What was evicted is in no sum: totals are too low, shares of what is left too high, and a statement that comes back counts \
              from zero.",
    workaround: "Raise pg_stat_statements.max (a restart). Where most entries were called once, make the statements alike instead: \
                 parameters for lists (= any ($1)), no generated names.",
    sources: &["https://www.postgresql.org/docs/17/pgstatstatements.html"],
    options: &[OptionSpec::number(
        "nearly_full",
        (0.95, "of pg_stat_statements.max"),
        (0.0, 1.0),
        "From here on eviction is near.",
    )],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "nearly full, had one set the limit so low",
            setup: "create extension pg_stat_statements; select dbre.configure_rule('statement_entries_evicted', options => \
                    '{\"nearly_full\": 0}')",
            finds: 1,
            fix_clears: false,
        },
        Case { name: "far from full", setup: "create extension pg_stat_statements", finds: 0, fix_clears: false },
    ],
    check,
};

/// The server evicts so much of all entries at once, ten at least.
const EVICTED_AT_ONCE: f64 = 0.05;
/// More entries are not asked for.
const MOST_ENTRIES: u64 = 100_000;
/// Shared memory of an entry, about.
const ENTRY_BYTES: u64 = 500;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statistics = facts.statement_statistics();
    let (totals, max) = (&statistics.totals, statistics.setup.max_entries);
    let full = totals.entries as f64 / max.max(1) as f64;
    let evicting = totals.deallocations > 0;
    if !statistics.counts() || !(evicting || full >= options.number("nearly_full")) {
        return Ok(Vec::new());
    }
    let at_once = (EVICTED_AT_ONCE * max as f64).floor().max(10.0);
    let evicted = at_once * totals.deallocations as f64;
    let days = totals.reset_seconds.map(|seconds| seconds / 86_400.0);
    let often = days.is_some_and(|days| totals.deallocations as f64 >= days) && evicted >= max as f64;
    let once = totals.entries_called_once as f64 / totals.entries.max(1) as f64;
    let wanted = (2 * max).clamp(10_000, MOST_ENTRIES);
    let raise = evicting && once < 0.5 && wanted > max;
    let since = days.map(|days| format!(" in {}", Days(days))).unwrap_or_default();
    let mut cause = match evicting {
        true => format!(
            "There is room for {} entries of all databases (pg_stat_statements.max); each time it is full, the {} least used are dropped, \
             {}{since}. How much time they had counted is not known.",
            Count(max),
            Count(at_once as u64),
            Count(totals.deallocations).of("time"),
        ),
        false => format!(
            "There is room for {} entries of all databases (pg_stat_statements.max), and {} are taken. Nothing is lost yet.",
            Count(max),
            Count(totals.entries),
        ),
    };
    if once >= 0.5 {
        cause += &format!(
            " {:.0}% of the entries were called once: texts that differ in more than constants. More room would fill up as fast.",
            100.0 * once
        );
    }
    let mut finding = Finding {
        severity: if often { Severity::medium } else { Severity::low },
        object: "pg_stat_statements.max".to_string(),
        summary: match evicting {
            true => format!(
                "pg_stat_statements was full {}{since} and evicted about {} entries: its figures are too low",
                Count(totals.deallocations).of("time"),
                Count(evicted as u64)
            ),
            false => format!(
                "pg_stat_statements holds {} of {} entries: the least used will be evicted soon",
                Count(totals.entries),
                Count(max)
            ),
        },
        cause,
        evidence: object! {
            "entries": totals.entries,
            "max_entries": max,
            "entries_called_once": totals.entries_called_once,
            "deallocations": totals.deallocations,
            "entries_evicted_estimated": evicted,
            "counted_days": days.map(rounded),
        },
        app_fix: (once >= 0.5).then(|| {
            "Send lists as one parameter: column.in_(values) makes one text for each length; column == sqlalchemy.any_(array) is one for all. \
             Avoid generated table, savepoint and cursor names."
                .to_string()
        }),
        verify_sql: Some(format!("select i.dealloc, i.stats_reset from {}.pg_stat_statements_info i;", statistics.setup.schema)),
        ..Finding::that_changes_nothing()
    };
    if raise {
        finding.fix_sql = Some(format!("alter system set pg_stat_statements.max = {wanted};"));
        finding.rollback = Rollback::Sql(format!("alter system set pg_stat_statements.max = {max};"));
        finding.risk = format!(
            "Takes effect with the next restart. About {} more of shared memory.",
            crate::units::Bytes((wanted - max) * ENTRY_BYTES)
        );
    }
    Ok(vec![finding])
}
