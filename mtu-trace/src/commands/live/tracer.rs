//! The thread that traces, so that no look at the network holds up a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;

use crate::base::clock::{Clock, monotonic_ns};
use crate::commands::live::kept_parts::KeptParts;
use crate::commands::recording::{KeptCapture, header};
use crate::commands::trace::{Interrupts, runtime};
use crate::kernel::{LiveTrace, LoadOptions};
use crate::model::event::{Event, EventKind};
use crate::model::hook_status::HookStatus;
use crate::show::tui::feed::{Batches, FeedItem, Feeder};

/// The thread that traces.
pub struct Tracer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<KeptCapture>,
    save: Arc<AtomicBool>,
}

impl Tracer {
    /// Loads and attaches everything, and goes on by itself; gives what became of each hook.
    ///
    /// # Errors
    ///
    /// Those of [`LiveTrace::start`], and what keeps the recording from beginning.
    pub fn start(
        options: LoadOptions,
        recording: KeptCapture,
        clock: Clock,
        feeder: Feeder,
    ) -> Result<(Self, Vec<HookStatus>)> {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let save = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&save);
        let thread = thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || {
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _told = started.send(Err(error));
                        return recording;
                    }
                };
                let mut thread = ThreadState {
                    recording,
                    clock,
                    feeder,
                    save: wanted,
                };
                runtime.block_on(thread.trace(&options, stopped, &started));
                thread.recording
            })
            .context("cannot start the thread that traces")?;
        let hooks = start
            .recv()
            .map_err(|_| anyhow!("the thread that traces has died"))??;
        let tracer = Self { stop, thread, save };
        Ok((tracer, hooks))
    }

    /// What has the capture so far written, at the next tick.
    pub fn save(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.save)
    }

    /// Ends the trace and gives the recording, which is complete.
    ///
    /// # Errors
    ///
    /// If the thread has died.
    pub fn finish(self) -> Result<KeptCapture> {
        // It may have ended by itself.
        let _stopped = self.stop.send(());
        self.thread
            .join()
            .map_err(|_| anyhow!("the thread that traces has died"))
    }
}

struct ThreadState {
    recording: KeptCapture,
    clock: Clock,
    feeder: Feeder,
    save: Arc<AtomicBool>,
}

impl ThreadState {
    async fn trace(
        &mut self,
        options: &LoadOptions,
        stopped: oneshot::Receiver<()>,
        started: &std::sync::mpsc::SyncSender<Result<Vec<HookStatus>>>,
    ) {
        let mut live = match LiveTrace::start(options) {
            Ok(live) => live,
            Err(error) => {
                let _told = started.send(Err(error));
                return;
            }
        };
        let hooks = live.hooks();
        self.recording.start(self.clock, hooks.clone());
        let spool = KeptParts::start(header(self.clock, hooks.clone()), self.feeder.clone());
        let mut spool = spool
            .inspect_err(|error| {
                let words = format!("nothing is kept for w: {error:#}");
                let failed = crate::show::tui::facts::SpoolState::Failed(words);
                self.feeder.tell(FeedItem::Spool(failed));
            })
            .ok();
        let _told = started.send(Ok(hooks.clone()));
        let mut batches = Batches::new(self.feeder.clone());
        let mut sink = |event: Event| {
            self.recording.note(&event);
            if let Some(spool) = &mut spool {
                spool.note(&event);
                let tick = matches!(event.kind, EventKind::Tick);
                if tick && self.save.swap(false, Ordering::Relaxed) {
                    spool.save(event.time_ns, hooks.clone());
                }
            }
            batches.add(event);
        };
        let stop = async {
            // An error means that nobody can stop it any more, which is the same.
            let _stopped = stopped.await;
        };
        let outcome = live.run(stop, &mut sink).await;
        let hooks = live.hooks();
        live.finish(&mut sink);
        self.recording
            .finish(monotonic_ns(), hooks, interrupted())
            .await;
        let why = outcome.err().map(|error| format!("{error:#}"));
        self.feeder.tell(FeedItem::Ended(why));
    }
}

/// Waits for a signal of somebody who does not want to wait for the end of the recording.
async fn interrupted() {
    match Interrupts::new() {
        Ok(mut interrupts) => interrupts.insists().await,
        Err(_) => std::future::pending().await,
    }
}
