//! Asks how the announced sockets stand, some at each tick, and tells it where it is news.

use std::collections::{BTreeSet, HashMap};

use crate::base::clock::monotonic_ns;
use crate::host::watcher::Watcher;
use crate::kernel::socket_lookup::SocketLookup;
use crate::kernel::sockets;
use crate::model::event::{Event, EventKind, Flow, Sample};

/// Sockets asked at each tick. A choice: each ten times a second, as long as they are few.
const MOST_SAMPLES: usize = 64;
/// A socket that stands still is told again after this time, ns. A choice: a report says how long it
/// has stood to a second.
const SAMPLE_AGAIN_NS: u64 = 1_000_000_000;

/// How sockets stood when that was told last, and when it was.
#[derive(Default)]
pub struct Sampling {
    sampled: HashMap<Flow, (Sample, u64)>,
}

impl Sampling {
    /// Asks how the sockets stand that were announced. Those that are gone are closed there.
    pub fn news(&mut self, lookup: &mut SocketLookup, watcher: &Watcher) -> Vec<Event> {
        let mut news = Vec::new();
        let asked = lookup.announced.next(MOST_SAMPLES, monotonic_ns());
        if asked.is_empty() {
            return news;
        }
        // What happens while they are asked comes after what they say.
        let now_ns = monotonic_ns();
        let samples = sockets::sample(asked.iter().copied(), watcher);
        let found: BTreeSet<Flow> = samples.iter().map(|sample| sample.flow).collect();
        for flow in asked.iter().filter(|flow| !found.contains(flow)) {
            lookup.close(flow);
            self.sampled.remove(flow);
        }
        for sample in samples {
            let told = self.sampled.get(&sample.flow);
            if told.is_none_or(|(before, told_ns)| {
                *before != sample || now_ns.saturating_sub(*told_ns) >= SAMPLE_AGAIN_NS
            }) {
                self.sampled.insert(sample.flow, (sample, now_ns));
                news.push(Event {
                    time_ns: now_ns,
                    kind: EventKind::Sample(sample),
                });
            }
        }
        news
    }
}
