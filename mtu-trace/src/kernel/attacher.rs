//! The thread that puts the tc programs on devices and takes them off.
//!
//! Each attachment waits for a grace period under a lock that the whole host's network
//! configuration shares, so it can take long on a busy host; records must not wait for that.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use anyhow::{Context as _, Result};
use aya::Ebpf;

use super::{
    coverage::Coverage,
    hooks::HookStatus,
    tc::{Boundaries, Wanted},
};
use crate::topology::{NetnsFile, NetnsId};

/// The attaching thread and what was asked of it.
pub struct Attacher {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<thread::JoinHandle<()>>,
    status: Arc<Mutex<Vec<HookStatus>>>,
    stop: Arc<AtomicBool>,
    asked: HashMap<NetnsId, Vec<Wanted>>,
    coverage: Coverage,
}

enum Command {
    Apply(Plan),
    Finish(Vec<NetnsFile>),
}

/// What is to change.
#[derive(Default)]
struct Plan {
    gone: Vec<(NetnsId, u64)>,
    wanted: Vec<(NetnsFile, Vec<Wanted>)>,
    smallest_bytes: u32,
    done: Option<mpsc::Sender<()>>,
}

impl Attacher {
    /// Starts the thread, which takes over the programs.
    ///
    /// # Errors
    ///
    /// If there can be no more threads.
    pub fn start(ebpf: Ebpf, boundaries: Boundaries) -> Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let status = Arc::new(Mutex::new(boundaries.status()));
        let stop = Arc::new(AtomicBool::new(false));
        let coverage = boundaries.coverage();
        let mut work = Work {
            ebpf,
            boundaries,
            status: Arc::clone(&status),
            stop: Arc::clone(&stop),
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
            asked: HashMap::new(),
            coverage,
        })
    }

    /// Asks for the programs to be on these devices and no others. `open` finds a namespace.
    /// Returns at once; with `wait`, when it is done.
    pub fn ask(
        &mut self,
        mut wanted: BTreeMap<NetnsId, Vec<Wanted>>,
        gone: Vec<(NetnsId, u64)>,
        smallest_bytes: u32,
        mut open: impl FnMut(NetnsId) -> Option<NetnsFile>,
        wait: bool,
    ) {
        let mut plan = Plan {
            smallest_bytes,
            ..Plan::default()
        };
        for (netns, inode) in gone {
            if self.asked.remove(&netns).is_some() {
                plan.gone.push((netns, inode));
            }
        }
        // Where nothing is wanted any more, something may still sit.
        for netns in self.asked.keys() {
            wanted.entry(*netns).or_default();
        }
        for (netns, devices) in wanted {
            if self.asked.get(&netns) == Some(&devices) {
                continue;
            }
            let Some(file) = open(netns) else {
                continue; // it will be told of again, or is gone
            };
            self.asked.insert(netns, devices.clone());
            plan.wanted.push((file, devices));
        }
        let (done, finished) = mpsc::channel();
        plan.done = Some(done);
        self.send(Command::Apply(plan));
        if wait {
            let _ended = finished.recv();
        }
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

    /// Takes everything off and ends the thread. `open` finds a namespace.
    pub fn finish(mut self, open: impl FnMut(NetnsId) -> Option<NetnsFile>) {
        self.stop.store(true, Ordering::Relaxed);
        let files = self.asked.keys().copied().filter_map(open).collect();
        self.send(Command::Finish(files));
        self.join();
    }

    fn send(&self, command: Command) {
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

struct Work {
    ebpf: Ebpf,
    boundaries: Boundaries,
    status: Arc<Mutex<Vec<HookStatus>>>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&mut self, inbox: &mpsc::Receiver<Command>) {
        while let Ok(command) = inbox.recv() {
            match command {
                Command::Apply(plan) => self.apply(plan),
                Command::Finish(files) => {
                    self.boundaries.detach(&files);
                    return;
                }
            }
        }
    }

    fn apply(&mut self, plan: Plan) {
        for (netns, inode) in plan.gone {
            self.boundaries.forget(netns, inode);
        }
        // First the limit, then the programs, so that none looks at less than it should.
        self.boundaries.set_smallest(plan.smallest_bytes);
        for (file, wanted) in plan.wanted {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let applied = self
                .boundaries
                .apply(&mut self.ebpf, &file, &wanted, &self.stop);
            if let Err(error) = applied {
                log::debug!("cannot enter netns {}: {error}", file.inode);
            }
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = self.boundaries.status();
        if let Some(done) = plan.done {
            let _nobody_waits = done.send(());
        }
    }
}
