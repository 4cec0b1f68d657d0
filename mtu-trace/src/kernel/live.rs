//! The live source: turns what the kernel programs record into a stream of events.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya_log::EbpfLogger;
use tokio::time::MissedTickBehavior;

use crate::base::clock::monotonic_ns;
use crate::kernel::capabilities::Effective;
use crate::kernel::connections::Connections;
use crate::kernel::coverage::Coverage;
use crate::kernel::decode::{Decoder, name_devices};
use crate::kernel::drop_counter::DropCounter;
use crate::kernel::evictions::EvictionTeller;
use crate::kernel::instance::Instance;
use crate::kernel::load::{LoadOptions, Loaded, load};
use crate::kernel::maps::{Maps, RECORDS, Records, take};
use crate::kernel::network::FollowedNetwork;
use crate::kernel::rule_lookup::RuleLookup;
use crate::kernel::sizes::Sizes;
use crate::kernel::symbols::{self, Symbols};
use crate::model::event::{Event, EventKind, hook};
use crate::model::hook_status::HookStatus;
use crate::model::store::Store;

/// How often conclusions are drawn and sockets asked: ten times within the second that a stall's
/// first three losses take.
const TICK: Duration = Duration::from_millis(100);
/// Every so many ticks exact counts are read. A choice: a report is at most a second behind.
const COUNT_EVERY: u32 = 10;
/// Which of so many ticks asks about connections that no record speaks of: soon after the start, since
/// what was stalled before it may say nothing for minutes.
const FIRST_POLL: u32 = 1;
/// Every so many ticks namespaces are looked for that no notification told of: ones without a link
/// to any that is known. A choice: a look goes through all of /proc.
const LOOK_EVERY: u32 = 50;
/// Records decoded in one go, so that a flood does not keep ticks waiting. A choice: some 10 ms.
const BATCH: usize = 4096;

/// The kernel programs at work, and what follows from their records.
pub struct LiveTrace {
    network: FollowedNetwork,
    records: Records,
    decoder: Decoder,
    hooks: Vec<HookStatus>,
    /// What is not seen besides that of missing hooks, in sentences.
    pub(crate) limits: Vec<String>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    connections: Connections,
    drop_counter: DropCounter,
    evictions: EvictionTeller,
    rules: RuleLookup,
    lost: u64,
    undecoded: u64,
    /// Let go of last, when the programs are off: only then may another trace take what it finds for a
    /// leftover.
    _instance: Instance,
}

impl LiveTrace {
    /// Loads and attaches everything. Must be called inside a tokio runtime.
    /// Single hooks that the kernel refuses are told by [`LiveTrace::hooks`].
    pub fn start(options: &LoadOptions) -> Result<Self> {
        let begun = monotonic_ns();
        let done = |what: &str| {
            log::debug!("{what} after {} ms", (monotonic_ns() - begun) / 1_000_000);
        };
        let Loaded {
            mut ebpf,
            types,
            hooks,
            sizes,
            per_device,
        } = load(options)?;
        done("programs loaded");
        let mut limits = Effective::current()?.limits();
        let symbols = Symbols::load()
            .inspect_err(|error| limits.push(format!("{error}: {}", symbols::LOST)))
            .ok();
        let records = Records::new(take(&mut ebpf, RECORDS)?)?;
        let maps = Maps::new(&mut ebpf)?;
        done("symbols and maps read");
        let log = (options.log_level > 0)
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .context("cannot read the kernel programs' diagnostics")?;
        let mut network = FollowedNetwork::new(ebpf, &per_device, options)?;
        let changes = network.look()?;
        done("network looked at");
        let instance = Instance::enter();
        if instance.alone {
            network.sweep();
        }
        instance.share();
        network.attach(&changes);
        network.wait();
        done("devices attached");
        Ok(Self {
            network,
            records,
            decoder: Decoder::new(types, symbols),
            connections: Connections::new(maps, &hooks, &sizes),
            hooks,
            limits,
            log,
            drop_counter: DropCounter::default(),
            evictions: EvictionTeller::new(sizes),
            rules: RuleLookup::default(),
            lost: 0,
            undecoded: 0,
            _instance: instance,
        })
    }

    /// What became of each hook.
    #[must_use]
    pub fn hooks(&self) -> Vec<HookStatus> {
        [self.hooks.clone(), self.network.attacher.status()].concat()
    }

    /// Since when which device is looked at; it keeps up while the trace runs.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.network.attacher.coverage.clone()
    }

    /// Hands events to `sink` until `stop` is ready, or there is nothing to wait for any more.
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
        let unusual = self.evictions.unusual().map(EventKind::Evicted);
        unusual.map(now).for_each(&mut *sink);
        self.connections.survey(&self.network.watcher);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                _ = ticks.tick() => {
                    if self.network.attacher.has_died() {
                        bail!("the thread that holds the kernel programs has ended");
                    }
                    self.drain(sink);
                    self.tick(count, sink);
                    count = count.wrapping_add(1);
                }
                changed = self.network.changed() => {
                    changed?;
                    self.tell_topology(sink);
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
        self.network.follow();
        self.tell_topology(sink);
        self.drain(sink);
        let rules = self.rules.finish();
        self.connections.take(rules, &self.network.watcher, sink);
        self.connections.finish(&self.network.watcher, sink);
        self.connections.sample(&self.network.watcher, sink);
        self.counts(sink);
        self.tell_evictions(sink);
        sink(now(EventKind::Tick));
    }

    /// Tells which hooks are not at work, and what else is not seen.
    fn tell_blind(&mut self, sink: &mut impl FnMut(Event)) {
        let hooks = self.hooks();
        // A tunnel drops without freeing: that nothing is dropped can be said with that hook only.
        let is_told = |it: &HookStatus| it.is_missed() || (it.hook == hook::TUNNEL && !it.attached);
        let missing = hooks.into_iter().filter(is_told);
        let blind: Vec<String> = missing.map(|hook| hook.hook).collect();
        if !blind.is_empty() {
            sink(now(EventKind::Blind(blind)));
        }
        if !self.limits.is_empty() {
            sink(now(EventKind::Limited(self.limits.clone())));
        }
    }

    fn tell_topology(&mut self, sink: &mut impl FnMut(Event)) {
        if let Some(topology) = self.network.news() {
            self.connections.learn(&topology);
            sink(now(EventKind::Topology(topology)));
        }
    }

    /// Empties the ring.
    fn drain(&mut self, sink: &mut impl FnMut(Event)) {
        loop {
            let mut events = self.batch();
            let full = events.len() >= BATCH;
            if self.network.names_missing(&events) {
                self.network.look_around();
                self.tell_topology(sink);
                for event in &mut events {
                    name_devices(event, self.network.watcher.topology());
                }
            }
            for event in &events {
                self.rules.ask(event, &self.network.watcher);
            }
            if !events.is_empty() {
                self.connections.take(events, &self.network.watcher, sink);
            }
            if !full {
                break;
            }
        }
        // Behind the drops that they are about.
        let rules = self.rules.answers();
        self.connections.take(rules, &self.network.watcher, sink);
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    fn batch(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let topology = Arc::clone(self.network.watcher.topology());
        while events.len() < BATCH
            && let Some(record) = self.records.next()
        {
            match self.decoder.decode(&record, &topology) {
                Ok((event, count)) => {
                    if let Some(count) = count {
                        self.drop_counter.note(count);
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

    fn tick(&mut self, count: u32, sink: &mut impl FnMut(Event)) {
        self.connections.offer(&self.network.watcher, sink);
        self.connections.sample(&self.network.watcher, sink);
        self.evictions.look(&self.connections.maps);
        if count % COUNT_EVERY == COUNT_EVERY - 1 {
            self.counts(sink);
            self.tell_evictions(sink);
        }
        if count % COUNT_EVERY == FIRST_POLL {
            self.connections.poll(&self.network.watcher, sink);
        }
        let is_look_due = count % LOOK_EVERY == LOOK_EVERY - 1;
        if is_look_due {
            self.network.look_around();
        }
        // Not before everything is attached: this takes a while.
        if is_look_due || count == 0 {
            self.network.survey();
            self.tell_topology(sink);
        }
        let lost = self.connections.maps.lost() + self.undecoded;
        if lost != self.lost {
            self.lost = lost;
            sink(now(EventKind::Lost(lost)));
        }
        sink(now(EventKind::Tick));
    }

    /// Tells what had to be forgotten since that was last told.
    fn tell_evictions(&mut self, sink: &mut impl FnMut(Event)) {
        let [old, searches, announced] = self.connections.forgotten();
        let devices = (Store::Devices, self.network.attacher.left_out());
        let others = [old, searches, announced, devices];
        let news = self.evictions.news(&self.connections.maps, &others);
        let news = news.into_iter().map(EventKind::Evicted);
        news.map(now).for_each(sink);
    }

    /// How much room there is for what is kept.
    pub fn sizes(&self) -> &Sizes {
        self.evictions.sizes()
    }

    /// Tells the exact counts that went on past the last record of their key.
    fn counts(&mut self, sink: &mut impl FnMut(Event)) {
        self.drop_counter
            .news(&self.connections.maps, &self.decoder, monotonic_ns())
            .into_iter()
            .for_each(sink);
    }
}

fn now(kind: EventKind) -> Event {
    Event {
        time_ns: monotonic_ns(),
        kind,
    }
}
