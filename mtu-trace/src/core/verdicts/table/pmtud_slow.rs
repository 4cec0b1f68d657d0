//! `pmtud-slow`: packets were too big, and recovery took several timeouts.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Warning],
    meaning: "Packets were too big; recovery took several timeouts.",
    cases: &[
        case("recovered late", Warning, Confirmed, here)
            .needs(&[OversizedDrop, HoleFilledLate])
            .unless(&[StalledAfterwards]),
        case("came down late", Warning, Likely, beyond)
            .needs(&[CameDownLate])
            .unless(&[SynUnanswered, OtherDropMatters]),
    ],
    sentence,
    fixes: |worst| worst.for_narrow_place(),
};

fn here(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let drops = facts.track.worst_site()?;
    let worst = facts.track.holes.worst?;
    Some(Trouble {
        attempts: worst.attempts,
        ..Trouble::at_site(drops, worst.at_ns)
    })
}

/// The same beyond this host: after several timeouts the segments became smaller and got through.
fn beyond(facts: &TrackFacts<'_>) -> Option<Trouble> {
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
            "{who} lost {seconds:.1} s: its {} died in {} until the sender tried smaller ones.",
            packets(boundary),
            whereabouts(boundary),
        ),
    }
}
