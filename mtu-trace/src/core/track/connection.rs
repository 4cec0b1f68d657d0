//! A connection as far as this host sees it: its sockets here, and each direction of its data.

use crate::core::track::direction::Track;
use crate::core::track::flows::Flows;
use crate::core::track::lazy_box::LazyBox;
use crate::core::track::side::{BySide, Ends, Side};
use crate::model::event::{Closed, Flow, Retransmit, Sample, Socket, TCP, TcpState};

/// What a connection is worth when room is needed: that it lost something for its size, that it is open,
/// and when it was last heard of, ns.
pub(crate) type Worth = (bool, bool, u64);

/// A TCP connection, or what goes between two UDP sockets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// Its sockets on this host.
    pub ends: Ends,
    /// Its packets' flows wherever they were seen, each in the direction [`Side::Out`].
    pub seen_as: Flows,
    /// What is known of its data, by direction.
    tracks: BySide<LazyBox<Track>>,
    /// Latest event that belongs to it, ns.
    pub last_ns: u64,
    /// Sequence and acknowledgement number of the packet it was first known by.
    pub(crate) first_numbers: Option<(u32, Option<u32>)>,
    /// The flows that lead here.
    pub(crate) flows: Flows,
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

/// Whether a socket has yet to learn its initial sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It has none yet, but will.
    Pending,
    /// It has them, unless they were never seen.
    Done,
}

impl Handshake {
    /// As far as a socket's state tells.
    pub(crate) fn of(state: TcpState) -> Self {
        if state.is_handshake() {
            Self::Pending
        } else {
            Self::Done
        }
    }
}

impl TrackedSocket {
    pub(crate) fn new(socket: Socket, handshake: Handshake) -> Self {
        Self {
            established: socket.isn.is_some(),
            opening: handshake == Handshake::Pending,
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

    /// First byte not acknowledged, after so many acknowledged bytes; `None` without initial sequence
    /// numbers.
    ///
    /// The count includes the SYN on the side that opened, because `snd_una` began at the SYN
    /// there (`tcp_snd_una_update`).
    pub(crate) fn snd_una(&self, bytes_acked: u64) -> Option<u32> {
        let isn = self.socket.isn?;
        let syn = u32::from(self.socket.active != Some(true));
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        Some(isn.iss.wrapping_add(syn).wrapping_add(bytes_acked as u32))
    }

    /// Next byte expected, after so many received bytes; `None` without initial sequence numbers.
    pub(crate) fn rcv_nxt(&self, bytes_received: u64) -> Option<u32> {
        let isn = self.socket.isn?;
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        Some(isn.irs.wrapping_add(1).wrapping_add(bytes_received as u32))
    }
}

impl Connection {
    /// A connection that is known by its first socket.
    pub(crate) fn of_socket(socket: TrackedSocket) -> Self {
        let mut connection = Self::default();
        connection.seen_as.insert(socket.socket.flow);
        connection.ends.push(socket);
        connection
    }

    /// A connection that is known by its first packet, of no known socket.
    pub(crate) fn of_packet(flow: Flow, seq: u32, ack: Option<u32>) -> Self {
        let mut connection = Self::default();
        connection.seen_as.insert(flow);
        connection.first_numbers = Some((seq, ack));
        connection
    }

    /// By what it is found while no socket of it is known: the TCP packet it was first known by.
    pub(crate) fn stray(&self) -> Option<(Flow, impl Iterator<Item = (u32, Option<u32>)> + use<>)> {
        let (seq, ack) = self.first_numbers.filter(|_| self.ends.is_empty())?;
        let flow = self.seen_as.first().filter(|flow| flow.protocol == TCP)?;
        let acknowledged = ack.map(|ack| (ack, Some(seq)));
        Some((*flow, std::iter::once((seq, ack)).chain(acknowledged)))
    }

    /// The data of one direction.
    #[must_use]
    pub fn track(&self, side: Side) -> &Track {
        &self.tracks[side]
    }

    /// The data of both directions.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.0.iter().map(|track| &**track)
    }

    /// The data of one direction, to be changed.
    pub(crate) fn track_mut(&mut self, side: Side) -> &mut Track {
        self.tracks[side].make()
    }

    /// The data of one direction, to be changed; `None` if nothing is known of it.
    pub(crate) fn known_track_mut(&mut self, side: Side) -> Option<&mut Track> {
        self.tracks[side].known_mut()
    }

    /// The socket that sends in a direction; `None` if it is not on this host.
    #[must_use]
    pub fn sender(&self, side: Side) -> Option<&TrackedSocket> {
        self.ends.get(side)
    }

    /// The socket that receives in a direction; `None` if it is not on this host.
    #[must_use]
    pub fn receiver(&self, side: Side) -> Option<&TrackedSocket> {
        self.sender(side.flip())
    }

    /// Exchanges the two directions of one that has no sockets yet.
    pub(crate) fn turn(&mut self) {
        self.tracks.0.reverse();
        self.seen_as = self.seen_as.iter().map(|flow| flow.reversed()).collect();
    }

    /// Takes in another one, whose sockets are taken out.
    pub(crate) fn absorb(&mut self, part: Self) {
        self.seen_as.extend(part.seen_as);
        self.flows.extend(part.flows);
        for (side, track) in Side::BOTH.into_iter().zip(part.tracks.0) {
            if let Some(track) = track.into_known() {
                self.track_mut(side).merge(track);
            }
        }
        self.last_ns = self.last_ns.max(part.last_ns);
    }

    /// Whether more is known of it than that it is there: most often that something was lost.
    pub(crate) fn is_troubled(&self) -> bool {
        self.tracks.0.iter().any(LazyBox::is_known)
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
