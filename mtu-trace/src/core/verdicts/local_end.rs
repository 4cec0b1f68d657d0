//! Which end of a connection is the user's own, and what it looks like from there.

use crate::{
    core::track::{Connection, End, Side},
    model::{
        event::{Flow, TCP, UDP},
        finding::{ConnectionRef, Direction, Endpoint},
        netns_ref::NetnsRef,
        network::Topology,
    },
};

/// The end of a connection that a report is told from.
#[derive(Clone, Copy)]
pub struct LocalEnd<'a> {
    /// Its position among the ends; 0 where none is known.
    index: usize,
    /// The socket, if it is on this host.
    pub end: Option<&'a End>,
    other: Option<&'a End>,
    /// Its flow: source is local.
    pub flow: Flow,
}

impl<'a> LocalEnd<'a> {
    /// Picks the end: a container's before the host's, one behind NAT before one that is not, the
    /// one that opened the connection before the one that answered, as far as that is known.
    pub fn of(connection: &'a Connection, topology: &Topology) -> Option<Self> {
        let index = match connection.ends.as_slice() {
            [] => {
                // Only packets are known: their receiver stands for the local end.
                let flow = connection.seen_as.iter().next()?.reversed();
                return Some(Self {
                    index: 1,
                    end: None,
                    other: None,
                    flow,
                });
            }
            [_] => 0,
            [first, second, ..] => {
                usize::from(score(second, first, topology) > score(first, second, topology))
            }
        };
        let end = &connection.ends[index];
        Some(Self {
            index,
            end: Some(end),
            other: connection.ends.get(1 - index),
            flow: end.socket.flow,
        })
    }

    /// Which way data goes on a side of the connection.
    pub fn direction(&self, side: Side) -> Direction {
        match (self.index, side) {
            (0, Side::Out) | (1.., Side::In) => Direction::Upload,
            (0, Side::In) | (1.., Side::Out) => Direction::Download,
        }
    }

    /// The connection as the report shows it.
    pub fn show(
        &self,
        connection: &Connection,
        direction: Direction,
        topology: &Topology,
    ) -> ConnectionRef {
        let netns = |end: Option<&End>| end.map(|end| end.socket.flow.netns);
        let mut translated: Vec<String> = connection
            .seen_as
            .iter()
            .map(|flow| {
                if self.index == 0 {
                    *flow
                } else {
                    flow.reversed()
                }
            })
            .filter(|flow| {
                (flow.source, flow.destination) != (self.flow.source, self.flow.destination)
            })
            .map(|flow| {
                let place = NetnsRef::new(flow.netns, topology).label();
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
            remote: Endpoint::new(self.flow.destination, netns(self.other), topology),
            direction,
            translated,
        }
    }
}

fn score(end: &End, other: &End, topology: &Topology) -> (bool, bool, bool, bool) {
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
fn opened(end: &End, other: &End) -> bool {
    let of_other = || other.socket.active.map(|active| !active);
    let by_port = || end.socket.flow.source.port() > other.socket.flow.source.port();
    end.socket.active.or_else(of_other).unwrap_or_else(by_port)
}
