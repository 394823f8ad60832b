//! The same query under other settings: what the planner says of it and, where the caller asked for it, how long it takes.

use super::{Request, bound, execution, run};
use crate::db::{self, guarded, with_settings};
use crate::facts::plan::Plan;
use crate::facts::{Explained, PlanOrigin, Trial};
use crate::measure::what_if::WhatIf;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// More relations are not searched exhaustively: planning would take longer than the query may save.
const MOST_RELATIONS: usize = 11;
/// So many take the genetic search less than a second.
const MOST_RELATIONS_AT_RANDOM: usize = 30;
/// Of tuples that a sort or a hash table holds in memory.
const TUPLE_OVERHEAD_BYTES: f64 = 48.0;
/// work_mem beyond it is no advice.
const MOST_WORK_MEM_KILOBYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// A run to compare may take so many times as long as the first; then it is worse.
const LONGEST: f64 = 2.0;

/// One setting, or several that belong together; the trial has the name of the first.
type Settings = Vec<(&'static CStr, String)>;

fn under<T>(settings: &Settings, body: impl FnOnce() -> T) -> T {
    let values: Vec<CString> =
        settings.iter().map(|(_, value)| CString::new(value.as_str()).expect("a number or a word")).collect();
    let settings: Vec<(&CStr, &CStr)> =
        settings.iter().zip(&values).map(|((name, _), value)| (*name, value.as_c_str())).collect();
    with_settings(&settings, body)
}

pub fn try_settings(request: &Request, explained: &Explained, deadline: Instant) -> Vec<Trial> {
    let mut candidates: Vec<Settings> = Vec::new();
    candidates.extend(work_mem(explained).map(|kilobytes| vec![(c"work_mem", format!("{kilobytes}kB"))]));
    candidates.extend(join_search(explained));
    if request.compare_runs {
        candidates.extend(nested_loops(&explained.plan));
        candidates.extend(explained.plan.jit.map(|_| vec![(c"jit", "off".to_string())]));
    }
    let planner = WhatIf::new();
    let plan = |settings: &Settings| {
        guarded(|| request.planning(|| under(settings, || planner.plan(&request.query, bound(request), &[], &[]).cost)))
            .ok()
    };
    let mut trials = Vec::new();
    let mut cost_before = None;
    for settings in candidates {
        db::check_for_interrupts();
        if !trials.is_empty() && Instant::now() > deadline && !request.compare_runs {
            break;
        }
        let before = *cost_before.get_or_insert_with(|| plan(&Vec::new()));
        let (Some(before), Some(after)) = (before, plan(&settings)) else { continue };
        let mut trial = Trial {
            setting: settings[0].0.to_string_lossy().into_owned(),
            value: settings[0].1.clone(),
            cost_before: before,
            cost_after: after,
            ..Trial::default()
        };
        if request.compare_runs {
            (trial.ms_before, trial.ms_after) = compare(request, explained, &settings);
        }
        trials.push(trial);
    }
    trials
}

/// As it is and under the settings, one after the other, both with what the first run has left in memory. None: it did not
/// end in time.
fn compare(request: &Request, explained: &Explained, settings: &Settings) -> (Option<f64>, Option<f64>) {
    if explained.origin != PlanOrigin::Run {
        return (None, None);
    }
    let longest = explained.plan.execution_ms().unwrap_or_default() * LONGEST;
    let limit = Duration::from_secs_f64(longest / 1000.0 + 0.1).min(request.time_limit);
    let time = |settings: &Settings| {
        let ran = guarded(|| under(settings, || run(&execution(request, limit))));
        ran.ok().filter(|ran| !ran.stopped).map(|ran| ran.execution_ms)
    };
    (time(&Vec::new()), time(settings))
}

/// What the node that needs most needs to stay in memory, where one does not.
fn work_mem(explained: &Explained) -> Option<u64> {
    let plan = &explained.plan;
    let work_mem = explained.setting("work_mem")?;
    let multiplier = explained.setting("hash_mem_multiplier").unwrap_or(2.0);
    let needed = (0..plan.nodes.len()).filter_map(|node| match plan.is_analyzed() {
        true => plan.memory_needed_kilobytes(node, multiplier),
        false => planned_memory(plan, node, multiplier),
    });
    let needed = needed.fold(0.0, f64::max);
    // To a whole MB above.
    let megabytes = (needed / 1024.0).ceil();
    (needed > work_mem && needed <= MOST_WORK_MEM_KILOBYTES).then_some(megabytes as u64 * 1024)
}

/// As far as the planner's rows and widths are right.
fn planned_memory(plan: &Plan, number: usize, multiplier: f64) -> Option<f64> {
    let node = &plan.nodes[number];
    let limited = node.parent.is_some_and(|parent| plan.nodes[parent].kind == "Limit");
    let share = match node.kind.as_str() {
        "Sort" if !limited => 1.0,
        "Hash" => multiplier,
        _ => return None,
    };
    Some(node.rows * (node.width + TUPLE_OVERHEAD_BYTES) / 1024.0 / share)
}

/// Looks at all joins together, where the settings have the query's planned in parts; or where they are, and are many enough
/// for the genetic search, searches all their orders.
fn join_search(explained: &Explained) -> Option<Settings> {
    let scans = explained.plan.nodes.iter().filter(|node| node.relation.is_some()).count();
    let least = |name| explained.setting(name).unwrap_or(f64::INFINITY);
    let together = least("join_collapse_limit").min(least("from_collapse_limit"));
    let is_on = explained.settings.get("geqo").map(String::as_str) == Some("on");
    let at_random = is_on && scans as f64 >= least("geqo_threshold");
    if scans as f64 > together {
        let quick = scans <= if at_random { MOST_RELATIONS_AT_RANDOM } else { MOST_RELATIONS };
        let limits = vec![(c"join_collapse_limit", scans.to_string()), (c"from_collapse_limit", scans.to_string())];
        quick.then_some(limits)
    } else {
        (at_random && scans <= MOST_RELATIONS).then(|| vec![(c"geqo", "off".to_string())])
    }
}

/// Hash and merge joins instead of nested loops over more rows than were expected. Costs cannot tell, for the estimate is
/// what is wrong.
fn nested_loops(plan: &Plan) -> Option<Settings> {
    let misled = |number: usize| {
        let node = &plan.nodes[number];
        node.kind == "Nested Loop" && node.children.first().is_some_and(|outer| plan.is_misestimated(*outer))
    };
    (0..plan.nodes.len()).any(misled).then(|| vec![(c"enable_nestloop", "off".to_string())])
}
