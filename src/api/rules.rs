//! `dbre.rules()`, behind the view of that name.

use crate::facts;
use crate::finding::severity;
use crate::rule::{Need, Options, Rule};
use crate::rules;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Every rule with its documentation, options, defaults and current settings.
///
/// `options`: by name, default, current value, unit, description, and for numbers min and max. `examples`: setup SQL with the
/// number of findings it causes, and whether the findings' own fixes clear them.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of a rule")]
pub fn rules() -> TableIterator<
    'static,
    (
        name!(rule, &'static str),
        name!(category, &'static str),
        name!(severity, severity),
        name!(since, &'static str),
        name!(condition, &'static str),
        name!(effect, &'static str),
        name!(workaround, &'static str),
        name!(sources, Vec<&'static str>),
        name!(needs, Vec<&'static str>),
        name!(options, JsonB),
        name!(enabled_by_default, bool),
        name!(enabled, bool),
        name!(current_severity, Option<severity>),
        name!(examples, JsonB),
    ),
> {
    let settings = facts::rule_settings();
    TableIterator::new(rules::all().map(move |rule| {
        let setting = settings.get(rule.id);
        let enabled = setting.and_then(|setting| setting.enabled).unwrap_or(rule.enabled);
        let values = setting
            .and_then(|setting| Options::resolve(rule, &setting.options).ok())
            .unwrap_or_else(|| Options::defaults(rule));
        (
            rule.id,
            rule.category,
            rule.severity,
            rule.since,
            rule.condition,
            rule.effect,
            rule.workaround,
            rule.sources.to_vec(),
            rule.needs.iter().copied().map(Need::name).collect::<Vec<_>>(),
            JsonB(options(rule, &values)),
            rule.enabled,
            enabled,
            setting.and_then(|setting| setting.severity),
            JsonB(examples(rule)),
        )
    }))
}

fn options(rule: &Rule, values: &Options) -> Value {
    let shown = |option: &crate::rule::OptionSpec| (option.name.to_string(), option.describe(values.get(option.name)));
    Value::Object(rule.options.iter().map(shown).collect())
}

fn examples(rule: &Rule) -> Value {
    let example = |case: &crate::rule::Case| json!({"name": case.name, "setup": case.setup, "finds": case.finds, "fix_clears": case.fix_clears});
    rule.cases.iter().map(example).collect()
}
