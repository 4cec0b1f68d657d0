//! `packet-loss`: segments were lost elsewhere and got through when they were sent again.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Info],
    meaning: "Segments were lost elsewhere and got through when resent.",
    cases: &[case("lost", Info, Likely, describe)
        .needs(&[SegmentsLost])
        .unless(&[SynUnanswered, WindowClosed, CutOff])
        .surer_with(&[DropsVisible])],
    sentence,
    ..VerdictEntry::DEFAULT
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let sent = facts.track.retransmits.as_ref()?;
    Some(Trouble {
        attempts: sent.repeats.worst.map_or(0, |worst| worst.attempts),
        ..Trouble::over(facts.peer(), sent.first_ns, sent.last_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    format!(
        "{} lost segments {} and recovered: {} were sent again.",
        telling.who,
        match &telling.connection.remote.netns {
            Some(_) => "on the way, where this host does not see it,",
            None => "beyond this host",
        },
        telling.finding.evidence.retransmits,
    )
}
