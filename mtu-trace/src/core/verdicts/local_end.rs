//! Which end of a connection is the user's own, and what it looks like from there.

use crate::core::track::{Connection, Side, TrackedSocket};
use crate::model::event::{Flow, TCP, UDP};
use crate::model::finding::{ConnectionRef, Direction, Endpoint};
use crate::model::network::{LinkId, Topology};

/// The end of a connection that a report is told from.
#[derive(Clone, Copy)]
pub struct LocalEnd<'a> {
    /// The direction in which it sends; where no socket is known, the one in which packets came.
    sends: Side,
    /// The socket, if it is on this host.
    pub end: Option<&'a TrackedSocket>,
    /// Its flow: source is local.
    pub flow: Flow,
}

impl<'a> LocalEnd<'a> {
    /// Picks the end: a container's before the host's, one behind NAT before one that is not, the
    /// one that opened the connection before the one that answered, as far as that is known.
    pub fn of(connection: &'a Connection, topology: &Topology) -> Option<Self> {
        let score = |end, other| score(end, other, topology);
        let sends = match &*connection.ends {
            // Only packets are known: their receiver stands for the local end.
            [] => Side::In,
            [first, second] if score(second, first) > score(first, second) => Side::In,
            _ => Side::Out,
        };
        let end = connection.sender(sends);
        Some(Self {
            sends,
            end,
            flow: match end {
                Some(end) => end.socket.flow,
                None => connection.seen_as.first()?.reversed(),
            },
        })
    }

    /// The interface that has its address; `None` where it is not on this host or not known.
    pub(crate) fn link(&self, topology: &Topology) -> Option<LinkId> {
        let Flow { netns, source, .. } = self.end?.socket.flow;
        let (ifindex, _) = topology.owner(netns, source.ip())?;
        Some(LinkId { netns, ifindex })
    }

    /// Which way data goes on a side of the connection.
    pub fn direction(&self, side: Side) -> Direction {
        if side == self.sends {
            Direction::Upload
        } else {
            Direction::Download
        }
    }

    /// The connection as the report shows it.
    pub fn show(
        &self,
        connection: &Connection,
        direction: Direction,
        topology: &Topology,
    ) -> ConnectionRef {
        let netns = |end: Option<&TrackedSocket>| end.map(|end| end.socket.flow.netns);
        let ends = |flow: &Flow| (flow.source, flow.destination);
        let seen_as = connection.seen_as.iter();
        let seen_as = seen_as.map(|flow| self.sends.outwards(*flow));
        let translated = seen_as.filter(|flow| ends(flow) != ends(&self.flow));
        let mut translated: Vec<String> = translated
            .map(|flow| {
                let place = topology.label(flow.netns);
                format!("{} -> {} in {place}", flow.source, flow.destination)
            })
            .collect();
        translated.dedup();
        ConnectionRef {
            protocol: match self.flow.protocol {
                TCP => "tcp",
                UDP => "udp",
                _ => "ip",
            },
            local: Endpoint::new(self.flow.source, netns(self.end), topology),
            remote: Endpoint::new(
                self.flow.destination,
                netns(connection.receiver(self.sends)),
                topology,
            ),
            direction,
            translated,
        }
    }
}

type Score = (bool, bool, bool, bool);

fn score(end: &TrackedSocket, other: &TrackedSocket, topology: &Topology) -> Score {
    let netns = topology.namespaces.get(&end.socket.flow.netns);
    let opened = opened(end, other);
    // The other end knows it by another address: it is behind NAT. That a server has one for its
    // clients says only that it is published.
    let translated = other.socket.flow.destination != end.socket.flow.source;
    (
        netns.is_some_and(|netns| netns.container.is_some()),
        opened && translated,
        netns.is_some_and(|netns| !netns.init),
        opened,
    )
}

/// Whether this end opened the connection. Of an older one that may be known from the other end, whose
/// port is listened on; else the port tells: those of clients are from the top of the range (RFC 6335,
/// section 6).
fn opened(end: &TrackedSocket, other: &TrackedSocket) -> bool {
    let of_other = || other.socket.active.map(|active| !active);
    let by_port = || end.socket.flow.source.port() > other.socket.flow.source.port();
    end.socket.active.or_else(of_other).unwrap_or_else(by_port)
}
