//! A connection as far as this host sees it: its sockets here, and each direction of its data.

use crate::{
    core::track::{direction::Track, flows::Flows, lazy_box::Rare},
    model::event::{Closed, Flow, Retransmit, Sample, Socket, TCP},
};

/// Which way data goes, seen from the first end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Sent by the first end.
    Out,
    /// Sent to the first end.
    In,
}

impl Side {
    /// The other way.
    #[must_use]
    pub fn flip(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
        }
    }
}

/// What a connection is worth: that it lost something for its size, that it is open, and when it was last
/// heard of, ns.
pub(crate) type Worth = (bool, bool, u64);

/// A connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Its sockets on this host: none where only its packets are known, two where both ends are
    /// here.
    pub ends: Vec<End>,
    /// Its packets' flows wherever they were seen, each in the direction [`Side::Out`].
    pub seen_as: Flows,
    /// Data sent by the first end.
    pub out: Rare<Track>,
    /// Data sent to the first end.
    pub incoming: Rare<Track>,
    /// Latest event that belongs to it, ns.
    pub last_ns: u64,
    /// Sequence and acknowledgement number of the packet it was first known by.
    pub(crate) first_numbers: Option<(u32, Option<u32>)>,
    /// The flows that lead here.
    pub(crate) flows: Flows,
}

/// A socket of this host.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Addresses and initial sequence numbers.
    pub socket: Socket,
    /// How it stood at the last look.
    pub sample: Option<Box<Sample>>,
    /// Its latest retransmit.
    pub retransmit: Option<Box<Retransmit>>,
    /// Its end.
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

impl End {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            established: socket.isn.is_some(),
            opening: false,
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

    /// First byte not acknowledged, after so many acknowledged bytes.
    ///
    /// The count includes the SYN on the side that opened, because `snd_una` began at the SYN
    /// there (`tcp_snd_una_update`).
    pub(crate) fn snd_una(&self, bytes_acked: u64) -> Option<u32> {
        let isn = self.socket.isn?;
        let syn = u32::from(self.socket.active != Some(true));
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        Some(isn.iss.wrapping_add(syn).wrapping_add(bytes_acked as u32))
    }

    /// Next byte expected, after so many received bytes.
    pub(crate) fn rcv_nxt(&self, bytes_received: u64) -> Option<u32> {
        let isn = self.socket.isn?;
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        Some(isn.irs.wrapping_add(1).wrapping_add(bytes_received as u32))
    }
}

impl Connection {
    pub(crate) fn new(ends: Vec<End>) -> Self {
        Self {
            ends,
            seen_as: Flows::default(),
            out: Rare::default(),
            incoming: Rare::default(),
            last_ns: 0,
            first_numbers: None,
            flows: Flows::default(),
        }
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
        match side {
            Side::Out => &self.out,
            Side::In => &self.incoming,
        }
    }

    /// The same to be changed.
    pub(crate) fn track_mut(&mut self, side: Side) -> &mut Track {
        self.rare_track(side).make()
    }

    /// The same if anything is known of it.
    pub(crate) fn known_track_mut(&mut self, side: Side) -> Option<&mut Track> {
        self.rare_track(side).known_mut()
    }

    fn rare_track(&mut self, side: Side) -> &mut Rare<Track> {
        match side {
            Side::Out => &mut self.out,
            Side::In => &mut self.incoming,
        }
    }

    /// The direction in which the `index`th end sends.
    pub(crate) fn sends(index: usize) -> Side {
        if index == 0 { Side::Out } else { Side::In }
    }

    /// The end that sends in a direction, if it is on this host.
    #[must_use]
    pub fn sender(&self, side: Side) -> Option<&End> {
        match side {
            Side::Out => self.ends.first(),
            Side::In => self.ends.get(1),
        }
    }

    /// The end that receives in a direction, if it is on this host.
    #[must_use]
    pub fn receiver(&self, side: Side) -> Option<&End> {
        self.sender(side.flip())
    }

    /// Whether more is known of it than that it is there: most often that something was lost.
    pub(crate) fn is_troubled(&self) -> bool {
        self.out.is_known() || self.incoming.is_known()
    }

    /// Whether it lost anything for its size.
    pub(crate) fn lost_for_size(&self) -> bool {
        !(self.out.oversized.is_empty() && self.incoming.oversized.is_empty())
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
