//! Compares what was found with what is expected.

use std::{fmt::Debug, fs, sync::LazyLock};

use jiff::SignedDuration;
use lab::{
    Lab,
    report::{Confidence, Finding, NetnsId, Severity},
};

use crate::scenario::{Expect, Want};

/// How a scenario was judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// The findings, shortly.
    pub got: Vec<String>,
    /// What is wrong with them.
    pub faults: Vec<String>,
    /// Whether what is expected was found.
    pub found: bool,
    /// Findings that should not be there.
    pub extra: usize,
    /// From the first drop or retransmit to the verdict.
    pub took: Option<SignedDuration>,
    /// The kind of interface that the kernel lacks: nothing was judged.
    pub skipped: Option<&'static str>,
}

impl Judged {
    /// One that did not come so far.
    pub fn failed(why: String) -> Self {
        let mut judged = Self::default();
        judged.wrong(why);
        judged
    }

    /// One that this kernel cannot have.
    pub fn skipped(kind: &'static str) -> Self {
        Self {
            skipped: Some(kind),
            ..Self::default()
        }
    }

    /// Adds a fault.
    pub fn wrong(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Whether all is as it should be.
    pub fn is_right(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Judges the findings in `lab`. Where a hook is missing, a finding may say less or not be there, but
/// nothing it says may be wrong.
pub fn judge(expect: &Expect, lab: &Lab, findings: &[&Finding], without: Option<&str>) -> Judged {
    let mut judged = Judged {
        got: findings.iter().map(|it| shortly(it)).collect(),
        ..Judged::default()
    };
    let want = match expect {
        Expect::Nothing | Expect::IfHung(_) => None,
        Expect::Finding(want) => Some(want),
    };
    let is_wanted = |finding: &Finding| want.is_some_and(|want| want.verdict == finding.verdict);
    let extra = findings
        .iter()
        .filter(|it| !is_wanted(it) && it.severity > Severity::Info);
    for finding in extra {
        judged.extra += 1;
        judged
            .faults
            .push(format!("should not be there: {}", finding.summary));
    }
    let Some(want) = want else {
        return judged;
    };
    let wanted: Vec<&&Finding> = findings.iter().filter(|it| is_wanted(it)).collect();
    match wanted.as_slice() {
        [] if without.is_none() => judged.wrong("nothing found".to_owned()),
        [] => {}
        [finding] => {
            judged.found = true;
            judged.took = Some(finding.detected_at.duration_since(finding.first_seen));
            compare(want, lab, finding, without, &mut judged.faults);
        }
        more => judged.wrong(format!("{} findings instead of one", more.len())),
    }
    judged
}

fn shortly(finding: &Finding) -> String {
    let confidence = match finding.confidence {
        Confidence::Confirmed => "confirmed",
        Confidence::Likely => "likely",
        Confidence::Suspected => "suspected",
    };
    format!("{} ({confidence})", finding.verdict)
}

fn compare(
    want: &Want,
    lab: &Lab,
    finding: &Finding,
    without: Option<&str>,
    faults: &mut Vec<String>,
) {
    let mut same = |what: &str, got: &dyn Debug, expected: &dyn Debug| {
        let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
        if got != expected {
            faults.push(format!("{what} is {got} instead of {expected}"));
        }
    };
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    if !want.severity.split('|').any(|allowed| allowed == severity) {
        same("severity", &severity, &want.severity);
    }
    let role = |id: Option<&NetnsId>| {
        let is = |netns: &&lab::Netns| id.is_some_and(|id| id.is(netns));
        lab.namespaces()
            .find(is)
            .map(|netns| netns.role().to_owned())
    };
    if let Some(connection) = &finding.connection {
        same("protocol", &connection.protocol, &want.protocol);
        let local = role(connection.local.netns.as_ref());
        // Without its handshake a connection may be known from its packets only.
        let is_known = without.is_none() || (local.is_some() && want.local_needs != without);
        if want.local.is_some() && is_known {
            same("local end", &local.as_deref(), &want.local);
        }
        if let Some(direction) = want.direction
            && is_known
        {
            same("direction", &connection.direction, &direction);
        }
    }
    match (&want.place, &finding.boundary) {
        (Some(place), Some(boundary)) => {
            same(
                "boundary",
                &role(Some(&boundary.netns)).as_deref(),
                &Some(place.role),
            );
            same("egress", &boundary.egress.as_deref(), &Some(place.egress));
            same("limit", &boundary.limit_bytes, &place.limit_bytes);
            // What was only foretold was not seen: how long it is there, and where it dies.
            let foretold = without.is_some() && finding.pmtud.is_none();
            if !foretold {
                same("packet", &boundary.packet_bytes, &place.packet_bytes);
            }
            if without.is_none() || (boundary.function != "unknown" && !foretold) {
                same(
                    "function",
                    &boundary.function,
                    &on_this_kernel(place.function),
                );
            }
        }
        (Some(_), None) if without.is_none() => same("boundary", &"null", &"a place"),
        _ => {}
    }
    if let (Some(silent), Some(boundary)) = (want.silent, &finding.boundary) {
        same("silent", &boundary.silent, &silent);
    }
    if let Some((blocked_in, hook)) = want.blocked {
        let at = finding.blocked_at();
        let got = at.map(|at| (role(Some(&at.netns)), at.hook.clone()));
        if without.is_none() || got.is_some() {
            let expected = Some((Some(blocked_in.to_owned()), hook.to_owned()));
            same("blocked at", &got, &expected);
        }
    }
}

/// Functions that are the same place, the newest name first.
const RENAMED: [&[&str]; 1] = [&["__dev_forward_skb2", "__dev_forward_skb"]];

/// The name of `function` on the kernel that runs.
fn on_this_kernel(function: &'static str) -> &'static str {
    static SYMBOLS: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string("/proc/kallsyms").unwrap_or_default());
    let exists = |name: &&&str| {
        SYMBOLS
            .lines()
            .any(|line| line.split_whitespace().nth(2) == Some(name))
    };
    RENAMED
        .iter()
        .find(|names| names.contains(&function))
        .and_then(|names| names.iter().find(exists))
        .copied()
        .unwrap_or(function)
}
