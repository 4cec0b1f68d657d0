//! `handshake-timeout`: SYNs are not answered, which is no MTU problem.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Warning],
    meaning: "SYNs are not answered, which is no MTU problem.",
    cases: &[case("handshake", Warning, Confirmed, describe).needs(&[SynUnanswered])],
    sentence,
    ..VerdictEntry::DEFAULT
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let sent = facts.track.retransmits.as_ref()?;
    let dropped = worst_other(facts.track).map(|(key, _)| Cause::Other(key.clone()));
    let cause = dropped.unwrap_or_else(|| facts.peer());
    Some(Trouble {
        ongoing: facts.sender()?.closed.is_none(),
        attempts: u32::try_from(sent.handshake).unwrap_or(u32::MAX),
        ..Trouble::over(cause, sent.first_ns, sent.last_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    format!(
        "{} never came up: its SYN was sent again {} times without an answer{}. This is not an MTU \
         problem.",
        telling.who,
        telling.finding.evidence.retransmits,
        telling.other.map_or_else(String::new, |key| format!(
            ", and was dropped {}",
            drop_place(key, telling.topology)
        )),
    )
}
