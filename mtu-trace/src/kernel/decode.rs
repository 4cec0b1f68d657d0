//! Kernel records to events: the kind of a record finds its hook, which decodes it; bytes are checked,
//! headers are parsed, numbers become names.
//!
//! Nothing here trusts a record's lengths, and nothing reaches beyond the record.

use std::net::{IpAddr, SocketAddr};

use mtu_trace_common::map::{DropKey, FlowKey, SocketEnd};
use mtu_trace_common::record::RecordHeader;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::kernel::btf::KernelTypes;
use crate::kernel::hooks::HOOKS;
use crate::kernel::symbols::Symbols;
use crate::model::event::{Closed, Event, EventKind, Flow, Name, Packet, TcpState};
use crate::model::network::{NetnsId, Topology};

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
#[derive(Debug)]
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
