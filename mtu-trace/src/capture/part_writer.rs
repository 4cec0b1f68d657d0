//! Has events written while the trace goes on.
//!
//! A thread of its own writes, so that a slow disk or a reader that does not read cannot stop the
//! trace. What waits for it is bounded; when it is too much, or something fails, the capture ends there
//! and the trace does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::{io, mem, thread};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::capture::{Encoder, PartHeader};
use crate::model::event::{Event, EventKind};
use crate::model::hook_status::HookStatus;

/// Bytes handed to the thread at once. Each tick hands over what there is, ten times a second.
const CHUNK_BYTES: usize = 256 << 10;
/// The most interfaces of a part. Another part begins where there are more, in the same file if need
/// be: on a host where containers come and go the table would grow for ever. A choice.
pub const MAX_INTERFACES: u32 = 10_000;

/// Where the parts of a capture are kept. A thread of its own calls it, until something fails.
pub trait PartStore: Send + 'static {
    /// The name of the thread that writes.
    const THREAD: &'static str;
    /// How many bytes may wait for the thread.
    const MAX_WAITING_BYTES: usize;
    /// The size of a part at which another begins, bytes; `None` for one part of any size.
    fn part_bytes(&self) -> Option<u64>;
    /// Writes whole blocks to the latest part.
    fn write(&mut self, blocks: &[u8]) -> Result<()>;
    /// Begins another part, which has this number.
    fn next_part(&mut self, number: u32) -> Result<()>;
}

/// Why nothing is written any more.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Encode(#[from] io::Error),
    #[error("too much waits to be written")]
    TooSlow,
    #[error("{0:#}")]
    Store(anyhow::Error),
    #[error("the thread that writes the capture has died")]
    Died,
}

/// Writes the parts of a capture to a store.
pub struct PartWriter<S> {
    pub encoder: Encoder,
    /// The size of a part at which another begins, bytes.
    full_bytes: Option<u64>,
    /// Bytes that are not handed over yet.
    buffer: Vec<u8>,
    /// Size of this part so far, and of its opening, bytes.
    part_bytes: u64,
    opening_bytes: u64,
    /// `None` once nothing is written any more.
    orders: Option<Sender<Order<S>>>,
    waiting_bytes: Arc<AtomicUsize>,
    done: oneshot::Receiver<Result<()>>,
}

/// What the thread is to do with the store. It does nothing more once something fails.
type Order<S> = Box<dyn FnOnce(&mut S) -> Result<()> + Send>;

impl<S: PartStore> PartWriter<S> {
    /// Begins a capture: its opening is written at once, the rest by a thread.
    pub fn start(mut store: S, header: PartHeader) -> Result<Self> {
        let full_bytes = store.part_bytes();
        let mut encoder = Encoder::new(header);
        let opening = encoder.opening()?;
        // Before anything else happens: what is traced next may fill the disk, and a file without its
        // opening is no capture.
        store.write(&opening)?;
        let (orders, ordered) = channel::<Order<S>>();
        let (tell, done) = oneshot::channel();
        thread::Builder::new()
            .name(S::THREAD.to_owned())
            .spawn(move || {
                let ended = ordered.into_iter().try_for_each(|order| order(&mut store));
                drop(store);
                // Nobody may be waiting any more.
                let _ended = tell.send(ended);
            })
            .context("cannot start the thread that writes the capture")?;
        let opening_bytes = opening.len() as u64;
        Ok(Self {
            encoder,
            full_bytes,
            buffer: Vec::new(),
            part_bytes: opening_bytes,
            opening_bytes,
            orders: Some(orders),
            waiting_bytes: Arc::default(),
            done,
        })
    }

    /// Encodes an event, and hands it over when enough waits; fails if the capture has failed since the
    /// last call. It ends there; what is kept afterwards is not, and is no error any more.
    pub fn note(&mut self, event: &Event) -> Result<(), WriteError> {
        if !self.is_open() {
            return Ok(());
        }
        let outcome = match self.done.try_recv() {
            Err(TryRecvError::Empty) => self.keep(event),
            Err(TryRecvError::Closed) => Err(WriteError::Died),
            Ok(ended) => ended.map_err(WriteError::Store),
        };
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
        let full = self.full_bytes.is_some_and(|most| {
            self.part_bytes >= most && self.part_bytes >= self.opening_bytes * 2
        });
        if full || self.encoder.interfaces() > MAX_INTERFACES {
            let (end, opening) = self.encoder.next_part(event.time_ns)?;
            self.buffer.extend(end);
            self.hand_over();
            if full {
                self.part_bytes = 0;
                let part = self.encoder.header.part;
                self.order(move |store| store.next_part(part));
            }
            self.opening_bytes = opening.len() as u64;
            self.part_bytes += self.opening_bytes;
            self.buffer = opening;
        }
        if matches!(event.kind, EventKind::Tick) || self.buffer.len() >= CHUNK_BYTES {
            self.hand_over();
        }
        if self.waiting_bytes.load(Ordering::Relaxed) > S::MAX_WAITING_BYTES {
            return Err(WriteError::TooSlow);
        }
        Ok(())
    }

    /// Asks something of the store, once what was kept before is written. Nothing is asked of one that
    /// has failed.
    pub fn ask(&mut self, question: impl FnOnce(&mut S) + Send + 'static) {
        self.hand_over();
        self.order(|store| {
            question(store);
            Ok(())
        });
    }

    /// Whether events are still written, as far as is known here.
    pub fn is_open(&self) -> bool {
        self.orders.is_some()
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            let blocks = mem::take(&mut self.buffer);
            let waiting = Arc::clone(&self.waiting_bytes);
            waiting.fetch_add(blocks.len(), Ordering::Relaxed);
            self.order(move |store| {
                store.write(&blocks)?;
                waiting.fetch_sub(blocks.len(), Ordering::Relaxed);
                Ok(())
            });
        }
    }

    fn order(&self, order: impl FnOnce(&mut S) -> Result<()> + Send + 'static) {
        if let Some(orders) = &self.orders {
            // A thread that has failed takes no more, and has told why.
            let _sent = orders.send(Box::new(order));
        }
    }

    /// Writes the end, and waits until everything is written; fails if the capture has failed and that
    /// was not told yet. Dropping the future gives that up.
    pub async fn finish(mut self, now_ns: u64, hooks: Vec<HookStatus>) -> Result<(), WriteError> {
        if !self.is_open() {
            return Ok(());
        }
        self.buffer.extend(self.encoder.close(now_ns, hooks)?);
        self.hand_over();
        self.orders = None;
        let ended = self.done.await.map_err(|_| WriteError::Died)?;
        ended.map_err(WriteError::Store)
    }
}
