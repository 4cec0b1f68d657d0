//! Has events written while the trace goes on.
//!
//! A thread of its own writes, so that a slow disk or a reader that does not read cannot stop the
//! trace; the opening alone, which a pipe has room for, is written before. What waits for it is bounded; when it is too much, or something fails, the capture ends
//! there and the trace does not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;

use crate::{
    capture::{Destination, Encoder, Header},
    model::{
        event::{Event, EventKind},
        hook_status::HookStatus,
    },
};

/// Bytes handed to the thread at once. Each tick hands over what there is, ten times a second.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes that may wait for the thread.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// Interfaces in a part. Another part begins where there are more, in the same file if need be: on a
/// host where containers come and go the table would grow for ever.
pub const MOST_INTERFACES: u32 = 10_000;

/// Writes a capture.
pub struct Recorder {
    encoder: Encoder,
    /// Bytes that are not handed over yet.
    buffer: Vec<u8>,
    /// Size of this part so far, and of its opening, bytes.
    part_bytes: u64,
    opening_bytes: u64,
    most_bytes: Option<u64>,
    /// `None` once nothing is written any more.
    orders: Option<Sender<Order>>,
    shared: Arc<Shared>,
    done: oneshot::Receiver<()>,
    name: String,
}

enum Order {
    Write(Vec<u8>),
    NextPart(u32),
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

impl Recorder {
    /// Starts a capture.
    ///
    /// # Errors
    ///
    /// If its opening cannot be encoded or written, or there is no thread for the rest.
    pub fn start(mut destination: Destination, header: Header) -> Result<Self> {
        let mut encoder = Encoder::new(header);
        let opening = encoder.opening()?;
        // Before anything else happens: what is traced next may fill the disk, and a file without its
        // opening is no capture.
        destination.write(&opening)?;
        let (orders, ordered) = channel();
        let (tell, done) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let name = destination.name();
        let most_bytes = destination.limits().part_bytes;
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || {
                write(destination, &ordered, &of_thread);
                // Nobody may be waiting any more.
                let _ended = tell.send(());
            })
            .context("cannot start the thread that writes the capture")?;
        let opening_bytes = opening.len() as u64;
        Ok(Self {
            encoder,
            buffer: Vec::new(),
            part_bytes: opening_bytes,
            opening_bytes,
            most_bytes,
            orders: Some(orders),
            shared,
            done,
            name,
        })
    }

    /// Keeps an event.
    ///
    /// # Errors
    ///
    /// If the capture has failed since the last call. It ends there; what is kept afterwards is not.
    pub fn note(&mut self, event: &Event) -> Result<()> {
        if self.orders.is_none() {
            return Ok(());
        }
        let outcome = self.keep(event);
        match outcome.err().or_else(|| self.shared.take_failure()) {
            Some(error) => {
                self.orders = None;
                Err(error)
            }
            None => Ok(()),
        }
    }

    fn keep(&mut self, event: &Event) -> Result<()> {
        let before = self.buffer.len();
        let failed = || format!("cannot write the capture to {}", self.name);
        self.encoder
            .event(event, &mut self.buffer)
            .with_context(failed)?;
        self.part_bytes += (self.buffer.len() - before) as u64;
        // A part of little more than its opening would be followed by another one at once.
        let full = self.most_bytes.is_some_and(|most| {
            self.part_bytes >= most && self.part_bytes >= self.opening_bytes * 2
        });
        if full || self.encoder.interfaces() > MOST_INTERFACES {
            let failed = || format!("cannot write the capture to {}", self.name);
            let (end, opening) = self.encoder.next_part(event.time_ns).with_context(failed)?;
            self.buffer.extend(end);
            self.hand_over();
            if full {
                self.part_bytes = 0;
                self.order(Order::NextPart(self.encoder.part()));
            }
            self.open(opening);
        }
        let tick = matches!(event.kind, EventKind::Tick);
        if tick || self.buffer.len() >= CHUNK_BYTES {
            self.hand_over();
        }
        if self.shared.waiting_bytes.load(Ordering::Relaxed) > MOST_WAITING_BYTES {
            return Err(anyhow!(
                "{} takes the capture too slowly: {} MiB wait for it",
                self.name,
                MOST_WAITING_BYTES >> 20
            ));
        }
        Ok(())
    }

    fn open(&mut self, opening: Vec<u8>) {
        self.opening_bytes = opening.len() as u64;
        self.part_bytes += self.opening_bytes;
        self.buffer.extend(opening);
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

    fn order(&self, order: Order) {
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
    pub async fn finish(mut self, now_ns: u64, hooks: Vec<HookStatus>) -> Result<()> {
        if self.orders.is_some() {
            let end = self.encoder.close(now_ns, hooks)?;
            self.buffer.extend(end);
            self.hand_over();
        }
        self.orders = None;
        // An error means that the thread has died, which is a failure it could not tell.
        let ended = (&mut self.done).await;
        match self.shared.take_failure() {
            Some(error) => Err(error),
            None => ended.context("the thread that writes the capture has died"),
        }
    }
}

/// Writes what is ordered, until an error; what is ordered after that is dropped.
fn write(mut to: Destination, ordered: &Receiver<Order>, shared: &Shared) {
    let mut failed = false;
    for order in ordered {
        let outcome = match &order {
            _ if failed => Ok(()),
            Order::Write(blocks) => to.write(blocks),
            Order::NextPart(number) => to.next_part(*number),
        };
        if let Order::Write(blocks) = &order {
            shared
                .waiting_bytes
                .fetch_sub(blocks.len(), Ordering::Relaxed);
        }
        if let Err(error) = outcome {
            failed = true;
            shared.fail(error);
        }
    }
}
