//! `pmtud-working`: packets were too big, then the sender came down.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Info],
    meaning: "Packets were too big, the sender came down, data moves.",
    cases: &[
        case("recovered", Info, Confirmed, describe)
            .needs(&[OversizedDrop, HoleFilled])
            .unless(&[HoleOpen, HoleFilledLate, StalledAfterwards, Datagrams]),
        case("told datagrams", Info, Suspected, describe)
            .needs(&[OversizedDrop, Datagrams, ToldAndStopped])
            .unless(&[HoleOpen, HoleFilledLate]),
    ],
    sentence,
    fixes: |worst| worst.lower_local_mtu().into_iter().collect(),
};

/// That segments got through must have been seen: silence may be a sender that gave up. Of datagrams
/// it is not seen: those that are no longer too big are nobody's business here.
fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let drops = facts.track.worst_site()?;
    let worst = facts.track.holes.worst;
    let (attempts, at_ns) = worst.map_or((0, 0), |worst| (worst.attempts, worst.at_ns));
    Some(Trouble {
        attempts,
        ..Trouble::at_site(drops, at_ns.max(drops.last_ns))
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let Some(boundary) = &telling.finding.boundary else {
        return telling.who.clone();
    };
    format!(
        "{} sent packets of {} bytes into {} and came down: path MTU discovery works.",
        telling.who,
        boundary.packet_bytes,
        whereabouts(boundary),
    )
}
