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
use crate::show::tui::facts::SpoolState;
use crate::show::tui::feed::{Batches, FeedItem, Feeder};

/// The thread that traces, and what it was told to begin with.
pub struct Tracer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<KeptCapture>,
    pub hooks: Vec<HookStatus>,
}

/// What the thread takes the events to.
pub struct EventSinks {
    pub recording: KeptCapture,
    pub clock: Clock,
    pub feeder: Feeder,
    /// Has the capture so far written, at the next tick.
    pub save: Arc<AtomicBool>,
}

impl Tracer {
    /// Loads and attaches everything, and goes on by itself.
    pub fn start(options: LoadOptions, mut sinks: EventSinks) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || {
                let traced = runtime().and_then(|runtime| {
                    runtime.block_on(async {
                        let live = LiveTrace::start(&options)?;
                        sinks.recording.start(sinks.clock, live.hooks());
                        let _told = started.send(Ok(live.hooks()));
                        sinks.trace(live, stopped).await;
                        Ok(())
                    })
                });
                if let Err(error) = traced {
                    let _told = started.send(Err(error));
                }
                sinks.recording
            })
            .context("cannot start the thread that traces")?;
        let hooks = start.recv().map_err(|_| has_died())??;
        Ok(Self {
            stop,
            thread,
            hooks,
        })
    }

    /// Ends the trace and gives the recording, which is complete.
    pub fn finish(self) -> Result<KeptCapture> {
        // It may have ended by itself.
        let _stopped = self.stop.send(());
        self.thread.join().map_err(|_| has_died())
    }
}

fn has_died() -> anyhow::Error {
    anyhow!("the thread that traces has died")
}

impl EventSinks {
    async fn trace(&mut self, mut live: LiveTrace, stopped: oneshot::Receiver<()>) {
        let hooks = live.hooks();
        let spool = KeptParts::start(header(self.clock, hooks.clone()), self.feeder.clone());
        let mut spool = spool
            .inspect_err(|error| {
                let words = format!("nothing is kept for w: {error:#}");
                self.feeder.tell(FeedItem::Spool(SpoolState::Failed(words)));
            })
            .ok();
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
