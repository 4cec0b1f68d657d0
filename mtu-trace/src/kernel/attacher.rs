//! The thread that puts the tc programs on devices and takes them off.
//!
//! Each attachment waits for a grace period under a lock that the whole host's network
//! configuration shares, so it can take long on a busy host; records must not wait for that, nor
//! limits for attachments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use mtu_trace_common::map::{DeviceKey, DeviceLimits};

use crate::core::graph::TopologyIndex;
use crate::host::watcher::Watcher;
use crate::kernel::boundaries::{Boundaries, DeviceChange, DeviceId};
use crate::kernel::coverage::Coverage;
use crate::kernel::hooks::TraceHook;
use crate::kernel::load::LoadOptions;
use crate::kernel::maps::LimitMap;
use crate::model::hook_status::HookStatus;

/// Directions without a limit, which only show ICMP errors on their way, wait until nothing new has
/// been wanted for so long: while containers are set up, whoever does that needs the lock. A choice:
/// above the pauses between the steps of setting one up.
const QUIET: Duration = Duration::from_millis(500);
/// They wait no longer than this where it is never quiet. A choice: a part of the half minute that a
/// short trace takes.
const MOST_HELD: Duration = Duration::from_secs(3);

/// The attaching thread and what was asked of it. Once dropped it has taken the programs off, each in
/// its own namespace, and ended the thread.
pub struct Attacher {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    status: Arc<Mutex<Vec<HookStatus>>>,
    stop: Arc<AtomicBool>,
    limits: LimitMap,
    /// The devices that have limits, or have had some and may still carry programs.
    asked: BTreeMap<DeviceId, Asked>,
    /// Devices that could not be reached.
    failed: mpsc::Receiver<DeviceId>,
    /// Since when which device is looked at.
    pub(crate) coverage: Coverage,
}

/// What was asked for a device.
struct Asked {
    limits: DeviceLimits,
    key: DeviceKey,
}

/// What the thread is asked to do.
enum Order {
    /// Take over what changes.
    Apply(Vec<(DeviceId, DeviceChange)>),
    /// Say when there is nothing left to do.
    Wait(mpsc::Sender<()>),
    /// Take everything off, and end.
    Finish,
}

impl Attacher {
    /// Starts the thread, which takes over the programs; not where the object lacks the maps of limits.
    pub fn start(
        mut ebpf: Ebpf,
        per_device: &[&'static TraceHook],
        options: &LoadOptions,
    ) -> Result<Self> {
        let limits = LimitMap::new(&mut ebpf)?;
        let coverage = Coverage::default();
        let boundaries = Boundaries::new(&mut ebpf, per_device, options, coverage.clone());
        let (orders, inbox) = mpsc::channel();
        let (failures, failed) = mpsc::channel();
        let status = Arc::new(Mutex::new(boundaries.status()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            ebpf,
            boundaries,
            status: Arc::clone(&status),
            stop: Arc::clone(&stop),
            failures,
            waiting: Vec::new(),
            stirred: Instant::now(),
            held: None,
        };
        let thread = thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || work.run(&inbox))
            .context("cannot start the attaching thread")?;
        Ok(Self {
            orders,
            thread: Some(thread),
            status,
            stop,
            limits,
            asked: BTreeMap::new(),
            failed,
            coverage,
        })
    }

    /// Sets the limits of the network as it is, and asks for the programs to be on the devices that have
    /// them. Does not wait for attachments.
    pub fn ask(&mut self, watcher: &Watcher) {
        let topology = watcher.topology();
        let limits = TopologyIndex::new(Arc::clone(topology)).limits();
        for device in self.failed.try_iter() {
            if let Some(asked) = self.asked.remove(&device) {
                self.limits.remove(asked.key);
            }
        }
        let mut changes = Vec::new();
        // First those that are gone: they may have left their numbers to one that is wanted.
        self.asked.retain(|&device, asked| {
            let living = topology.namespaces.get(&device.0);
            let exists = living.is_some_and(|it| !it.gone && it.links.contains_key(&device.1));
            let had_limits = asked.limits != DeviceLimits::default();
            let change = if !exists {
                DeviceChange::Gone
            } else if had_limits && !limits.devices.contains_key(&device) {
                asked.limits = DeviceLimits::default();
                DeviceChange::Unwanted
            } else {
                return true;
            };
            self.limits.remove(asked.key);
            self.coverage.remove(device);
            changes.push((device, change));
            exists
        });
        // Then the limits, and the programs last, so that none looks at less than it should.
        self.limits.set_smallest(limits.smallest_bytes.unwrap_or(0));
        for (&device, &limits) in &limits.devices {
            let asked = self.asked.get(&device);
            if asked.is_some_and(|asked| asked.limits == limits) {
                continue;
            }
            let Some(entrance) = watcher.entrance(device.0) else {
                continue; // it will be told of again, or is gone
            };
            let key = DeviceKey {
                netns_inode: u32::try_from(entrance.inode).unwrap_or(0),
                ifindex: device.1,
            };
            self.limits.set(key, limits);
            self.coverage.limit(device, limits);
            self.asked.insert(device, Asked { limits, key });
            changes.push((device, DeviceChange::Wanted(limits, entrance)));
        }
        self.send(Order::Apply(changes));
    }

    /// Devices for whose limits there was no room.
    pub fn left_out(&self) -> u64 {
        self.limits.left_out
    }

    /// Waits until everything that was asked for is done, or the time is up.
    pub fn wait(&self, limit: Duration) {
        let (done, finished) = mpsc::channel();
        self.send(Order::Wait(done));
        let _time_up = finished.recv_timeout(limit);
    }

    /// What became of the tc hooks.
    pub fn status(&self) -> Vec<HookStatus> {
        let status = self.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the thread has ended without being asked to, and the programs with it.
    pub fn has_died(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    fn send(&self, order: Order) {
        if self.orders.send(order).is_err() {
            log::warn!("the attaching thread has ended");
        }
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.send(Order::Finish);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            log::error!("the attaching thread panicked");
        }
    }
}

/// The thread's own state.
struct Work {
    ebpf: Ebpf,
    boundaries: Boundaries,
    status: Arc<Mutex<Vec<HookStatus>>>,
    stop: Arc<AtomicBool>,
    failures: mpsc::Sender<DeviceId>,
    /// Told when there is nothing left to do.
    waiting: Vec<mpsc::Sender<()>>,
    /// When something was wanted last.
    stirred: Instant,
    /// Since when directions without a limit are held back.
    held: Option<Instant>,
}

impl Work {
    fn run(&mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            // Whatever has been asked meanwhile goes before the next attachment.
            let order = match self.patience() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => inbox.recv_timeout(patience),
            };
            match order {
                Ok(Order::Apply(changes)) => {
                    for (device, change) in changes {
                        if let DeviceChange::Wanted(..) = change {
                            self.stirred = Instant::now();
                        }
                        self.boundaries.change(device, change);
                    }
                }
                Ok(Order::Wait(done)) => self.waiting.push(done),
                Ok(Order::Finish) => return self.boundaries.detach(),
                Err(RecvTimeoutError::Timeout) => self.step(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long to listen before the next attachment; `None` if there is none to make.
    fn patience(&mut self) -> Option<Duration> {
        let next = self.boundaries.next_has_limit();
        let has_limit = next.filter(|_| !self.stop.load(Ordering::Relaxed));
        let Some(has_limit) = has_limit else {
            for done in self.waiting.drain(..) {
                let _nobody_waits = done.send(());
            }
            self.held = None;
            return None;
        };
        if has_limit || !self.waiting.is_empty() {
            return Some(Duration::ZERO);
        }
        let held = self.held.get_or_insert_with(Instant::now).elapsed();
        let left = QUIET.saturating_sub(self.stirred.elapsed());
        Some(left.min(MOST_HELD.saturating_sub(held)))
    }

    /// Makes one attachment.
    fn step(&mut self) {
        if let Some(unreached) = self.boundaries.step(&mut self.ebpf) {
            let _nobody_listens = self.failures.send(unreached);
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = self.boundaries.status();
    }
}
