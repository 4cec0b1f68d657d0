//! `connection-aborted`: a connection with losses was reset or given up.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Info],
    meaning: "A connection with losses was reset or given up.",
    cases: &[case("cut off", Info, Confirmed, describe).needs(&[CutOff])],
    sentence,
    ..VerdictEntry::DEFAULT
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let sent = facts.track.retransmits.as_ref()?;
    let open = sent.repeats.open;
    let last_ns = sent.last_ns.max(facts.connection.last_ns);
    Some(Trouble {
        attempts: open.map_or(0, |open| open.attempts),
        seq: open.map(|open| open.seq),
        ..Trouble::over(facts.peer(), sent.first_ns, last_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    format!(
        "{} was reset or given up after {} segments had been sent again.",
        telling.who, telling.finding.evidence.retransmits
    )
}
