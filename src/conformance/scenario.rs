//! One scenario.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::report::{Outcome, Report, ScenarioReport};

/// One thing that an implementation must do; `C` is what the scenarios of a trait are given.
pub(super) struct Scenario<C> {
    pub(super) name: &'static str,
    pub(super) run: fn(&C) -> Result<(), Trouble>,
}

/// Why a scenario did not pass.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(String),
    NotRun(&'static str),
}

/// Leaves the scenario with a failure unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::scenario::Trouble::Failed(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// A refusal where there should be none.
pub(super) fn refused(what: &str) -> impl FnOnce(&dyn std::error::Error) -> Trouble + '_ {
    move |error| Trouble::Failed(format!("{what}: {error}"))
}

pub(super) fn run_all<C>(only: &str, scenarios: &[Scenario<C>], context: &C) -> Report {
    let run = |scenario: &Scenario<C>| {
        if !scenario.name.starts_with(only) {
            let outcome = Outcome::NotRun("the kit was told to leave it out");
            return ScenarioReport { name: scenario.name, outcome };
        }
        let outcome = match catch_unwind(AssertUnwindSafe(|| (scenario.run)(context))) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Trouble::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Trouble::NotRun(why))) => Outcome::NotRun(why),
            Err(panic) => Outcome::Failed(format!("panic: {}", message(&*panic))),
        };
        ScenarioReport { name: scenario.name, outcome }
    };
    Report::new(scenarios.iter().map(run).collect())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
