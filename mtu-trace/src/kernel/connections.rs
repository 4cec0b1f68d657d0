//! Tells the connections that events may belong to before these, those that wait without a record
//! of it, and how the sockets of all that were told stand.

use std::sync::Arc;

use crate::{
    base::clock::monotonic_ns,
    host::watcher::Watcher,
    kernel::{maps::Maps, sampling::Sampling, socket_lookup::Joining, socket_poller::Patrol},
    model::{
        event::{Event, EventKind},
        network::{NetnsId, Topology},
    },
};

/// How long events wait at most for their connections, ns.
const MOST_WAIT_NS: u64 = 100_000_000;
/// How old the list of open connections may be where handshakes are not seen: when one of them is
/// looked for, and when nothing is, ns.
const SURVEY_ASKED_NS: u64 = 200_000_000;
const SURVEY_IDLE_NS: u64 = 5_000_000_000;

/// The connections, and the events that wait for them.
pub struct Connections {
    joining: Joining,
    patrol: Patrol,
    sampling: Sampling,
    /// Decoded events that wait for their connections.
    pending: Vec<Event>,
    /// Whether connections open unseen.
    handshakes_unseen: bool,
}

impl Connections {
    /// No connections yet.
    pub fn new(handshakes_unseen: bool) -> Self {
        Self {
            joining: Joining::default(),
            patrol: Patrol::default(),
            sampling: Sampling::default(),
            pending: Vec::new(),
            handshakes_unseen,
        }
    }

    /// The network is another one from now on.
    pub fn learn(&mut self, topology: &Arc<Topology>) {
        self.joining.learn(topology);
    }

    /// Notes the connections whose handshakes were not seen.
    pub fn survey(&mut self, watcher: &Watcher) {
        let living = watcher.topology().namespaces.iter();
        let living = living.filter(|(_, netns)| !netns.gone);
        let namespaces: Vec<NetnsId> = living.map(|(id, _)| *id).collect();
        self.patrol
            .survey(namespaces, |netns| watcher.open(netns).ok(), monotonic_ns());
    }

    /// The same again where handshakes are not seen at all, if the last survey is older than this.
    fn survey_unseen(&mut self, age_ns: u64, watcher: &Watcher) {
        if self.handshakes_unseen && self.patrol.is_outdated(age_ns, monotonic_ns()) {
            self.survey(watcher);
        }
    }

    /// Puts the connections that events may belong to before them. Events wait, all of them so that
    /// their order stays, while one of them may be found a connection a moment later.
    pub fn join(
        &mut self,
        events: Vec<Event>,
        maps: &mut Maps,
        watcher: &Watcher,
        sink: &mut impl FnMut(Event),
    ) {
        for event in &events {
            self.joining.note(event);
        }
        self.pending.extend(events);
        self.offer(false, maps, watcher, sink);
    }

    /// Tells the connections found by now, and the events unless they are to wait on; those of the
    /// `last` look never do.
    pub fn offer(
        &mut self,
        last: bool,
        maps: &mut Maps,
        watcher: &Watcher,
        sink: &mut impl FnMut(Event),
    ) {
        let now_ns = monotonic_ns();
        let time_ns = self.pending.first().map_or(now_ns, |first| first.time_ns);
        self.joining
            .look(maps, now_ns, time_ns, last)
            .into_iter()
            .for_each(&mut *sink);
        if self.joining.is_any_given_up() {
            self.survey_unseen(SURVEY_ASKED_NS, watcher);
            self.joining
                .older(maps, &self.patrol, time_ns)
                .into_iter()
                .for_each(&mut *sink);
        }
        let waited = now_ns.saturating_sub(time_ns) >= MOST_WAIT_NS;
        if last || waited || !self.joining.is_waiting() {
            self.pending.drain(..).for_each(sink);
        }
    }

    /// Looks for connections that wait without a record of it.
    pub fn patrol(&mut self, maps: &mut Maps, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        if self.patrol.is_round_done() {
            self.survey_unseen(SURVEY_IDLE_NS, watcher);
        }
        let joining = &self.joining;
        // What happens while they are asked comes after what they say.
        let time_ns = monotonic_ns();
        let waiting = self.patrol.walk(
            maps,
            |flow| joining.is_offered(flow),
            |netns| watcher.open(netns).ok(),
        );
        for (socket, sample) in waiting {
            let mut ends = self.joining.add(socket, maps, time_ns);
            // The other end may know more of the way.
            ends.extend(self.joining.older(maps, &self.patrol, time_ns));
            ends.into_iter().for_each(&mut *sink);
            sink(Event {
                time_ns,
                kind: EventKind::Sample(sample),
            });
        }
    }

    /// Asks how the sockets stand that were offered.
    pub fn sample(&mut self, watcher: &Watcher, sink: &mut impl FnMut(Event)) {
        self.sampling
            .news(&mut self.joining, |netns| watcher.open(netns).ok())
            .into_iter()
            .for_each(sink);
    }
}
