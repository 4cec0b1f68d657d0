//! The live source: turns what the kernel programs record into a stream of events, and keeps the
//! programs on the boundary devices as the network changes.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aya_log::EbpfLogger;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::MissedTickBehavior,
};

use super::{
    attacher::Attacher,
    capabilities::Effective,
    clock::monotonic_ns,
    counted::Counted,
    coverage::Coverage,
    decode::{self, Decoder},
    instance::Instance,
    joining::Joining,
    load::{LoadOptions, Loaded, load},
    maps::{Maps, take},
    patrol::Patrol,
    ring::Records,
    sockets,
    status::HookStatus,
    symbols::{self, Symbols},
    tc,
};
use crate::{
    event::{Event, EventKind, Flow, Sample, hook},
    topology::{Changes, Depth, NetnsId, Topology, Watcher, limits},
};

/// How long the start waits for the tc programs to be on their devices. Where many are to have them
/// that takes seconds, and all other programs are at work already.
const START_WAIT: Duration = Duration::from_secs(1);
/// How often conclusions are drawn and sockets asked: ten times within the second that a stall's
/// first three losses take.
const TICK: Duration = Duration::from_millis(100);
/// Every so many ticks exact counts are read.
const COUNT_EVERY: u32 = 10;
/// Which of so many ticks looks at connections that no record speaks of: soon after the start, since what
/// was stalled before it may say nothing for minutes.
const FIRST_PATROL: u32 = 1;
/// Every so many ticks namespaces are looked for that no notification told of: ones without a link
/// to any that is known.
const LOOK_EVERY: u32 = 50;
/// Records decoded in one go, so that a flood does not keep ticks waiting.
const BATCH: usize = 4096;
/// Sockets asked at each tick.
const MOST_SAMPLES: usize = 64;
/// How long events wait at most for their connections, ns.
const MOST_WAIT_NS: u64 = 100_000_000;
/// How long a namespace that could not be found is not looked for again, ns.
const STRANGER_NS: u64 = 5_000_000_000;
/// How old the list of open connections may be where handshakes are not seen: when one of them is
/// looked for, and when nothing is, ns.
const SURVEY_ASKED_NS: u64 = 200_000_000;
const SURVEY_IDLE_NS: u64 = 5_000_000_000;
/// A socket that stands still is told again after this time, ns.
const SAMPLE_AGAIN_NS: u64 = 1_000_000_000;

/// The kernel programs at work.
pub struct Live {
    records: Records,
    decoder: Decoder,
    maps: Maps,
    attacher: Option<Attacher>,
    watcher: Watcher,
    changes: AsyncFd<OwnedFd>,
    mounts: AsyncFd<OwnedFd>,
    hooks: Vec<HookStatus>,
    /// Whether connections open unseen.
    handshakes_unseen: bool,
    /// What else is not seen, in sentences.
    limits: Vec<String>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    joining: Joining,
    patrol: Patrol,
    /// Decoded events that wait for their connections.
    pending: Vec<Event>,
    counted: Counted,
    sampled: HashMap<Flow, (Sample, u64)>,
    told: Option<Arc<Topology>>,
    /// Namespaces that could not be found, and when.
    strangers: HashMap<NetnsId, u64>,
    lost: u64,
    undecoded: u64,
    instance: Option<Instance>,
}

impl Live {
    /// Loads and attaches everything. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If nothing can be loaded, or the namespaces cannot be looked at. Single hooks that the
    /// kernel refuses are told by [`Live::hooks`].
    pub fn start(options: &LoadOptions) -> Result<Self> {
        let begun = monotonic_ns();
        let done = |what: &str| {
            log::debug!("{what} after {} ms", (monotonic_ns() - begun) / 1_000_000);
        };
        let Loaded {
            mut ebpf,
            types,
            hooks,
            per_device,
        } = load(options)?;
        done("programs loaded");
        let mut limits = Effective::current()?.limits();
        let symbols = Symbols::load()
            .inspect_err(|error| limits.push(format!("{error}: {}", symbols::LOST)))
            .ok();
        let records = Records::new(take(&mut ebpf, "RECORDS")?)?;
        let maps = Maps::new(&mut ebpf)?;
        done("symbols and maps read");
        let log = (options.log_level > 0)
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .context("cannot read the kernel programs' diagnostics")?;
        let watcher = Watcher::new()?;
        let changes = watcher
            .events()
            .context("cannot listen for network changes")?;
        let mounts = Watcher::mounts().context("cannot listen for mounts")?;
        let attacher = Attacher::start(ebpf, &per_device, options)?;
        let handshakes_unseen = hooks
            .iter()
            .any(|status| status.hook == hook::STATES && !status.attached);
        let mut live = Self {
            records,
            decoder: Decoder::new(types, symbols),
            maps,
            attacher: Some(attacher),
            watcher,
            changes,
            mounts,
            hooks,
            handshakes_unseen,
            limits,
            log,
            joining: Joining::default(),
            patrol: Patrol::default(),
            pending: Vec::new(),
            counted: Counted::default(),
            sampled: HashMap::new(),
            told: None,
            strangers: HashMap::new(),
            lost: 0,
            undecoded: 0,
            instance: None,
        };
        let changes = live.watcher.refresh(Depth::Everything, monotonic_ns())?;
        done("network looked at");
        let instance = Instance::enter();
        if instance.is_alone() {
            live.sweep();
        }
        instance.share();
        live.instance = Some(instance);
        live.follow(&changes);
        if let Some(attacher) = &live.attacher {
            attacher.wait(START_WAIT);
        }
        done("devices attached");
        Ok(live)
    }

    /// What became of each hook.
    #[must_use]
    pub fn hooks(&self) -> Vec<HookStatus> {
        let mut hooks = self.hooks.clone();
        hooks.extend(self.attacher.iter().flat_map(Attacher::status));
        hooks
    }

    /// Since when which device is looked at; it keeps up while the trace runs.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.attacher
            .as_ref()
            .map(Attacher::coverage)
            .unwrap_or_default()
    }

    /// Hands events to `sink` until `stop` is ready.
    ///
    /// # Errors
    ///
    /// If the ring buffer or the network's changes cannot be waited for.
    pub async fn run(
        &mut self,
        stop: impl Future<Output = ()>,
        sink: &mut impl FnMut(Event),
    ) -> Result<()> {
        let mut stop = pin!(stop);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0u32;
        self.tell_topology(sink);
        self.tell_blind(sink);
        self.survey_sockets();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                _ = ticks.tick() => {
                    if self.attacher.as_ref().is_some_and(Attacher::has_died) {
                        bail!("the thread that holds the kernel programs has ended");
                    }
                    self.drain(sink);
                    self.tick(count, sink);
                    count = count.wrapping_add(1);
                }
                changed = self.changes.readable() => {
                    let mut ready = changed.context("cannot wait for network changes")?;
                    let changes = self.watcher.follow(monotonic_ns());
                    ready.clear_ready();
                    drop(ready);
                    self.follow_told(changes, sink);
                }
                mounted = self.mounts.ready(Interest::PRIORITY) => {
                    let mut ready = mounted.context("cannot wait for mounts")?;
                    // Before the look: what is mounted during it is told again.
                    ready.clear_ready();
                    drop(ready);
                    let changes = self.watcher.follow_mounts(monotonic_ns());
                    self.follow_told(changes, sink);
                }
                ready = self.records.readable() => {
                    ready.context("cannot wait for the ring buffer")?;
                    self.drain(sink);
                }
            }
        }
    }

    /// Hands over what is left. The programs come off when this is dropped, which can take seconds
    /// where many devices have them: there is no need to wait for that with a report.
    pub fn finish(&mut self, sink: &mut impl FnMut(Event)) {
        // What has changed last may not have been heard yet.
        let changes = self.watcher.follow(monotonic_ns());
        self.follow_told(changes, sink);
        self.drain(sink);
        self.offer(true, sink);
        self.sample(sink);
        self.counts(sink);
        sink(Event {
            time_ns: monotonic_ns(),
            kind: EventKind::Tick,
        });
    }

    /// Removes what a killed run has left in any namespace.
    fn sweep(&self) {
        for (&netns, known) in &self.watcher.topology().namespaces {
            let swept = self
                .watcher
                .open(netns)
                .and_then(|file| file.run(tc::sweep));
            match swept {
                Ok(0) | Err(_) => {}
                Ok(removed) => log::warn!(
                    "removed {removed} filters that a killed run had left in netns {}",
                    known.inode
                ),
            }
        }
    }

    /// Has the tc programs brought to where they are wanted. One end's change moves the limits of
    /// the other end, in another namespace, so all are looked at; what stays as it is costs nothing.
    fn follow(&mut self, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        let (topology, watcher) = (self.watcher.topology(), &self.watcher);
        if let Some(attacher) = &mut self.attacher {
            attacher.ask(topology, &limits::limits(topology), |netns| {
                watcher.entrance(netns)
            });
        }
    }

    /// What is not seen besides that of missing hooks, in sentences.
    #[must_use]
    pub fn limits(&self) -> &[String] {
        &self.limits
    }

    /// Tells which hooks are not at work, and what else is not seen.
    fn tell_blind(&mut self, sink: &mut impl FnMut(Event)) {
        let hooks = self.hooks();
        let missing = hooks.into_iter().filter(HookStatus::is_missed);
        let blind: Vec<String> = missing.map(|hook| hook.hook).collect();
        if !blind.is_empty() {
            sink(Event {
                time_ns: monotonic_ns(),
                kind: EventKind::Blind(blind),
            });
        }
        if !self.limits.is_empty() {
            sink(Event {
                time_ns: monotonic_ns(),
                kind: EventKind::Limited(self.limits.clone()),
            });
        }
    }

    /// Notes the connections whose handshakes were not seen.
    fn survey_sockets(&mut self) {
        let living = self.watcher.topology().namespaces.iter();
        let living = living.filter(|(_, netns)| !netns.gone);
        let namespaces: Vec<NetnsId> = living.map(|(id, _)| *id).collect();
        let watcher = &self.watcher;
        self.patrol
            .survey(namespaces, |netns| watcher.open(netns).ok(), monotonic_ns());
    }

    /// The same again where handshakes are not seen at all, if the last survey is older than this.
    fn survey_unseen(&mut self, age_ns: u64) {
        if self.handshakes_unseen && self.patrol.is_outdated(age_ns, monotonic_ns()) {
            self.survey_sockets();
        }
    }

    /// Looks for connections that wait without a record of it.
    fn patrol(&mut self, sink: &mut impl FnMut(Event)) {
        if self.patrol.is_round_done() {
            self.survey_unseen(SURVEY_IDLE_NS);
        }
        let (watcher, joining) = (&self.watcher, &self.joining);
        let waiting = self.patrol.walk(
            &self.maps,
            |flow| joining.is_offered(flow),
            |netns| watcher.open(netns).ok(),
        );
        let time_ns = monotonic_ns();
        for (socket, sample) in waiting {
            self.joining
                .add(socket, &mut self.maps, time_ns)
                .into_iter()
                .for_each(&mut *sink);
            sink(Event {
                time_ns,
                kind: EventKind::Sample(sample),
            });
        }
    }

    fn tell_topology(&mut self, sink: &mut impl FnMut(Event)) {
        let topology = self.watcher.topology();
        if self
            .told
            .as_ref()
            .is_some_and(|told| Arc::ptr_eq(told, topology))
        {
            return;
        }
        self.told = Some(Arc::clone(topology));
        self.joining.learn(topology);
        sink(Event {
            time_ns: monotonic_ns(),
            kind: EventKind::Topology(Arc::clone(topology)),
        });
    }

    /// Empties the ring.
    fn drain(&mut self, sink: &mut impl FnMut(Event)) {
        loop {
            let mut events = self.batch();
            let full = events.len() >= BATCH;
            if self.names_missing(&events) {
                self.look_around(Depth::Normal, sink);
                for event in &mut events {
                    decode::name_devices(event, self.watcher.topology());
                }
            }
            if !events.is_empty() {
                self.join(events, sink);
            }
            if !full {
                break;
            }
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    fn batch(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let topology = Arc::clone(self.watcher.topology());
        while events.len() < BATCH
            && let Some(record) = self.records.next()
        {
            match self.decoder.decode(&record, &topology) {
                Ok(event) => {
                    if let Some(told) = decode::told(&record) {
                        self.counted.note(told);
                    }
                    events.push(event);
                }
                Err(error) => {
                    self.undecoded += 1;
                    log::warn!("{error}");
                }
            }
        }
        // Each CPU's records are in order, but CPUs may pass each other.
        events.sort_by_key(|event| event.time_ns);
        events
    }

    /// Whether an event speaks of a namespace that is not known.
    fn names_missing(&mut self, events: &[Event]) -> bool {
        let known = &self.watcher.topology().namespaces;
        let mut unknown = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Packet(packet) => Some((packet.flow.netns, event.time_ns)),
                EventKind::Retransmit(retransmit) => {
                    Some((retransmit.socket.flow.netns, event.time_ns))
                }
                _ => None,
            })
            .filter(|(netns, _)| !known.contains_key(netns))
            .peekable();
        if unknown.peek().is_none() {
            return false;
        }
        // What could not be found a moment ago is not there now: a look goes through all of /proc.
        let mut worth_a_look = false;
        for (netns, now_ns) in unknown {
            let again = self
                .strangers
                .get(&netns)
                .is_none_or(|looked_ns| now_ns.saturating_sub(*looked_ns) >= STRANGER_NS);
            if again {
                self.strangers.insert(netns, now_ns);
                worth_a_look = true;
            }
        }
        worth_a_look
    }

    fn look_around(&mut self, depth: Depth, sink: &mut impl FnMut(Event)) {
        let changes = self.watcher.refresh(depth, monotonic_ns());
        self.follow_told(changes, sink);
    }

    fn follow_told(&mut self, changes: Result<Changes>, sink: &mut impl FnMut(Event)) {
        match changes {
            Ok(changes) => self.follow(&changes),
            Err(error) => log::warn!("{error:#}"),
        }
        self.tell_topology(sink);
    }

    /// Looks inside the namespaces, for what is not heard of.
    fn survey(&mut self, sink: &mut impl FnMut(Event)) {
        let changes = self.watcher.survey(monotonic_ns());
        self.follow_told(changes, sink);
    }

    /// Puts the connections that events may belong to before them. Events wait, all of them so that
    /// their order stays, while one of them may be found a connection a moment later.
    fn join(&mut self, events: Vec<Event>, sink: &mut impl FnMut(Event)) {
        for event in &events {
            self.joining.note(event);
        }
        self.pending.extend(events);
        self.offer(false, sink);
    }

    fn offer(&mut self, last: bool, sink: &mut impl FnMut(Event)) {
        let now_ns = monotonic_ns();
        let time_ns = self.pending.first().map_or(now_ns, |first| first.time_ns);
        self.joining
            .look(&mut self.maps, now_ns, time_ns, last)
            .into_iter()
            .for_each(&mut *sink);
        if self.joining.is_any_given_up() {
            self.survey_unseen(SURVEY_ASKED_NS);
            self.joining
                .older(&mut self.maps, &self.patrol, time_ns)
                .into_iter()
                .for_each(&mut *sink);
        }
        let waited = now_ns.saturating_sub(time_ns) >= MOST_WAIT_NS;
        if last || waited || !self.joining.is_waiting() {
            self.pending.drain(..).for_each(sink);
        }
    }

    fn tick(&mut self, count: u32, sink: &mut impl FnMut(Event)) {
        self.offer(false, sink);
        self.sample(sink);
        if count % COUNT_EVERY == COUNT_EVERY - 1 {
            self.counts(sink);
        }
        if count % COUNT_EVERY == FIRST_PATROL {
            self.patrol(sink);
        }
        if count % LOOK_EVERY == LOOK_EVERY - 1 {
            self.look_around(Depth::Normal, sink);
            self.survey(sink);
        }
        // Not before everything is attached: this takes a while.
        if count == 0 {
            self.survey(sink);
        }
        let lost = self.maps.lost() + self.undecoded;
        if lost != self.lost {
            self.lost = lost;
            sink(Event {
                time_ns: monotonic_ns(),
                kind: EventKind::Lost(lost),
            });
        }
        sink(Event {
            time_ns: monotonic_ns(),
            kind: EventKind::Tick,
        });
    }

    /// Asks how the sockets stand that were offered.
    fn sample(&mut self, sink: &mut impl FnMut(Event)) {
        let asked = self.joining.sockets(MOST_SAMPLES, monotonic_ns());
        if asked.is_empty() {
            return;
        }
        let watcher = &self.watcher;
        let samples = sockets::sample(asked.iter().copied(), |netns| watcher.open(netns).ok());
        let now_ns = monotonic_ns();
        let found: BTreeSet<Flow> = samples.iter().map(|sample| sample.flow).collect();
        for flow in asked.iter().filter(|flow| !found.contains(flow)) {
            self.joining.close(flow);
            self.sampled.remove(flow);
        }
        for sample in samples {
            let news = self
                .sampled
                .get(&sample.flow)
                .is_none_or(|(before, told_ns)| {
                    *before != sample || now_ns.saturating_sub(*told_ns) >= SAMPLE_AGAIN_NS
                });
            if news {
                self.sampled.insert(sample.flow, (sample, now_ns));
                sink(Event {
                    time_ns: now_ns,
                    kind: EventKind::Sample(sample),
                });
            }
        }
    }

    /// Tells the exact counts that went on past the last record of their key.
    fn counts(&mut self, sink: &mut impl FnMut(Event)) {
        self.counted
            .news(&self.maps, &mut self.decoder, monotonic_ns())
            .into_iter()
            .for_each(sink);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Filters on a qdisc do not go by themselves: they are taken off in their own namespaces,
        // whatever way the trace ends.
        if let Some(attacher) = self.attacher.take() {
            attacher.finish();
        }
        // Only now may another trace take what it finds for a leftover.
        self.instance = None;
    }
}
