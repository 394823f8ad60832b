use crate::advice::index_ddl::{self, Creation, NewIndex};
use crate::advice::index_selection::{Alternative, Candidate, Rejection, Step};
use crate::facts::query::Part;
use crate::facts::{Facts, IndexAdvice, Name, Namer, Table};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, rounded};
use serde_json::{Value, json};

pub static RULE: Rule = Rule {
    id: "missing_index",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The search of dbre.index_advice() has chosen an index: with it, and with those of the findings before it, the \
                planner's cost of the workload falls by more than its upkeep costs, within the budget. It does not replace an \
                existing index. Of severity high when the indexes chosen halve the cost of a query that takes at least \
                slow_query_ms, or when this one saves at least large_share of the workload; low when it saves less than \
                small_share.",
    effect: "Queries read rows that they throw away, or sort what an index has in order.",
    workaround: "Create the indexes in the order of the findings: each counts on those before it. Then ask \
                 dbre.validate_index() whether the planner took them and the times fell.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes.html",
        "https://www.postgresql.org/docs/17/using-explain.html",
        "Schlosser, Kossmann, Boissier: Efficient Scalable Multi-Attribute Index Selection Using Recursive Strategies (2019)",
    ],
    options: &[
        OptionSpec::number(
            "slow_query_ms",
            (1000.0, "ms"),
            (0.0, 3_600_000.0),
            "Mean time from which a query that the index helps makes the finding high.",
        ),
        OptionSpec::number(
            "large_share",
            (0.2, "of the workload's cost"),
            (0.0, 1.0),
            "Share saved from which the finding is high, where the workload is more than a list of texts.",
        ),
        OptionSpec::number(
            "small_share",
            (0.02, "of the workload's cost"),
            (0.0, 1.0),
            "Share saved below which the finding is low.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::IndexAdvice],
    cases: &[
        Case {
            name: "a filter on a column without an index",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 5000, md5(g::text) from \
                    generate_series(1, 50000) g; vacuum analyze t; create table workload as select 'select b from t where a \
                    = 7' as query, 100 as calls, 5.0 as mean_ms",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "filter and order of two queries in one index on a partitioned table",
            setup: "create table t (id int, a int, at int) partition by range (at); create table t_1 partition of t for values \
                    from (0) to (50000); create table t_2 partition of t for values from (50000) to (100001); insert into t \
                    select g, g % 2000, g from generate_series(1, 100000) g; vacuum analyze t; create table workload as \
                    values ('select * from t where a = 7 order by at desc limit 5', 100, 9.0), ('select * from t where a = \
                    $1', 100, 9.0); alter table workload rename column1 to query; alter table workload rename column2 to \
                    calls; alter table workload rename column3 to mean_ms",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an expression, quoted and not ASCII",
            setup: "create schema \"Ü b\"; create table \"Ü b\".\"T\" (id int primary key, \"Größe\" text); insert into \
                    \"Ü b\".\"T\" select g, md5(g::text) from generate_series(1, 50000) g; vacuum analyze \"Ü b\".\"T\"; \
                    create table workload as select 'select * from \"Ü b\".\"T\" where upper(\"Größe\") = $1' as query, 10 \
                    as calls, 20.0 as mean_ms",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an index is there, the table is small, or all rows are wanted",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 5000, md5(g::text) from \
                    generate_series(1, 50000) g; create index on t (a); create table small (a int); insert into small \
                    select generate_series(1, 50); vacuum analyze t; vacuum analyze small; create table workload as select \
                    * from (values ('select b from t where a = 7', 100, 0.1), ('select * from small where a = 3', 1000, \
                    0.1), ('select sum(id) from t where a >= 0', 1, 20.0)) w (query, calls, mean_ms)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const QUERIES_SHOWN: usize = 20;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let advice = facts.index_advice();
    let mut namer = facts.relation_names().namer();
    let steps = advice.selection.steps.iter().enumerate();
    let findings = steps.filter_map(|(place, step)| {
        // Names are given out for all steps, so that those of another rule's findings are other ones.
        let table = facts.catalog().known(step.candidate.table)?;
        let creation = creation(facts, &mut namer, table, step);
        if replaced(advice, place).is_some() || step.benefit <= 0.0 {
            return None;
        }
        let mut finding = finding(facts, place, table, creation);
        finding.severity = severity(advice, place, options);
        Some(finding)
    });
    Ok(findings.collect())
}

/// The existing index that nobody needs once the step is done, for the step's begins as it does.
pub fn replaced(advice: &IndexAdvice, place: usize) -> Option<u32> {
    let extended = advice.selection.steps[place].extends?;
    let useless = advice.selection.useless.iter().find(|index| index.oid == extended)?;
    (useless.replaced_by == Some(place)).then_some(extended)
}

pub fn creation(facts: &Facts, namer: &mut Namer, table: &Table, step: &Step) -> Creation {
    let catalog = facts.catalog();
    let expression = Name::from("expr".to_string());
    let columns = step.candidate.keys.iter().map(|key| match &key.part {
        Part::Column(number) => table.column(*number).map_or(&expression, |column| &column.name),
        Part::Expression(_) => &expression,
    });
    let new = NewIndex {
        unique: false,
        specification: index_ddl::specification(&step.candidate, table),
        columns: columns.collect(),
    };
    // Whatever index of a partition has the same form, the search would have found the need met there.
    new.creation(catalog, namer, table, |_, _| false)
}

/// The finding of another rule, with what the step would do about it.
pub fn fixing(facts: &Facts, place: usize, other: Finding) -> Finding {
    let (advice, catalog) = (facts.index_advice(), facts.catalog());
    let mut namer = facts.relation_names().namer();
    let mut last = None;
    for step in &advice.selection.steps[..=place] {
        // Each takes its name in turn, so that it has the same one in all findings.
        let table = catalog.known(step.candidate.table);
        last = table.map(|table| (table, creation(facts, &mut namer, table, step)));
    }
    let Some((table, creation)) = last else { return other };
    let index = finding(facts, place, table, creation);
    let mut evidence = other.evidence;
    for key in ["index", "confidence"] {
        evidence.insert(format!("new_{key}"), index.evidence[key].clone());
    }
    Finding {
        severity: other.severity,
        object: other.object,
        weight: other.weight,
        summary: other.summary,
        cause: other.cause,
        evidence,
        app_fix: match (other.app_fix, index.app_fix) {
            (Some(own), Some(new)) => Some(format!("{own} {new}")),
            (own, new) => own.or(new),
        },
        ..index
    }
}

pub fn finding(facts: &Facts, place: usize, table: &Table, creation: Creation) -> Finding {
    let advice = facts.index_advice();
    let analyzed = facts.catalog().rows(table).is_some();
    let step = &advice.selection.steps[place];
    let specification = index_ddl::specification(&step.candidate, table);
    let bytes = Bytes(step.bytes);
    let saved = share(advice, step.benefit);
    let mut helped: Vec<usize> = step.queries.iter().copied().filter(|query| advice.gain(*query) > 0.0).collect();
    helped.sort_by(|a, b| advice.gain(*b).total_cmp(&advice.gain(*a)).then(a.cmp(b)));
    let calls = Count(helped.iter().map(|query| advice.queries[*query].calls).sum::<f64>() as u64);
    let (before, after) = totals(advice, &helped);
    Finding {
        severity: Severity::medium,
        object: format!("{} {specification}", table.name),
        weight: step.benefit as u64,
        summary: format!(
            "An index on {} {specification} would cut the cost of {} by {:.0}%, for {bytes}",
            table.name,
            queries(helped.len()),
            100.0 * (step.benefit / before.max(f64::MIN_POSITIVE)).min(1.0),
        ),
        cause: format!(
            "The planner, shown the index, takes it for {} of the workload ({}), and the workload's cost falls by {:.1}%. {}{}",
            queries(helped.len()),
            calls.of("call"),
            100.0 * saved,
            upkeep(advice, step),
            if analyzed {
                ""
            } else {
                " The table was never analyzed, so that all of this is a guess: ANALYZE it first, and ask again."
            },
        ),
        evidence: object! {
            "step": place + 1,
            "table": table.name.to_string(),
            "index": specification,
            "estimated_bytes": bytes,
            "workload_share_saved": rounded(saved),
            "benefit": rounded(step.benefit),
            "write_cost": rounded(step.write_cost),
            "queries_helped": helped.iter().take(QUERIES_SHOWN).map(|query| advice.query(*query)).collect::<Vec<_>>(),
            "queries_helped_in_all": helped.len(),
            "queries_harmed": advice.harmed().take(QUERIES_SHOWN).map(|query| advice.query(query)).collect::<Vec<_>>(),
            "alternatives": step.alternatives.iter().map(|other| alternative(table, other)).collect::<Vec<_>>(),
            "confidence": if analyzed { confidence(advice, &step.candidate) } else { "low: the table was never analyzed" },
            "workload": advice.summary(),
        },
        impact: object! {
            "queries_cost": change((rounded(before), "planned"), (rounded(after), "planned")),
            "disk_bytes": change((0, "measured"), (bytes, "estimated")),
            "write_cost": change((0, "estimated"), (rounded(step.write_cost), "estimated")),
        },
        fix_sql: Some(creation.fix_sql),
        app_fix: index_ddl::candidate_in_sqlalchemy(&creation.name, table, &step.candidate),
        risk: match is_approximate(&step.candidate) {
            true => format!("{APPROXIMATE} {}", creation.risk),
            false => creation.risk,
        },
        rollback: Rollback::Sql(creation.rollback_sql),
        verify_sql: Some(creation.verify_sql),
    }
}

fn queries(number: usize) -> String {
    if number == 1 { "1 query".to_string() } else { format!("{} queries", Count(number as u64)) }
}

fn share(advice: &IndexAdvice, benefit: f64) -> f64 {
    if advice.selection.cost_before > 0.0 { benefit / advice.selection.cost_before } else { 0.0 }
}

/// Weighted costs of some queries, before and after all steps.
fn totals(advice: &IndexAdvice, queries: &[usize]) -> (f64, f64) {
    let cost = |query: &usize| {
        let cost = advice.selection.queries[*query].as_ref()?;
        let weight = advice.queries[*query].weight;
        Some((cost.before * weight, cost.after * weight))
    };
    queries.iter().filter_map(cost).fold((0.0, 0.0), |sum, cost| (sum.0 + cost.0, sum.1 + cost.1))
}

fn upkeep(advice: &IndexAdvice, step: &Step) -> String {
    match step.write_cost > 0.0 {
        true => format!(
            "Keeping it up to date is estimated to cost {:.1}% of what it saves.",
            100.0 * step.write_cost / step.benefit.max(f64::MIN_POSITIVE)
        ),
        false if advice.source == crate::facts::Source::Texts => {
            "What writes would cost is not known from these queries.".to_string()
        }
        false => "No writes of the table are known.".to_string(),
    }
}

fn alternative(table: &Table, other: &Alternative) -> Value {
    json!({
        "index": index_ddl::specification(&other.candidate, table),
        "estimated_bytes": other.bytes,
        "benefit": rounded(other.benefit),
        "why_not": match other.reason {
            Rejection::CoveredByChosen => "the chosen one does what it does, and more",
            Rejection::LargerForNoMore => "larger, and brings no more",
            Rejection::LessForItsSize => "brings less for its size",
            Rejection::BringsLess => "smaller, but brings less",
            Rejection::BelowMinimumBenefit => "brings less than min_benefit_percent",
            Rejection::OverBudget => "does not fit into the budget",
            Rejection::WritesCostMore => "writes would cost more than it saves",
        },
    })
}

/// What every index for nearest neighbours does to the answers.
const APPROXIMATE: &str = "Results become approximate: an index scan misses some of the nearest rows (hnsw.ef_search, \
                           ivfflat.probes), and a WHERE may leave fewer rows than LIMIT asks for. Measure the recall first.";

fn is_approximate(candidate: &Candidate) -> bool {
    ["hnsw", "ivfflat"].contains(&candidate.method.as_str())
}

/// high: plain columns with statistics; medium: what statistics say less of.
fn confidence(advice: &IndexAdvice, candidate: &Candidate) -> &'static str {
    let plain = candidate.keys.iter().all(|key| matches!(key.part, Part::Column(_)));
    match candidate.method.as_str() {
        "hnsw" | "ivfflat" => "low: results become approximate",
        "btree" if plain && candidate.predicate.is_none() && advice.selection.complete => "high",
        "btree" | "hash" | "brin" => {
            "medium: the planner has no statistics of expressions and predicates until the index exists"
        }
        _ => "medium: sizes and costs of this access method are rougher estimates",
    }
}

fn severity(advice: &IndexAdvice, place: usize, options: &Options) -> Severity {
    let step = &advice.selection.steps[place];
    let slow = |query: &usize| {
        let halves = advice.selection.queries[*query].as_ref().is_some_and(|cost| cost.after < cost.before / 2.0);
        halves && advice.queries[*query].mean_ms.is_some_and(|ms| ms >= options.number("slow_query_ms"))
    };
    let saved = share(advice, step.benefit);
    let known_share = advice.source != crate::facts::Source::Texts;
    if step.queries.iter().any(slow) || (known_share && saved >= options.number("large_share")) {
        Severity::high
    } else if known_share && saved < options.number("small_share") {
        Severity::low
    } else {
        Severity::medium
    }
}
