//! What events say, in words that the capture's comments, the table of events and the timeline of a
//! finding share.

use std::io;

use crate::core::sites::oversized;
use crate::model::event::{
    Closed, Count, DropRule, Event, EventKind, Packet, PacketKind, PathMtu, Retransmit, Sample,
    Socket, Timers,
};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{NetnsId, Topology};

/// What happened to a packet: `dropped by ip_forward: 1500 > 1450 (PKT_TOO_BIG)`.
pub fn describe_packet(packet: &Packet, topology: &Topology) -> String {
    let mut words = match &packet.what {
        PacketKind::Dropped { function, reason } => {
            let mut words = format!("dropped by {function}");
            if let Some(site) = oversized(packet, topology) {
                let limit = site.limit_bytes.map_or("?".to_owned(), |it| it.to_string());
                words.push_str(&format!(": {} > {limit}", site.packet_bytes));
            }
            if let Some(reason) = reason {
                words.push_str(&format!(" ({reason})"));
            }
            words
        }
        PacketKind::IcmpSent => format!(
            "an ICMP error about this packet of {} bytes is sent",
            packet.length_bytes
        ),
        PacketKind::Seen {
            egress,
            limit_bytes,
        } => {
            let way = if *egress { "leaves by" } else { "comes in by" };
            let device = packet.device.name.as_deref().unwrap_or("?");
            match limit_bytes {
                Some(limit) => format!("{way} {device}: {} > {limit}", packet.length_bytes),
                None => format!("{way} {device}"),
            }
        }
    };
    if let Some(error) = &packet.icmp_error {
        words.push_str(&format!("; it tells of an MTU of {}", error.mtu_bytes));
    }
    if packet.gso {
        words.push_str(&format!(
            "; {} bytes to be cut into packets of {}",
            packet.buffer_bytes, packet.length_bytes
        ));
    }
    if packet.count > 1 {
        words.push_str(&format!("; {} like it so far", packet.count));
    }
    words
}

/// What happened, for a line of a table that has columns for flow, lengths and counts. Empty for ticks
/// and the network.
pub fn describe_briefly(event: &Event, topology: &Topology) -> String {
    match &event.kind {
        EventKind::Tick | EventKind::Topology(_) => String::new(),
        EventKind::Connection(socket) => match socket.active {
            Some(true) => "opened from here",
            Some(false) => "accepted here",
            None => "open",
        }
        .to_owned(),
        EventKind::Packet(packet) => describe_packet(packet, topology),
        EventKind::Retransmit(sent) => format!(
            "sent again in {}, {} timeouts, {} bytes acknowledged so far",
            sent.state.name(),
            sent.timeouts,
            sent.bytes_acked
        ),
        EventKind::PathMtu(told) => path_mtu(told),
        EventKind::Rule(rule) => dropping_rule(rule),
        EventKind::Sample(sample) => format!(
            "{}: {} segments in flight, {} timeouts, {} bytes acknowledged, {} received",
            sample.state.name(),
            sample.unacked,
            sample.timeouts,
            sample.bytes_acked,
            sample.bytes_received
        ),
        EventKind::Closed(closed) => {
            let state = closed.last_state.name();
            match error(closed) {
                Some(error) => format!("closed from {state}: {error}"),
                None => format!("closed from {state}"),
            }
        }
        EventKind::Count(Count::Dropped { function, .. }) => {
            format!("dropped by {function}, all told")
        }
        EventKind::Count(Count::Retransmitted { .. }) => "retransmits, all told".to_owned(),
        EventKind::Lost(_) => "records lost, all told".to_owned(),
        EventKind::Blind(hooks) => format!("not at work: {}", hooks.join(", ")),
        EventKind::Limited(limits) => limits.join(" "),
        EventKind::Evicted(told) => {
            format!("forgotten of {}, all told", told.store.kept())
        }
    }
}

/// What happened and in which namespace, for a timeline of events. Empty for events that are about no
/// flow, and for counts.
pub fn describe_in_place(event: &Event, topology: &Topology) -> String {
    let Some(flow) = event.kind.flow() else {
        return String::new();
    };
    let words = match &event.kind {
        EventKind::Packet(packet) => {
            let what = if packet.icmp_error.is_some() {
                "ICMP error "
            } else {
                ""
            };
            format!("{what}{}", describe_packet(packet, topology))
        }
        EventKind::Connection(socket) => connection(socket),
        EventKind::Retransmit(sent) => retransmit(sent),
        EventKind::Sample(sample) => self::sample(sample),
        EventKind::Closed(closed) => {
            let how = error(closed).map_or_else(|| "closed".to_owned(), |error| error.to_string());
            format!("socket closed in {}: {how}", closed.last_state.name())
        }
        EventKind::PathMtu(told) => path_mtu(told),
        EventKind::Rule(rule) => dropping_rule(rule),
        EventKind::Topology(_)
        | EventKind::Count(_)
        | EventKind::Lost(_)
        | EventKind::Blind(_)
        | EventKind::Limited(_)
        | EventKind::Evicted(_)
        | EventKind::Tick => return String::new(),
    };
    format!("{}: {words}", netns_label(flow.netns, topology))
}

/// Which rules drop packets: `dropped in FORWARD by table ip t, chain f, handle 3: drop`.
fn dropping_rule(DropRule { hook, rules, .. }: &DropRule) -> String {
    format!("dropped in {hook} by {}", rules.join(", or by "))
}

/// The short name of a namespace.
pub fn netns_label(netns: NetnsId, topology: &Topology) -> String {
    NetnsRef::new(netns, topology).label()
}

fn connection(socket: &Socket) -> String {
    let what = match (socket.opened_ns, socket.active) {
        (0, _) => "was open before the trace",
        (_, Some(true)) => "connected",
        (_, Some(false)) => "accepted",
        (_, None) => "is open",
    };
    format!("socket {} {what}", socket.flow)
}

fn retransmit(sent: &Retransmit) -> String {
    let bytes = sent.end_seq.wrapping_sub(sent.seq);
    let what = match sent.error {
        None => "sent again".to_owned(),
        Some(error) => format!("could not be sent again: {error}"),
    };
    let mut words = format!("{bytes} bytes {what}, seq {}", sent.seq);
    for (count, _, what) in sent.timers.iter().flat_map(Timers::counted) {
        words.push_str(&format!(", {count} {what}"));
    }
    if sent.backoff > 0 {
        words.push_str(&format!(", timeout doubled {} times", sent.backoff));
    }
    words.push_str(&format!(", mss {}", sent.mss_cache));
    if sent.count > 1 {
        words.push_str(&format!("; {} retransmits so far", sent.count));
    }
    words
}

fn sample(sample: &Sample) -> String {
    let mut words = format!(
        "socket is {}, {} bytes acknowledged, {} received",
        sample.state.name(),
        sample.bytes_acked,
        sample.bytes_received,
    );
    if sample.backoff > 0 {
        words.push_str(&format!(", timeout doubled {} times", sample.backoff));
    }
    if sample.window_closed {
        words.push_str(", the peer's window is closed");
    }
    if sample.is_held_up {
        words.push_str(", cannot send although the peer has room");
    }
    if sample.held_bytes > 0 {
        words.push_str(", holds data behind a gap");
    }
    words.push_str(&format!("; mss {}, pmtu {}", sample.mss, sample.pmtu_bytes));
    words
}

/// The error that the application sees, if there is one.
fn error(closed: &Closed) -> Option<io::Error> {
    let code = closed.error;
    (code != 0).then(|| io::Error::from_raw_os_error(code.cast_signed()))
}

fn path_mtu(told: &PathMtu) -> String {
    let by = if told.is_socket() {
        "the socket was told that"
    } else {
        "the route there keeps that"
    };
    let mut words = format!("{by} packets of up to {} bytes pass", told.mtu_bytes);
    if let Some(before) = told.before_bytes {
        words.push_str(&format!(", it sent up to {before} before"));
    }
    words
}
