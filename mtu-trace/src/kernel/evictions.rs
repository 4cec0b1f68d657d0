//! Tells how the stores stand that fill while the trace runs: the kernel's maps, and those of the source.

use mtu_trace_common::map::lru;

use crate::kernel::lru::LruMap;
use crate::kernel::maps::Maps;
use crate::kernel::sizes::Sizes;
use crate::model::store::{Store, StoreState};

/// A store in a map of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelMap {
    /// Whose entries it has.
    pub store: Store,
    /// The name it has in the kernel object.
    pub name: &'static str,
    /// Its number among the LRU maps; `None` where it is none, and says so when it is full.
    lru: Option<u32>,
}

/// The stores that are maps of the kernel.
pub const KERNEL_MAPS: &[KernelMap] = &[
    lru_map(Store::Handshakes, "CONNECTIONS", lru::CONNECTIONS),
    lru_map(Store::Ended, "ENDED", lru::ENDED),
    lru_map(Store::Drops, "DROPS", lru::DROPS),
    lru_map(Store::Messages, "ICMP_SENT", lru::ICMP_SENT),
    lru_map(Store::Retransmits, "RETRANSMITS", lru::RETRANSMITS),
    lru_map(Store::Retransmits, "UNSENT", lru::UNSENT),
    lru_map(Store::Timers, "TIMERS", lru::TIMERS),
    lru_map(Store::PathMtus, "PATH_MTUS", lru::PATH_MTUS),
    lru_map(Store::Watched, "WATCHED", lru::WATCHED),
    KernelMap {
        store: Store::Devices,
        name: "DEVICES",
        lru: None,
    },
];

const fn lru_map(store: Store, name: &'static str, lru: u32) -> KernelMap {
    KernelMap {
        store,
        name,
        lru: Some(lru),
    }
}

/// The stores of the source, and what was told of them.
#[derive(Debug)]
pub struct EvictionTeller {
    sizes: Sizes,
    maps: Vec<(Store, u32, LruMap)>,
    told: [u64; Store::ALL.len()],
}

impl EvictionTeller {
    /// Nothing is forgotten yet.
    pub fn new(sizes: Sizes) -> Self {
        let lru = KERNEL_MAPS
            .iter()
            .filter_map(|map| Some((map.store, map.lru?, LruMap::new(sizes.bound(map.store)))));
        Self {
            maps: lru.collect(),
            sizes,
            told: [0; Store::ALL.len()],
        }
    }

    /// The sizes of the stores.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The stores of the analysis that have other sizes than usual: it is told to keep to them.
    pub fn unusual(&self) -> impl Iterator<Item = StoreState> + '_ {
        let stores = [Store::Connections, Store::Troubled, Store::Namespaces];
        let states = stores.into_iter().map(|store| self.state(store));
        states.filter(|state| state.bound != state.store.usual_bound())
    }

    /// Looks at the maps between two tellings: the more often, the more exact is what is told.
    pub fn look(&mut self, maps: &Maps) {
        for (store, number, map) in &mut self.maps {
            if *store != Store::Ended {
                let (inserted, deleted) = maps.turnover(*number);
                map.look(inserted, deleted);
            }
        }
    }

    /// The stores that have forgotten more than was told, given how many `others` have.
    pub fn news(&mut self, maps: &Maps, others: &[(Store, u64)]) -> Vec<StoreState> {
        let looked = self.maps.iter_mut().map(|(store, number, map)| {
            let (inserted, deleted) = maps.turnover(*number);
            let evicted = match store {
                Store::Ended => map.look_at_recent(inserted),
                _ => map.look(inserted, deleted),
            };
            (*store, evicted)
        });
        let looked: Vec<(Store, u64)> = looked.chain(others.iter().copied()).collect();
        let mut news = Vec::new();
        for (store, evicted) in looked {
            if evicted > self.told[store as usize] {
                self.told[store as usize] = evicted;
                news.push(self.state(store));
            }
        }
        news
    }

    fn state(&self, store: Store) -> StoreState {
        StoreState {
            store,
            bound: self.sizes.bound(store),
            evicted: self.told[store as usize],
        }
    }
}
