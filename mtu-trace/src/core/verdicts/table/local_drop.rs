//! `local-drop`: segments are lost on this host, but not for their size.

use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::facts::loss::worst_other;
use crate::core::verdicts::sentence::{Telling, drop_place};
use crate::core::verdicts::table::{Origin, Trouble, VerdictEntry, page};
use crate::model::finding::Severity;

pub const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Severity::Error, Severity::Warning],
    meaning: "Segments are lost on this host, but not for their size.",
    page: page!("local-drop"),
    origin: Origin::Trace {
        sentence,
        fixes: |_| Vec::new(),
    },
};

pub(super) fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let (key, drops) = worst_other(facts.track)?;
    let sent = facts.track.retransmits.as_ref();
    let open = sent.and_then(|sent| sent.repeats.open);
    let last_ns = sent.map_or(0, |sent| sent.last_ns).max(drops.last_ns);
    let over = Trouble {
        attempts: open.map_or(0, |open| open.attempts),
        seq: open.map(|open| open.seq),
        ..Trouble::over(Cause::Other(key.clone()), drops.first_ns, last_ns)
    };
    Some(match facts.stall() {
        Some(stall) => Trouble {
            ongoing: facts.is_ongoing(stall.first_ns, stall.last_ns),
            attempts: stall.attempts,
            ..over
        },
        None => over,
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let place = match telling.other {
        Some(key) => drop_place(key, telling.topology),
        None => "here".to_owned(),
    };
    format!(
        "{} loses segments on this host: {} packets were dropped {place}.",
        telling.who, telling.finding.evidence.other_drops,
    )
}
