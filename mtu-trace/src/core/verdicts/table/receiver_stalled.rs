//! `receiver-stalled`: the receiver has no room, and the sender waits for it.

use crate::core::verdicts::facts::{TrackFacts, loss};
use crate::core::verdicts::sentence::Telling;
use crate::core::verdicts::table::{Origin, Trouble, VerdictEntry, page};
use crate::model::finding::Severity;

pub const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Severity::Info],
    meaning: "The receiver has no room (zero window); the sender waits.",
    page: page!("receiver-stalled"),
    origin: Origin::Trace {
        sentence,
        fixes: |_| Vec::new(),
    },
};

pub(super) fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
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
