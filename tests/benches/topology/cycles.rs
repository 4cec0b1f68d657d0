//! Namespaces that come and go by the thousand: what leaks, and whether a name is ever wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lab::binary;
use lab::topology::{Node, NodeLab};
use lab::tracer::Tracer;
use lab::usage::Usage;
use mtu_trace::testing::{Depth, NetnsFile, NetnsId, Topology, Watcher, monotonic_ns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::heap;
use crate::table::Table;

const WARM_UP: usize = 100;
const CYCLES: usize = 1000;
const DURATION: &str = "600s";
/// How long the tracer may take to let go of the last namespace.
const SETTLE: Duration = Duration::from_secs(10);
/// Longer than the topology keeps what is gone.
const LATER_NS: u64 = 120_000_000_000;
/// How often the watcher looks whether it may end.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Creates and deletes containers beside `mtu-trace record` and a watcher of our own.
pub fn measure(table: &mut Table) -> Result<()> {
    let node = Node::default().build()?;
    let arguments = ["--format", "json"];
    let tracer = Tracer::start_for(DURATION, &binary::mtu_trace(), &arguments)?;
    let idle = tracer.usage(SETTLE, |_| true)?;
    let witness = Witness::start()?;
    let mut truth = Truth::default();
    cycle(&node, 0..WARM_UP, &mut truth)?;
    let back =
        |usage: &Usage| usage.threads <= idle.threads && usage.descriptors <= idle.descriptors;
    let before = tracer.usage(SETTLE, back)?;
    cycle(&node, WARM_UP..WARM_UP + CYCLES / 2, &mut truth)?;
    let half = tracer.usage(SETTLE, back)?;
    cycle(&node, WARM_UP + CYCLES / 2..WARM_UP + CYCLES, &mut truth)?;
    let after = tracer.usage(SETTLE, back)?;
    usage(table, &[idle, before, half, after]);
    tracer.end_by(Signal::INT)?;
    names(table, &truth, &witness.stop()?);
    Ok(())
}

/// What the namespaces really were: their names by identity, and their inode numbers.
#[derive(Default)]
struct Truth {
    names: BTreeMap<NetnsId, String>,
    inodes: Vec<u64>,
}

fn cycle(node: &NodeLab, numbers: std::ops::Range<usize>, truth: &mut Truth) -> Result<()> {
    for number in numbers {
        let container = node.container(number)?;
        let name = container.netns.name();
        let id = NetnsFile::open(format!("/run/netns/{name}"))
            .with_context(|| format!("opening {name}"))?
            .id;
        truth.names.insert(id, name.to_owned());
        truth.inodes.push(container.netns.inode());
        container.connect(1450, 1500)?;
    }
    Ok(())
}

fn usage(table: &mut Table, usages: &[Usage; 4]) {
    let moments = [
        "before the first cycle".to_owned(),
        format!("after {WARM_UP} cycles"),
        format!("after {} cycles", WARM_UP + CYCLES / 2),
        format!("after {} cycles", WARM_UP + CYCLES),
    ];
    for (usage, moment) in usages.iter().zip(moments) {
        let meaning = format!("of `mtu-trace record`, {moment}");
        table.count("cycles: threads", "threads", usage.threads, &meaning);
        table.count("cycles: descriptors", "open", usage.descriptors, &meaning);
        // Blind to what fits into memory that the start has freed: see `heap`.
        let resident = usize::try_from(usage.resident_kib).unwrap_or(usize::MAX);
        table.count("cycles: resident memory", "KiB", resident, &meaning);
    }
}

fn names(table: &mut Table, truth: &Truth, witnessed: &Witnessed) {
    let made = truth.names.len();
    let different: BTreeSet<u64> = truth.inodes.iter().copied().collect();
    let seen = |id: &NetnsId| witnessed.names.get(id);
    let right = |(id, name): &(&NetnsId, &String)| {
        seen(id).is_some_and(|seen| seen.len() == 1 && seen.contains(*name))
    };
    let wrong = |(id, name): &(&NetnsId, &String)| {
        seen(id).is_some_and(|seen| seen.iter().any(|it| it != *name))
    };
    for (name, value, meaning) in [
        (
            "cycles: reused inodes",
            truth.inodes.len() - different.len(),
            "inode numbers that an earlier one of the namespaces had had",
        ),
        (
            "cycles: right names",
            truth.names.iter().filter(right).count(),
            "namespaces known by their own name and no other",
        ),
        (
            "cycles: wrong names",
            truth.names.iter().filter(wrong).count(),
            "namespaces ever shown by another's name",
        ),
        (
            "cycles: kept",
            witnessed.kept,
            "namespaces of these in the topology at the end: those gone for less than 60 s",
        ),
        (
            "cycles: kept later",
            witnessed.kept_later,
            "the same two minutes later by its clock",
        ),
    ] {
        table.count(name, "netns", value, &format!("{meaning}, of {made}"));
    }
    for (kib, meaning) in witnessed.heap_kib.into_iter().zip([
        "heap in use of the benchmark with its watcher, with what is kept",
        "the same when that has expired",
    ]) {
        table.count("cycles: watcher's heap", "KiB", kib, meaning);
    }
}

/// A watcher that follows on a thread and keeps every name it ever had for a namespace.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Witnessed>>,
}

#[derive(Default)]
struct Witnessed {
    names: BTreeMap<NetnsId, BTreeSet<String>>,
    kept: usize,
    kept_later: usize,
    /// Of this process: with what is kept, and without.
    heap_kib: [usize; 2],
}

impl Witness {
    fn start() -> Result<Self> {
        let mut watcher = Watcher::new()?;
        watcher.refresh(Depth::Everything, monotonic_ns())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut witnessed = Witnessed::default();
            let already = watcher.topology().namespaces.len();
            while !stopped.load(Ordering::Relaxed) {
                let mut fds = [PollFd::new(&watcher, PollFlags::IN)];
                poll(&mut fds, Some(&PAUSE))?;
                watcher.follow(monotonic_ns())?;
                witnessed.note(watcher.topology());
            }
            witnessed.kept = watcher.topology().namespaces.len().saturating_sub(already);
            let names = std::mem::take(&mut witnessed.names);
            witnessed.heap_kib[0] = heap::in_use_kib();
            watcher.refresh(Depth::Everything, monotonic_ns() + LATER_NS)?;
            witnessed.heap_kib[1] = heap::in_use_kib();
            witnessed.names = names;
            let later = watcher.topology().namespaces.len();
            witnessed.kept_later = later.saturating_sub(already);
            Ok(witnessed)
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<Witnessed> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the watcher panicked"))?
    }
}

impl Witnessed {
    fn note(&mut self, topology: &Topology) {
        for (&id, netns) in &topology.namespaces {
            if let Some(name) = &netns.name {
                let names = self.names.entry(id).or_default();
                if !names.contains(name) {
                    names.insert(name.clone());
                }
            }
        }
    }
}
