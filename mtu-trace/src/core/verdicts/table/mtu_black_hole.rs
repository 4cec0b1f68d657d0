//! `mtu-black-hole`: oversized packets of a stalled connection are dropped on this host.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Error],
    meaning: "A hanging connection's oversized packets die on this host.",
    cases: &[
        case("segments", Error, Confirmed, of_segments)
            .needs(&[OversizedStall])
            .surer_with(&[SocketWatched, KnownFunction]),
        case("datagrams", Error, Likely, of_datagrams)
            .needs(&[RepeatedDrops, Datagrams])
            .unless(&[ToldAndStopped])
            .surer_with(&[MessageMissing, KnownFunction]),
        case("blocked message", Error, Likely, of_blocked_message)
            .needs(&[MessageBlocked, SenderStalled])
            .unless(&[OversizedDrop, NothingLeaves]),
        case("passing", Error, Suspected, of_passing_packets)
            .needs(&[OversizedPassing])
            .unless(&[NothingLeaves]),
        case("predicted", Error, Suspected, of_predicted_place)
            .needs(&[NothingTried, FullSizeWaiting, SenderStalled, NarrowPlace])
            .unless(&[SynUnanswered, NothingLeaves]),
    ],
    sentence,
    fixes: |worst| worst.for_narrow_place(),
};

fn of_segments(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let stall = size::oversized_stall(facts)?;
    let site = &facts.track.worst_site()?.site;
    Some(Trouble::stall(facts, &stall, Cause::Site(site.key.clone())))
}

/// Datagrams that are dropped again and again: nobody on this host acknowledges them, so that the
/// sender does not come down is seen from their number alone.
fn of_datagrams(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let drops = facts.track.worst_site()?;
    Some(Trouble {
        ongoing: size::drops_go_on(facts),
        attempts: u32::try_from(drops.count).unwrap_or(u32::MAX),
        ..Trouble::at_site(drops, drops.last_ns)
    })
}

/// The place is not seen, because it is beyond this host or a tunnel drops without a word, but the
/// message from there is dropped here.
fn of_blocked_message(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let blocked = &facts.track.icmp.blocked;
    let worst = blocked.iter().max_by_key(|blocked| blocked.count)?;
    let cause = Cause::Message(worst.netns, worst.function.clone(), worst.hook);
    Some(Trouble {
        predicted: predicted::by_message(facts).map(Arc::new),
        ..Trouble::stall(facts, &facts.stall()?, cause)
    })
}

/// Drops cannot be seen at all, but packets of a stalled sender pass by that are too long for what
/// lies ahead.
fn of_passing_packets(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let site = &facts.track.passing.as_ref()?.site;
    let stall = size::passing_stall(facts)?;
    Some(Trouble::stall(facts, &stall, Cause::Site(site.key.clone())))
}

/// Nothing was seen, because the stall began before the trace and its sender waits for seconds or
/// minutes between one try and the next: but its socket tells that it has been timing out, and the
/// network as it stands that packets as long as its own do not fit through. The next try tells more.
fn of_predicted_place(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let place = facts.predicted_place()?;
    let cause = Cause::Site(predicted::key(place));
    Some(Trouble {
        predicted: Some(Arc::clone(place)),
        ..Trouble::stall(facts, &facts.stall()?, cause)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let Telling { who, finding, .. } = telling;
    match (&finding.boundary, &finding.pmtud) {
        // No drop was seen, and no message.
        (Some(boundary), None) => format!(
            "{who} is stalled: its {} do not fit through {}, as the network stands. None was seen to \
             die there yet: the sender waits before it tries again.",
            packets(boundary),
            whereabouts(boundary),
        ),
        (Some(boundary), Some(pmtud)) => format!(
            "{who} is stalled: its {} die in {}, and {}.",
            packets(boundary),
            whereabouts(boundary),
            silence(pmtud, boundary),
        ),
        (None, _) => format!(
            "{who} is stalled: something on the way says that its packets are too big, and that \
             message is dropped{}.",
            blocked(finding)
        ),
    }
}

/// Where the message was dropped: ` in node-1, FORWARD`; empty where that is not known.
fn blocked(finding: &Finding) -> String {
    let pmtud = finding.pmtud.as_ref();
    pmtud
        .and_then(|pmtud| pmtud.blocked_at.as_ref())
        .map_or_else(String::new, |blocked| {
            let hook = blocked.hook.map(|hook| format!(", {hook}"));
            format!(" in {}{}", blocked.netns.label(), hook.unwrap_or_default())
        })
}

/// Why the sender does not come down.
fn silence(pmtud: &Pmtud, boundary: &Boundary) -> String {
    let words = match &pmtud.blocked_at {
        _ if boundary.silent => "nothing there can tell the sender",
        Some(BlockedAt { why: Some(why), .. }) => {
            return format!("the ICMP that should say so {why}");
        }
        Some(blocked) => {
            let by = match blocked.hook {
                Some(hook) => format!(", {hook}"),
                None => format!(" by {}", blocked.function),
            };
            let place = blocked.netns.label();
            return format!("the ICMP that should say so is dropped in {place}{by}");
        }
        None if pmtud.delivered == Some(true) => "the sender was told and does not come down",
        None if pmtud.signalled => {
            "the ICMP that should say so was sent but had no effect; it is not lost where this host \
             can see it"
        }
        None => "no ICMP was seen that would tell the sender",
    };
    words.to_owned()
}
