//! Exact counts of the kernel's maps, where they went on past the last record of their key.

use std::collections::HashMap;
use std::hash::Hash;

use mtu_trace_common::map::{DropKey, FlowKey};

use crate::kernel::decode::{Decoder, ToldCount, flow};
use crate::kernel::maps::Maps;
use crate::model::event::{Count, Event, EventKind};

/// The counts that records have told.
#[derive(Default)]
pub struct DropCounter {
    drops: HashMap<DropKey, u64>,
    retransmits: HashMap<FlowKey, u64>,
}

impl DropCounter {
    /// Notes what a record tells.
    pub fn note(&mut self, told: ToldCount) {
        match told {
            ToldCount::Drop(key, count) => self.drops.insert(key, count),
            ToldCount::Retransmit(key, count) => self.retransmits.insert(key, count),
        };
    }

    /// What the maps have more of than was told. What they no longer have is forgotten here as well.
    pub fn news(&mut self, maps: &Maps, decoder: &Decoder, time_ns: u64) -> Vec<Event> {
        let mut news = Vec::new();
        let mut drops = std::mem::take(&mut self.drops);
        for (key, aggregate) in maps.drops.iter().flatten() {
            if is_news(key, aggregate.count, &mut drops, &mut self.drops) {
                news.push(Count::Dropped {
                    flow: flow(&key.flow),
                    function: decoder.function(key.site),
                    count: aggregate.count,
                    last_ns: aggregate.last_ns,
                });
            }
        }
        let mut retransmits = std::mem::take(&mut self.retransmits);
        for (key, aggregate) in maps.retransmits.iter().flatten() {
            if is_news(
                key,
                aggregate.count,
                &mut retransmits,
                &mut self.retransmits,
            ) {
                news.push(Count::Retransmitted {
                    flow: flow(&key),
                    count: aggregate.count,
                    last_ns: aggregate.last_ns,
                });
            }
        }
        let event = |count| Event {
            time_ns,
            kind: EventKind::Count(count),
        };
        news.into_iter().map(event).collect()
    }
}

/// Whether the count of a key is above the one that was told, and from now on told.
fn is_news<K: Eq + Hash>(
    key: K,
    count: u64,
    before: &mut HashMap<K, u64>,
    told: &mut HashMap<K, u64>,
) -> bool {
    before.remove(&key).is_some_and(|known| {
        told.insert(key, count.max(known));
        known < count
    })
}
