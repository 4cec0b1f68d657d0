//! The connections: cheap for each in the list, and in full for those that are on the screen.

use std::net::SocketAddr;

use crate::core::select::Subject;
use crate::core::track::{Connection, Side, Track, TrackedSocket};
use crate::model::event::{Flow, TcpState};
use crate::model::finding::Direction;
use crate::model::network::Topology;
use crate::show::tui::view::{ConnectionOrder, label};
use crate::show::watch::Watch;

/// A connection in the list.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLine {
    /// What it is known by.
    pub flow: Flow,
    stalled_ns: u64,
    retransmits: u64,
    drops: u64,
    last_ns: u64,
}

/// A connection that is shown.
#[derive(Clone, Debug)]
pub struct ConnectionRow {
    /// The state of the socket, if that was looked at.
    pub state: &'static str,
    /// Where its local end is.
    pub place: String,
    /// Address and port of its local end.
    pub local: SocketAddr,
    /// Address and port of its remote end.
    pub remote: SocketAddr,
    /// Which way the data goes that is in trouble.
    pub direction: Option<Direction>,
    /// How long it has stood still, ns; `None` if it moves.
    pub stalled_ns: Option<u64>,
    /// Number of segments sent again.
    pub retransmits: u64,
    /// Doublings of the timeout now.
    pub backoff: u32,
    /// Packets dropped, whatever for.
    pub drops: u64,
    /// Segment size of its sender, bytes.
    pub mss: Option<u32>,
    /// Path MTU of its sender, bytes.
    pub pmtu_bytes: Option<u32>,
}

/// All connections that are selected.
pub fn lines(watch: &Watch, order: ConnectionOrder) -> Vec<ConnectionLine> {
    let state = watch.analysis().state();
    let scope = watch.analysis().scope();
    let now_ns = watch.now_ns();
    let mut lines: Vec<ConnectionLine> = state
        .connections()
        .filter(|(_, connection)| {
            scope.is_everything() || scope.includes(&Subject::connection(connection, Side::Out))
        })
        .filter_map(|(_, connection)| {
            let tracks = [Side::Out, Side::In].map(|side| connection.track(side));
            Some(ConnectionLine {
                flow: flow_of(connection)?,
                stalled_ns: stalled_since(connection)
                    .map_or(0, |(_, since)| now_ns - since.min(now_ns)),
                retransmits: tracks.into_iter().map(retransmits).sum(),
                drops: tracks.into_iter().map(drops).sum(),
                last_ns: connection.last_ns,
            })
        })
        .collect();
    let descending = |line: &ConnectionLine| match order {
        ConnectionOrder::Stalled => (line.stalled_ns, line.drops, line.retransmits, line.last_ns),
        ConnectionOrder::Retransmits => (line.retransmits, line.stalled_ns, 0, line.last_ns),
        ConnectionOrder::Drops => (line.drops, line.stalled_ns, 0, line.last_ns),
        ConnectionOrder::Latest => (line.last_ns, 0, 0, 0),
    };
    lines.sort_unstable_by_key(|line| std::cmp::Reverse((descending(line), line.flow)));
    lines
}

/// One of a connection's flows, by which it is found again.
fn flow_of(connection: &Connection) -> Option<Flow> {
    let of_socket = connection.ends.first().map(|end| end.socket.flow);
    of_socket.or_else(|| connection.seen_as.first().copied())
}

fn retransmits(track: &Track) -> u64 {
    track.retransmits.as_ref().map_or(0, |sent| sent.count)
}

fn drops(track: &Track) -> u64 {
    let other: u64 = track.other.values().map(|drops| drops.count).sum();
    track.oversized_drops() + other
}

/// The direction that stands still, and since when, ns: the same segment was lost more than once, or
/// the socket waits for room or for what fills a gap.
fn stalled_since(connection: &Connection) -> Option<(Side, u64)> {
    if connection.is_closed() {
        return None;
    }
    let open = |side: Side| {
        let track = connection.track(side);
        let sent = track.retransmits.as_ref().map(|sent| &sent.repeats);
        let repeats = [Some(&track.holes), Some(&track.passed), sent];
        repeats
            .into_iter()
            .flatten()
            .filter_map(|repeats| repeats.open.filter(|open| open.attempts > 1))
            .map(move |open| (side, open.first_ns))
            .collect::<Vec<_>>()
    };
    let waits = |(sends, end): (Side, &TrackedSocket)| {
        let closed = end.window_closed_ns.map(|since| (sends, since));
        let gap = end.gap_ns.map(|since| (sends.flip(), since));
        [closed, gap]
    };
    let ends = connection.senders();
    Side::BOTH
        .into_iter()
        .flat_map(open)
        .chain(ends.flat_map(waits).flatten())
        .min_by_key(|&(_, since)| since)
}

/// A connection's row in full.
#[must_use]
pub fn connection_row(watch: &Watch, flow: &Flow) -> Option<ConnectionRow> {
    let state = watch.analysis().state();
    let (connection, _) = state.connection(flow)?;
    let (flow, sends) = local(connection, &state.topology)?;
    let trouble = stalled_since(connection);
    let side = trouble.map(|(side, _)| side).or_else(|| worse(connection));
    let direction = side.map(|side| {
        if side == sends {
            Direction::Upload
        } else {
            Direction::Download
        }
    });
    let track = connection.track(side.unwrap_or(sends));
    let tracks = [Side::Out, Side::In].map(|side| connection.track(side));
    let sample = connection
        .ends
        .iter()
        .filter_map(|end| end.sample.as_deref());
    let backoff = sample.map(|sample| sample.backoff).max();
    let resent = connection
        .ends
        .iter()
        .filter_map(|end| end.retransmit.as_ref());
    let told = resent.map(|sent| sent.backoff).max();
    Some(ConnectionRow {
        state: socket_state(connection),
        place: label(flow.netns, &state.topology),
        local: flow.source,
        remote: flow.destination,
        direction,
        stalled_ns: trouble.map(|(_, since)| watch.now_ns().saturating_sub(since)),
        retransmits: tracks.into_iter().map(retransmits).sum(),
        backoff: backoff.max(told).unwrap_or(0),
        drops: tracks.into_iter().map(drops).sum(),
        mss: track.sender_mss,
        pmtu_bytes: track.sender_pmtu_bytes,
    })
}

/// The direction in which more was lost, if anything was.
fn worse(connection: &Connection) -> Option<Side> {
    let lost = |side| {
        let track = connection.track(side);
        (drops(track), retransmits(track))
    };
    let (out, incoming) = (lost(Side::Out), lost(Side::In));
    if out.max(incoming) == (0, 0) {
        None
    } else if out >= incoming {
        Some(Side::Out)
    } else {
        Some(Side::In)
    }
}

/// The connection's flow from the end that matters to the user, and the direction that end sends in: a
/// container's, or the one that opened it.
fn local(connection: &Connection, topology: &Topology) -> Option<(Flow, Side)> {
    let rank = |end: &TrackedSocket| {
        let netns = topology.namespaces.get(&end.socket.flow.netns);
        (
            netns.is_some_and(|netns| netns.container.is_some()),
            end.socket.active == Some(true),
        )
    };
    let best = connection.senders().rev().max_by_key(|(_, end)| rank(end));
    if let Some((side, end)) = best {
        return Some((end.socket.flow, side));
    }
    Some((connection.seen_as.first().copied()?, Side::Out))
}

fn socket_state(connection: &Connection) -> &'static str {
    if connection.is_closed() {
        return TcpState::CLOSE.name();
    }
    let ends = &connection.ends;
    let sample = ends.iter().find_map(|end| end.sample.as_deref());
    let state = sample.map(|sample| sample.state).or_else(|| {
        ends.iter()
            .find_map(|end| end.retransmit.as_ref())
            .map(|sent| sent.state)
    });
    match state {
        Some(state) => state.name(),
        None if ends.iter().any(|end| end.established) => TcpState::ESTABLISHED.name(),
        None => "-",
    }
}
