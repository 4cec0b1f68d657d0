//! Compares what `check` said before the traffic with what the traffic met.

use lab::audit;
use lab::report::{Finding, Severity};

use crate::judge::Seen;

/// What `check` says of a scenario's network before any traffic.
#[derive(Clone, Copy)]
pub enum Foreseen {
    /// The place of the finding, if that has one: the same limit, packet and hook where the message is
    /// dropped, and as bad as it is.
    AsFound,
    /// Nothing of more weight than this, and a finding without weight with these words in it.
    AtMost(Severity, Option<&'static str>),
    /// Something else, or nothing.
    Open {
        /// Why it cannot be what the traffic meets.
        #[expect(dead_code, reason = "for whoever reads the table")]
        because: &'static str,
    },
}

impl Foreseen {
    /// Nothing of more weight than info.
    pub const QUIET: Self = Self::AtMost(Severity::Info, None);
    /// No error: nothing that must hang.
    pub const NO_ERROR: Self = Self::AtMost(Severity::Warning, None);

    /// IPv4 is harmless, and says so in these words; IPv6 may depend on its messages.
    pub const fn harmless(words: &'static str) -> Self {
        Self::AtMost(Severity::Warning, Some(words))
    }
}

/// What is wrong with what was foreseen.
pub fn compare(seen: &Seen<'_>, found: Option<&Finding>) -> Option<String> {
    let audited = seen.audit.findings(seen.act.lab.lab());
    let summaries: Vec<_> = audited.iter().map(|it| &it.summary).collect();
    match seen.scenario.foreseen {
        Foreseen::AsFound => found.and_then(|found| as_found(seen, found)),
        Foreseen::AtMost(most, words) => {
            let worst = audited.iter().max_by_key(|it| it.severity);
            let worse = worst.filter(|it| it.severity > most);
            let says = |words: &&str| {
                let mut harmless = audited.iter().filter(|it| it.severity == Severity::Info);
                harmless.any(|it| it.summary.contains(words))
            };
            let unsaid = words.filter(|words| !says(words));
            let worse = worse.map(|it| format!("check should not say: {}", it.summary));
            worse.or_else(|| unsaid.map(|it| format!("check does not say \"{it}\": {summaries:?}")))
        }
        Foreseen::Open { .. } => None,
    }
}

fn as_found(seen: &Seen<'_>, found: &Finding) -> Option<String> {
    let place = found.boundary.as_ref()?;
    let lab = seen.act.lab.lab();
    let Some(before) = audit::about(seen.audit, lab, place) else {
        let audited = seen.audit.findings(lab);
        let places: Vec<_> = audited.iter().map(|it| &it.boundary).collect();
        return Some(format!("check foresees not {place:?} but {places:?}"));
    };
    let severity = match found.verdict.as_str() {
        "mtu-black-hole" => Severity::Error,
        _ => Severity::Warning,
    };
    let blocked = |finding: &Finding| {
        let at = finding.blocked_at()?;
        Some((at.netns.inode, at.hook.clone()))
    };
    let is_same = (before.severity, blocked(before)) == (severity, blocked(found));
    (!is_same || before.verdict != "mtu-mismatch").then(|| {
        let (pmtud, then) = (&before.pmtud, &found.pmtud);
        format!(
            "check foresees {:?} {pmtud:?}, but then {then:?}",
            before.severity
        )
    })
}
