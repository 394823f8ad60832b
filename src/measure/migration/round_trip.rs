//! Up, down and up again, all taken back: what down does not bring back, and what up does not repeat.

use super::dry_run::{Course, Options, Status, Tried, taken_back};
use crate::db::{PATIENCE, PRINTING, Picture, with_settings};
use crate::facts::migration::catalog_state::{CatalogState, Difference, Object};
use crate::facts::migration::text::Script;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    UpFails,
    DownFails,
    UpFailsAgain,
    NotTried,
    DownIncomplete,
    UpNotRepeatable,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::UpFails => "up fails",
            Fault::DownFails => "down fails",
            Fault::UpFailsAgain => "up fails after down",
            Fault::NotTried => "not tried",
            Fault::DownIncomplete => "down incomplete",
            Fault::UpNotRepeatable => "up not repeatable",
        }
    }
}

/// What is not as it should be.
pub struct Problem {
    pub fault: Fault,
    /// `up` or `down`
    pub script: &'static str,
    pub step: Option<usize>,
    pub line: Option<usize>,
    pub object: Option<Object>,
    /// What the catalogs say where it should be the same.
    pub expected: Option<String>,
    pub found: Option<String>,
    pub message: String,
}

/// Empty: down brings the catalogs back to what they were, and up does the same once more.
pub fn round_trip(up: &Script, down: &Script, one_transaction: Option<bool>, options: &Options) -> Vec<Problem> {
    taken_back(options, |course| {
        // What others change meanwhile is nobody's fault here.
        let picture = Picture::take();
        let problems = compare(up, down, one_transaction, course, &picture);
        picture.release();
        problems
    })
}

fn compare(
    up: &Script,
    down: &Script,
    one_transaction: Option<bool>,
    course: &mut Course,
    picture: &Picture,
) -> Vec<Problem> {
    let state = || state(picture);
    let mut problems = Vec::new();
    let before = state();
    if !run(course, up, one_transaction, ("up", Fault::UpFails), &mut problems) {
        return problems;
    }
    let up_once = state();
    if !run(course, down, one_transaction, ("down", Fault::DownFails), &mut problems) {
        return problems;
    }
    let left = before.differences(&state());
    problems.extend(left.iter().map(Problem::of_down));
    let mut again = Vec::new();
    let repeated = run(course, up, one_transaction, ("up", Fault::UpFailsAgain), &mut again);
    // What is not tried was said the first time.
    problems.extend(again.into_iter().filter(|problem| problem.fault != Fault::NotTried));
    if repeated {
        let differences = up_once.differences(&state()).into_iter();
        let new = differences.filter(|difference| left.iter().all(|left| left.object != difference.object));
        problems.extend(new.map(|difference| Problem::of_up(&difference)));
    }
    problems
}

fn state(picture: &Picture) -> CatalogState {
    let settings = [(c"search_path", c"pg_catalog, pg_temp"), PATIENCE].into_iter().chain(PRINTING);
    with_settings(&settings.collect::<Vec<_>>(), || CatalogState::read(picture))
}

/// False: a step has failed.
fn run(
    course: &mut Course,
    script: &Script,
    one_transaction: Option<bool>,
    (name, failure): (&'static str, Fault),
    problems: &mut Vec<Problem>,
) -> bool {
    let tried = course.run_script(script, one_transaction);
    let failed = tried.iter().find(|tried| tried.status == Status::Failed);
    let gaps = tried.iter().filter(|tried| tried.leaves_gap && failed.is_none_or(|failed| tried.step < failed.step));
    problems.extend(gaps.map(|tried| Problem::of_step(Fault::NotTried, name, tried)));
    problems.extend(failed.map(|tried| Problem::of_step(failure, name, tried)));
    failed.is_none()
}

impl Problem {
    fn of_step(fault: Fault, script: &'static str, tried: &Tried) -> Problem {
        Problem {
            fault,
            script,
            step: Some(tried.step),
            line: Some(tried.line),
            object: None,
            expected: None,
            found: None,
            message: tried.message.clone().unwrap_or_default(),
        }
    }

    fn of_down(difference: &Difference) -> Problem {
        let message = match (&difference.before, &difference.after) {
            (Some(_), None) => "was there before up, and is not after down",
            (None, _) => "was not there before up, and is after down",
            _ => "is not after down what it was before up",
        };
        Problem::of_difference(Fault::DownIncomplete, "down", difference, message)
    }

    fn of_up(difference: &Difference) -> Problem {
        let message = match (&difference.before, &difference.after) {
            (Some(_), None) => "is there after up, and not when it is repeated after down",
            (None, _) => "is not there after up, but when it is repeated after down",
            _ => "is not the same when up is repeated after down",
        };
        Problem::of_difference(Fault::UpNotRepeatable, "up", difference, message)
    }

    fn of_difference(fault: Fault, script: &'static str, difference: &Difference, message: &str) -> Problem {
        Problem {
            fault,
            script,
            step: None,
            line: None,
            object: Some(difference.object.clone()),
            expected: difference.before.clone(),
            found: difference.after.clone(),
            message: message.to_string(),
        }
    }
}
