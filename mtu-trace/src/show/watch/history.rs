//! Drops and stalls of each namespace over the last minutes, in buckets of time.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use imbl::{HashMap, HashSet};

use crate::model::event::{Count, Event, EventKind, Flow, PacketKind};
use crate::model::network::NetnsId;

/// Length of a bucket, ns. A socket that stands still is told of every second, so it is in each.
const BUCKET_NS: u64 = 2_000_000_000;
/// How many buckets are kept: four minutes.
const BUCKETS: usize = 120;
/// Namespaces that are followed; what is seen in more is not counted here.
const MOST_NAMESPACES: usize = 4096;
/// Flows and places whose counts are remembered. When there are more, all are forgotten: the next event
/// of each counts once.
const MOST_COUNTED: usize = 16_384;
/// Stalled sockets told apart in one bucket.
const MOST_STALLED: usize = 4096;

/// What happened in each namespace, by time.
#[derive(Clone, Debug, Default)]
pub struct History {
    namespaces: HashMap<NetnsId, HistoryRow>,
    /// The number of the bucket that is being filled.
    current: u64,
    /// What has been counted so far, by what was counted.
    counted: HashMap<u64, u64>,
    /// Sockets that stood still in the current bucket.
    stalled: HashSet<Flow>,
}

#[derive(Clone, Debug, Default)]
struct HistoryRow {
    /// The newest first. Shorter than [`BUCKETS`] if the namespace is newer.
    buckets: VecDeque<Bucket>,
    /// The number of the newest bucket.
    newest: u64,
    total_drops: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    drops: u64,
    stalls: u64,
}

/// One namespace's last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Packets dropped in each bucket, the newest last.
    pub drops: Vec<u64>,
    /// Sockets that stood still in each bucket, the newest last.
    pub stalls: Vec<u64>,
    /// Packets dropped since the trace began, also those of before these buckets.
    pub total_drops: u64,
}

impl History {
    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        let bucket = event.time_ns / BUCKET_NS;
        if bucket > self.current {
            self.current = bucket;
            self.stalled.clear();
        }
        match &event.kind {
            EventKind::Packet(packet) => {
                if let PacketKind::Dropped { function, .. } = &packet.what {
                    self.dropped(&packet.flow, function, packet.count);
                }
            }
            EventKind::Count(Count::Dropped {
                flow,
                function,
                count,
                ..
            }) => self.dropped(flow, function, *count),
            EventKind::Retransmit(retransmit) if retransmit.timeouts > 0 => {
                self.stalled(retransmit.socket.flow);
            }
            EventKind::Sample(sample) if sample.is_waiting() => self.stalled(sample.flow),
            _ => {}
        }
    }

    /// Adds what is new of a count that goes on.
    fn dropped(&mut self, flow: &Flow, function: &str, count: u64) {
        let mut hasher = DefaultHasher::new();
        (flow, function).hash(&mut hasher);
        if self.counted.len() >= MOST_COUNTED {
            self.counted.clear();
        }
        let before = self.counted.insert(hasher.finish(), count);
        // The kernel begins again where it had to forget.
        let new = match before {
            Some(before) if before <= count => count - before,
            Some(_) => count,
            None => count.min(1),
        };
        if new > 0
            && let Some(row) = self.row(flow.netns)
        {
            row.total_drops += new;
            row.buckets[0].drops += new;
        }
    }

    fn stalled(&mut self, flow: Flow) {
        if self.stalled.len() < MOST_STALLED
            && self.stalled.insert(flow).is_none()
            && let Some(row) = self.row(flow.netns)
        {
            row.buckets[0].stalls += 1;
        }
    }

    /// The row of a namespace, with the current bucket in it.
    fn row(&mut self, netns: NetnsId) -> Option<&mut HistoryRow> {
        if self.namespaces.len() >= MOST_NAMESPACES && !self.namespaces.contains_key(&netns) {
            return None;
        }
        let row = self.namespaces.entry(netns).or_default();
        row.reach(self.current);
        Some(row)
    }

    /// The last `count` buckets of a namespace up to now, with zeros for those without anything.
    pub fn series(&self, netns: NetnsId, now_ns: u64, count: usize) -> Series {
        let row = self.namespaces.get(&netns);
        let bucket = |back: usize| {
            let row = row?;
            let now = (now_ns / BUCKET_NS).max(row.newest);
            let since = usize::try_from(now - row.newest).unwrap_or(usize::MAX);
            row.buckets.get(back.checked_sub(since)?).copied()
        };
        let buckets = (0..count)
            .rev()
            .map(|back| bucket(back).unwrap_or_default());
        Series {
            drops: buckets.clone().map(|bucket| bucket.drops).collect(),
            stalls: buckets.map(|bucket| bucket.stalls).collect(),
            total_drops: row.map_or(0, |row| row.total_drops),
        }
    }
}

impl HistoryRow {
    /// Adds the buckets that are missing up to this one.
    fn reach(&mut self, current: u64) {
        let missing = if self.buckets.is_empty() {
            1
        } else {
            current.saturating_sub(self.newest)
        };
        for _ in 0..missing.min(BUCKETS as u64) {
            self.buckets.push_front(Bucket::default());
        }
        self.buckets.truncate(BUCKETS);
        self.newest = self.newest.max(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETNS: NetnsId = NetnsId(7);

    fn flow(port: u16) -> Flow {
        Flow {
            netns: NETNS,
            protocol: 6,
            source: ([192, 0, 2, 1], port).into(),
            destination: ([192, 0, 2, 2], 80).into(),
        }
    }

    fn dropped(port: u16, count: u64, bucket: u64) -> Event {
        Event {
            time_ns: bucket * BUCKET_NS,
            kind: EventKind::Count(Count::Dropped {
                flow: flow(port),
                function: "ip_forward".into(),
                count,
                last_ns: 0,
            }),
        }
    }

    fn drops(history: &History, now: u64, count: usize) -> Vec<u64> {
        history.series(NETNS, now * BUCKET_NS, count).drops
    }

    #[test]
    fn counts_that_go_on_are_told_as_what_is_new() {
        let mut history = History::default();
        for (count, bucket) in [(1, 10), (5, 10), (5, 11), (30, 13), (2, 13)] {
            history.apply(&dropped(1, count, bucket));
        }
        history.apply(&dropped(2, 1, 13));
        assert_eq!(drops(&history, 13, 5), [0, 5, 0, 0, 28]);
        assert_eq!(drops(&history, 15, 5), [0, 0, 28, 0, 0]);
        assert_eq!(history.series(NETNS, 0, 1).total_drops, 33);
        assert_eq!(drops(&history, 13 + BUCKETS as u64 * 2, 3), [0, 0, 0]);
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for bucket in 0..1000 {
            history.apply(&dropped(1, bucket + 1, bucket));
        }
        assert_eq!(history.namespaces[&NETNS].buckets.len(), BUCKETS);
        assert_eq!(drops(&history, 999, 4), [1, 1, 1, 1]);
        let long = drops(&history, 999, BUCKETS + 2);
        assert_eq!(&long[..3], [0, 0, 1]);
    }
}
