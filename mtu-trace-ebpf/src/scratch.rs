//! Where a packet's record is put together: the stack of 512 bytes is too small for it.
//!
//! Each program has an area of its own on each CPU. A program interrupted by another of ours on
//! the same CPU keeps its area; one interrupted by itself gives way, and the loss is counted.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{LruHashMap, PerCpuArray};
use mtu_trace_common::map::{Aggregate, DropKey, counter};
use mtu_trace_common::pace::EventClass;
use mtu_trace_common::record::PacketRecord;
use zerocopy::FromZeros;

use crate::maps::RECORDS;
use crate::ring;
use crate::skb::{self, IPPROTO_ICMP, IPPROTO_ICMPV6};

/// Whose area it is.
#[derive(Clone, Copy)]
pub enum Owner {
    Drop = 0,
    Icmp = 1,
    Ingress = 2,
    Egress = 3,
    Icmp6 = 4,
    Tunnel = 5,
}

const OWNERS: u32 = 6;

#[map]
static AREAS: PerCpuArray<Area> = PerCpuArray::with_max_entries(OWNERS, 0);

#[repr(C)]
struct Area {
    scratch: Scratch,
    busy: bool,
}

/// The record in the making and what does not go into it.
#[derive(FromZeros)]
#[repr(C)]
pub struct Scratch {
    /// The record as it is sent.
    pub record: PacketRecord,
    /// Address of the IP header.
    pub ip_header: u64,
    /// Linear data from the IP header on, bytes.
    pub linear: u32,
    /// TCP sequence number, valid with `has_seq`.
    pub seq: u32,
    /// Whether there is a TCP header.
    pub has_seq: bool,
    /// The flags of that header.
    pub tcp_flags: u8,
    /// ICMP's type, valid with the protocol.
    pub icmp_type: u8,
    /// ICMP's code, valid with the protocol.
    pub icmp_code: u8,
}

impl Scratch {
    /// Layer-3 length of one packet as it goes on the wire.
    #[inline(always)]
    pub fn wire_len(&self) -> u32 {
        if self.record.gso_size > 0 {
            self.record.gso_size + self.record.headers_len
        } else {
            self.record.l3_len
        }
    }

    /// Whether it is the message that path MTU discovery lives on: ICMP destination unreachable,
    /// fragmentation needed (RFC 1191), or ICMPv6 packet too big (RFC 8201).
    #[inline(always)]
    pub fn is_too_big_message(&self) -> bool {
        match self.record.key.flow.protocol {
            IPPROTO_ICMP => self.icmp_type == 3 && self.icmp_code == 4,
            IPPROTO_ICMPV6 => self.icmp_type == 2,
            _ => false,
        }
    }

    /// Counts the record under its key; tells whether it should go to the ring.
    #[inline(always)]
    pub fn count(
        &mut self,
        map: (&LruHashMap<DropKey, Aggregate>, u32),
        class: EventClass,
    ) -> bool {
        let now = ring::now();
        let seq = if self.has_seq { Some(self.seq) } else { None };
        let counted = ring::add(map, &self.record.key, seq, now, class);
        self.record.header.time_ns = now;
        self.record.count = counted.count;
        self.record.first_ns = counted.first_ns;
        self.record.repeats = counted.repeats;
        counted.emit
    }

    /// Sends the record, which is counted if there is no room.
    #[inline(always)]
    pub fn send(&mut self, kind: u32) {
        skb::copy_head(self);
        self.record.header = ring::header::<PacketRecord>(kind, self.record.header.time_ns);
        if RECORDS.output::<PacketRecord>(&self.record, 0).is_err() {
            ring::count(counter::RING_FULL);
        }
    }
}

/// Runs `program` with its owner's area, cleared.
#[inline(always)]
pub fn with(owner: Owner, program: impl FnOnce(&mut Scratch) -> Option<()>) -> Option<()> {
    let area = AREAS.get_ptr_mut(owner as u32)?;
    // SAFETY: the pointer is to this CPU's own slot, valid while the program runs; `busy` keeps a
    // nested run of the same program away from it.
    let area = unsafe { &mut *area };
    if area.busy {
        ring::count(counter::RING_FULL);
        return None;
    }
    area.busy = true;
    area.scratch.zero();
    let done = program(&mut area.scratch);
    area.busy = false;
    done
}
