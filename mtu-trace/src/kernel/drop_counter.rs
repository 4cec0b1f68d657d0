//! Exact counts of the kernel's maps, where they went on past the last record of their key.

use std::collections::HashMap;

use mtu_trace_common::map::{DropKey, FlowKey};

use crate::kernel::decode::{Decoder, ToldCount, flow};
use crate::kernel::maps::Maps;
use crate::model::event::{Count, Event, EventKind};

/// Counts remembered at most. A choice: more than both maps hold (`DROPS` and `RETRANSMITS` of
/// `mtu_trace_common::map::size`), at some 5 MiB.
const MOST_COUNTED: usize = 50_000;

/// The counts that records have told.
#[derive(Default)]
pub struct DropCounter {
    drops: HashMap<DropKey, u64>,
    retransmits: HashMap<FlowKey, u64>,
}

impl DropCounter {
    /// Notes what a record tells.
    pub fn note(&mut self, told: ToldCount) {
        if self.drops.len() + self.retransmits.len() > MOST_COUNTED {
            // The maps hold fewer: most of these are gone from there.
            self.drops.clear();
            self.retransmits.clear();
        }
        match told {
            ToldCount::Drop(key, count) => self.drops.insert(key, count),
            ToldCount::Retransmit(key, count) => self.retransmits.insert(key, count),
        };
    }

    /// What the maps have more of than was told.
    pub fn news(&mut self, maps: &Maps, decoder: &Decoder, time_ns: u64) -> Vec<Event> {
        let mut news = Vec::new();
        for (key, aggregate) in maps.drops.iter().flatten() {
            if is_news(self.drops.get_mut(&key), aggregate.count) {
                news.push(Count::Dropped {
                    flow: flow(&key.flow),
                    function: decoder.function(key.site),
                    count: aggregate.count,
                    last_ns: aggregate.last_ns,
                });
            }
        }
        for (key, aggregate) in maps.retransmits.iter().flatten() {
            if is_news(self.retransmits.get_mut(&key), aggregate.count) {
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

/// Whether a count is above the one that was told, and from now on told.
fn is_news(told: Option<&mut u64>, count: u64) -> bool {
    told.is_some_and(|told| {
        let is_news = *told < count;
        *told = count.max(*told);
        is_news
    })
}
