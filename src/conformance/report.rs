//! What came out.

use std::fmt;

use thiserror::Error;

/// What came out of all scenarios of a trait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    scenarios: Vec<ScenarioReport>,
}

/// What came out of one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScenarioReport {
    /// The name of the scenario, such as `duplication` or `close/tells-the-peer`.
    pub name: &'static str,
    /// What came out.
    pub outcome: Outcome,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The implementation did what it must.
    Passed,
    /// It did not; what it did instead.
    Failed(String),
    /// The scenario could not be run; why.
    NotRun(&'static str),
}

/// A scenario that an implementation is known to fail, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFailure {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// Why the implementation cannot pass it.
    pub reason: &'static str,
}

/// A report is not as expected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the implementation does not behave as known:\n{}", .0.join("\n"))]
pub struct Mismatch(Vec<String>);

impl Report {
    pub(super) fn new(scenarios: Vec<ScenarioReport>) -> Self {
        Self { scenarios }
    }

    /// All scenarios, in the order in which they ran.
    pub fn scenarios(&self) -> &[ScenarioReport] {
        &self.scenarios
    }

    /// The names of the scenarios that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.scenarios.iter().filter(|scenario| matches!(scenario.outcome, Outcome::Failed(_)));
        failed.map(|scenario| scenario.name).collect()
    }

    /// Compares with what is known.
    ///
    /// # Errors
    /// [`Mismatch`] names each scenario that failed and is not in `known`, each in `known` that passed, and each
    /// in `known` that does not exist.
    pub fn check(&self, known: &[KnownFailure]) -> Result<(), Mismatch> {
        let reason =
            |name| known.iter().find(|failure| failure.scenario == name).map(|failure| failure.reason);
        let mut wrong = Vec::new();
        for ScenarioReport { name, outcome } in &self.scenarios {
            match (outcome, reason(*name)) {
                (Outcome::Failed(why), None) => wrong.push(format!("{name} failed: {why}")),
                (Outcome::Passed, Some(reason)) => {
                    wrong.push(format!("{name} passed, and is listed as a known failure: {reason}"));
                }
                (Outcome::Passed | Outcome::NotRun(_), None)
                | (Outcome::Failed(_) | Outcome::NotRun(_), Some(_)) => {}
            }
        }
        let exists = |name| self.scenarios.iter().any(|scenario| scenario.name == name);
        for failure in known.iter().filter(|failure| !exists(failure.scenario)) {
            wrong.push(format!("{} is listed as a known failure, and is no scenario", failure.scenario));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Mismatch(wrong)) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ScenarioReport { name, outcome } in &self.scenarios {
            match outcome {
                Outcome::Passed => writeln!(f, "passed  {name}")?,
                Outcome::Failed(why) => writeln!(f, "FAILED  {name}: {why}")?,
                Outcome::NotRun(why) => writeln!(f, "not run {name}: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let scenario = |name, outcome| ScenarioReport { name, outcome };
        Report::new(vec![
            scenario("loss", Outcome::Passed),
            scenario("close", Outcome::Failed("nobody was told".into())),
            scenario("leak", Outcome::NotRun("no heap")),
        ])
    }

    #[test]
    fn what_is_known_must_be_so() {
        let known = |scenario| KnownFailure { scenario, reason: "it has always been so" };
        assert_eq!(report().failed(), ["close"]);
        assert_eq!(report().check(&[known("close")]), Ok(()));
        let wrong = report().check(&[]).unwrap_err().to_string();
        assert!(wrong.contains("close failed: nobody was told"), "{wrong}");
        let wrong = report().check(&[known("close"), known("loss")]).unwrap_err().to_string();
        assert!(wrong.contains("loss passed, and is listed as a known failure"), "{wrong}");
        let wrong = report().check(&[known("close"), known("los")]).unwrap_err().to_string();
        assert!(wrong.contains("los is listed as a known failure, and is no scenario"), "{wrong}");
    }
}
