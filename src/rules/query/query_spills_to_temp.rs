use crate::advice::measured_query::{alter_role, excerpt, finding, judged};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{BLOCK, Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_spills_to_temp",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query writes at least min_temp_bytes per call to temporary files. Of severity medium from medium_temp_bytes per call and \
                 min_calls calls on, else low.",
    effect: "What does not fit into work_mem is written and read again: slower than memory, and it takes disk bandwidth from others.",
    workaround: "Sort and hash fewer or narrower rows, or give an index that has the order; raise work_mem for the role or the transaction, \
                 not for all.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-WORK-MEM",
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
    ],
    options: &[
        OptionSpec::bytes("min_temp_bytes", Bytes::MIB, "Queries that write less per call are left alone."),
        OptionSpec::bytes("medium_temp_bytes", 16 * Bytes::MIB, "From here on the finding is of severity medium."),
        OptionSpec::bytes("max_work_mem_bytes", 64 * Bytes::MIB, "More is not proposed for all sessions of a role."),
        OptionSpec::number(
            "min_calls",
            (5.0, "calls"),
            (1.0, 1e12),
            "With fewer the finding is of severity low and has no fix.",
        ),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "a sort of eight megabytes",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set max_parallel_workers_per_gather = 0; create table t \
                    (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 200000) g; vacuum analyze t; \
                    create table traffic as select 1 as step, 'select v from t order by v offset 199999' as query, 5 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a sort that fits",
            setup: "create extension pg_stat_statements; create table t (id int primary key, v text); insert into t select g, md5(g::text) \
                    from generate_series(1, 5000) g; vacuum analyze t; create table traffic as select 1 as step, 'select v from t order by v \
                    offset 4999' as query, 5 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Rows take more in memory than in a file: headers, pointers, alignment.
const MEMORY_TO_FILE: f64 = 3.0;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let queries = judged(facts).filter(|(_, kind)| *kind != Kind::Utility);
    Ok(queries.filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let calls = statement.calls as f64;
    let written = statement.temp_written_blocks as f64 * BLOCK / calls.max(1.0);
    if written < options.number("min_temp_bytes") {
        return None;
    }
    let work_mem = statement.work_mem_bytes as f64;
    let needed = ((work_mem.max(MEMORY_TO_FILE * written)) / Bytes::MIB as f64).ceil() * Bytes::MIB as f64;
    let mut finding = finding(facts, statement, kind, statement.total_ms);
    let often = calls >= options.number("min_calls");
    finding.severity =
        if often && written >= options.number("medium_temp_bytes") { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{} writes {} per call to temporary files: {} of {} ms; work_mem is {}",
        excerpt(&statement.text),
        Bytes(written as u64),
        Count(statement.calls).of("call"),
        shown(statement.mean_ms()),
        Bytes(work_mem as u64),
    );
    finding.cause = format!(
        "{} in all. With work_mem = {} it would probably stay in memory: {MEMORY_TO_FILE} times what a call writes ({}), for rows take more \
         in memory than in a file. Several sorts or hashes in one query share that sum, so that less may do; which node it is shows \
         dbre.explain_findings(query, analyze => true).",
        Bytes((written * calls) as u64),
        Bytes(needed as u64),
        Bytes(written as u64),
    );
    let all = facts.statement_statistics().totals.temp_blocks;
    let share = (statement.temp_written_blocks as f64 / all.max(1.0)).min(1.0);
    finding.evidence.extend(object! {
        "temp_bytes_per_call": rounded(written),
        "temp_bytes": rounded(written * calls),
        "temp_read_bytes_per_call": rounded(statement.temp_read_blocks as f64 * BLOCK / calls.max(1.0)),
        "share_of_temp": rounded(share),
        "work_mem_bytes": statement.work_mem_bytes,
        "work_mem_needed_bytes_estimated": needed,
    });
    let megabytes = needed / Bytes::MIB as f64;
    finding.app_fix = Some(format!(
        "For this query alone, in its transaction: connection.exec_driver_sql(\"set local work_mem = '{megabytes}MB'\")."
    ));
    if MEMORY_TO_FILE * written <= work_mem {
        finding.severity = Severity::low;
        finding.cause = format!(
            "{} in all. work_mem of the role is {} times that of a call by now: most of it was counted before it was raised, or the query \
             has several sorts or hashes, or sessions set less.",
            Bytes((written * calls) as u64),
            shown(work_mem / written),
        );
    } else if needed > options.number("max_work_mem_bytes") {
        finding.cause += " That is too much to be set for all sessions of the role.";
    } else if let Some(role) = alter_role(facts, statement).filter(|_| often) {
        finding.fix_sql = Some(format!("{role} set work_mem = '{megabytes}MB';"));
        finding.rollback = Rollback::Sql(match statement.work_mem_is_of_role_here {
            true => format!("{role} set work_mem = '{}kB';", statement.work_mem_bytes / 1024),
            false => format!("{role} reset work_mem;"),
        });
        finding.risk = format!(
            "New sessions of the role have it. Each sort or hash table of each of them may take {}: with many sessions at once count that \
             against the memory of the machine.",
            Bytes(needed as u64)
        );
    }
    Some(finding)
}
