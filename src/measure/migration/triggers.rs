//! Triggers, rules and policies.

use super::whole::{found, with_partitions, written};
use super::{Model, Prediction};
use crate::facts::migration::{Failure, LockMode, NameAsWritten, ObjectKind, Statement, text};

pub struct Trigger<'a> {
    pub name: &'a str,
    pub relation: &'a NameAsWritten,
    pub function: &'a [String],
    pub constraint_from: Option<&'a NameAsWritten>,
    pub replace: bool,
    pub each_row: bool,
}

pub fn create_trigger(model: &mut Model, trigger: &Trigger) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(id) = found(model, &mut prediction, ObjectKind::Table, trigger.relation, false) else { return prediction };
    let function = super::whole::name_of(trigger.function);
    if !model.has_function(function.schema.as_deref(), &function.name) {
        prediction.missing(ObjectKind::Function, written(&function));
        return prediction;
    }
    let Some(table) = model.relation(id) else { return prediction };
    if table.triggers.iter().any(|name| name == trigger.name) && !trigger.replace {
        prediction.exists(ObjectKind::Trigger, format!("{} on {}", trigger.name, table.name));
        return prediction;
    }
    if table.kind == ObjectKind::MaterializedView {
        let message = format!("{} cannot have triggers", table.name);
        prediction.fails(Failure::Other { message }, "42809");
        return prediction;
    }
    // Of a partitioned table each partition gets its own, where it is for each row.
    for part in if trigger.each_row { with_partitions(model, id) } else { vec![id] } {
        prediction.lock(model, part, LockMode::ShareRowExclusive);
        if let Some(table) =
            model.relation_mut(part).filter(|table| !table.triggers.iter().any(|name| name == trigger.name))
        {
            table.triggers.push(trigger.name.to_string());
        }
    }
    if let Some(from) = trigger.constraint_from {
        found(model, &mut prediction, ObjectKind::Table, from, false);
    }
    prediction
}

pub fn create_rule(model: &mut Model, relation: &NameAsWritten, text: &str) -> Prediction {
    let mut prediction = Prediction::default();
    if let Some(id) = found(model, &mut prediction, ObjectKind::Table, relation, false) {
        prediction.lock(model, id, LockMode::AccessExclusive);
    }
    // Its actions are analyzed, which locks what they write.
    for parsed in text::read(actions(text)).statements {
        let Statement::Query(query) = parsed.statement else { continue };
        for id in query.writes.iter().filter_map(|(_, name)| model.find_id(name)) {
            prediction.lock(model, id, LockMode::RowExclusive);
        }
    }
    prediction
}

/// What stands behind DO [ALSO | INSTEAD].
fn actions(rule: &str) -> &str {
    let lower = rule.to_ascii_lowercase();
    let mut words = lower.match_indices("do").filter(|(start, word)| {
        let around = |place: Option<char>| place.is_none_or(char::is_whitespace);
        around(lower[..*start].chars().next_back()) && around(lower[start + word.len()..].chars().next())
    });
    let Some((start, word)) = words.next() else { return "" };
    let rest = rule[start + word.len()..].trim_start();
    let skipped = ["also", "instead"]
        .into_iter()
        .find(|word| rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)));
    let rest = rest[skipped.map_or(0, str::len)..].trim();
    rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest)
}

pub fn policy(model: &mut Model, name: &str, relation: &NameAsWritten, create: bool) -> Prediction {
    let mut prediction = Prediction::default();
    let Some(id) = found(model, &mut prediction, ObjectKind::Table, relation, false) else { return prediction };
    let Some(table) = model.relation(id) else { return prediction };
    match (table.policies.iter().any(|own| own == name), create) {
        (true, true) => prediction.exists(ObjectKind::Policy, format!("{name} on {}", table.name)),
        (false, false) => prediction.missing(ObjectKind::Policy, format!("{name} on {}", table.name)),
        _ => {
            prediction.lock(model, id, LockMode::AccessExclusive);
            if create {
                model.relation_mut(id).into_iter().for_each(|table| table.policies.push(name.to_string()));
            }
        }
    }
    prediction
}
