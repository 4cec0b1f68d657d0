//! `handshake-timeout`: SYNs are not answered, which is no MTU problem.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Warning],
    meaning: "SYNs are not answered, which is no MTU problem.",
    cases: &[case("handshake", Warning, Confirmed, describe).needs(&[SynUnanswered])],
    sentence,
    fixes: |worst| worst.for_drop(),
};

fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let sent = facts.track.retransmits.as_ref()?;
    let dropped = loss::dropped_in_handshake(facts).map(|key| Cause::Other(key.clone()));
    let cause = dropped.unwrap_or_else(|| facts.peer());
    Some(Trouble {
        ongoing: facts.sender()?.closed.is_none(),
        attempts: u32::try_from(sent.handshake).unwrap_or(u32::MAX),
        ..Trouble::over(cause, sent.first_ns, sent.last_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let Telling {
        who,
        finding,
        connection,
        dropped,
        ..
    } = telling;
    let carried = finding.drop.as_ref().map(|drop| drop.carried);
    let answer = format!(
        ": the answer of {} (SYN-ACK)",
        connection.remote.socket_address()
    );
    format!(
        "{who} never came up: its SYN was sent again {} without an answer{}. This is not an MTU \
         problem.",
        match finding.evidence.retransmits {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        },
        match (dropped, carried) {
            (Some(dropped), Some(Carried::SynAck)) => format!("{answer} was dropped {dropped}"),
            (Some(dropped), _) => format!(", and was dropped {dropped}"),
            (None, _) => String::new(),
        },
    )
}
