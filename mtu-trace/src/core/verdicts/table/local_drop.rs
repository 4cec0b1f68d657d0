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
    fixes: |worst| worst.for_drop(),
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
    let drop = telling.finding.drop.as_ref();
    format!(
        "{} loses segments on this host: {} dropped {}.",
        telling.who,
        match drop.map_or(0, |drop| drop.packets) {
            1 => "1 packet was".to_owned(),
            packets => format!("{packets} packets were"),
        },
        telling.dropped.as_deref().unwrap_or("here"),
    )
}
