use crate::facts::query::QueryShape;
use crate::facts::{Facts, IndexAdvice, Table};
use crate::finding::{Finding, Severity, fingerprint, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{listing, rounded};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "query_without_index_help",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query takes at least min_share of the workload's cost, costs the planner at least min_cost, and the indexes \
                that dbre.index_advice() has chosen cut that by less than min_gain. Of severity low for a single query.",
    effect: "The time goes on where no index can save it.",
    workaround: "Where it reads most of a table, ask for less: a narrower \
                 condition, a page, an aggregate that is kept. Where the condition is one that no index serves, write one that \
                 an index does.",
    sources: &[
        "https://www.postgresql.org/docs/17/planner-stats.html",
        "https://www.postgresql.org/docs/17/indexes.html",
    ],
    options: &[
        OptionSpec::number(
            "min_share",
            (0.05, "of the workload's cost"),
            (0.0, 1.0),
            "Queries below it are not worth a finding.",
        ),
        OptionSpec::number("min_cost", (1000.0, "planner cost units"), (0.0, 1e12), "Cheaper queries are left alone."),
        OptionSpec::number("min_gain", (0.1, "of the query's cost"), (0.0, 1.0), "From here on, indexes help."),
    ],
    needs: &[Need::Catalog, Need::IndexAdvice],
    cases: &[
        Case {
            name: "all rows are wanted",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g, md5(g::text) from \
                    generate_series(1, 100000) g; vacuum analyze t; create table workload as select 'select * from t where a \
                    > 5' as query, 10 as calls, 50.0 as mean_ms",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an index helps, or the query is cheap",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g, md5(g::text) from \
                    generate_series(1, 100000) g; create table small (a int); insert into small select generate_series(1, \
                    100); vacuum analyze t; vacuum analyze small; create table workload as select * from (values ('select b \
                    from t where a = 5', 10, 50.0), ('select * from small', 100, 0.1)) w (query, calls, mean_ms)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let advice = facts.index_advice();
    let findings = (0..advice.queries.len()).filter_map(|place| {
        let cost = advice.selection.queries[place].as_ref()?;
        let concerned = cost.before >= options.number("min_cost")
            && advice.share(place) >= options.number("min_share")
            && cost.after > cost.before * (1.0 - options.number("min_gain"))
            && advice.queries[place].shape.references.iter().any(|reference| {
                // Of temporary tables and of other schemas nothing was tried.
                facts.catalog().known(reference.table).is_some_and(|table| table.judged && table.is_maintained())
            });
        concerned.then(|| finding(facts, advice, place))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, advice: &IndexAdvice, place: usize) -> Finding {
    let query = &advice.queries[place];
    let tables: BTreeSet<u32> = query.shape.references.iter().map(|reference| reference.table).collect();
    let tables: Vec<&Table> = tables.into_iter().filter_map(|oid| facts.catalog().known(oid)).collect();
    let names: Vec<String> = tables.iter().map(|table| table.name.to_string()).collect();
    let share = advice.share(place);
    let single = advice.queries.len() == 1;
    Finding {
        severity: if single { Severity::low } else { RULE.severity },
        object: match query.query_id {
            Some(id) => format!("query {id}"),
            None => format!("query {}", fingerprint("query", &query.text)),
        },
        weight: (share * 1e6) as u64,
        summary: format!(
            "No index helps a query on {} that takes {:.0}% of the workload's cost",
            listing(&names),
            100.0 * share
        ),
        cause: cause(&query.shape).to_string(),
        evidence: object! {
            "query": advice.query(place),
            "tables": names,
            "workload_share": rounded(share),
            "workload": advice.summary(),
        },
        ..Finding::that_changes_nothing()
    }
}

fn cause(shape: &QueryShape) -> &'static str {
    match shape.references.iter().any(|reference| !reference.conditions.is_empty()) {
        true => {
            "The planner was shown indexes on its conditions, joins and orders, and none is worth its keep within budget and \
             max_indexes_per_table: the plan is about as fast without, as the conditions leave much of the table, or writes \
             would cost more than it saves. Ask for fewer rows \
             or columns, keep an aggregate, or split the query."
        }
        false => {
            "It has no condition that an index could serve: it reads whole tables, or compares by expressions that are not \
             immutable or that no operator class knows. Add a condition on a column, or write the comparison with the bare column \
             on one side."
        }
    }
}
