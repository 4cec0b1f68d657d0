//! The capture so far, kept to be written when the user wants it.
//!
//! It lies encoded in files without a name, so that neither memory nor anything that is left behind
//! grows with the trace. There are two parts, each of which can be read alone: when the later one is
//! full, the earlier one goes. A thread of its own writes, as for a capture that is recorded.

pub mod keeper;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use anyhow::{Context as _, Result};

use crate::{
    capture::{Encoder, Header, MOST_INTERFACES},
    commands::live::spool::keeper::{Keeper, Order},
    model::{
        event::{Event, EventKind},
        hook_status::HookStatus,
    },
    show::tui::{
        app::Tone,
        facts::SpoolState,
        feed::{FeedItem, Feeder},
    },
};

/// A part is followed by another at this size: so much is kept at least, and twice as much at most.
const PART_BYTES: u64 = 128 << 20;
/// Bytes that may wait to be written.
const MOST_WAITING_BYTES: usize = 32 << 20;
/// Every so many ticks it is told how much is kept: once a second.
const TELL_EVERY: u32 = 10;

/// What keeps the capture so far.
pub struct Spool {
    encoder: Encoder,
    buffer: Vec<u8>,
    /// Size of this part so far, and of its opening, bytes.
    part_bytes: u64,
    opening_bytes: u64,
    /// Size of a part at which another begins.
    most_bytes: u64,
    /// `None` once it cannot be kept any more.
    orders: Option<Sender<Order>>,
    waiting_bytes: Arc<AtomicUsize>,
    feeder: Feeder,
    ticks: u32,
}

impl Spool {
    /// Begins to keep.
    ///
    /// # Errors
    ///
    /// There is no room for a file, or no thread to write it.
    pub fn start(header: Header, feeder: Feeder) -> Result<Self> {
        // Relative to where the user is, as the names of other files.
        let to = PathBuf::from(".");
        Self::limited(header, feeder, PART_BYTES, scratch(), to)
    }

    /// The same with other parts and places: parts are kept in `scratch`, and captures written `to`.
    fn limited(
        header: Header,
        feeder: Feeder,
        most_bytes: u64,
        scratch: PathBuf,
        to: PathBuf,
    ) -> Result<Self> {
        let (orders, ordered) = channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let bytes = Arc::clone(&waiting_bytes);
        let mut keeper = Keeper::new(feeder.clone(), bytes, scratch, to)?;
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || keeper.work(&ordered))
            .context("cannot start the thread that keeps the capture so far")?;
        let mut encoder = Encoder::new(header);
        let opening = encoder.opening()?;
        Ok(Self {
            encoder,
            part_bytes: opening.len() as u64,
            opening_bytes: opening.len() as u64,
            buffer: opening,
            most_bytes,
            orders: Some(orders),
            waiting_bytes,
            feeder,
            ticks: 0,
        })
    }

    /// Keeps an event. What fails is told on the screen, and the trace goes on.
    pub fn note(&mut self, event: &Event) {
        if self.orders.is_none() {
            return;
        }
        if let Err(error) = self.keep(event) {
            self.give_up();
            let words = format!("nothing more is kept for w: {error:#}");
            self.feeder.tell(FeedItem::Spool(SpoolState::Failed(words)));
        }
    }

    fn keep(&mut self, event: &Event) -> Result<()> {
        let before = self.buffer.len();
        self.encoder.event(event, &mut self.buffer)?;
        self.part_bytes += (self.buffer.len() - before) as u64;
        // A part of little more than its opening would be followed by another one at once.
        let full = self.part_bytes >= self.most_bytes && self.part_bytes >= self.opening_bytes * 2;
        if full || self.encoder.interfaces() > MOST_INTERFACES {
            let (end, opening) = self.encoder.next_part(event.time_ns)?;
            self.buffer.extend(end);
            self.hand_over();
            if full {
                self.part_bytes = 0;
                self.order(Order::NextPart);
            }
            if self.orders.is_none() {
                return Ok(());
            }
            self.opening_bytes = opening.len() as u64;
            self.part_bytes += self.opening_bytes;
            self.buffer = opening;
        }
        if matches!(event.kind, EventKind::Tick) {
            self.hand_over();
            if self.ticks.is_multiple_of(TELL_EVERY) {
                self.order(Order::Tell);
            }
            self.ticks = self.ticks.wrapping_add(1);
        }
        // What was handed over to somebody who has given up waits for ever.
        let waiting_bytes = self.waiting_bytes.load(Ordering::Relaxed);
        if self.orders.is_some() && waiting_bytes > MOST_WAITING_BYTES {
            anyhow::bail!("the disk takes it too slowly");
        }
        Ok(())
    }

    /// Has everything so far written to a file of this directory.
    pub fn save(&mut self, now_ns: u64, hooks: Vec<HookStatus>) {
        let failed = match self.encoder.close(now_ns, hooks) {
            Ok(end) => {
                self.hand_over();
                self.order(Order::Save(end));
                self.orders
                    .is_none()
                    .then(|| "it is not kept any more".to_owned())
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = failed {
            let words = format!("the capture so far cannot be written: {why}");
            self.feeder.tell(FeedItem::Said(words, Tone::Error));
        }
    }

    fn hand_over(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let blocks = std::mem::take(&mut self.buffer);
        self.waiting_bytes
            .fetch_add(blocks.len(), Ordering::Relaxed);
        self.order(Order::Write(blocks));
    }

    fn order(&mut self, order: Order) {
        let orders = self.orders.as_ref();
        // Whoever takes no orders any more has told why.
        if orders.is_some_and(|orders| orders.send(order).is_err()) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.orders = None;
        self.buffer = Vec::new();
    }
}

/// Where large files that do not matter for long are kept.
fn scratch() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => PathBuf::from("/var/tmp"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        time::{Duration, Instant},
    };

    use jiff::Timestamp;

    use super::*;
    use crate::{
        base::clock::Clock,
        capture,
        capture::{Input, Reader},
        commands::recording::header,
        show::tui::feed::{Feed, feed},
    };

    /// Size of a part, bytes.
    const PART: u64 = 4096;

    fn spool(directory: &Path, most_bytes: u64) -> (Spool, Feed) {
        let clock = Clock {
            wall: Timestamp::now(),
            monotonic_ns: 0,
        };
        let (feeder, feed) = feed();
        let header = header(clock, Vec::new());
        let (scratch, to) = (directory.to_owned(), directory.to_owned());
        let spool = Spool::limited(header, feeder, most_bytes, scratch, to);
        (spool.unwrap(), feed)
    }

    fn tick(time_ns: u64) -> Event {
        Event {
            time_ns,
            kind: EventKind::Tick,
        }
    }

    /// Waits for what is wanted among what is told.
    fn heard<T>(feed: &Feed, wanted: impl Fn(FeedItem) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            match feed.next().unwrap() {
                Some(told) => {
                    if let Some(found) = wanted(told) {
                        return found;
                    }
                }
                None => thread::yield_now(),
            }
        }
        panic!("it was not told");
    }

    /// What is in the one file that is written, once that is told.
    fn written(directory: &Path, feed: &Feed) -> (Vec<Event>, Reader<Input>) {
        let said = heard(feed, |told| match told {
            FeedItem::Said(words, bad) => Some((words, bad)),
            _ => None,
        });
        let files: Vec<_> = fs::read_dir(directory).unwrap().collect();
        let [Ok(file)] = &files[..] else {
            panic!("{files:?}");
        };
        let path = file.path();
        let words = format!("the capture so far is in {}", path.display());
        assert_eq!(said, (words, Tone::Notice));
        let mut reader = Reader::new(capture::open(&path).unwrap()).unwrap();
        let events = std::iter::from_fn(|| reader.next_event()).collect();
        (events, reader)
    }

    #[test]
    fn the_last_two_parts_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, feed) = spool(directory.path(), PART);
        let mut now_ns = 0;
        while spool.encoder.part() < 3 || spool.part_bytes < PART / 2 {
            now_ns += 1;
            spool.note(&tick(now_ns));
        }
        spool.save(now_ns, Vec::new());
        let (events, reader) = written(directory.path(), &feed);
        let first_ns = events[0].time_ns;
        // The first part is gone, and nothing of the others is.
        assert!(
            first_ns > 10 && first_ns < now_ns / 2,
            "{first_ns} of {now_ns}"
        );
        assert_eq!(events, (first_ns..=now_ns).map(tick).collect::<Vec<_>>());
        assert!(reader.condition().damage.is_none());
        assert_eq!(reader.end().map(|end| end.ended_ns), Some(now_ns));
        // It is kept on, and can be written again.
        spool.note(&tick(now_ns + 1));
        assert!(spool.orders.is_some());
    }

    #[test]
    fn interfaces_alone_begin_no_other_file() {
        let kept = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/core/golden/filtered.pcapng.zst"
        );
        let mut reader = Reader::new(capture::open(Path::new(kept)).unwrap()).unwrap();
        let packet =
            std::iter::from_fn(|| reader.next_event()).find_map(|event| match event.kind {
                EventKind::Packet(packet) => Some(packet),
                _ => None,
            });
        let mut packet = packet.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, feed) = spool(directory.path(), PART_BYTES);
        let count = MOST_INTERFACES * 2 + 10;
        for number in 0..count {
            packet.device.ifindex = number + 1;
            spool.note(&Event {
                time_ns: number.into(),
                kind: EventKind::Packet(packet.clone()),
            });
        }
        assert_eq!(spool.encoder.part(), 3);
        spool.save(count.into(), Vec::new());
        let (events, _) = written(directory.path(), &feed);
        assert!(events.iter().map(|event| event.time_ns).eq(0..count.into()));
    }

    #[test]
    fn why_it_is_not_kept_is_told_once() {
        let gone = tempfile::tempdir().unwrap();
        let (mut spool, feed) = spool(gone.path(), PART);
        gone.close().unwrap();
        let failed = |told| match told {
            FeedItem::Spool(SpoolState::Failed(why)) => Some(why),
            _ => None,
        };
        let mut now_ns = 0;
        while spool.encoder.part() < 2 {
            now_ns += 1;
            spool.note(&tick(now_ns));
        }
        let why = heard(&feed, failed);
        assert!(why.contains("cannot make a file in"), "{why}");
        while spool.orders.is_some() {
            now_ns += 1;
            spool.note(&tick(now_ns));
        }
        spool.save(now_ns, Vec::new());
        loop {
            match feed.next().unwrap() {
                Some(FeedItem::Said(words, bad)) => {
                    assert!(
                        bad == Tone::Error && words.contains("not kept any more"),
                        "{words}"
                    );
                    break;
                }
                told => assert!(told.and_then(failed).is_none()),
            }
        }
    }
}
