//! The thread that puts the tc programs on devices and takes them off.
//!
//! Each attachment waits for a grace period under a lock that the whole host's network
//! configuration shares, so it can take long on a busy host; records must not wait for that, nor
//! limits for attachments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use mtu_trace_common::map::DeviceLimits;

use crate::core::graph::Limits;
use crate::host::watcher::Entrance;
use crate::kernel::boundaries::{AttachStep, Boundaries, DeviceId};
use crate::kernel::coverage::Coverage;
use crate::kernel::hooks::TraceHook;
use crate::kernel::limit_map::LimitMap;
use crate::kernel::load::LoadOptions;
use crate::model::hook_status::HookStatus;
use crate::model::network::{NetnsId, Topology};

/// Directions without a limit, which only show ICMP errors on their way, wait until nothing new has
/// been wanted for so long: while containers are set up, whoever does that needs the lock. A choice:
/// above the pauses between the steps of setting one up.
const QUIET: Duration = Duration::from_millis(500);
/// They wait no longer than this where it is never quiet. A choice: a part of the half minute that a
/// short trace takes.
const MOST_HELD: Duration = Duration::from_secs(3);

/// The attaching thread and what was asked of it.
pub struct Attacher {
    commands: Option<mpsc::Sender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
    status: Arc<Mutex<Vec<HookStatus>>>,
    stop: Arc<AtomicBool>,
    limits: LimitMap,
    /// The devices that have limits, or have had some and may still carry programs.
    asked: BTreeMap<DeviceId, Asked>,
    /// Devices that could not be reached.
    failed: mpsc::Receiver<DeviceId>,
    coverage: Coverage,
}

/// What was asked for a device.
struct Asked {
    limits: DeviceLimits,
    /// Inode number of the namespace.
    inode: u64,
}

/// What the thread is asked to do.
enum Order {
    /// Take over what is to change.
    Apply(Plan),
    /// Say when there is nothing left to do.
    Wait(mpsc::Sender<()>),
    /// Take everything off, and end.
    Finish,
}

/// What is to change.
#[derive(Default)]
struct Plan {
    /// Devices that are no longer there.
    gone: Vec<DeviceId>,
    /// Devices that have no limits any more.
    unwanted: Vec<DeviceId>,
    /// Devices that have these limits from now on.
    wanted: Vec<(DeviceId, DeviceLimits, Entrance)>,
}

impl Attacher {
    /// Starts the thread, which takes over the programs.
    ///
    /// # Errors
    ///
    /// If the object lacks the maps of limits, or there can be no more threads.
    pub fn start(
        mut ebpf: Ebpf,
        per_device: &[&'static TraceHook],
        options: &LoadOptions,
    ) -> Result<Self> {
        let limits = LimitMap::new(&mut ebpf)?;
        let coverage = Coverage::default();
        let boundaries = Boundaries::new(&mut ebpf, per_device, options, coverage.clone());
        let (commands, inbox) = mpsc::channel();
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
            commands: Some(commands),
            thread: Some(thread),
            status,
            stop,
            limits,
            asked: BTreeMap::new(),
            failed,
            coverage,
        })
    }

    /// Sets these limits, and asks for the programs to be on the devices that have them. `entrance`
    /// finds a namespace. Does not wait for attachments.
    pub fn ask(
        &mut self,
        topology: &Topology,
        limits: &Limits,
        entrance: impl Fn(NetnsId) -> Option<Entrance>,
    ) {
        for device in self.failed.try_iter() {
            if let Some(asked) = self.asked.remove(&device) {
                self.limits.remove(asked.inode, device.1);
            }
        }
        let mut plan = Plan::default();
        // First those that are gone: they may have left their numbers to one that is wanted.
        self.asked.retain(|&device, asked| {
            let living = topology.namespaces.get(&device.0);
            let exists = living.is_some_and(|it| !it.gone && it.links.contains_key(&device.1));
            let unwanted =
                asked.limits != DeviceLimits::default() && !limits.devices.contains_key(&device);
            if !exists {
                plan.gone.push(device);
            } else if unwanted {
                asked.limits = DeviceLimits::default();
                plan.unwanted.push(device);
            }
            if !exists || unwanted {
                self.limits.remove(asked.inode, device.1);
                self.coverage.remove(device);
            }
            exists
        });
        // Then the limits, and the programs last, so that none looks at less than it should.
        self.limits.set_smallest(limits.smallest_bytes.unwrap_or(0));
        for (&device, &limits) in &limits.devices {
            if self
                .asked
                .get(&device)
                .is_some_and(|asked| asked.limits == limits)
            {
                continue;
            }
            let Some(entrance) = entrance(device.0) else {
                continue; // it will be told of again, or is gone
            };
            let inode = entrance.inode();
            self.limits.set(inode, device.1, limits);
            self.coverage.limit(device, limits);
            self.asked.insert(device, Asked { limits, inode });
            plan.wanted.push((device, limits, entrance));
        }
        self.send(Order::Apply(plan));
    }

    /// Waits until everything that was asked for is done, or the time is up.
    pub fn wait(&self, limit: Duration) {
        let (done, finished) = mpsc::channel();
        self.send(Order::Wait(done));
        let _time_up = finished.recv_timeout(limit);
    }

    /// Since when which device is looked at.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage.clone()
    }

    /// What became of the tc hooks.
    #[must_use]
    pub fn status(&self) -> Vec<HookStatus> {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the thread has ended without being asked to, and the programs with it.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(thread::JoinHandle::is_finished)
    }

    /// Takes everything off and ends the thread.
    pub fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.send(Order::Finish);
        self.join();
    }

    fn send(&self, command: Order) {
        if let Some(commands) = &self.commands
            && commands.send(command).is_err()
        {
            log::warn!("the attaching thread has ended");
        }
    }

    fn join(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the attaching thread panicked");
        }
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        // Links close with the thread's programs.
        self.stop.store(true, Ordering::Relaxed);
        self.join();
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
            let command = match self.patience() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => inbox.recv_timeout(patience),
            };
            match command {
                Ok(Order::Apply(plan)) => self.apply(plan),
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

    fn apply(&mut self, plan: Plan) {
        if !plan.wanted.is_empty() {
            self.stirred = Instant::now();
        }
        for device in plan.gone {
            self.boundaries.forget(device);
        }
        for device in plan.unwanted {
            self.boundaries.unwant(device);
        }
        for (device, limits, entrance) in plan.wanted {
            self.boundaries.want(device, limits, entrance);
        }
    }

    /// Makes one attachment.
    fn step(&mut self) {
        if let AttachStep::NoEntrance(device) = self.boundaries.step(&mut self.ebpf) {
            let _nobody_listens = self.failures.send(device);
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = self.boundaries.status();
    }
}
