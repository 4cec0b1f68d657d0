//! Kernel records to events: bytes are checked, headers are parsed, numbers become names.
//!
//! Nothing here trusts a record's lengths, and nothing reaches beyond the record.

use std::net::SocketAddr;

use mtu_trace_common::{
    map::{self, DropKey, FlowKey, flag},
    record::{self, kind},
};
use zerocopy::FromBytes;

use crate::{
    kernel::{btf::KernelTypes, headers, symbols::Symbols, tunnel_reject},
    model::{
        event::{
            Closed, Device, Event, EventKind, Flow, Isn, Name, Packet, PacketKind, PathMtu,
            Retransmit, Socket, Tcp, TcpState, Timers, address,
        },
        network::{NetnsId, Topology},
    },
};

/// Protocols of frames that begin with a VLAN tag (`linux/if_ether.h`).
const ETH_P_8021Q: u32 = 0x8100;
const ETH_P_8021AD: u32 = 0x88a8;
/// The length of a tag, bytes.
const VLAN_HLEN: u32 = 4;

/// A record that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before it should.
    #[error("a record of kind {kind} has {have} bytes, it should have {want}")]
    Short {
        /// Its kind.
        kind: u32,
        /// Bytes there are.
        have: usize,
        /// Bytes there should be.
        want: usize,
    },
    /// It is of no known kind.
    #[error("a record of unknown kind {0}")]
    Kind(u32),
    /// It has no whole header.
    #[error("a record of {0} bytes has no header")]
    Header(usize),
}

/// Turns records into events.
pub struct Decoder {
    types: KernelTypes,
    symbols: Option<Symbols>,
}

impl Decoder {
    /// A decoder for the running kernel. Without symbols, functions are addresses.
    #[must_use]
    pub fn new(types: KernelTypes, symbols: Option<Symbols>) -> Self {
        Self { types, symbols }
    }

    /// Decodes one record, with the names the topology has now.
    ///
    /// # Errors
    ///
    /// If the record is shorter than its kind, or of no known kind.
    pub fn decode(&mut self, bytes: &[u8], topology: &Topology) -> Result<Event, DecodeError> {
        let (header, _) = record::RecordHeader::ref_from_prefix(bytes)
            .map_err(|_| DecodeError::Header(bytes.len()))?;
        let kind = match header.kind {
            kind::DROP | kind::ICMP_SENT | kind::SIGHTING => {
                let packet = whole::<record::PacketRecord>(header.kind, bytes)?;
                EventKind::Packet(Box::new(self.packet(packet, topology)))
            }
            kind::RETRANSMIT => {
                let record = whole::<record::RetransmitRecord>(header.kind, bytes)?;
                EventKind::Retransmit(Box::new(retransmit(record)))
            }
            kind::TUNNEL => {
                let record = whole::<record::PacketRecord>(header.kind, bytes)?;
                let message = self.packet(record, topology);
                EventKind::Packet(Box::new(tunnel_reject::by_tunnel(message, record.gso_size)))
            }
            kind::PATH_MTU => EventKind::PathMtu(path_mtu(whole(header.kind, bytes)?)),
            kind::CLOSED => EventKind::Closed(closed(whole(header.kind, bytes)?)),
            other => return Err(DecodeError::Kind(other)),
        };
        Ok(Event {
            time_ns: header.time_ns,
            kind,
        })
    }

    /// Name of a kernel function, its address where there are no symbols.
    pub fn function(&mut self, address: u64) -> String {
        self.symbols
            .as_mut()
            .and_then(|symbols| symbols.function(address))
            .map_or_else(|| format!("{address:#x}"), str::to_owned)
    }

    fn packet(&mut self, record: &record::PacketRecord, topology: &Topology) -> Packet {
        let netns = NetnsId(record.key.flow.netns);
        let head = record
            .head
            .get(..record.head_len as usize)
            .unwrap_or(&record.head);
        let headers = headers::parse(netns, head);
        let what = match record.header.kind {
            kind::DROP => PacketKind::Dropped {
                function: self.function(record.key.site).into(),
                reason: self.types.drop_reason(record.reason).map(Name::from),
            },
            kind::ICMP_SENT => PacketKind::IcmpSent,
            _ => PacketKind::Seen {
                egress: record.direction == record::direction::EGRESS,
                limit_bytes: (record.limit != 0).then_some(record.limit),
            },
        };
        let gso = record.gso_size > 0;
        Packet {
            what,
            flow: flow(&record.key.flow),
            device: device(&record.device, topology).unwrap_or(Device {
                netns,
                ifindex: 0,
                name: None,
                mtu_bytes: 0,
            }),
            has_device: record.has_device != 0,
            route: device(&record.route, topology),
            peer: device(&record.peer, topology),
            came_in: (record.iif != 0).then(|| {
                let link = topology.link(netns, record.iif);
                Device {
                    netns,
                    ifindex: record.iif,
                    name: link.map(|link| link.name.as_str().into()),
                    mtu_bytes: link.map_or(0, |link| link.mtu_bytes),
                }
            }),
            route_input: (record.route_input != 0)
                .then(|| self.function(record.route_input).into()),
            route_mtu_bytes: (record.route_mtu != 0).then_some(record.route_mtu),
            length_bytes: if gso {
                record.gso_size.saturating_add(record.headers_len)
            } else {
                record.l3_len
            },
            buffer_bytes: record.l3_len,
            tag_bytes: match record.ethertype {
                ETH_P_8021Q | ETH_P_8021AD => VLAN_HLEN,
                _ => 0,
            },
            gso,
            tcp: headers.tcp.map(|tcp| Tcp {
                payload_bytes: record.l3_len.saturating_sub(record.headers_len),
                ..tcp
            }),
            icmp_error: headers.icmp_error,
            inner: headers.inner,
            count: record.count,
            first_ns: record.first_ns,
            repeats: record.repeats,
            head: head.get(..headers.length).unwrap_or(head).to_vec(),
        }
    }
}

fn whole<T>(kind: u32, bytes: &[u8]) -> Result<&T, DecodeError>
where
    T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable,
{
    T::ref_from_prefix(bytes)
        .map(|(record, _)| record)
        .map_err(|_| DecodeError::Short {
            kind,
            have: bytes.len(),
            want: size_of::<T>(),
        })
}

/// A count that a record tells, with its key in the kernel's map.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Packets dropped.
    Drop(DropKey, u64),
    /// Segments sent again.
    Retransmit(FlowKey, u64),
}

/// The count a record tells, if its kind has one.
#[must_use]
pub fn told(bytes: &[u8]) -> Option<Told> {
    let (header, _) = record::RecordHeader::ref_from_prefix(bytes).ok()?;
    match header.kind {
        kind::DROP => {
            let packet = whole::<record::PacketRecord>(header.kind, bytes).ok()?;
            Some(Told::Drop(packet.key, packet.count))
        }
        kind::RETRANSMIT => {
            let record = whole::<record::RetransmitRecord>(header.kind, bytes).ok()?;
            Some(Told::Retransmit(record.key, record.count))
        }
        _ => None,
    }
}

/// A flow as the maps key it.
#[must_use]
pub fn flow(key: &FlowKey) -> Flow {
    Flow {
        netns: NetnsId(key.netns),
        protocol: key.protocol,
        source: SocketAddr::new(address(key.family, key.source), key.source_port),
        destination: SocketAddr::new(address(key.family, key.destination), key.destination_port),
    }
}

/// The key the maps use for a flow.
#[must_use]
pub fn key(flow: &Flow) -> FlowKey {
    let bytes = |address| match address {
        std::net::IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        std::net::IpAddr::V6(address) => address.octets(),
    };
    FlowKey {
        netns: flow.netns.0,
        source: bytes(flow.source.ip()),
        destination: bytes(flow.destination.ip()),
        source_port: flow.source.port(),
        destination_port: flow.destination.port(),
        family: if flow.source.is_ipv4() { 4 } else { 6 },
        protocol: flow.protocol,
        reserved: [0; 2],
    }
}

fn device(record: &record::DeviceRecord, topology: &Topology) -> Option<Device> {
    if record.ifindex == 0 {
        return None;
    }
    let netns = NetnsId(match record.netns_cookie {
        0 => u64::from(record.netns_inode),
        cookie => cookie,
    });
    Some(Device {
        netns,
        ifindex: record.ifindex,
        name: topology
            .link(netns, record.ifindex)
            .map(|link| link.name.as_str().into()),
        mtu_bytes: record.mtu,
    })
}

/// Names the devices of an event that were not known when it was decoded.
pub fn name_devices(event: &mut Event, topology: &Topology) {
    let EventKind::Packet(packet) = &mut event.kind else {
        return;
    };
    let devices = [
        Some(&mut packet.device),
        packet.route.as_mut(),
        packet.peer.as_mut(),
        packet.came_in.as_mut(),
    ];
    for device in devices.into_iter().flatten() {
        if device.name.is_some() {
            continue;
        }
        if let Some(link) = topology.link(device.netns, device.ifindex) {
            device.name = Some(link.name.as_str().into());
            if device.mtu_bytes == 0 {
                device.mtu_bytes = link.mtu_bytes;
            }
        }
    }
}

fn retransmit(record: &record::RetransmitRecord) -> Retransmit {
    let known = record.known != 0;
    Retransmit {
        socket: Socket {
            flow: flow(&record.key),
            opened_ns: 0,
            isn: known.then_some(Isn {
                iss: record.iss,
                irs: record.irs,
            }),
            active: known.then_some(record.flags & flag::ACTIVE != 0),
        },
        seq: record.seq,
        end_seq: record.end_seq,
        snd_una: record.snd_una,
        state: TcpState(record.state),
        ca_state: record.ca_state,
        timeouts: record.retransmits,
        backoff: record.backoff,
        mss_cache: record.mss_cache,
        pmtu_bytes: record.pmtu,
        packets_out: record.packets_out,
        sacked_out: record.sacked_out,
        bytes_acked: record.bytes_acked,
        count: record.count,
        timers: timers(record.timers),
    }
}

/// `None` where no program counts them.
fn timers(counted: map::TimerCounts) -> Option<Timers> {
    let map::TimerCounts {
        timeouts,
        probes,
        losses,
        ..
    } = counted;
    (counted != map::TimerCounts::default()).then_some(Timers {
        timeouts,
        probes,
        losses,
    })
}

fn path_mtu(record: &record::PathMtuRecord) -> PathMtu {
    PathMtu {
        flow: flow(&record.key),
        mtu_bytes: record.mtu,
        before_bytes: (record.before != 0).then_some(record.before),
        count: record.count,
    }
}

fn closed(record: &record::ClosedRecord) -> Closed {
    Closed {
        flow: flow(&record.key),
        last_state: TcpState(record.last_state),
        error: record.error,
        bytes_acked: record.bytes_acked,
        bytes_received: record.bytes_received,
        unacknowledged: record.unacknowledged,
    }
}
