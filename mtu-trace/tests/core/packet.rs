//! Packets of a connection at the places where the kernel drops or shows them.

use mtu_trace::testing::{EventKind, Flow, IcmpError, Packet, PacketKind, Quoted, Tcp, Topology};

use super::network::{
    At, CNI0, CONTAINER_ETH0, DOCKER0, EXT0, HOST, OUTER_ETH0, VETHOUT, device, network,
};
use super::scenario::{Conn, flow};
use crate::network::{Mtus, OUTER};

/// Bytes of IPv4 and TCP header, timestamps included.
pub const HEADERS: u32 = 52;
/// Payload of a full segment on a link of 1500 bytes.
pub const MSS: u32 = 1448;
/// ICMP's protocol number.
const ICMP: u8 = 1;

/// A packet under construction. Its count and its first time are filled in when it is run.
#[derive(Clone)]
pub struct Shown(pub Packet);

impl From<Shown> for EventKind {
    fn from(shown: Shown) -> Self {
        Self::Packet(Box::new(shown.0))
    }
}

impl Shown {
    pub fn with(mut self, edit: impl FnOnce(&mut Packet)) -> Self {
        edit(&mut self.0);
        self
    }

    /// Dropped in another function or for another reason.
    pub fn dropped(self, by: &str, why: &str) -> Self {
        self.with(|packet| {
            packet.what = PacketKind::Dropped {
                function: by.into(),
                reason: Some(why.into()),
            };
        })
    }

    /// Of another length from the IP header on.
    pub fn long(self, bytes: u32) -> Self {
        self.with(|packet| {
            packet.length_bytes = bytes;
            packet.buffer_bytes = bytes;
        })
    }

    /// The message about this packet that is about to be sent.
    pub fn signalled(self) -> Self {
        self.with(|packet| packet.what = PacketKind::IcmpSent)
    }
}

/// A network with the packets of connections in it.
#[derive(Clone)]
pub struct Places {
    pub topology: Topology,
}

impl Places {
    pub fn new(mtus: Mtus) -> Self {
        Self {
            topology: network(mtus),
        }
    }

    fn full(&self, flow: Flow, at: At, seq: u32, ack: u32) -> Shown {
        Shown(Packet {
            what: PacketKind::IcmpSent,
            flow,
            device: device(&self.topology, at),
            has_device: true,
            route: None,
            peer: None,
            came_in: None,
            route_input: None,
            route_mtu_bytes: None,
            length_bytes: MSS + HEADERS,
            buffer_bytes: MSS + HEADERS,
            tag_bytes: 0,
            route_mtu_locked: false,
            gso: false,
            tcp: Some(Tcp {
                seq,
                ack,
                syn: false,
                has_ack: true,
                payload_bytes: MSS,
            }),
            icmp_error: None,
            inner: None,
            count: 0,
            first_ns: 0,
            repeats: 0,
            netfilter_hook: None,
            ct_state: None,
            head: Vec::new(),
        })
    }

    /// The server's `nth` segment where the host forwards it, dropped for its size.
    pub fn forward(&self, conn: Conn, nth: u32) -> Shown {
        let (seq, ack) = (conn.server_seq(nth), conn.client_seq(0));
        self.full(conn.forwarded(), EXT0, seq, ack)
            .dropped("ip_forward", "PKT_TOO_BIG")
            .with(|packet| {
                packet.route = Some(device(&self.topology, CNI0));
                packet.came_in = Some(device(&self.topology, EXT0));
                packet.route_input = Some("ip_forward".into());
            })
    }

    /// The same at the veth into the outer container: no reason, no route.
    pub fn veth(&self, conn: Conn, nth: u32) -> Shown {
        let (seq, ack) = (conn.server_seq(nth), conn.client_seq(0));
        self.full(conn.forwarded(), VETHOUT, seq, ack)
            .dropped("__dev_forward_skb2", "NOT_SPECIFIED")
            .with(|packet| {
                packet.peer = Some(device(&self.topology, OUTER_ETH0));
                packet.came_in = Some(device(&self.topology, EXT0));
            })
    }

    /// The same at the port of the host's bridge.
    pub fn bridge(&self, conn: Conn, nth: u32) -> Shown {
        self.veth(conn, nth)
            .dropped("br_dev_queue_push_xmit", "NOT_SPECIFIED")
            .with(|packet| packet.route = Some(device(&self.topology, CNI0)))
    }

    /// The container's `nth` segment where the outer container forwards it, dropped for its size.
    pub fn upload(&self, conn: Conn, nth: u32) -> Shown {
        let sent = Flow {
            netns: OUTER,
            ..conn.client.flow
        };
        self.full(sent, DOCKER0, conn.client_seq(nth), conn.server_seq(0))
            .dropped("ip_forward", "PKT_TOO_BIG")
            .with(|packet| {
                packet.route = Some(device(&self.topology, OUTER_ETH0));
                packet.came_in = Some(device(&self.topology, DOCKER0));
                packet.route_input = Some("ip_forward".into());
            })
    }

    /// The host's message to the server, dropped by the host's OUTPUT rules.
    pub fn blocked_in_output(&self, conn: Conn, nth: u32) -> Shown {
        let message = Flow {
            protocol: ICMP,
            ..flow(HOST, "198.51.100.1:0", "198.51.100.9:0")
        };
        self.message(message, EXT0, conn.forwarded(), conn.server_seq(nth))
            .with(|packet| {
                // A locally made packet has a route, and no device yet.
                packet.has_device = false;
                packet.route = Some(device(&self.topology, EXT0));
            })
    }

    /// The outer container's message to the container, dropped by the container's INPUT rules.
    pub fn blocked_in_input(&self, conn: Conn, nth: u32) -> Shown {
        let message = Flow {
            protocol: ICMP,
            ..flow(conn.client.flow.netns, "192.0.2.1:0", "192.0.2.2:0")
        };
        let sent = conn.client_seq(nth);
        self.message(message, CONTAINER_ETH0, conn.client.flow, sent)
            .with(|packet| {
                packet.route = Some(device(&self.topology, CONTAINER_ETH0));
                packet.route_input = Some("ip_local_deliver".into());
            })
    }

    fn message(&self, message: Flow, at: At, about: Flow, seq: u32) -> Shown {
        self.full(message, at, 0, 0)
            .dropped("nft_do_chain", "NETFILTER_DROP")
            .long(576)
            .with(|packet| {
                packet.tcp = None;
                packet.icmp_error = Some(IcmpError {
                    mtu_bytes: 1450,
                    quoted: Some(Quoted {
                        flow: about,
                        seq: Some(seq),
                        ack: None,
                    }),
                });
            })
    }
}
