use crate::advice::plan_index::{costs, fixed_by_indexes, is_told_elsewhere};
use crate::advice::plan_reads::Reads;
use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "sequential_scan_discards_rows",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A sequential scan reads at least min_rows, and its filter or the joins above throw away at least min_discarded of them: \
                with an index that is proved to make the query cheaper; without one, where at least min_discarded_without_index are \
                thrown away by the scan's own filter.",
    effect: "The whole table is read for a few rows: the time grows with the table, and its pages push others out of the cache.",
    workaround: "Create the index that fix_sql names. Where none helps, write the condition so that an index can serve it: the bare \
                 column on one side.",
    sources: &[
        "https://www.postgresql.org/docs/17/using-explain.html",
        "https://www.postgresql.org/docs/17/indexes-intro.html",
    ],
    options: &[
        OptionSpec::number("min_rows", (1000.0, "rows read"), (1.0, 1e12), "Scans that read fewer are left alone."),
        OptionSpec::number(
            "min_discarded",
            (0.5, "of the rows read"),
            (0.0, 1.0),
            "From here on, with an index that helps.",
        ),
        OptionSpec::number(
            "min_discarded_without_index",
            (0.99, "of the rows read"),
            (0.0, 1.0),
            "From here on, where no index was proved to help.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "three rows of a large table",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 60000, md5(g::text) from \
                    generate_series(1, 200000) g; vacuum analyze t; create table example as select 'select b from t where a = 7' as \
                    query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "planned, not run",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 60000, md5(g::text) from \
                    generate_series(1, 200000) g; vacuum analyze t; create table example as select 'select b from t where a = $1' as \
                    query, false as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the join throws away, not a filter",
            setup: "create table c (id int primary key, n text); create table t (id int primary key, c int, b text); insert into c \
                    select g, g::text from generate_series(1, 1000) g; insert into t select g, g % 1000, md5(g::text) from \
                    generate_series(1, 200000) g; vacuum analyze c; vacuum analyze t; create table example as select 'select t.b \
                    from c join t on t.c = c.id where c.n = ''77''' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no index serves the pattern",
            setup: "create table t (id int primary key, b text); insert into t select g, md5(g::text) from generate_series(1, \
                    200000) g; vacuum analyze t; create table example as select 'select id from t where b like ''%abcdef%''' as query, \
                    true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "most rows are wanted, or the table is small, or an index is used",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 10, md5(g::text) from \
                    generate_series(1, 100000) g; create table s (a int, b int); insert into s select g, g from generate_series(1, \
                    500) g; vacuum analyze t; vacuum analyze s; create table example as select 'select sum(length(t.b)) from t, s \
                    where t.a > 2 and s.a = 3 and t.id > s.b' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let nodes = facts.explained().plan.nodes.iter().enumerate();
    let scans = nodes.filter(|(_, node)| node.kind == "Seq Scan");
    Ok(scans.filter_map(|(scan, _)| judge(facts, options, scan)).collect())
}

fn judge(facts: &Facts, options: &Options, scan: usize) -> Option<Finding> {
    let reads = Reads::of(facts, scan)?;
    if reads.read < options.number("min_rows") || reads.discarded_share() < options.number("min_discarded") {
        return None;
    }
    let explained = facts.explained();
    let explains = Explains::by_node(explained, scan);
    let mut finding = finding(facts, scan, explains)?;
    if is_told_elsewhere(facts, scan) {
        return None;
    }
    let (name, filter) = (relation(facts, scan)?, explained.node(scan).filter.clone());
    let ran = explained.plan.is_analyzed();
    finding.summary = format!(
        "Sequential scan of {name} reads {} rows to use {}: {}",
        shown(reads.read),
        shown(reads.kept),
        explains.told()
    );
    let by = match (&filter, reads.own) {
        (Some(filter), true) => format!("the filter {filter}"),
        _ => "the joins above".to_string(),
    };
    finding.cause = format!(
        "Of the rows {} {:.1}% are thrown away by {by}.",
        if ran { "read" } else { "that the planner expects to read" },
        100.0 * reads.discarded_share(),
    );
    finding.evidence.extend(object! {
        "rows_read": reads.read.round(),
        "rows_used": reads.kept.round(),
        "filter": filter,
    });
    if let Some(mut fixed) = fixed_by_indexes(facts, scan, &finding) {
        fixed.cause += &format!(" Proved by planning with the index: {}.", costs(facts));
        return Some(fixed);
    }
    let hopeless =
        reads.own && filter.is_some() && reads.discarded_share() >= options.number("min_discarded_without_index");
    hopeless.then(|| {
        finding.severity = finding.severity.max(RULE.severity);
        finding.cause += why_no_index(facts, scan);
        finding
    })
}

fn why_no_index(facts: &Facts, scan: usize) -> &'static str {
    let (explained, advice) = (facts.explained(), facts.index_advice());
    let searched = advice.queries.iter().any(|query| !query.shape.references.is_empty());
    let reads = Reads::of(facts, scan);
    let overestimated = reads.is_some_and(|reads| {
        explained.node(scan).rows > 10.0 * reads.kept && explained.node(scan).rows > 0.05 * reads.read
    });
    if explained.tables[scan].is_none() {
        " Which index would serve cannot be told: the table is not known here."
    } else if overestimated {
        " Not proved that an index helps: the planner expects many more rows than there are, and so takes none to be worth it. Mend \
         the estimate first."
    } else if !searched {
        " Not proved that an index helps: the condition is none that an index of the kinds known here could serve."
    } else if !advice.selection.complete {
        " Not proved that an index helps: the search for one ran out of time. dbre.index_advice() takes a longer one."
    } else {
        " Not proved that an index helps: of those that the planner was shown it takes none. A pattern that begins with a wildcard \
         wants a trigram index (extension pg_trgm), a comparison by a function of the column the same expression in an index."
    }
}
