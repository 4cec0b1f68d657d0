//! The kernel maps that user space reads and writes, the ring buffer of records among them.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use bytes::{Bytes, BytesMut};
use mtu_trace_common::map::{
    Aggregate, ConnectionEntry, DeviceKey, DeviceLimits, DropKey, FlowKey, counter, flag, lru,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::kernel::decode::{closed, flow, key};
use crate::model::event::{Closed, Flow, Isn, Socket};

/// The ring buffer's name.
pub const RECORDS: &str = "RECORDS";

/// `BPF_NOEXIST` of `linux/bpf.h`: an entry that is there stays.
const NEW_ONLY: u64 = 1;

/// The maps that are read and written while the trace runs.
pub struct Maps {
    counters: PerCpuArray<MapData, u64>,
    connections: HashMap<MapData, FlowKey, ConnectionEntry>,
    ended: HashMap<MapData, FlowKey, ConnectionEntry>,
    watched: HashMap<MapData, FlowKey, u32>,
    /// How many sockets user space has put there.
    newly_watched: u64,
    /// The exact counts of drops by flow and address.
    pub(crate) drops: HashMap<MapData, DropKey, Aggregate>,
    /// The exact counts of retransmits by socket.
    pub(crate) retransmits: HashMap<MapData, FlowKey, Aggregate>,
}

/// What the kernel programs' map of connections answers.
pub trait ConnectionTable {
    /// The connection with these addresses, source local.
    fn connection(&self, socket: &Flow) -> Option<KeptSocket>;

    /// Every connection kept, in no order.
    fn connections(&self) -> impl Iterator<Item = KeptSocket>;

    /// Asks for word of a socket's end.
    fn watch(&mut self, socket: &Flow);
}

/// A connection the kernel programs keep.
#[derive(Clone, Copy, Debug)]
pub struct KeptSocket {
    /// The socket, from its handshake.
    pub socket: Socket,
    /// Its end, if it is over.
    pub closed: Option<Closed>,
    /// When it ended, ns; 0 while it is open.
    pub closed_ns: u64,
}

impl From<Socket> for KeptSocket {
    /// One that is open.
    fn from(socket: Socket) -> Self {
        Self {
            socket,
            closed: None,
            closed_ns: 0,
        }
    }
}

impl Maps {
    /// Takes the maps out of the loaded object, or says which it lacks.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            counters: PerCpuArray::try_from(take(ebpf, "COUNTERS")?)?,
            connections: HashMap::try_from(take(ebpf, "CONNECTIONS")?)?,
            ended: HashMap::try_from(take(ebpf, "ENDED")?)?,
            watched: HashMap::try_from(take(ebpf, "WATCHED")?)?,
            newly_watched: 0,
            drops: HashMap::try_from(take(ebpf, "DROPS")?)?,
            retransmits: HashMap::try_from(take(ebpf, "RETRANSMITS")?)?,
        })
    }

    /// Records and counts lost so far, over all CPUs.
    pub fn lost(&self) -> u64 {
        let counters = [counter::RING_FULL, counter::MAP_FULL];
        counters.map(|index| self.counted(index)).iter().sum()
    }

    /// How many entries were put into an LRU map by its number so far, and taken out.
    pub fn turnover(&self, lru: u32) -> (u64, u64) {
        let own = if lru == lru::WATCHED {
            self.newly_watched
        } else {
            0
        };
        let [inserted, deleted] =
            [counter::inserted(lru), counter::deleted(lru)].map(|index| self.counted(index));
        (inserted + own, deleted)
    }

    /// What all CPUs have counted.
    fn counted(&self, index: u32) -> u64 {
        let values = self.counters.get(&index, 0);
        values.map_or(0, |values| values.iter().sum())
    }
}

impl ConnectionTable for Maps {
    fn connection(&self, socket: &Flow) -> Option<KeptSocket> {
        let of = key(socket);
        let open = self.connections.get(&of, 0);
        let connection = open.or_else(|_| self.ended.get(&of, 0)).ok()?;
        Some(kept(*socket, &connection))
    }

    fn connections(&self) -> impl Iterator<Item = KeptSocket> {
        let all = self.connections.iter().chain(self.ended.iter());
        all.filter_map(Result::ok)
            .map(|(key, connection)| kept(flow(&key), &connection))
    }

    fn watch(&mut self, socket: &Flow) {
        // It may be there already.
        let is_new = self.watched.insert(key(socket), 1, NEW_ONLY).is_ok();
        self.newly_watched += u64::from(is_new);
    }
}

fn kept(flow: Flow, connection: &ConnectionEntry) -> KeptSocket {
    KeptSocket {
        socket: Socket {
            flow,
            opened_ns: connection.opened_ns,
            isn: Some(Isn {
                iss: connection.iss,
                irs: connection.irs,
            }),
            active: Some(connection.flags & flag::ACTIVE != 0),
        },
        closed: (connection.closed_ns != 0).then(|| closed(flow, &connection.end)),
        closed_ns: connection.closed_ns,
    }
}

/// The limits that the tc programs measure against.
pub struct LimitMap {
    devices: HashMap<MapData, DeviceKey, DeviceLimits>,
    smallest: Array<MapData, u32>,
    /// Devices for whose limits there was no room.
    pub(crate) left_out: u64,
}

impl LimitMap {
    /// Takes the maps out of the loaded object, or says which it lacks.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            devices: HashMap::try_from(take(ebpf, "DEVICES")?)?,
            smallest: Array::try_from(take(ebpf, "SMALLEST_LIMIT")?)?,
            left_out: 0,
        })
    }

    /// Sets the limit below which the programs need no look-up; 0 switches them off.
    pub fn set_smallest(&mut self, limit_bytes: u32) {
        if let Err(error) = self.smallest.set(0, limit_bytes, 0) {
            log::warn!("cannot set the smallest limit: {error}");
        }
    }

    /// Sets the limits of a device.
    pub fn set(&mut self, device: DeviceKey, limits: DeviceLimits) {
        if let Err(error) = self.devices.insert(device, limits, 0) {
            self.left_out += 1;
            log::warn!(
                "no room for the limits of device {}: {error}",
                device.ifindex
            );
        }
    }

    /// Takes a device's limits back, if it has any.
    pub fn remove(&mut self, device: DeviceKey) {
        let _absent = self.devices.remove(&device);
    }
}

/// The records, as they come.
pub struct Records {
    ring: AsyncFd<RingBuf<MapData>>,
    copy: BytesMut,
}

impl Records {
    /// Begins to read a ring-buffer map. Must be called inside a tokio runtime.
    pub fn new(map: Map) -> Result<Self> {
        let ring = RingBuf::try_from(map).context("the map RECORDS is no ring buffer")?;
        // SAFETY: the ring owns its descriptor, never exchanges it, and lives inside the
        // registration, so the descriptor stays open and the same for as long as it is watched.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(std::io::Error::from)
            .context("cannot watch the ring buffer")?;
        Ok(Self {
            ring,
            copy: BytesMut::new(),
        })
    }

    /// Waits until there is at least one record.
    pub async fn readable(&self) -> std::io::Result<()> {
        // What follows empties the ring, so the readiness is spent here.
        self.ring.readable().await?.clear_ready();
        Ok(())
    }

    /// The next record, copied out of the ring so that it has room again.
    pub fn next(&mut self) -> Option<Bytes> {
        let record = self.ring.get_mut().next()?;
        self.copy.extend_from_slice(&record);
        Some(self.copy.split().freeze())
    }
}

/// Takes a map out of the loaded object, or says that it lacks it.
pub fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name)
        .with_context(|| format!("the kernel object has no map {name}"))
}
