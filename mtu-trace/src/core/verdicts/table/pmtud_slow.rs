//! `pmtud-slow`: packets were too big, and recovery took several timeouts.

use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::sentence::{Telling, between, packets};
use crate::core::verdicts::table::{Origin, Trouble, VerdictEntry, page};
use crate::model::finding::Severity;

pub const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Severity::Warning],
    meaning: "Packets were too big; recovery took several timeouts.",
    page: page!("pmtud-slow"),
    origin: Origin::Trace {
        sentence,
        fixes: |context| context.for_narrow_place(),
    },
};

pub(super) fn here(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let drops = facts.track.worst_site()?;
    let worst = facts.track.holes.worst?;
    let cause = Cause::Site(drops.site.key.clone());
    Some(Trouble {
        attempts: worst.attempts,
        ..Trouble::over(cause, drops.first_ns, worst.at_ns)
    })
}

/// The same beyond this host: after several timeouts the segments became smaller and got through.
pub(super) fn beyond(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let sent = facts.track.retransmits.as_ref()?;
    let worst = sent.repeats.worst?;
    Some(Trouble {
        attempts: worst.attempts,
        ..Trouble::over(facts.peer(), sent.first_ns, worst.at_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let (who, seconds) = (&telling.who, telling.seconds());
    match &telling.finding.boundary {
        None => format!(
            "{who} lost {seconds:.1} s beyond this host until the sender tried smaller packets."
        ),
        Some(boundary) => format!(
            "{who} lost {seconds:.1} s: its {} died in {} {} (limit {}) until the sender tried \
             smaller ones.",
            packets(boundary),
            boundary.netns.label(),
            between(boundary),
            boundary.limit_bytes,
        ),
    }
}
