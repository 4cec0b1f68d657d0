//! What a finding rests on, in figures and in words.

use std::io;

use crate::{
    core::{
        sites::SiteKind,
        track::{Connection, Heeded, Side, State},
        verdicts::assemble::Member,
    },
    model::{
        event::{Timers, hook},
        finding::Evidence,
        netns_ref::NetnsRef,
        network::NetnsId,
    },
};

const NS_PER_MS: u64 = 1_000_000;

/// The figures behind a finding, of the connection it hurts most.
pub fn evidence(state: &State, member: &Member<'_>) -> Evidence {
    let track = member.case.track;
    let sent = track.retransmits.as_ref();
    let until = if member.found.ongoing {
        state.now_ns
    } else {
        member.found.last_ns.unwrap_or(state.now_ns)
    };
    Evidence {
        oversized_drops: track.oversized_drops(),
        other_drops: track.other.values().map(|drops| drops.count).sum(),
        retransmits: sent.map_or(0, |sent| sent.count),
        max_backoff: sent.map_or(0, |sent| sent.max_backoff),
        stalled_ms: until.saturating_sub(member.found.first_ns) / NS_PER_MS,
        attempts: member.found.attempts,
        seq: member.found.seq,
        icmp_generated: track.icmp.generated,
        icmp_dropped: track.icmp.blocked.iter().map(|blocked| blocked.count).sum(),
        oversized_seen: track.seen.values().sum(),
        sender_mss: track.sender_mss,
        lost_events: state.lost,
        ways: 0,
        notes: notes(state, member.case.connection, member.case.side),
    }
}

/// What was seen by which hook, in words, for the reader who doubts.
fn notes(state: &State, connection: &Connection, side: Side) -> Vec<String> {
    let topology = &state.topology;
    let label = |netns: NetnsId| NetnsRef::new(netns, topology).label();
    let track = connection.track(side);
    let mut notes = Vec::new();
    for drops in track.oversized.values() {
        notes.push(format!(
            "{}: {} packets of up to {} bytes dropped by {} in {}",
            if drops.site.kind == SiteKind::Tunnel {
                hook::TUNNEL
            } else {
                hook::DROPS
            },
            drops.count,
            drops.site.packet_bytes,
            drops.site.key.function,
            label(drops.site.key.netns),
        ));
    }
    if track.icmp.generated > 0 {
        notes.push(format!(
            "icmp:icmp_send: {} messages generated",
            track.icmp.generated
        ));
    }
    for blocked in &track.icmp.blocked {
        notes.push(format!(
            "skb:kfree_skb: {} of the ICMP messages dropped by {} in {}",
            blocked.count,
            blocked.function,
            label(blocked.netns),
        ));
    }
    for (&(netns, ifindex, egress), count) in &track.icmp.seen {
        let link = topology.link(netns, ifindex);
        notes.push(format!(
            "tc: {count} ICMP messages {} {} in {}",
            if egress { "left by" } else { "came in by" },
            link.map_or("a device since gone", |link| link.name.as_str()),
            label(netns),
        ));
    }
    if let Some(heeded) = &track.icmp.heeded {
        notes.push(heeding(heeded));
    }
    if let Some(sent) = &track.retransmits {
        notes.push(format!(
            "tcp:tcp_retransmit_skb: {} segments sent again, timeout doubled {} times",
            sent.count, sent.max_backoff
        ));
        notes.extend(sent.timers.and_then(|timers| timing(&timers)));
    }
    for end in &connection.ends {
        if let Some(sample) = &end.sample {
            let waits = if sample.unacked > 0 && sample.backoff > 0 {
                format!(
                    ", waits for the acknowledgement of {} segments, timeout doubled {} times",
                    sample.unacked, sample.backoff
                )
            } else {
                String::new()
            };
            notes.push(format!(
                "sock_diag: the socket in {} is {}, {} bytes received, {} acknowledged{waits}",
                label(end.socket.flow.netns),
                sample.state.name(),
                sample.bytes_received,
                sample.bytes_acked,
            ));
        }
    }
    for (key, drops) in &track.other {
        notes.push(format!(
            "skb:kfree_skb: {} other packets dropped by {}{} in {}",
            drops.count,
            key.function,
            key.reason
                .as_deref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default(),
            label(key.netns),
        ));
    }
    for end in &connection.ends {
        if let Some(closed) = end.closed.as_ref().filter(|closed| closed.error != 0) {
            notes.push(format!(
                "sock:inet_sock_set_state: the socket in {} ended with {}",
                label(end.socket.flow.netns),
                io::Error::from_raw_os_error(closed.error.cast_signed()),
            ));
        }
    }
    if state.lost > 0 {
        notes.push(format!("{} records of our own were lost", state.lost));
    }
    notes
}

/// Whom the message has reached, by the functions that take its MTU over.
fn heeding(heeded: &Heeded) -> String {
    let mut by = Vec::new();
    if heeded.by_socket > 0 {
        by.push(format!(
            "{}, {}: {} times by the sender's socket",
            hook::TOLD,
            hook::TOLD6,
            heeded.by_socket
        ));
    }
    if heeded.by_route > 0 {
        by.push(format!(
            "{}, {}: {} times by its route",
            hook::ROUTE,
            hook::ROUTE6,
            heeded.by_route
        ));
    }
    format!("{}; MTU {} taken over", by.join("; "), heeded.mtu_bytes)
}

/// Why segments were sent again, where that is seen.
fn timing(timers: &Timers) -> Option<String> {
    let words: Vec<String> = timers
        .counted()
        .map(|(count, by, what)| format!("{by}: {count} {what}"))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
