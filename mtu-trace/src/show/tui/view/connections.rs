//! The connections: cheap for each in the list, and in full for those that are on the screen.

use std::net::SocketAddr;

use crate::core::select::Subject;
use crate::core::track::{Connection, Side, Track, TrackedSocket};
use crate::model::event::{Flow, TcpState};
use crate::model::finding::Direction;
use crate::model::network::Topology;
use crate::show::tui::view::{ConnectionOrder, label};
use crate::show::watch::{Watch, flows};

/// A connection that is shown.
pub(crate) struct ConnectionRow {
    /// The state of the socket, if that was looked at.
    pub state: &'static str,
    /// Where its local end is.
    pub place: String,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Which way the data goes that is in trouble.
    pub direction: Option<Direction>,
    /// How long it has stood still, ns; `None` if it moves.
    pub stalled_ns: Option<u64>,
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

/// All connections that are selected, each by one of its flows.
pub(crate) fn sorted(watch: &Watch, order: ConnectionOrder) -> Vec<Flow> {
    let scope = watch.analysis.scope();
    let is_selected = |connection: &Connection| {
        scope.is_everything() || scope.includes(&Subject::connection(connection, Side::Out))
    };
    let rank = |connection: &Connection| {
        let since = stalled_since(connection).map(|(_, since)| since);
        let stalled_ns = since.map_or(0, |since| watch.now_ns().saturating_sub(since));
        let retransmits = connection.tracks().map(retransmits).sum();
        let drops = connection.tracks().map(drops).sum();
        match order {
            ConnectionOrder::Stalled => (stalled_ns, drops, retransmits, connection.last_ns),
            ConnectionOrder::Retransmits => (retransmits, stalled_ns, 0, connection.last_ns),
            ConnectionOrder::Drops => (drops, stalled_ns, 0, connection.last_ns),
            ConnectionOrder::Latest => (connection.last_ns, 0, 0, 0),
        }
    };
    let connections = watch.analysis.state().connections().map(|(_, it)| it);
    let selected = connections.filter(|connection| is_selected(connection));
    let ranked = selected.filter_map(|it| Some((rank(it), *flows(it).next()?)));
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_unstable_by_key(|&line| std::cmp::Reverse(line));
    ranked.into_iter().map(|(_, flow)| flow).collect()
}

fn retransmits(track: &Track) -> u64 {
    track.retransmits.as_ref().map_or(0, |sent| sent.count)
}

fn drops(track: &Track) -> u64 {
    let other: u64 = track.other.values().map(|drops| drops.count).sum();
    track.oversized_drops() + other
}

/// The direction that stands still, and since when, ns: the same segment was lost more than once, or
/// the socket waits for room, a way out, or what fills a gap.
fn stalled_since(connection: &Connection) -> Option<(Side, u64)> {
    if connection.is_closed() {
        return None;
    }
    let open = |side: Side| {
        let track = connection.track(side);
        let sent = track.retransmits.as_ref().map(|sent| &sent.repeats);
        let repeats = [Some(&track.holes), Some(&track.passed), sent];
        let open = repeats.into_iter().flatten().filter_map(|it| it.open);
        let open = open.filter(|open| open.attempts > 1);
        let held_up = track.outage.as_ref().filter(|it| it.ended_ns.is_none());
        open.map(|open| open.first_ns)
            .chain(held_up.map(|it| it.first_ns))
            .map(move |since| (side, since))
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
pub(crate) fn connection_row(watch: &Watch, flow: &Flow) -> Option<ConnectionRow> {
    let state = watch.analysis.state();
    let (connection, _) = state.connection(flow)?;
    let (flow, sends) = local(connection, &state.topology)?;
    let trouble = stalled_since(connection);
    let side = trouble.map_or_else(|| worse(connection), |(side, _)| Some(side));
    let track = connection.track(side.unwrap_or(sends));
    let ends = || connection.ends.iter();
    let samples = ends().filter_map(|end| end.sample.as_deref());
    let resent = ends().filter_map(|end| end.retransmit.as_ref());
    let backoffs = samples.map(|it| it.backoff);
    let backoffs = backoffs.chain(resent.map(|sent| sent.backoff));
    Some(ConnectionRow {
        state: socket_state(connection),
        place: label(flow.netns, &state.topology),
        local: flow.source,
        remote: flow.destination,
        direction: side.map(|side| {
            if side == sends {
                Direction::Upload
            } else {
                Direction::Download
            }
        }),
        stalled_ns: trouble.map(|(_, since)| watch.now_ns().saturating_sub(since)),
        retransmits: connection.tracks().map(retransmits).sum(),
        backoff: backoffs.max().unwrap_or(0),
        drops: connection.tracks().map(drops).sum(),
        mss: track.sender_mss,
        pmtu_bytes: track.sender_pmtu_bytes,
    })
}

/// The direction in which more was lost, if anything was.
fn worse(connection: &Connection) -> Option<Side> {
    let lost = |side| {
        (
            drops(connection.track(side)),
            retransmits(connection.track(side)),
        )
    };
    let (out, incoming) = (lost(Side::Out), lost(Side::In));
    let side = if out >= incoming { Side::Out } else { Side::In };
    (out.max(incoming) != (0, 0)).then_some(side)
}

/// The connection's flow from the end that matters to the user, and the direction that end sends in: a
/// container's, or the one that opened it.
fn local(connection: &Connection, topology: &Topology) -> Option<(Flow, Side)> {
    let rank = |end: &TrackedSocket| {
        let netns = topology.namespaces.get(&end.socket.flow.netns);
        let contained = netns.is_some_and(|netns| netns.container.is_some());
        (contained, end.socket.active == Some(true))
    };
    let ends = connection.senders().rev();
    match ends.max_by_key(|(_, end)| rank(end)) {
        Some((side, end)) => Some((end.socket.flow, side)),
        None => Some((*connection.seen_as.first()?, Side::Out)),
    }
}

fn socket_state(connection: &Connection) -> &'static str {
    if connection.is_closed() {
        return TcpState::CLOSE.name();
    }
    let ends = || connection.ends.iter();
    let sampled = ends().find_map(|end| Some(end.sample.as_deref()?.state));
    let resent = || ends().find_map(|end| Some(end.retransmit.as_ref()?.state));
    match sampled.or_else(resent) {
        Some(state) => state.name(),
        None if ends().any(|end| end.established) => TcpState::ESTABLISHED.name(),
        None => "-",
    }
}
