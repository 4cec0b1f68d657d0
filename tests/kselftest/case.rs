//! A case, and what became of it alone and traced.

use std::time::Duration;

use lab::report::{Finding, Severity};
use serde::{Deserialize, Serialize};

use super::truth::Truth;

/// One of the kernel's selftests, or a part of one that can be run by itself.
#[derive(Debug)]
pub struct Case {
    /// What it is called here.
    pub name: &'static str,
    /// The directory of its script, among the selftests.
    pub directory: &'static str,
    /// The script.
    pub script: &'static str,
    /// What the script gets.
    pub arguments: &'static [&'static str],
    /// After this it hangs, on a machine that emulates nothing. A choice: several times what it takes.
    pub limit: Duration,
    /// What its purpose says of its traffic.
    pub truth: &'static Truth,
}

/// How a selftest ended, by the status that the kernel's framework gives it (`ksft_*` in
/// `tools/testing/selftests/net/lib.sh`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Status 0.
    Passed,
    /// Any other.
    Failed,
    /// Status 4: what it needs is not there.
    Skipped,
    /// It did not end in time.
    Hung,
}

impl Ended {
    /// Of an exit status, `None` where a signal ended it.
    pub fn of(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Passed,
            Some(4) => Self::Skipped,
            _ => Self::Failed,
        }
    }

    /// As the table has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::Failed => "fail",
            Self::Skipped => "skip",
            Self::Hung => "hung",
        }
    }
}

/// What became of a case on one kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The case's name.
    pub case: String,
    /// What `uname -r` prints there.
    pub kernel: String,
    /// How it ended by itself.
    pub alone: Ended,
    /// How it ended with the tracer beside it; `None` where it was skipped by itself.
    pub traced: Option<Ended>,
    /// How many events the tracer saw meanwhile, of whatever ran beside the case, too.
    pub events: u64,
    /// What the tracer said of its namespaces.
    pub findings: Vec<Told>,
    /// What its last words were where it did not pass, beside the tracer or alone; empty where it did.
    pub words: String,
    /// Why the tracer, or the machine, did not come to its end; `None` where they did.
    pub trouble: Option<String>,
}

/// A finding, as far as it is judged and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The verdict.
    pub verdict: String,
    /// How much it matters.
    pub severity: Severity,
    /// Where it is, in a few words; empty where it names no place.
    pub place: String,
    /// Its sentence.
    pub summary: String,
    /// Whether the case's purpose contradicts it.
    pub is_wrong: bool,
}

impl Told {
    /// What `finding` says of a case of which `truth` holds.
    pub fn of(finding: &Finding, truth: &Truth) -> Self {
        let severity = finding.severity;
        Self {
            verdict: finding.verdict.clone(),
            severity,
            place: place(finding),
            summary: finding.summary.clone(),
            is_wrong: !truth.allows(&finding.verdict, severity),
        }
    }
}

fn place(finding: &Finding) -> String {
    let Some(boundary) = &finding.boundary else {
        return String::new();
    };
    let device = boundary.egress.as_ref().or(boundary.ingress.as_ref());
    let words = [
        boundary.netns.name.as_deref().unwrap_or_default(),
        device.map_or("", String::as_str),
        &boundary.function,
        &match boundary.limit_bytes {
            0 => format!("{} bytes", boundary.packet_bytes),
            limit => format!("{} > {limit}", boundary.packet_bytes),
        },
    ];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

impl Outcome {
    /// Whether the tracer left the case as it was, and said nothing wrong of it.
    pub fn is_right(&self) -> bool {
        self.trouble.is_none()
            && self.is_undisturbed()
            && self.findings.iter().all(|it| !it.is_wrong)
    }

    /// Whether it ended with the tracer as by itself.
    pub fn is_undisturbed(&self) -> bool {
        self.traced.is_none_or(|traced| traced == self.alone)
    }
}

#[cfg(test)]
mod tests {
    use lab::report::Severity;

    use super::{Ended, Outcome, Told};

    fn outcome(alone: Ended, traced: Option<Ended>, wrong: &[bool]) -> Outcome {
        let told = |is_wrong: &bool| Told {
            verdict: "mtu-black-hole".to_owned(),
            severity: Severity::Error,
            place: String::new(),
            summary: String::new(),
            is_wrong: *is_wrong,
        };
        Outcome {
            case: "a".to_owned(),
            kernel: "6.12".to_owned(),
            alone,
            traced,
            events: 1,
            findings: wrong.iter().map(told).collect(),
            words: String::new(),
            trouble: None,
        }
    }

    #[test]
    fn a_status_is_that_of_the_kernels_framework() {
        let all = [Some(0), Some(4), Some(1), Some(127), None].map(Ended::of);
        let failed = Ended::Failed;
        assert_eq!(all, [Ended::Passed, Ended::Skipped, failed, failed, failed]);
    }

    #[test]
    fn the_same_end_and_no_wrong_finding_are_right() {
        let (passed, failed) = (Ended::Passed, Ended::Failed);
        assert!(outcome(passed, Some(passed), &[false]).is_right());
        assert!(outcome(failed, Some(failed), &[]).is_right());
        assert!(outcome(Ended::Skipped, None, &[]).is_right());
        assert!(!outcome(passed, Some(failed), &[]).is_right());
        assert!(!outcome(passed, Some(Ended::Hung), &[]).is_right());
        assert!(!outcome(failed, Some(passed), &[]).is_right());
        assert!(!outcome(passed, Some(passed), &[false, true]).is_right());
    }
}
