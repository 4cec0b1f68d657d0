//! Kernel records to events: the kind of a record finds its hook, which decodes it; bytes are checked,
//! headers are parsed, numbers become names.
//!
//! Nothing here trusts a record's lengths, and nothing reaches beyond the record.

use std::net::{IpAddr, SocketAddr};

use mtu_trace_common::map::{DropKey, FlowKey, SocketEnd};
use mtu_trace_common::record::{DeviceRecord, PacketRecord, RecordHeader, conntrack};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::core::sites::{hook_of_callers, is_netfilter};
use crate::kernel::btf::KernelTypes;
use crate::kernel::headers;
use crate::kernel::hooks::HOOKS;
use crate::kernel::symbols::Symbols;
use crate::model::event::{
    Closed, Device, Event, EventKind, Flow, Name, Packet, PacketKind, Tcp, TcpState,
};
use crate::model::network::{NetnsId, Topology};

/// Protocols of frames that begin with a VLAN tag (`linux/if_ether.h`).
const ETH_P_8021Q: u32 = 0x8100;
/// The protocol of an outer tag, see [`ETH_P_8021Q`].
const ETH_P_8021AD: u32 = 0x88a8;
/// The length of a tag, bytes.
const VLAN_HLEN: u32 = 4;

/// A record that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before it should.
    #[error("a record of kind {kind} has {have} bytes, it should have {want}")]
    Short {
        /// The kind its header tells.
        kind: u32,
        /// How many bytes there are.
        have: usize,
        /// How many bytes there should be.
        want: usize,
    },
    /// It is of no known kind.
    #[error("a record of unknown kind {0}")]
    Kind(u32),
    /// It has no whole header.
    #[error("a record of {0} bytes has no header")]
    Header(usize),
}

/// What a hook has made of a record.
pub struct Decoded {
    /// What happened, as events have it.
    pub event: EventKind,
    /// The count the record tells, where the kernel's map goes on counting past it.
    pub count: Option<ToldCount>,
}

impl From<EventKind> for Decoded {
    fn from(event: EventKind) -> Self {
        Self { event, count: None }
    }
}

impl From<Packet> for Decoded {
    fn from(packet: Packet) -> Self {
        EventKind::Packet(Box::new(packet)).into()
    }
}

/// A count that a record tells, with its key in the kernel's map.
#[derive(Clone, Copy, Debug)]
pub enum ToldCount {
    /// The packets of a flow dropped at one place.
    Drop(DropKey, u64),
    /// The segments that a socket has sent again.
    Retransmit(FlowKey, u64),
}

/// Turns records into events.
pub struct Decoder {
    pub(crate) types: KernelTypes,
    symbols: Option<Symbols>,
}

impl Decoder {
    /// A decoder for the running kernel. Without symbols, functions are addresses.
    #[must_use]
    pub fn new(types: KernelTypes, symbols: Option<Symbols>) -> Self {
        Self { types, symbols }
    }

    /// Decodes one record, with the names the topology has now, and gives the count it tells.
    pub fn decode(
        &self,
        bytes: &[u8],
        topology: &Topology,
    ) -> Result<(Event, Option<ToldCount>), DecodeError> {
        let (header, _) =
            RecordHeader::ref_from_prefix(bytes).map_err(|_| DecodeError::Header(bytes.len()))?;
        let (_, decode) = HOOKS
            .iter()
            .filter_map(|hook| hook.record)
            .find(|(kind, _)| *kind == header.kind)
            .ok_or(DecodeError::Kind(header.kind))?;
        let Decoded { event, count } = decode(self, bytes, topology)?;
        let event = Event {
            time_ns: header.time_ns,
            kind: event,
        };
        Ok((event, count))
    }

    /// Name of a kernel function, its address where there are no symbols.
    pub fn function(&self, address: u64) -> Name {
        let symbols = self.symbols.as_ref();
        match symbols.and_then(|symbols| symbols.function(address)) {
            Some(name) => name.into(),
            None => format!("{address:#x}").into(),
        }
    }

    /// The netfilter hook whose rules were being run at a drop; `None` if none were.
    fn netfilter_hook(&self, record: &PacketRecord) -> Option<Name> {
        let stack = record.stack.iter().take_while(|&&address| address != 0);
        // What the tracing itself calls lies before the function that dropped it.
        let stack = stack.skip_while(|&&address| address != record.key.site);
        let callers: Vec<Name> = stack.map(|&address| self.function(address)).collect();
        let hook = hook_of_callers(callers.iter().map(Name::as_str))?;
        is_netfilter(
            callers.first()?,
            self.types.drop_reason(record.reason).as_deref(),
        )
        .then(|| hook.name().into())
    }

    /// The packet of a record, of which `what` has become.
    pub fn packet(&self, record: &PacketRecord, what: PacketKind, topology: &Topology) -> Packet {
        let netns = NetnsId(record.key.flow.netns);
        let head = record
            .head
            .get(..record.head_len as usize)
            .unwrap_or(&record.head);
        let headers = headers::parse(netns, head);
        let gso = record.gso_size > 0;
        Packet {
            what,
            flow: flow(&record.key.flow),
            device: device(&record.device, topology)
                .unwrap_or_else(|| named(netns, 0, 0, topology)),
            has_device: record.has_device != 0,
            route: device(&record.route, topology),
            peer: device(&record.peer, topology),
            came_in: (record.iif != 0).then(|| named(netns, record.iif, 0, topology)),
            route_input: (record.route_input != 0).then(|| self.function(record.route_input)),
            route_mtu_bytes: (record.route_mtu != 0).then_some(record.route_mtu),
            route_mtu_locked: record.route_mtu_locked != 0,
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
            netfilter_hook: self.netfilter_hook(record),
            ct_state: conntrack_state(record.conntrack).map(Into::into),
            head: head.get(..headers.length).unwrap_or(head).to_vec(),
        }
    }
}

/// The state that connection tracking has a packet in, as rules name it (`ct state`); `None` where it
/// was not read.
///
/// A packet without a connection that is not exempt is invalid to rules (`nft_ct_get_eval`), also where
/// nothing is tracked at all.
fn conntrack_state(told: u32) -> Option<&'static str> {
    /// `IP_CT_UNTRACKED`.
    const UNTRACKED: u32 = 7;
    if told & conntrack::KNOWN == 0 {
        return None;
    }
    let is_tracked = told & conntrack::TRACKED != 0;
    // Replies are numbered behind the others (`IP_CT_IS_REPLY`).
    match (is_tracked, told & conntrack::STATE) {
        (true, 0 | 3) => Some("established"),
        (true, 1 | 4) => Some("related"),
        (true, 2) => Some("new"),
        (true, _) => None,
        (false, UNTRACKED) => Some("untracked"),
        (false, _) => Some("invalid"),
    }
}

fn device(record: &DeviceRecord, topology: &Topology) -> Option<Device> {
    if record.ifindex == 0 {
        return None;
    }
    let netns = NetnsId(match record.netns_cookie {
        0 => u64::from(record.netns_inode),
        cookie => cookie,
    });
    Some(named(netns, record.ifindex, record.mtu, topology))
}

fn named(netns: NetnsId, ifindex: u32, mtu_bytes: u32, topology: &Topology) -> Device {
    let mut device = Device {
        netns,
        ifindex,
        name: None,
        mtu_bytes,
    };
    name(&mut device, topology);
    device
}

/// Takes over a device's name, and its MTU where the record has not told that.
fn name(device: &mut Device, topology: &Topology) {
    if let Some(link) = topology.link(device.netns, device.ifindex) {
        device.name = Some(link.name.as_str().into());
        if device.mtu_bytes == 0 {
            device.mtu_bytes = link.mtu_bytes;
        }
    }
}

/// Names the devices of an event that were not known when it was decoded.
pub fn name_devices(event: &mut Event, topology: &Topology) {
    let EventKind::Packet(packet) = &mut event.kind else {
        return;
    };
    let others = [&mut packet.route, &mut packet.peer, &mut packet.came_in];
    let devices = others.into_iter().flatten().chain([&mut packet.device]);
    for device in devices.filter(|device| device.name.is_none()) {
        name(device, topology);
    }
}

/// The bytes as a record of this kind.
pub fn whole<T: FromBytes + KnownLayout + Immutable>(
    kind: u32,
    bytes: &[u8],
) -> Result<&T, DecodeError> {
    let (record, _) = T::ref_from_prefix(bytes).map_err(|_| DecodeError::Short {
        kind,
        have: bytes.len(),
        want: size_of::<T>(),
    })?;
    Ok(record)
}

/// The end of a socket, as events have it.
pub fn closed(flow: Flow, end: &SocketEnd) -> Closed {
    Closed {
        flow,
        last_state: TcpState(end.last_state),
        error: end.error,
        bytes_acked: end.bytes_acked,
        bytes_received: end.bytes_received,
        unacknowledged: end.unacknowledged,
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
        // The first four of sixteen bytes are the address.
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96).to_be_bytes(),
        IpAddr::V6(address) => address.octets(),
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

/// An IP address from sixteen bytes, of which IPv4 uses the first four.
fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    if family == 4 {
        IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
    } else {
        IpAddr::from(bytes)
    }
}
