//! What happened to each flow, as far as a reader who doubts a finding wants to see it: its first
//! events and its latest ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::HashMap;

use crate::core::track::Connection;
use crate::model::event::{Event, EventKind, Flow, Sample};

/// Events kept from a flow's beginning. A choice: its handshake and its first loss.
const FIRST: usize = 16;
/// Events kept of a flow's latest. A choice: what fills a screen.
const LATEST: usize = 48;
/// Events kept in all. When there are more, the flows go that were quiet for longest.
const MOST_EVENTS: usize = 32_768;

/// The events of each flow.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// By flow, whichever of its directions.
    flows: HashMap<Flow, Arc<Pages>>,
    /// Events kept in all.
    kept: usize,
    /// Numbers events in the order they came.
    next: u64,
}

/// The events of one flow.
#[derive(Clone, Debug, Default)]
struct Pages {
    first: Vec<(u64, Arc<Event>)>,
    latest: VecDeque<(u64, Arc<Event>)>,
    left_out: u64,
    last_ns: u64,
    /// How its socket stood when that was last noted.
    sample: Option<Sample>,
}

impl Pages {
    fn len(&self) -> usize {
        self.first.len() + self.latest.len()
    }

    /// Keeps an event; says whether that makes one more.
    fn keep(&mut self, number: u64, event: Arc<Event>) -> bool {
        self.last_ns = self.last_ns.max(event.time_ns);
        if self.first.len() < FIRST {
            self.first.push((number, event));
            return true;
        }
        self.latest.push_back((number, event));
        if self.latest.len() > LATEST {
            self.latest.pop_front();
            self.left_out += 1;
            return false;
        }
        true
    }
}

/// Something that happened to a connection.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// How many events before it were not kept.
    pub left_out: u64,
    /// What happened to the flow.
    pub event: Arc<Event>,
}

impl Journal {
    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        let Some(flow) = about(event) else {
            return;
        };
        let key = canonical(flow);
        if let EventKind::Sample(sample) = &event.kind {
            let before = self.flows.get(&key).and_then(|pages| pages.sample);
            if !is_news(before.as_ref(), sample) {
                return;
            }
        }
        if self.kept >= MOST_EVENTS {
            self.make_room();
        }
        let mut event = event.clone();
        if let EventKind::Packet(packet) = &mut event.kind {
            packet.head = Vec::new();
        }
        let pages = Arc::make_mut(self.flows.entry(key).or_default());
        if let EventKind::Sample(sample) = &event.kind {
            pages.sample = Some(*sample);
        }
        self.kept += usize::from(pages.keep(self.next, Arc::new(event)));
        self.next += 1;
    }

    fn make_room(&mut self) {
        let flows = self.flows.iter();
        let mut ages: Vec<_> = flows.map(|(flow, pages)| (pages.last_ns, *flow)).collect();
        ages.sort_unstable();
        for (_, flow) in ages {
            if self.kept <= MOST_EVENTS * 9 / 10 {
                break;
            }
            self.kept -= self.flows.remove(&flow).map_or(0, |pages| pages.len());
        }
    }

    /// What happened to a connection wherever it was seen, in the order it became known.
    pub fn of(&self, connection: &Connection) -> Vec<JournalEntry> {
        self.of_flows(flows(connection).copied())
    }

    fn of_flows(&self, flows: impl Iterator<Item = Flow>) -> Vec<JournalEntry> {
        let mut found: BTreeMap<u64, JournalEntry> = BTreeMap::new();
        let keys: BTreeSet<Flow> = flows.map(canonical).collect();
        for pages in keys.iter().filter_map(|key| self.flows.get(key)) {
            for (number, event) in pages.first.iter().chain(&pages.latest) {
                let (left_out, event) = (0, Arc::clone(event));
                found.insert(*number, JournalEntry { left_out, event });
            }
            let after = pages.latest.front();
            if let Some(entry) = after.and_then(|(number, _)| found.get_mut(number)) {
                entry.left_out = pages.left_out;
            }
        }
        found.into_values().collect()
    }
}

/// The flows of a connection's ends, and those it was seen as elsewhere.
pub(crate) fn flows(connection: &Connection) -> impl Iterator<Item = &Flow> {
    let ends = connection.ends.iter().map(|end| &end.socket.flow);
    ends.chain(connection.seen_as.iter())
}

/// The flow an event is about, if it is worth keeping. Of an ICMP error it is the one that it is about.
fn about(event: &Event) -> Option<Flow> {
    match &event.kind {
        EventKind::Packet(packet) => Some(packet.flow_told()),
        EventKind::PathMtu(told) if !told.is_socket() => None,
        EventKind::Count(_) => None,
        kind => kind.flow(),
    }
}

/// Either direction of a flow.
fn canonical(flow: Flow) -> Flow {
    flow.min(flow.reversed())
}

/// Whether a look at a socket shows something that a reader would not know from the one before.
fn is_news(before: Option<&Sample>, now: &Sample) -> bool {
    let told = |sample: &Sample| {
        (
            sample.state.0,
            sample.backoff,
            sample.mss,
            sample.pmtu_bytes,
            sample.window_closed,
            sample.is_held_up,
            sample.held_bytes > 0,
            sample.is_waiting(),
        )
    };
    before.is_none_or(|before| told(before) != told(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::TcpState;
    use crate::model::network::NetnsId;

    fn flow(port: u16) -> Flow {
        Flow {
            netns: NetnsId(1),
            protocol: 6,
            source: ([192, 0, 2, 1], port).into(),
            destination: ([192, 0, 2, 2], 80).into(),
        }
    }

    fn closed(port: u16, time_ns: u64) -> Event {
        Event {
            time_ns,
            kind: EventKind::Closed(crate::model::event::Closed {
                flow: flow(port),
                last_state: TcpState::ESTABLISHED,
                error: 0,
                bytes_acked: 0,
                bytes_received: 0,
                unacknowledged: 0,
            }),
        }
    }

    /// The time of each event, after how many left out.
    fn times(entries: &[JournalEntry]) -> Vec<(u64, u64)> {
        let entries = entries.iter();
        entries.map(|it| (it.left_out, it.event.time_ns)).collect()
    }

    #[test]
    fn the_first_and_the_latest_are_kept_and_what_is_between_is_counted() {
        let mut journal = Journal::default();
        for time in 0..100 {
            journal.apply(&closed(1, time));
        }
        let found = times(&journal.of_flows([flow(1).reversed()].into_iter()));
        let times = (0..16).chain(52..100);
        let expected = times.map(|time| (if time == 52 { 36 } else { 0 }, time));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn flows_of_one_connection_are_told_in_order() {
        let mut journal = Journal::default();
        for (port, time) in [(1, 5), (2, 6), (3, 7), (1, 8)] {
            journal.apply(&closed(port, time));
        }
        let found = journal.of_flows([flow(2), flow(1), flow(1)].into_iter());
        assert_eq!(times(&found), [(0, 5), (0, 6), (0, 8)]);
    }

    #[test]
    fn it_is_bounded_and_the_quiet_go_first() {
        let mut journal = Journal::default();
        journal.apply(&closed(1, 0));
        for time in 1..100_000u64 {
            let port = 2 + u16::try_from(time % 50_000).unwrap();
            journal.apply(&closed(port, time));
            assert!(journal.kept <= MOST_EVENTS);
        }
        let kept: usize = journal.flows.values().map(|pages| pages.len()).sum();
        assert_eq!(kept, journal.kept);
        let of = |port| journal.of_flows([flow(port)].into_iter()).len();
        assert_eq!((of(1), of(2 + 49_999)), (0, 1));
    }
}
