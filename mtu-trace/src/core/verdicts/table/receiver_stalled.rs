//! `receiver-stalled`: the receiver has no room, and the sender waits for it.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Info],
    meaning: "The receiver has no room (zero window); the sender waits.",
    cases: &[case("zero window", Info, Confirmed, describe).needs(&[WindowClosed])],
    sentence,
    ..VerdictEntry::DEFAULT
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let since_ns = loss::window_closed_ns(facts)?;
    Some(Trouble::lasting(facts.peer(), since_ns))
}

fn sentence(telling: &Telling<'_>) -> String {
    format!(
        "{} waits for its receiver, which has had no room for {:.1} s (zero window). The network is \
         not at fault.",
        telling.who,
        telling.seconds()
    )
}
