//! What a finding rests on, in figures and in words.

use std::io;

use crate::core::sites::Tells;
use crate::core::track::{
    Icmp, Lack, OtherDrops, OtherKey, PmtuAccepted, SiteDrops, Track, TrackedSocket,
};
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::trouble::Trouble;
use crate::model::event::hook::{
    DROPS, ICMP, RETRANSMITS, ROUTE, ROUTE6, STATES, TOLD, TOLD6, TUNNEL,
};
use crate::model::event::{Flow, Timers};
use crate::model::finding::Evidence;
use crate::model::network::Topology;

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// The figures behind a finding, of the connection it hurts most.
pub fn evidence(facts: &TrackFacts<'_>, trouble: &Trouble) -> Evidence {
    let (state, track) = (facts.state, facts.track);
    let sent = track.retransmits.as_ref();
    let last_ns = trouble.last_ns.filter(|_| !trouble.ongoing);
    let until_ns = last_ns.unwrap_or(state.now_ns);
    Evidence {
        oversized_drops: track.oversized_drops(),
        other_drops: track.other.values().map(|drops| drops.count).sum(),
        retransmits: facts.retransmits(),
        unsent: sent.map_or(0, |sent| sent.unsent),
        max_backoff: sent.map_or(0, |sent| sent.max_backoff),
        stalled_ms: until_ns.saturating_sub(trouble.first_ns) / NS_PER_MS,
        attempts: trouble.attempts,
        seq: trouble.seq,
        icmp_generated: track.icmp.generated,
        icmp_dropped: track.icmp.blocked.iter().map(|blocked| blocked.count).sum(),
        oversized_seen: track.seen.values().sum(),
        sender_mss: track.sender_mss,
        lost_events: state.lost,
        ways: 0,
        notes: notes(facts),
    }
}

/// What was seen of one direction of a connection, in the order in which things happen: each note
/// begins with the hook, or the other source, it was seen by.
fn notes(facts: &TrackFacts<'_>) -> Vec<String> {
    let (topology, track) = (&facts.state.topology, facts.track);
    let ends = &facts.connection.ends;
    let mut notes = Vec::new();
    notes.extend(
        track
            .oversized
            .values()
            .map(|drops| oversized(drops, topology)),
    );
    icmp(&track.icmp, topology, &mut notes);
    if let Some(sent) = &track.retransmits {
        if sent.count > 0 || sent.unsent == 0 {
            notes.push(format!(
                "{RETRANSMITS}: {} segments sent again, timeout doubled {} times",
                sent.count, sent.max_backoff
            ));
        }
        if let Some(error) = sent.error {
            notes.push(format!(
                "{RETRANSMITS}: {} segments could not be sent again: {error}",
                sent.unsent
            ));
        }
        notes.extend(sent.timers.as_ref().and_then(timers));
    }
    notes.extend(ends.iter().filter_map(|end| socket(end, topology)));
    notes.extend(
        facts
            .flow()
            .and_then(|sent| way_out(track, &sent, topology)),
    );
    let others = track.other.iter();
    notes.extend(others.map(|(key, drops)| other(key, drops, topology)));
    notes.extend(ends.iter().filter_map(|end| ending(end, topology)));
    if facts.state.lost > 0 {
        notes.push(format!("{} records of our own were lost", facts.state.lost));
    }
    if facts.state.may_lack_state(facts.connection) {
        notes.push("more may have been known of this connection, and forgotten".to_owned());
    }
    notes
}

fn oversized(SiteDrops { site, count, .. }: &SiteDrops, topology: &Topology) -> String {
    let by = match site.site.tells {
        Tells::SenderForReceiver => TUNNEL,
        _ => DROPS,
    };
    let place = topology.label(site.key.netns);
    format!(
        "{by}: {count} packets of up to {} bytes dropped by {} in {place}",
        site.packet_bytes, site.key.function,
    )
}

/// The message to the sender, from its making to what became of it.
fn icmp(icmp: &Icmp, topology: &Topology, notes: &mut Vec<String>) {
    if icmp.generated > 0 {
        notes.push(format!("{ICMP}: {} messages generated", icmp.generated));
    }
    notes.extend(icmp.blocked.iter().map(|blocked| {
        let (count, function) = (blocked.count, &blocked.function);
        let place = topology.label(blocked.netns);
        format!("{DROPS}: {count} of the ICMP messages dropped by {function} in {place}")
    }));
    notes.extend(icmp.seen.iter().map(|(&(netns, ifindex, egress), count)| {
        let link = topology.link(netns, ifindex);
        let link = link.map_or("a device since gone", |link| link.name.as_str());
        let went = if egress { "left by" } else { "came in by" };
        let place = topology.label(netns);
        format!("tc: {count} ICMP messages {went} {link} in {place}")
    }));
    notes.extend(icmp.pmtu_accepted.as_deref().map(taken_over));
}

fn socket(end: &TrackedSocket, topology: &Topology) -> Option<String> {
    let sample = end.sample.as_ref()?;
    let waits = if sample.is_held_up {
        format!(
            ", tries in vain to send {} bytes although its peer has room",
            sample.unsent_bytes
        )
    } else if sample.unacked > 0 && sample.backoff > 0 {
        format!(
            ", waits for the acknowledgement of {} segments, timeout doubled {} times",
            sample.unacked, sample.backoff
        )
    } else {
        String::new()
    };
    Some(format!(
        "sock_diag: the socket in {} is {}, {} bytes received, {} acknowledged{waits}",
        topology.label(end.socket.flow.netns),
        sample.state.name(),
        sample.bytes_received,
        sample.bytes_acked,
    ))
}

fn other(key: &OtherKey, drops: &OtherDrops, topology: &Topology) -> String {
    let reason = key.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let (count, function, place) = (drops.count, &key.function, topology.label(key.netns));
    format!("{DROPS}: {count} other packets dropped by {function}{reason} in {place}")
}

/// What the way out of a sender lacks or lacked; `None` if nothing was seen to be missing.
fn way_out(track: &Track, sent: &Flow, topology: &Topology) -> Option<String> {
    let what = match track.outage.as_ref()?.lack.as_ref()? {
        Lack::Interface(name) => format!("interface {name} is gone"),
        Lack::Up { name, .. } => format!("interface {name} is down"),
        Lack::Address(address, _) => format!("address {address} is not there"),
        Lack::Route(route, name) => format!("the route to {} by {name} is gone", route.network()),
        Lack::AnyRoute => format!("no route leads to {}", sent.destination.ip()),
        Lack::Refused => format!("a route refuses what is sent to {}", sent.destination.ip()),
    };
    let place = topology.label(sent.netns);
    Some(format!("netlink: in {place}, {what}"))
}

fn ending(end: &TrackedSocket, topology: &Topology) -> Option<String> {
    let closed = end.closed.as_ref().filter(|closed| closed.error != 0)?;
    let place = topology.label(end.socket.flow.netns);
    let error = io::Error::from_raw_os_error(closed.error.cast_signed());
    Some(format!(
        "{STATES}: the socket in {place} ended with {error}"
    ))
}

/// Whom the message has reached, by the functions that take its MTU over.
fn taken_over(accepted: &PmtuAccepted) -> String {
    let PmtuAccepted {
        mtu_bytes,
        by_socket,
        by_route,
    } = accepted;
    let socket = format!("{TOLD}, {TOLD6}: {by_socket} times by the sender's socket");
    let route = format!("{ROUTE}, {ROUTE6}: {by_route} times by its route");
    let by = [(by_socket, socket), (by_route, route)].into_iter();
    let by: Vec<String> = by
        .filter(|(count, _)| **count > 0)
        .map(|(_, by)| by)
        .collect();
    format!("{}; MTU {mtu_bytes} taken over", by.join("; "))
}

/// Why segments were sent again; `None` where that is not seen.
fn timers(timers: &Timers) -> Option<String> {
    let words = timers.counted();
    let words = words.map(|(count, by, what)| format!("{by}: {count} {what}"));
    words.reduce(|words, more| format!("{words}; {more}"))
}
