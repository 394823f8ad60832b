//! What follows the nodes: planning and execution time, triggers, JIT, settings.

use super::super::{Blocks, NotAPlan, Plan, Trigger};
use super::Line;
use super::detail::blocks;
use super::head::{number, value};
use std::collections::BTreeMap;

/// Where the lines so far have come to.
#[derive(Default)]
pub struct After {
    planning: bool,
    jit: bool,
}

impl After {
    /// `within`: indented below the line that named the group.
    pub fn read(&mut self, plan: &mut Plan, line: Line, within: bool) -> Result<(), NotAPlan> {
        let text = line.text.trim();
        let (key, rest) = text.split_once(':').unwrap_or((text, ""));
        let rest = rest.trim();
        if !within {
            (self.planning, self.jit) = (key == "Planning", key == "JIT");
        }
        let wrong = || line.wrong(format!("\"{text}\" is not what EXPLAIN prints"));
        match key {
            "Planning Time" => plan.planning_ms = Some(milliseconds(rest).ok_or_else(wrong)?),
            "Execution Time" => plan.execution_ms = Some(milliseconds(rest).ok_or_else(wrong)?),
            "Settings" => plan.settings = Some(settings(rest)),
            "Planning" => plan.planning_blocks = Some(Blocks::default()),
            "Buffers" if self.planning => plan.planning_blocks = Some(blocks(rest)),
            "JIT" => plan.jit = Some(Default::default()),
            _ if self.jit => jit(plan, key, rest).ok_or_else(wrong)?,
            _ if key.starts_with("Trigger ") => plan.triggers.push(trigger(text).ok_or_else(wrong)?),
            // A query identifier, serialization, and what later versions add.
            _ => {}
        }
        Ok(())
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    number(text.strip_suffix(" ms")?)
}

fn jit(plan: &mut Plan, key: &str, text: &str) -> Option<()> {
    let jit = plan.jit.get_or_insert_default();
    match key {
        "Functions" => jit.functions = number(text)?,
        "Options" => {
            jit.inlined = text.contains("Inlining true");
            jit.optimized = text.contains("Optimization true");
        }
        "Timing" => jit.total_ms = value(text.rsplit_once(", Total").map(|(_, total)| total)?, " ")?,
        _ => {}
    }
    Some(())
}

/// `work_mem = '64kB', enable_sort = 'off'`
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once(" = '") {
        let (value, next) = after.split_once('\'').unwrap_or((after, ""));
        settings.insert(name.to_string(), value.to_string());
        rest = next.trim_start_matches([',', ' ']);
    }
    settings
}

/// `Trigger RI_ConstraintTrigger_a_1 for constraint child_id_fkey on parent: time=1.234 calls=5`
fn trigger(text: &str) -> Option<Trigger> {
    let (names, figures) = text.strip_prefix("Trigger ")?.rsplit_once(": ")?;
    let (names, relation) = names.rsplit_once(" on ").unwrap_or((names, ""));
    let (name, constraint) = match names.strip_prefix("for constraint ") {
        Some(constraint) => ("", Some(constraint)),
        None => {
            names.split_once(" for constraint ").map_or((names, None), |(name, constraint)| (name, Some(constraint)))
        }
    };
    Some(Trigger {
        name: name.to_string(),
        constraint: constraint.map(str::to_string),
        relation: relation.to_string(),
        ms: value(figures, "time="),
        calls: value(figures, "calls=")?,
    })
}
