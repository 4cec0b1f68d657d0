//! What a finding rests on, in figures and in words.

use std::io;

use crate::core::sites::Tells;
use crate::core::track::{Icmp, OtherDrops, OtherKey, PmtuAccepted, SiteDrops, TrackedSocket};
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::table::Trouble;
use crate::model::event::{Timers, hook};
use crate::model::finding::Evidence;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{NetnsId, Topology};

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
    let topology = &facts.state.topology;
    let track = facts.track;
    let names = NoteNames(topology);
    let mut notes = Vec::new();
    notes.extend(track.oversized.values().map(|drops| names.oversized(drops)));
    notes.extend(names.icmp(&track.icmp));
    if let Some(sent) = &track.retransmits {
        notes.push(format!(
            "{}: {} segments sent again, timeout doubled {} times",
            hook::RETRANSMITS,
            sent.count,
            sent.max_backoff
        ));
        notes.extend(sent.timers.as_ref().and_then(timers));
    }
    let ends = &facts.connection.ends;
    notes.extend(ends.iter().filter_map(|end| names.socket(end)));
    let others = track.other.iter();
    notes.extend(others.map(|(key, drops)| names.other(key, drops)));
    notes.extend(ends.iter().filter_map(|end| names.ending(end)));
    if facts.state.lost > 0 {
        notes.push(format!("{} records of our own were lost", facts.state.lost));
    }
    notes
}

/// Notes that name namespaces and devices by the network as it is now.
struct NoteNames<'a>(&'a Topology);

impl NoteNames<'_> {
    fn label(&self, netns: NetnsId) -> String {
        NetnsRef::new(netns, self.0).label()
    }

    fn oversized(&self, drops: &SiteDrops) -> String {
        let by = match drops.site.site.tells {
            Tells::SenderForReceiver => hook::TUNNEL,
            _ => hook::DROPS,
        };
        format!(
            "{by}: {} packets of up to {} bytes dropped by {} in {}",
            drops.count,
            drops.site.packet_bytes,
            drops.site.key.function,
            self.label(drops.site.key.netns),
        )
    }

    /// The message to the sender, from its making to what became of it.
    fn icmp(&self, icmp: &Icmp) -> Vec<String> {
        let mut notes = Vec::new();
        if icmp.generated > 0 {
            notes.push(format!(
                "{}: {} messages generated",
                hook::ICMP,
                icmp.generated
            ));
        }
        notes.extend(icmp.blocked.iter().map(|blocked| {
            format!(
                "{}: {} of the ICMP messages dropped by {} in {}",
                hook::DROPS,
                blocked.count,
                blocked.function,
                self.label(blocked.netns),
            )
        }));
        notes.extend(icmp.seen.iter().map(|(&(netns, ifindex, egress), count)| {
            let link = self.0.link(netns, ifindex);
            format!(
                "tc: {count} ICMP messages {} {} in {}",
                if egress { "left by" } else { "came in by" },
                link.map_or("a device since gone", |link| link.name.as_str()),
                self.label(netns),
            )
        }));
        notes.extend(icmp.pmtu_accepted.as_deref().map(taken_over));
        notes
    }

    fn socket(&self, end: &TrackedSocket) -> Option<String> {
        let sample = end.sample.as_ref()?;
        let waits = if sample.unacked > 0 && sample.backoff > 0 {
            format!(
                ", waits for the acknowledgement of {} segments, timeout doubled {} times",
                sample.unacked, sample.backoff
            )
        } else {
            String::new()
        };
        Some(format!(
            "sock_diag: the socket in {} is {}, {} bytes received, {} acknowledged{waits}",
            self.label(end.socket.flow.netns),
            sample.state.name(),
            sample.bytes_received,
            sample.bytes_acked,
        ))
    }

    fn other(&self, key: &OtherKey, drops: &OtherDrops) -> String {
        let reason = key.reason.as_deref();
        format!(
            "{}: {} other packets dropped by {}{} in {}",
            hook::DROPS,
            drops.count,
            key.function,
            reason.map_or_else(String::new, |reason| format!(" ({reason})")),
            self.label(key.netns),
        )
    }

    fn ending(&self, end: &TrackedSocket) -> Option<String> {
        let closed = end.closed.as_ref().filter(|closed| closed.error != 0)?;
        Some(format!(
            "{}: the socket in {} ended with {}",
            hook::STATES,
            self.label(end.socket.flow.netns),
            io::Error::from_raw_os_error(closed.error.cast_signed()),
        ))
    }
}

/// Whom the message has reached, by the functions that take its MTU over.
fn taken_over(accepted: &PmtuAccepted) -> String {
    let by = [
        (
            accepted.by_socket,
            hook::TOLD,
            hook::TOLD6,
            "the sender's socket",
        ),
        (accepted.by_route, hook::ROUTE, hook::ROUTE6, "its route"),
    ];
    let by = by.iter().filter(|(count, ..)| *count > 0);
    let by: Vec<String> = by
        .map(|(count, hook, hook6, whom)| format!("{hook}, {hook6}: {count} times by {whom}"))
        .collect();
    format!("{}; MTU {} taken over", by.join("; "), accepted.mtu_bytes)
}

/// Why segments were sent again; `None` where that is not seen.
fn timers(timers: &Timers) -> Option<String> {
    let words: Vec<String> = timers
        .counted()
        .map(|(count, by, what)| format!("{by}: {count} {what}"))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
