//! Announces the connections that events may belong to before these, those that wait without a record
//! of it, and how the sockets of all that were announced stand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::base::clock::monotonic_ns;
use crate::host::watcher::Watcher;
use crate::kernel::maps::Maps;
use crate::kernel::sizes::Sizes;
use crate::kernel::socket_lookup::SocketLookup;
use crate::kernel::socket_poller::SocketPoller;
use crate::kernel::sockets;
use crate::model::event::{Event, EventKind, Flow, Sample, hook};
use crate::model::hook_status::HookStatus;
use crate::model::network::Topology;
use crate::model::store::Store;

/// How long events wait at most for their connections, ns. A choice: a tick, so that a finding is not
/// later for it.
const MOST_WAIT_NS: u64 = 100_000_000;
/// How old the list of open connections may be where handshakes are not seen and one of them is looked
/// for, ns. A choice: a dump of all sockets of the host takes milliseconds.
const SURVEY_ASKED_NS: u64 = 200_000_000;
/// How old it may be when nothing is looked for, ns. A choice, as for [`SURVEY_ASKED_NS`].
const SURVEY_IDLE_NS: u64 = 5_000_000_000;

/// Sockets asked at each tick. A choice: each ten times a second, as long as they are few.
const MOST_SAMPLES: usize = 64;
/// A socket that stands still is told again after this time, ns. A choice: a report says how long it
/// has stood to a second.
const SAMPLE_AGAIN_NS: u64 = 1_000_000_000;

/// The connections, and the events that wait for them.
pub struct Connections {
    pub(crate) maps: Maps,
    lookup: SocketLookup,
    poller: SocketPoller,
    /// How sockets stood when that was told last, and when it was.
    sampled: HashMap<Flow, (Sample, u64)>,
    /// Decoded events that wait for their connections.
    pending: Vec<Event>,
    /// Whether the kernel programs keep each connection from its handshake on; without their hook, open
    /// connections are listed again and again.
    has_handshakes: bool,
}

impl Connections {
    /// Begins without any connection, with room for so many.
    pub fn new(maps: Maps, hooks: &[HookStatus], sizes: &Sizes) -> Self {
        let mut states = hooks.iter().filter(|status| status.hook == hook::STATES);
        Self {
            maps,
            lookup: SocketLookup::new(sizes),
            poller: SocketPoller::new(sizes),
            sampled: HashMap::new(),
            pending: Vec::new(),
            has_handshakes: states.all(|status| status.attached),
        }
    }

    /// How many entries of each store were forgotten, or not taken up.
    pub fn forgotten(&self) -> [(Store, u64); 3] {
        [
            (Store::OpenSockets, self.poller.left_out),
            (Store::Searches, self.lookup.left_out),
            (Store::Announced, self.lookup.announced.forgotten),
        ]
    }

    /// Takes over that the network is another one from now on.
    pub fn learn(&mut self, topology: &Arc<Topology>) {
        self.lookup.learn(topology);
    }

    /// Notes the connections whose handshakes were not seen.
    pub fn survey(&mut self, watcher: &Watcher) {
        let living = watcher.topology().namespaces.iter();
        let living = living.filter(|(_, netns)| !netns.gone);
        let living = living.map(|(id, _)| *id);
        self.poller.survey(living, watcher, monotonic_ns());
    }

    /// Notes them again where handshakes are not seen at all, if the last survey is older than this.
    fn survey_unseen(&mut self, age_ns: u64, watcher: &Watcher) {
        if !self.has_handshakes && self.poller.is_outdated(age_ns, monotonic_ns()) {
            self.survey(watcher);
        }
    }

    /// Puts the connections that events may belong to before them. Events wait, all of them so that
    /// their order stays, while one of them may be found a connection a moment later.
    pub fn take(&mut self, events: Vec<Event>, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        for event in &events {
            self.lookup.note(event);
        }
        self.pending.extend(events);
        self.offer(watcher, sink);
    }

    /// Hands over the connections found by now, and the events unless they are to wait on.
    pub fn offer(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        let waited_ns = self.look(watcher, sink);
        if waited_ns >= MOST_WAIT_NS || !self.lookup.is_waiting() {
            self.pending.drain(..).for_each(sink);
        }
    }

    /// Looks a last time, and hands over all events.
    pub fn finish(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        // Whatever short time ago that was done.
        self.lookup.scanned_ns = 0;
        self.look(watcher, sink);
        self.pending.drain(..).for_each(sink);
    }

    /// Hands over the connections found by now; tells how long the first event has waited, ns.
    fn look(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) -> u64 {
        let now_ns = monotonic_ns();
        let time_ns = self.pending.first().map_or(now_ns, |first| first.time_ns);
        let found = self.lookup.look(&mut self.maps, now_ns, time_ns);
        found.into_iter().for_each(&mut *sink);
        if !self.lookup.unseen.is_empty() {
            self.survey_unseen(SURVEY_ASKED_NS, watcher);
            let maps = &mut self.maps;
            let old = self.lookup.unseen(maps, &self.poller.old, time_ns);
            old.into_iter().for_each(&mut *sink);
        }
        now_ns.saturating_sub(time_ns)
    }

    /// Looks for connections that wait without a record of it.
    pub fn poll(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        if self.poller.is_round_done() {
            self.survey_unseen(SURVEY_IDLE_NS, watcher);
        }
        // What happens while they are asked comes after what they say.
        let time_ns = monotonic_ns();
        let (maps, announced) = (&mut self.maps, &self.lookup.announced);
        for (socket, sample) in self.poller.poll(maps, announced, watcher) {
            let mut ends = self.lookup.add(socket, maps, time_ns);
            // The other end may know more of the way.
            ends.extend(self.lookup.unseen(maps, &self.poller.old, time_ns));
            ends.into_iter().for_each(&mut *sink);
            sink(Event {
                time_ns,
                kind: EventKind::Sample(sample),
            });
        }
    }

    /// Asks how some of the sockets stand that were announced, and tells it where it is news. Those that
    /// are gone are closed.
    pub fn sample(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        // What happens while they are asked comes after what they say.
        let now_ns = monotonic_ns();
        let asked = self.lookup.announced.next(MOST_SAMPLES, now_ns);
        let samples = sockets::sample(asked.iter().copied(), watcher);
        let found: BTreeSet<Flow> = samples.iter().map(|sample| sample.flow).collect();
        for flow in asked.iter().filter(|flow| !found.contains(flow)) {
            self.lookup.close(flow);
            self.sampled.remove(flow);
        }
        for sample in samples {
            let told = self.sampled.get(&sample.flow);
            if told.is_none_or(|(before, told_ns)| {
                !is_alike(before, &sample) || now_ns.saturating_sub(*told_ns) >= SAMPLE_AGAIN_NS
            }) {
                self.sampled.insert(sample.flow, (sample, now_ns));
                sink(Event {
                    time_ns: now_ns,
                    kind: EventKind::Sample(sample),
                });
            }
        }
    }
}

/// Whether nothing but the time has changed.
fn is_alike(before: &Sample, now: &Sample) -> bool {
    let waited_ms = now.waited_ms;
    Sample {
        waited_ms,
        ..*before
    } == *now
}
