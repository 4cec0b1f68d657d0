//! From the thread that traces to the one that draws. Nothing is lost on the way: when the drawing
//! thread is behind, the tracing one waits, and what the kernel's buffer then has no room for is counted
//! there as lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use tokio::sync::Notify;

use crate::model::event::{Event, EventKind};
use crate::show::tui::facts::{Risks, SpoolState};
use crate::show::tui::theme::Role;

/// Events handed over in one go.
const BATCH: usize = 1024;
/// Batches on the way at most: about 100,000 events.
const MOST_BATCHES: usize = 100;

/// What is told to the screens.
#[derive(Debug)]
pub enum FeedItem {
    /// What happened, in its order.
    Events(Vec<Event>),
    /// What is kept to be written on request.
    Spool(SpoolState),
    /// What is risky before any traffic.
    Risks(Risks),
    /// Something for the user.
    Said(String, Role),
    /// The trace is over, and why, if not because it was asked for.
    Ended(Option<String>),
}

/// The end at which things come out.
#[derive(Debug)]
pub struct Feed {
    receiver: Receiver<FeedItem>,
    shared: Arc<SharedFeed>,
}

/// The end at which things are put in. All of them lead to the same place.
#[derive(Clone, Debug)]
pub struct Feeder {
    sender: SyncSender<FeedItem>,
    /// The last field: whoever is woken by its end finds that the sender is gone.
    shared: WakesAtEnd,
}

/// What both ends know.
#[derive(Debug, Default)]
struct SharedFeed {
    wake: Notify,
    /// Events on the way.
    waiting: AtomicUsize,
}

/// Wakes the other end, also when a feeder goes: a thread that has died has nothing more to tell, and
/// that is to be noticed.
#[derive(Clone, Debug)]
struct WakesAtEnd(Arc<SharedFeed>);

impl Drop for WakesAtEnd {
    fn drop(&mut self) {
        self.0.wake.notify_one();
    }
}

/// Makes both ends of a feed.
pub fn feed() -> (Feeder, Feed) {
    let (sender, receiver) = sync_channel(MOST_BATCHES);
    let feed = Feed {
        receiver,
        shared: Arc::default(),
    };
    let shared = WakesAtEnd(Arc::clone(&feed.shared));
    (Feeder { sender, shared }, feed)
}

impl Feeder {
    /// Hands something over; waits while there is no room. False once nobody listens any more.
    pub fn tell(&self, told: FeedItem) -> bool {
        let shared = &self.shared.0;
        if let FeedItem::Events(events) = &told {
            shared.waiting.fetch_add(events.len(), Ordering::Relaxed);
        }
        let heard = self.sender.send(told).is_ok();
        shared.wake.notify_one();
        heard
    }
}

impl Feed {
    /// Waits until there may be something.
    pub async fn ready(&self) {
        self.shared.wake.notified().await;
    }

    /// Has [`Feed::ready`] be ready once more: something was left.
    pub fn again(&self) {
        self.shared.wake.notify_one();
    }

    /// Takes the next thing.
    ///
    /// # Errors
    ///
    /// There is none at the moment, or all feeders are gone.
    pub fn next(&self) -> Result<FeedItem, TryRecvError> {
        let told = self.receiver.try_recv()?;
        if let FeedItem::Events(events) = &told {
            self.shared
                .waiting
                .fetch_sub(events.len(), Ordering::Relaxed);
        }
        Ok(told)
    }

    /// Events on the way.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }
}

/// Gathers events into batches: one at each tick, or when there are many.
#[derive(Debug)]
pub struct Batches {
    feeder: Feeder,
    batch: Vec<Event>,
}

impl Batches {
    /// Batches for this feeder.
    pub fn new(feeder: Feeder) -> Self {
        Self {
            feeder,
            batch: Vec::new(),
        }
    }

    /// Adds an event to the current batch.
    pub fn add(&mut self, event: Event) {
        let is_tick = matches!(event.kind, EventKind::Tick);
        self.batch.push(event);
        if is_tick || self.batch.len() >= BATCH {
            self.feeder
                .tell(FeedItem::Events(std::mem::take(&mut self.batch)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Waker};
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_when_it_is_slow() {
        let (feeder, feed) = feed();
        let count = (BATCH * MOST_BATCHES) as u64 * 3;
        let source = thread::spawn(move || {
            let mut batches = Batches::new(feeder);
            for time_ns in 0..count {
                let kind = EventKind::Lost(time_ns);
                batches.add(Event { time_ns, kind });
            }
            batches.add(Event {
                time_ns: count,
                kind: EventKind::Tick,
            });
        });
        let mut next = 0;
        loop {
            match feed.next() {
                Ok(FeedItem::Events(events)) => {
                    assert!(feed.waiting() <= BATCH * (MOST_BATCHES + 2));
                    for event in events {
                        assert_eq!(event.time_ns, next);
                        next += 1;
                    }
                }
                Ok(_) | Err(TryRecvError::Empty) => thread::yield_now(),
                Err(TryRecvError::Disconnected) => break,
            }
        }
        source.join().unwrap();
        assert_eq!((next, feed.waiting()), (count + 1, 0));
    }

    /// Looks into a feed at the very moment at which it is woken.
    struct Looks {
        feed: Mutex<Feed>,
        found: Mutex<Vec<Option<TryRecvError>>>,
    }

    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {
            let next = self.feed.lock().unwrap().next();
            self.found.lock().unwrap().push(next.err());
        }
    }

    #[test]
    fn whoever_is_woken_by_its_end_finds_it_gone() {
        let (feeder, feed) = feed();
        let shared = Arc::clone(&feed.shared);
        let looks = Arc::new(Looks {
            feed: Mutex::new(feed),
            found: Mutex::default(),
        });
        let waker = Waker::from(Arc::clone(&looks));
        let mut woken = pin!(shared.wake.notified());
        let poll = woken.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        drop(feeder);
        let gone = Some(TryRecvError::Disconnected);
        assert_eq!(*looks.found.lock().unwrap(), [gone]);
    }

    #[test]
    fn a_source_does_not_wait_for_nobody() {
        let (feeder, feed) = feed();
        drop(feed);
        for _ in 0..MOST_BATCHES * 2 {
            assert!(!feeder.tell(FeedItem::Events(Vec::new())));
        }
    }
}
