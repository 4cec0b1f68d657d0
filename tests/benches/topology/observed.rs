//! A live trace inside this process, and what it knows at what time.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mtu_trace::testing::{
    Coverage, Covered, EventKind, LiveTrace, LoadOptions, NetnsId, Topology, monotonic_ns,
};
use tokio::sync::oneshot;

/// How long anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(10);
/// How often coverage is looked at; its times are the tracer's own.
const AGAIN: Duration = Duration::from_millis(1);

/// A trace that runs until this is dropped.
pub struct Observed {
    known: Arc<(Mutex<Known>, Condvar)>,
    coverage: Coverage,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Known {
    topology: Arc<Topology>,
    /// Since when it is.
    topology_ns: u64,
    /// Since when namespaces are known by their names.
    names: HashMap<String, (NetnsId, u64)>,
}

impl Observed {
    /// Starts it and waits until it is ready.
    pub fn start() -> Result<Self> {
        let known: Arc<(Mutex<Known>, Condvar)> = Arc::default();
        let shared = Arc::clone(&known);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            if let Err(error) = trace(&shared, stopped, &ready) {
                let _nobody_waits = ready.send(Err(error));
            }
        });
        let coverage = started.recv().context("the trace did not start")??;
        Ok(Self {
            known,
            coverage,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The namespace of this name, and since when it is known by it.
    pub fn named(&self, name: &str) -> Result<(NetnsId, u64)> {
        self.wait(name, |known| known.names.get(name).copied())
    }

    /// The index of a link of this name, and since when the topology has it with this MTU or, for
    /// `None`, with any.
    pub fn link(&self, netns: NetnsId, name: &str, mtu: Option<u32>) -> Result<(u32, u64)> {
        self.wait(name, |known| {
            let links = &known.topology.namespaces.get(&netns)?.links;
            links
                .iter()
                .find(|(_, link)| link.name == name && mtu.is_none_or(|mtu| link.mtu_bytes == mtu))
                .map(|(&ifindex, _)| (ifindex, known.topology_ns))
        })
    }

    /// Waits until `enough` likes how a device is covered.
    pub fn covered(
        &self,
        device: (NetnsId, u32),
        enough: impl Fn(Option<Covered>) -> bool,
    ) -> Result<Covered> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let covered = self.coverage.of(device.0, device.1);
            if enough(covered) {
                return Ok(covered.unwrap_or_default());
            }
            if Instant::now() >= deadline {
                return Err(anyhow!("the device {device:?} is {covered:?}"));
            }
            thread::sleep(AGAIN);
        }
    }

    fn wait<T>(&self, what: &str, find: impl Fn(&Known) -> Option<T>) -> Result<T> {
        let (known, changed) = &*self.known;
        let deadline = Instant::now() + LIMIT;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&known) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(anyhow!("{what} is not in the topology"));
            }
            known = changed
                .wait_timeout(known, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn trace(
    known: &(Mutex<Known>, Condvar),
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<Result<Coverage>>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut live = LiveTrace::start(&LoadOptions::default())?;
        let _nobody_waits = ready.send(Ok(live.coverage()));
        let mut sink = |event: mtu_trace::testing::Event| {
            if let EventKind::Topology(topology) = event.kind {
                note(known, topology);
            }
        };
        let stop = async {
            let _dropped = stopped.await;
        };
        live.run(stop, &mut sink).await?;
        live.finish(&mut sink);
        Ok(())
    })
}

fn note((known, changed): &(Mutex<Known>, Condvar), topology: Arc<Topology>) {
    let now_ns = monotonic_ns();
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    for (&id, netns) in &topology.namespaces {
        if let Some(name) = &netns.name
            && !known.names.contains_key(name)
        {
            known.names.insert(name.clone(), (id, now_ns));
        }
    }
    known.topology = topology;
    known.topology_ns = now_ns;
    changed.notify_all();
}
