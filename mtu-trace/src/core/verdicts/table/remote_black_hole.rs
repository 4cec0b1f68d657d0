//! `remote-black-hole`: only full-size segments get nowhere, and nothing is dropped on this host.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Error],
    meaning: "Only full-size segments get nowhere, and none dies here.",
    cases: &[
        case("sender beyond a hole", Error, Suspected, of_sender)
            .needs(&[SenderStalled, FullSizeUnacknowledged, NothingDropped])
            .unless(&[OtherDrop]),
        case("receiver beyond a hole", Error, Suspected, of_receiver)
            .needs(&[GapUnfilled, NothingDropped])
            .unless(&[OtherDrop]),
    ],
    sentence,
    fixes: |worst| {
        [worst.measure(), worst.probe()]
            .into_iter()
            .flatten()
            .collect()
    },
};

fn of_sender(facts: &TrackFacts<'_>) -> Option<Trouble> {
    Some(Trouble::stall(facts, &facts.stall()?, facts.peer()))
}

/// The same from the receiver's side: what lies behind a gap arrives, what would fill it never does.
fn of_receiver(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let since_ns = size::unfilled_gap_ns(facts)?;
    Some(Trouble::lasting(facts.peer(), since_ns))
}

fn sentence(telling: &Telling<'_>) -> String {
    let Telling { who, finding, .. } = telling;
    let what = if telling.connection.direction == Direction::Download
        && finding.evidence.retransmits == 0
    {
        format!(
            "a gap in its data has not been filled for {:.1} s",
            telling.seconds()
        )
    } else {
        "its full-size segments are never acknowledged".to_owned()
    };
    format!(
        "{who} is stalled: {what} while small packets pass. Nothing is dropped on this host, so \
         there is no local evidence; a link beyond it may have a smaller MTU."
    )
}
