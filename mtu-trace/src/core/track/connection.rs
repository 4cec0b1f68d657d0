//! A connection as far as this host sees it: its sockets here, and each direction of its data.

use std::sync::LazyLock;

use crate::core::track::direction::Track;
use crate::core::track::index::SeqPair;
use crate::model::event::{Closed, Flow, Retransmit, Sample, Socket, TCP, TcpState};

/// Which way data goes, seen from the first socket that was known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Sent by the first socket.
    Out,
    /// Sent to the first socket.
    In,
}

impl Side {
    /// Both directions, in the order in which they are judged.
    pub const BOTH: [Self; 2] = [Self::Out, Self::In];

    /// The direction that goes the other way.
    #[must_use]
    pub fn flip(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
        }
    }

    /// A direction that is told as seen from the sender of this one, as the connection has it.
    pub(crate) fn seen_from(self, side: Self) -> Self {
        match self {
            Self::Out => side,
            Self::In => side.flip(),
        }
    }

    /// A flow of this direction as it is in the direction [`Side::Out`], and the other way round.
    pub(crate) fn outwards(self, flow: Flow) -> Flow {
        match self {
            Self::Out => flow,
            Self::In => flow.reversed(),
        }
    }
}

/// What a connection is worth when room is needed: that it lost something for its size, that it is open,
/// and when it was last heard of, ns.
pub(crate) type Worth = (bool, bool, u64);

/// A TCP connection, or what goes between two UDP sockets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// Its sockets on this host, that of [`Side::Out`] first: none where only its packets are known, two
    /// where both ends are here. A list, because most have one, and a socket takes much room.
    pub ends: Vec<TrackedSocket>,
    /// Its packets' flows wherever they were seen, each once and in the direction [`Side::Out`].
    pub seen_as: Vec<Flow>,
    /// What is known of its data, that of [`Side::Out`] first.
    tracks: [Option<Box<Track>>; 2],
    /// Latest event that belongs to it, ns.
    pub last_ns: u64,
    /// Sequence and acknowledgement number of the packet it was first known by.
    pub(crate) first_numbers: Option<SeqPair>,
    /// The flows that lead here, each once.
    pub(crate) flows: Vec<Flow>,
    /// Whether connections had been forgotten before it was made: more of it may have been known.
    pub(crate) after_forgetting: bool,
}

/// A socket of this host.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedSocket {
    /// Addresses and initial sequence numbers.
    pub socket: Socket,
    /// How it stood at the last look; `None` before the first.
    pub sample: Option<Box<Sample>>,
    /// The segment it sent again last.
    pub retransmit: Option<Box<Retransmit>>,
    /// How it ended; `None` while it is open.
    pub closed: Option<Box<Closed>>,
    /// Whether its handshake is known to be done.
    pub established: bool,
    /// Whether it was seen to open: its initial sequence numbers will be known.
    pub(crate) opening: bool,
    /// Since when it asks its peer for room in vain, ns.
    pub window_closed_ns: Option<u64>,
    /// Since when it holds data behind a gap that is not filled, ns.
    pub gap_ns: Option<u64>,
}

impl TrackedSocket {
    pub(crate) fn new(socket: Socket, state: TcpState) -> Self {
        Self {
            established: socket.isn.is_some(),
            opening: state.is_handshake(),
            socket,
            sample: None,
            retransmit: None,
            closed: None,
            window_closed_ns: None,
            gap_ns: None,
        }
    }

    /// Whether it waits for room at its peer, or for what fills a gap.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.window_closed_ns.is_some() || self.gap_ns.is_some()
    }

    /// First byte not acknowledged and next byte expected, after so many bytes acknowledged and received;
    /// `None` without initial sequence numbers.
    ///
    /// The acknowledged bytes include the SYN on the side that opened, because `snd_una` began at the SYN
    /// there (`tcp_snd_una_update`).
    pub(crate) fn snd_una_rcv_nxt(&self, acked: u64, received: u64) -> Option<(u32, u32)> {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        let after = |first: u32, bytes: u64| first.wrapping_add(bytes as u32);
        let isn = self.socket.isn?;
        let syn = u32::from(self.socket.active != Some(true));
        let snd_una = after(isn.iss.wrapping_add(syn), acked);
        Some((snd_una, after(isn.irs.wrapping_add(1), received)))
    }
}

/// Adds flows to those in order, where they may be already. A list, because it takes a tenth of the memory
/// that a tree takes for one or two.
pub(crate) fn insert_flows(known: &mut Vec<Flow>, flows: impl IntoIterator<Item = Flow>) {
    for flow in flows {
        if let Err(place) = known.binary_search(&flow) {
            // One or two are all that most have, and a list that grows by itself begins with four.
            if known.len() < 2 {
                known.reserve_exact(1);
            }
            known.insert(place, flow);
        }
    }
}

impl Connection {
    /// A connection that is known by its first socket.
    pub(crate) fn of_socket(socket: TrackedSocket) -> Self {
        Self {
            seen_as: vec![socket.socket.flow],
            ends: vec![socket],
            ..Self::default()
        }
    }

    /// A connection that is known by its first packet, of no known socket.
    pub(crate) fn of_packet(flow: Flow, seq: u32, ack: Option<u32>) -> Self {
        Self {
            seen_as: vec![flow],
            first_numbers: Some((seq, ack)),
            ..Self::default()
        }
    }

    /// By what it is found while no socket of it is known: the TCP packet it was first known by.
    pub(crate) fn stray(&self) -> Option<(Flow, SeqPair)> {
        let numbers = self.first_numbers.filter(|_| self.ends.is_empty())?;
        let flow = self.seen_as.first().filter(|flow| flow.protocol == TCP)?;
        Some((*flow, numbers))
    }

    /// The data of one direction, which is blank as long as nothing is known of it.
    #[must_use]
    pub fn track(&self, side: Side) -> &Track {
        static BLANK: LazyLock<Track> = LazyLock::new(Track::default);
        self.tracks[side as usize].as_deref().unwrap_or(&BLANK)
    }

    /// The data of the directions of which something is known.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().flatten().map(|track| &**track)
    }

    /// The data of one direction, to be changed.
    pub(crate) fn track_mut(&mut self, side: Side) -> &mut Track {
        self.tracks[side as usize].get_or_insert_default()
    }

    /// The data of one direction, to be changed; `None` if nothing is known of it.
    pub(crate) fn known_track_mut(&mut self, side: Side) -> Option<&mut Track> {
        self.tracks[side as usize].as_deref_mut()
    }

    /// The sockets on this host with the directions in which they send.
    pub fn senders(&self) -> impl DoubleEndedIterator<Item = (Side, &TrackedSocket)> {
        Side::BOTH.into_iter().zip(&self.ends)
    }

    /// The socket that sends in a direction; `None` if it is not on this host.
    #[must_use]
    pub fn sender(&self, side: Side) -> Option<&TrackedSocket> {
        self.ends.get(side as usize)
    }

    /// The socket that sends in a direction, to be changed.
    pub(crate) fn sender_mut(&mut self, side: Side) -> Option<&mut TrackedSocket> {
        self.ends.get_mut(side as usize)
    }

    /// The socket that receives in a direction; `None` if it is not on this host.
    #[must_use]
    pub fn receiver(&self, side: Side) -> Option<&TrackedSocket> {
        self.sender(side.flip())
    }

    /// Adds the socket of the other end, or the first one.
    pub(crate) fn add_end(&mut self, end: TrackedSocket) {
        self.ends.reserve_exact(1);
        self.ends.push(end);
    }

    /// Exchanges the two directions of one that has one socket at most.
    pub(crate) fn turn(&mut self) {
        self.tracks.reverse();
        for flow in &mut self.seen_as {
            *flow = flow.reversed();
        }
        self.seen_as.sort_unstable();
    }

    /// Takes in another one with the same directions, its socket as the other end of this one's.
    pub(crate) fn absorb(&mut self, part: Self) {
        self.ends.extend(part.ends);
        insert_flows(&mut self.seen_as, part.seen_as);
        insert_flows(&mut self.flows, part.flows);
        for (side, track) in Side::BOTH.into_iter().zip(part.tracks) {
            if let Some(track) = track {
                self.track_mut(side).merge(*track);
            }
        }
        self.last_ns = self.last_ns.max(part.last_ns);
        self.after_forgetting |= part.after_forgetting;
    }

    /// Whether more is known of it than that it is there: most often that something was lost.
    pub(crate) fn is_troubled(&self) -> bool {
        self.tracks.iter().any(Option::is_some)
    }

    /// Whether it lost anything for its size.
    pub(crate) fn lost_for_size(&self) -> bool {
        self.tracks().any(|track| !track.oversized.is_empty())
    }

    /// What it is worth to keep it.
    pub(crate) fn worth(&self) -> Worth {
        (self.lost_for_size(), !self.is_closed(), self.last_ns)
    }

    /// Whether every end on this host is closed; false where none is known.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.ends.is_empty() && self.ends.iter().all(|end| end.closed.is_some())
    }
}
