//! How much room each store has, from what the host has.
//!
//! A pure function; its table is in `docs/stores.md`.

use serde::Serialize;

use crate::model::store::Store;

/// What of a host decides on the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HostFacts {
    /// Memory for what is kept, bytes: what was asked for, else what the control group allows.
    pub memory_bytes: u64,
    /// CPUs that the kernel may ever have.
    pub cpus: u64,
    /// The connections that netfilter tracks at most (`nf_conntrack_max`); `None` where it tracks none.
    pub conntrack_max: Option<u64>,
    /// TCP sockets of the host now.
    pub tcp_sockets: u64,
}

/// How many entries each store has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the ring buffer: a power of two, of whole pages.
    pub ring_bytes: u32,
    /// Entries that each CPU may hold back of an LRU map, all CPUs together.
    pub spare_entries: u64,
    bounds: [u64; Store::ALL.len()],
}

/// The memory for which stores have their usual bounds, bytes: what DaemonSets of this kind are given.
pub(crate) const USUAL_MEMORY_BYTES: u64 = 256 << 20;
/// Less, and more, than this changes nothing any more, bytes. A choice: a sixty-fourth of the usual is
/// about what one application needs, sixteen times is what the busiest nodes have.
const MEMORY_BYTES: (u64, u64) = (USUAL_MEMORY_BYTES / 64, USUAL_MEMORY_BYTES * 16);
/// The part of the memory that one of the stores below may grow into, for what the host is set up for. A
/// choice: all others have some such part.
const PART: u64 = 16;
/// Bytes that an entry of a kernel map with a handshake takes: `struct htab_elem` (48), key (48), value
/// (72), rounded, and its bucket (16).
const HANDSHAKE_BYTES: u64 = 200;
/// Bytes that a connection older than the trace takes.
const OPEN_SOCKET_BYTES: u64 = 96;
/// Entries of an LRU map that a CPU takes at once (`LOCAL_FREE_TARGET`, kernel/bpf/bpf_lru_list.c), so that
/// others may find none though there are some.
const SPARE_PER_CPU: u64 = 128;
/// The ring buffer for the usual memory, bytes. A choice: it holds some ten thousand records, which is what
/// a flood makes in a tenth of a second.
const RING_BYTES: u64 = 4 << 20;
/// What of it there is for each CPU at least, bytes. A choice: a hundred records.
const RING_BYTES_PER_CPU: u64 = 64 << 10;

impl Sizes {
    /// The sizes for a host.
    #[must_use]
    pub fn of(host: &HostFacts) -> Self {
        let memory = host.memory_bytes.clamp(MEMORY_BYTES.0, MEMORY_BYTES.1);
        let scaled = |usual: u64| usual.saturating_mul(memory) / USUAL_MEMORY_BYTES;
        let grown = |usual: u64, wanted: u64, entry_bytes: u64| {
            let most = (memory / PART / entry_bytes).max(usual);
            usual.max(wanted).min(most)
        };
        // Both ends of a connection may be here.
        let ends = host.tcp_sockets.saturating_mul(2);
        let tracked = host.conntrack_max.unwrap_or(0);
        let bounds = Store::ALL.map(|store| {
            let usual = scaled(store.usual_bound()).max(1);
            match store {
                Store::Handshakes => grown(usual, ends.max(tracked), HANDSHAKE_BYTES),
                Store::OpenSockets => grown(usual, ends, OPEN_SOCKET_BYTES),
                _ => usual,
            }
        });
        let ring = scaled(RING_BYTES).max(host.cpus.saturating_mul(RING_BYTES_PER_CPU));
        let ring = ring.min(memory / PART).max(1);
        let rounded = 1_u64 << ring.ilog2();
        Self {
            ring_bytes: u32::try_from(rounded).unwrap_or(1 << 31),
            spare_entries: host.cpus.saturating_mul(SPARE_PER_CPU),
            bounds,
        }
    }

    /// How many entries a store has room for.
    #[must_use]
    pub fn bound(&self, store: Store) -> u64 {
        self.bounds[store as usize]
    }

    /// The same as a length.
    pub(crate) fn room(&self, store: Store) -> usize {
        usize::try_from(self.bound(store)).unwrap_or(usize::MAX)
    }

    /// How many entries the kernel map of a store is made for.
    pub(crate) fn entries(&self, store: Store) -> u32 {
        let spare = match store {
            Store::Devices => 0, // no LRU map
            _ => self.spare_entries,
        };
        u32::try_from(self.bound(store).saturating_add(spare)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: HostFacts = HostFacts {
        memory_bytes: USUAL_MEMORY_BYTES,
        cpus: 4,
        conntrack_max: None,
        tcp_sockets: 30,
    };

    #[test]
    fn the_usual_host_has_the_usual_sizes() {
        let sizes = Sizes::of(&USUAL);
        for store in Store::ALL {
            assert_eq!(sizes.bound(store), store.usual_bound(), "{}", store.name());
        }
        assert_eq!(sizes.ring_bytes, 4 << 20);
        assert_eq!(sizes.entries(Store::Drops), 16_384 + 4 * 128);
        assert_eq!(sizes.entries(Store::Devices), 16_384);
    }

    #[test]
    fn what_the_host_is_set_up_for_has_room_within_the_memory() {
        let host = |memory_bytes, conntrack_max, tcp_sockets| HostFacts {
            memory_bytes,
            conntrack_max: Some(conntrack_max),
            tcp_sockets,
            ..USUAL
        };
        let of = |host: &HostFacts| {
            let sizes = Sizes::of(host);
            [Store::Handshakes, Store::OpenSockets].map(|store| sizes.bound(store))
        };
        // Ubuntu's 262,144 do not fit into 256 MiB, but into a gigabyte.
        assert_eq!(of(&host(256 << 20, 262_144, 30)), [83_886, 20_000]);
        assert_eq!(of(&host(1 << 30, 262_144, 30)), [262_144, 80_000]);
        assert_eq!(of(&host(256 << 20, 65_536, 40_000)), [80_000, 80_000]);
        // A tracer in little memory keeps little, and something.
        assert_eq!(of(&host(4 << 20, 262_144, 30)), [1_310, 312]);
        assert_eq!(of(&host(0, 262_144, 30)), [1_310, 312]);
    }

    #[test]
    fn more_memory_is_never_less_room() {
        for facts in [
            USUAL,
            HostFacts {
                cpus: 512,
                conntrack_max: Some(u64::MAX),
                tcp_sockets: u64::MAX,
                ..USUAL
            },
        ] {
            let of = |shift: u32| {
                Sizes::of(&HostFacts {
                    memory_bytes: 1 << shift,
                    ..facts
                })
            };
            for shift in 0..63 {
                let (less, more) = (of(shift), of(shift + 1));
                for store in Store::ALL {
                    assert!(less.bound(store) <= more.bound(store) && less.bound(store) > 0);
                }
                assert!(less.ring_bytes <= more.ring_bytes);
                assert!(less.ring_bytes.is_power_of_two() && less.ring_bytes >= 4096);
            }
        }
    }
}
