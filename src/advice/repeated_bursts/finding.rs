//! How a burst is told of.

use super::Judged;
use crate::advice::eager_loading::{Repeated, add_advice, add_impact, statistics, waiting};
use crate::advice::lookups::{Relation, RelationKind, relations};
use crate::advice::measured_query::{excerpt, object_of};
use crate::facts::{Burst, Facts, shortened};
use crate::finding::{Finding, change, object};
use crate::rule::Options;
use crate::units::{Count, listing, rounded};
use serde_json::json;
use std::collections::BTreeSet;

pub fn finding(facts: &Facts, options: &Options, judged: &Judged) -> Finding {
    let main = judged.main;
    let text = main.text.as_deref().or(judged.shape.map(|shape| shape.text.as_str()));
    let role = if main.role_name.is_empty() { main.role.to_string() } else { main.role_name.clone() };
    let executions: u64 = judged.group.iter().map(|burst| burst.executions).sum();
    let total_ms: f64 = judged.group.iter().map(|burst| burst.total_ms).sum();
    let mut finding = Finding {
        severity: judged.severity,
        object: object_of(main.query_id, &role),
        weight: total_ms as u64,
        summary: summary(judged, text),
        cause: cause(facts, options, judged),
        evidence: object! {
            "query_id": main.query_id,
            "role": role,
            "query": text.map(shortened),
            "confidence": "exact",
            "bursts": judged.bursts(),
            "executions": executions,
            "executions_per_burst": rounded(judged.per_burst_of_all()),
            "most_executions": judged.group.iter().map(|burst| burst.most_executions).max(),
            "distinct_parameters": rounded(main.distinct_parameters),
            "total_ms": rounded(total_ms),
            "rows": judged.group.iter().map(|burst| burst.rows).sum::<u64>(),
            "in_transaction": main.in_transaction,
            "connections": judged.group.iter().map(|burst| burst.connections).max(),
            "applications": judged.group.iter().map(|burst| burst.application_name.as_str()).collect::<BTreeSet<_>>(),
            "tags": main.tags,
            "last_seen_seconds": judged.group.iter().map(|burst| burst.last_seen_seconds).reduce(f64::min).map(rounded),
            "parents": judged.group.iter().filter_map(|burst| Some(json!({
                "query_id": burst.parent_query_id?,
                "query": burst.parent_text.as_deref().map(shortened),
                "rows_per_burst": rounded(burst.parent_rows as f64 / burst.bursts.max(1) as f64),
                "executions": burst.executions,
                "application": burst.application_name,
            }))).take(5).collect::<Vec<_>>(),
        },
        verify_sql: Some(verify_sql(main)),
        risk: "A change of the application: one statement returns more rows at once.".to_string(),
        ..Finding::that_changes_nothing()
    };
    if let Some(repetition) = judged.repetition.as_ref().filter(|_| !judged.same) {
        finding.evidence.insert("statistics".to_string(), statistics(facts, repetition));
    }
    if judged.finds_nothing() {
        finding.app_fix = Some(
            "SQLAlchemy loads a relationship whose foreign key of several columns has a NULL in it, and asks for a key that is NULL: \
             load it with the list (joinedload), and the statement is gone."
                .to_string(),
        );
        return finding;
    }
    if judged.same {
        add_repeated(&mut finding, judged, options);
        return finding;
    }
    match (judged.shape, judged.relations.as_slice()) {
        (Some(shape), relations @ [_, ..]) => {
            let repeated = Repeated {
                shape,
                relations,
                rows_per_lookup: main.rows as f64 / main.executions.max(1) as f64,
                rows_per_parent: judged.rows_per_parent(),
                lookups_per_parent: judged.per_burst(),
            };
            add_advice(&mut finding, facts, &repeated, options);
            add_other_parents(&mut finding, facts, judged);
        }
        _ => {
            finding.app_fix = Some(
                "SQLAlchemy: collect the values first and send one statement for all: WHERE column IN (…), that is \
                 select(…).where(….in_(values)). If it is a relationship that is loaded lazily, load it with the parent's rows: \
                 selectinload() or joinedload()."
                    .to_string(),
            );
        }
    }
    add_impact(&mut finding, (judged.per_burst(), "measured"), judged.mean_ms(), options);
    finding
}

/// What leads to it after lists of other tables.
fn add_other_parents(finding: &mut Finding, facts: &Facts, judged: &Judged) {
    let (lookups, catalog) = (facts.lookups(), facts.catalog());
    let Some(shape) = judged.shape else { return };
    let mut told: BTreeSet<u32> = judged.relations.iter().map(|relation| relation.parent).collect();
    for burst in &judged.group {
        let parent = burst.parent_query_id.and_then(|parent| lookups.shape(parent, burst.role));
        let all = relations(catalog, shape).into_iter().filter(|relation| relation.kind != RelationKind::Reload);
        let leading: Vec<Relation> =
            all.filter(|relation| parent.is_some_and(|parent| relation.comes_from(parent))).collect();
        if leading.is_empty() || !leading.iter().all(|relation| told.insert(relation.parent)) {
            continue;
        }
        let repeated = Repeated::of_relations(shape, &leading);
        let also =
            format!(" After {}: {}", catalog.table(leading[0].parent).name, repeated.in_sqlalchemy(catalog, false));
        finding.app_fix.get_or_insert_default().push_str(&also);
    }
}

/// The same question: the answer is to be kept.
fn add_repeated(finding: &mut Finding, judged: &Judged, options: &Options) {
    let (executions, mean_ms) = (judged.per_burst(), judged.mean_ms());
    let (before, _) = waiting(executions, mean_ms, options);
    let (after, _) = waiting(1.0, mean_ms, options);
    finding.app_fix = Some(
        "Ask once and keep the answer as long as the request or job lasts: an attribute, functools.cache on a function of the \
         request, or Session.get(), which answers from the session's identity map where a query by key does not."
            .to_string(),
    );
    finding.impact = object! {
        "statements_per_burst": change((rounded(executions), "measured"), (1, "estimated")),
        "waiting_ms_per_burst": change((rounded(before), "estimated"), (rounded(after), "estimated")),
    };
}

fn summary(judged: &Judged, text: Option<&str>) -> String {
    let main = judged.main;
    let query = text.map_or("A statement whose text is hidden".to_string(), excerpt);
    let each = if judged.bursts() == 1 { "" } else { "each of " };
    let per = format!("{:.0} times in {each}{}", judged.per_burst_of_all(), Count(judged.bursts()).of("burst"));
    let how = match (judged.same, &main.parent_text, main.parent_query_id) {
        (true, ..) => "with the same parameters".to_string(),
        (false, Some(parent), _) => {
            let others =
                judged.group.iter().filter_map(|burst| burst.parent_query_id).collect::<BTreeSet<_>>().len() - 1;
            let others = match others {
                0 => String::new(),
                number => format!(" and those of {}", Count(number as u64).of("other statement")),
            };
            format!("for the {:.0} rows of {}{others}", judged.rows_per_parent(), excerpt(parent))
        }
        (false, None, Some(_)) => format!("for the {:.0} rows of another statement", judged.rows_per_parent()),
        (false, None, None) => "with nothing before it that returned rows".to_string(),
    };
    let total_ms: f64 = judged.group.iter().map(|burst| burst.total_ms).sum();
    format!("{query}: {per}, {:.1} ms each time, {how}", total_ms / judged.bursts().max(1) as f64)
}

fn cause(facts: &Facts, options: &Options, judged: &Judged) -> String {
    let main = judged.main;
    let place = if main.in_transaction { "in one transaction" } else { "in quick succession" };
    let mut cause = format!("The hook saw it executed {:.0} times {place}", judged.per_burst_of_all());
    if main.connections > 1 {
        cause += &format!(", over up to {}", Count(main.connections.into()).of("connection"));
    }
    if judged.finds_nothing() {
        return cause + ". It asks for NULL in a column that is NOT NULL: it never finds a row.";
    }
    if judged.same {
        cause += &format!(
            ", the last time with {} of parameters: the answer is the same unless something was written in between.",
            Count(main.distinct_parameters.round().max(1.0) as u64).of("set")
        );
        return cause;
    }
    cause += &format!(", with {:.0} different parameters at the last.", main.distinct_parameters);
    if let Some(shape) = judged.shape.filter(|_| !judged.relations.is_empty()) {
        let told = Repeated::of_relations(shape, &judged.relations).told(facts.catalog());
        cause += &match judged.related {
            true => format!(" The rows before it lead to it by {told}: a lazy load, or a loop."),
            false => format!(" It looks up by {told}; the statement before it does not show where the keys come from."),
        };
    }
    if judged.hot {
        cause += " Outside a transaction, and about as many lists as lookups: rather requests of several users than one that repeats it.";
    }
    if judged.is_batch(options) {
        cause += " So many at once look like a batch job, not like a page: a set of keys at a time would do there.";
    }
    let routes: Vec<String> = ["route", "controller", "action"]
        .iter()
        .filter_map(|tag| Some(format!("{tag} {}", main.tags.get(*tag)?.as_str()?)))
        .collect();
    if !routes.is_empty() {
        cause += &format!(" Last sent by {}.", listing(&routes));
    }
    cause
}

/// What the hook has seen by then.
fn verify_sql(burst: &Burst) -> String {
    format!(
        "select b.bursts, b.executions, b.most_times, b.last_seen from dbre.n_plus_one_bursts b where b.query_id = {} order by \
         b.last_seen desc;",
        burst.query_id
    )
}
