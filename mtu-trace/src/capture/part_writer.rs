//! Has events written while the trace goes on.
//!
//! A thread of its own writes, so that a slow disk or a reader that does not read cannot stop the
//! trace. What waits for it is bounded; when it is too much, or something fails, the capture ends there
//! and the trace does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::capture::{Encoder, PartHeader};
use crate::model::event::{Event, EventKind};
use crate::model::hook_status::HookStatus;

/// Bytes handed to the thread at once. Each tick hands over what there is, ten times a second.
const CHUNK_BYTES: usize = 256 << 10;
/// The most interfaces of a part. Another part begins where there are more, in the same file if need
/// be: on a host where containers come and go the table would grow for ever. A choice.
pub const MAX_INTERFACES: u32 = 10_000;

/// Where the parts of a capture are kept. A thread of its own calls it.
pub trait PartStore: Send + 'static {
    /// Writes whole blocks to the latest part.
    ///
    /// # Errors
    ///
    /// If they cannot be kept. Nothing is written after that.
    fn write(&mut self, blocks: &[u8]) -> Result<()>;

    /// Begins another part, which has this number.
    ///
    /// # Errors
    ///
    /// If there is no place for it. Nothing is written after that.
    fn next_part(&mut self, number: u32) -> Result<()>;
}

/// The bounds of what is written.
#[derive(Clone, Copy, Debug)]
pub struct PartBounds {
    /// The size of a part at which another begins, bytes; `None` for one part of any size.
    pub part_bytes: Option<u64>,
    /// How many bytes may wait for the thread.
    pub waiting_bytes: usize,
}

/// Why nothing is written any more.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] io::Error),
    /// More bytes wait than may.
    #[error("too much waits to be written")]
    TooSlow,
    /// The store has failed, for the reason that it gives.
    #[error("{0:#}")]
    Store(anyhow::Error),
    /// The thread has died, which is a failure that it could not tell.
    #[error("the thread that writes the capture has died")]
    Died,
}

/// Writes the parts of a capture to a store.
pub struct PartWriter<S> {
    encoder: Encoder,
    bounds: PartBounds,
    /// Bytes that are not handed over yet.
    buffer: Vec<u8>,
    /// Size of this part so far, and of its opening, bytes.
    part_bytes: u64,
    opening_bytes: u64,
    /// `None` once nothing is written any more.
    orders: Option<Sender<Order<S>>>,
    shared: Arc<Shared>,
    done: oneshot::Receiver<()>,
}

enum Order<S> {
    Write(Vec<u8>),
    NextPart(u32),
    Ask(Box<dyn FnOnce(&mut S) + Send>),
}

#[derive(Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Shared {
    fn fail(&self, error: anyhow::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    fn take_failure(&self) -> Option<anyhow::Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }
}

impl<S: PartStore> PartWriter<S> {
    /// Begins a capture: its opening is written at once, the rest by a thread with this name.
    ///
    /// # Errors
    ///
    /// If the opening cannot be encoded or written, or there is no thread for the rest.
    pub fn start(
        thread_name: &str,
        mut store: S,
        header: PartHeader,
        bounds: PartBounds,
    ) -> Result<Self> {
        let mut encoder = Encoder::new(header);
        let opening = encoder.opening()?;
        // Before anything else happens: what is traced next may fill the disk, and a file without its
        // opening is no capture.
        store.write(&opening)?;
        let (orders, ordered) = channel();
        let (tell, done) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name(thread_name.to_owned())
            .spawn(move || {
                work(store, &ordered, &of_thread);
                // Nobody may be waiting any more.
                let _ended = tell.send(());
            })
            .context("cannot start the thread that writes the capture")?;
        let opening_bytes = opening.len() as u64;
        Ok(Self {
            encoder,
            bounds,
            buffer: Vec::new(),
            part_bytes: opening_bytes,
            opening_bytes,
            orders: Some(orders),
            shared,
            done,
        })
    }

    /// Encodes an event, and hands it over when enough waits.
    ///
    /// # Errors
    ///
    /// If the capture has failed since the last call. It ends there; what is kept afterwards is not,
    /// and is no error any more.
    pub fn note(&mut self, event: &Event) -> Result<(), WriteError> {
        if self.orders.is_none() {
            return Ok(());
        }
        let outcome = self.keep(event);
        let failed = self.shared.take_failure();
        let outcome = outcome.and(failed.map_or(Ok(()), |error| Err(WriteError::Store(error))));
        if outcome.is_err() {
            self.orders = None;
            self.buffer = Vec::new();
        }
        outcome
    }

    fn keep(&mut self, event: &Event) -> Result<(), WriteError> {
        let before = self.buffer.len();
        self.encoder.event(event, &mut self.buffer)?;
        self.part_bytes += (self.buffer.len() - before) as u64;
        // A part of little more than its opening would be followed by another one at once.
        let full = self.bounds.part_bytes.is_some_and(|most| {
            self.part_bytes >= most && self.part_bytes >= self.opening_bytes * 2
        });
        if full || self.encoder.interfaces() > MAX_INTERFACES {
            let (end, opening) = self.encoder.next_part(event.time_ns)?;
            self.buffer.extend(end);
            self.hand_over();
            if full {
                self.part_bytes = 0;
                self.order(Order::NextPart(self.encoder.part()));
            }
            self.opening_bytes = opening.len() as u64;
            self.part_bytes += self.opening_bytes;
            self.buffer = opening;
        }
        if matches!(event.kind, EventKind::Tick) || self.buffer.len() >= CHUNK_BYTES {
            self.hand_over();
        }
        if self.shared.waiting_bytes.load(Ordering::Relaxed) > self.bounds.waiting_bytes {
            return Err(WriteError::TooSlow);
        }
        Ok(())
    }

    /// Asks something of the store, once what was kept before is written. Nothing is asked of one that
    /// has failed.
    pub fn ask(&mut self, question: impl FnOnce(&mut S) + Send + 'static) {
        self.hand_over();
        self.order(Order::Ask(Box::new(question)));
    }

    /// The number of the part that is written.
    #[cfg(test)]
    pub fn part(&self) -> u32 {
        self.encoder.part()
    }

    /// Whether events are still written, as far as is known here.
    pub fn is_open(&self) -> bool {
        self.orders.is_some()
    }

    /// The bytes that would end the capture here.
    ///
    /// # Errors
    ///
    /// If they cannot be encoded.
    pub fn ending(&mut self, now_ns: u64, hooks: Vec<HookStatus>) -> io::Result<Vec<u8>> {
        self.encoder.close(now_ns, hooks)
    }

    fn hand_over(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let blocks = std::mem::take(&mut self.buffer);
        let waiting = &self.shared.waiting_bytes;
        waiting.fetch_add(blocks.len(), Ordering::Relaxed);
        self.order(Order::Write(blocks));
    }

    fn order(&self, order: Order<S>) {
        if let Some(orders) = &self.orders {
            // The thread goes only when this goes.
            let _sent = orders.send(order);
        }
    }

    /// Writes the end, and waits until everything is written. Dropping the future gives that up.
    ///
    /// # Errors
    ///
    /// If the capture has failed and that was not told yet.
    pub async fn finish(mut self, now_ns: u64, hooks: Vec<HookStatus>) -> Result<(), WriteError> {
        if self.is_open() {
            let end = self.ending(now_ns, hooks)?;
            self.buffer.extend(end);
            self.hand_over();
        }
        self.orders = None;
        let ended = (&mut self.done).await;
        match self.shared.take_failure() {
            Some(error) => Err(WriteError::Store(error)),
            None => ended.map_err(|_| WriteError::Died),
        }
    }
}

/// Does what is ordered, until something fails; what is ordered after that is dropped.
fn work<S: PartStore>(mut store: S, ordered: &Receiver<Order<S>>, shared: &Shared) {
    let mut failed = false;
    for order in ordered {
        let outcome = match order {
            Order::Write(blocks) => {
                let outcome = if failed { Ok(()) } else { store.write(&blocks) };
                let waiting = &shared.waiting_bytes;
                waiting.fetch_sub(blocks.len(), Ordering::Relaxed);
                outcome
            }
            _ if failed => Ok(()),
            Order::NextPart(number) => store.next_part(number),
            Order::Ask(question) => {
                question(&mut store);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            failed = true;
            shared.fail(error);
        }
    }
}
