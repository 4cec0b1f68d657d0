//! `local-drop`: segments are lost on this host, but not for their size.

use super::*;

/// The drop of a SYN is the cause of a handshake that fails, and named in the sentence of that.
pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Error, Warning],
    meaning: "Segments are lost on this host, but not for their size.",
    cases: &[
        case("dropped and stalled", Error, Confirmed, describe)
            .needs(&[OtherDropMatters, SenderStalled])
            .unless(&[SynUnanswered])
            .surer_with(&[Retransmits]),
        case("dropped", Warning, Confirmed, describe)
            .needs(&[OtherDropMatters])
            .unless(&[SynUnanswered])
            .surer_with(&[Retransmits]),
    ],
    sentence,
    ..VerdictEntry::DEFAULT
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let (key, drops) = worst_other(facts.track)?;
    let sent = facts.track.retransmits.as_ref();
    let open = sent.and_then(|sent| sent.repeats.open);
    let last_ns = sent.map_or(0, |sent| sent.last_ns).max(drops.last_ns);
    let stall = facts.stall();
    let attempts = stall.map(|stall| stall.attempts);
    Some(Trouble {
        ongoing: stall.is_some_and(|it| facts.is_ongoing(it.first_ns, it.last_ns)),
        attempts: attempts.or(open.map(|open| open.attempts)).unwrap_or(0),
        seq: open.map(|open| open.seq),
        ..Trouble::over(Cause::Other(key.clone()), drops.first_ns, last_ns)
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
