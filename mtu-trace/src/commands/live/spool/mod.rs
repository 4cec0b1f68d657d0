//! The capture so far, kept to be written when the user wants it.
//!
//! It lies encoded in files without a name, so that neither memory nor anything that is left behind
//! grows with the trace. There are two parts, each of which can be read alone: when the later one is
//! full, the earlier one goes. A thread of its own writes, as for a capture that is recorded.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::{
    capture::{Encoder, Header},
    event::{Event, EventKind},
    kernel::HookStatus,
    tui::{
        facts::Spool as State,
        feed::{Feeder, Told},
    },
};

/// A part is followed by another at this size: so much is kept at least, and twice as much at most.
const PART_BYTES: u64 = 128 << 20;
/// Bytes that may wait to be written.
const MOST_WAITING_BYTES: usize = 32 << 20;
/// Interfaces in a part, as in one that is recorded.
const MOST_INTERFACES: u32 = 10_000;
/// Every so many ticks it is told how much is kept: once a second.
const TELL_EVERY: u32 = 10;

/// What keeps the capture so far.
pub struct Spool {
    encoder: Encoder,
    buffer: Vec<u8>,
    part_bytes: u64,
    /// Size of a part at which another begins.
    most_bytes: u64,
    /// `None` once it cannot be kept any more.
    orders: Option<Sender<Order>>,
    waiting_bytes: Arc<AtomicUsize>,
    feeder: Feeder,
    ticks: u32,
}

enum Order {
    Write(Vec<u8>),
    NextPart,
    /// Say how much there is.
    Tell,
    /// Write everything to a file, with this end.
    Save(Vec<u8>),
}

impl Spool {
    /// Begins to keep.
    ///
    /// # Errors
    ///
    /// There is no room for a file, or no thread to write it.
    pub fn start(header: Header, feeder: Feeder) -> Result<Self> {
        Self::limited(header, feeder, PART_BYTES)
    }

    fn limited(header: Header, feeder: Feeder, most_bytes: u64) -> Result<Self> {
        let file = nameless()?;
        let (orders, ordered) = channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let mut keeper = Keeper {
            earlier: None,
            later: Part::new(file),
            feeder: feeder.clone(),
            waiting_bytes: Arc::clone(&waiting_bytes),
        };
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || keeper.work(&ordered))
            .context("cannot start the thread that keeps the capture so far")?;
        let mut encoder = Encoder::new(header);
        let buffer = encoder.opening()?;
        Ok(Self {
            encoder,
            part_bytes: buffer.len() as u64,
            buffer,
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
            self.orders = None;
            self.buffer = Vec::new();
            let words = format!("nothing more is kept for w: {error:#}");
            self.feeder.tell(Told::Spool(State::Failed(words)));
        }
    }

    fn keep(&mut self, event: &Event) -> Result<()> {
        let before = self.buffer.len();
        self.encoder.event(event, &mut self.buffer)?;
        self.part_bytes += (self.buffer.len() - before) as u64;
        if self.part_bytes >= self.most_bytes || self.encoder.interfaces() > MOST_INTERFACES {
            let (end, opening) = self.encoder.next_part(event.time_ns)?;
            self.buffer.extend(end);
            self.hand_over()?;
            self.order(Order::NextPart)?;
            self.part_bytes = opening.len() as u64;
            self.buffer = opening;
        }
        if matches!(event.kind, EventKind::Tick) {
            self.hand_over()?;
            if self.ticks.is_multiple_of(TELL_EVERY) {
                self.order(Order::Tell)?;
            }
            self.ticks = self.ticks.wrapping_add(1);
        }
        if self.waiting_bytes.load(Ordering::Relaxed) > MOST_WAITING_BYTES {
            anyhow::bail!("the disk takes it too slowly");
        }
        Ok(())
    }

    /// Has everything so far written to a file of this directory.
    pub fn save(&mut self, now_ns: u64, hooks: Vec<HookStatus>) {
        let saved = self.encoder.close(now_ns, hooks).map_err(Into::into);
        let saved = saved.and_then(|end| {
            self.hand_over()?;
            self.order(Order::Save(end))
        });
        if let Err(error) = saved {
            let words = format!("the capture so far cannot be written: {error:#}");
            self.feeder.tell(Told::Said(words, true));
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let blocks = std::mem::take(&mut self.buffer);
        self.waiting_bytes
            .fetch_add(blocks.len(), Ordering::Relaxed);
        self.order(Order::Write(blocks))
    }

    fn order(&self, order: Order) -> Result<()> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => anyhow::bail!("it is not kept any more"),
        }
    }
}

/// The thread's side.
struct Keeper {
    earlier: Option<Part>,
    later: Part,
    feeder: Feeder,
    waiting_bytes: Arc<AtomicUsize>,
}

struct Part {
    file: File,
    bytes: u64,
}

impl Part {
    fn new(file: File) -> Self {
        Self { file, bytes: 0 }
    }
}

impl Keeper {
    fn work(&mut self, ordered: &Receiver<Order>) {
        for order in ordered {
            if let Err(error) = self.follow(order) {
                let words = format!("nothing more is kept for w: {error:#}");
                self.feeder.tell(Told::Spool(State::Failed(words)));
                // The other side notices that nobody takes orders any more.
                return;
            }
        }
    }

    fn follow(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Write(blocks) => {
                self.waiting_bytes
                    .fetch_sub(blocks.len(), Ordering::Relaxed);
                self.later.file.write_all(&blocks)?;
                self.later.bytes += blocks.len() as u64;
            }
            Order::NextPart => {
                let next = Part::new(nameless()?);
                self.earlier = Some(std::mem::replace(&mut self.later, next));
            }
            Order::Tell => {
                let earlier = self.earlier.as_ref().map_or(0, |part| part.bytes);
                let bytes = earlier + self.later.bytes;
                self.feeder.tell(Told::Spool(State::Kept(bytes)));
            }
            Order::Save(end) => {
                let told = match self.save(&end) {
                    Ok(path) => Told::Said(
                        format!("the capture so far is in {}", path.display()),
                        false,
                    ),
                    Err(error) => Told::Said(format!("{error:#}"), true),
                };
                self.feeder.tell(told);
            }
        }
        Ok(())
    }

    /// Writes everything to a new file; what cannot be written completely is removed.
    fn save(&mut self, end: &[u8]) -> Result<PathBuf> {
        let (mut file, path) = named(&std::env::current_dir()?, Timestamp::now())?;
        let parts = self.earlier.iter_mut().chain([&mut self.later]);
        let copied = parts
            .map(|part| {
                part.file.seek(SeekFrom::Start(0))?;
                let copied = io::copy(&mut (&mut part.file).take(part.bytes), &mut file);
                part.file.seek(SeekFrom::Start(part.bytes))?;
                copied
            })
            .collect::<io::Result<Vec<u64>>>();
        let written = copied.and_then(|_| file.write_all(end));
        match written {
            Ok(()) => Ok(path),
            Err(error) => {
                let _stays = fs::remove_file(&path);
                Err(error).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

/// A file without a name, where large files that do not matter for long are kept.
fn nameless() -> Result<File> {
    use rustix::fs::{Mode, OFlags};
    let directory = match std::env::var_os("TMPDIR") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => PathBuf::from("/var/tmp"),
    };
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(&directory, flags, Mode::RUSR | Mode::WUSR) {
        return Ok(File::from(file));
    }
    // Not every file system has those: one with a name, which goes at once.
    let failed = || format!("cannot make a file in {}", directory.display());
    for number in 0..1000u32 {
        let name = format!("mtu-trace-{}-{number}.tmp", std::process::id());
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        match options.open(&path) {
            Ok(file) => {
                fs::remove_file(&path).with_context(failed)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(failed),
        }
    }
    anyhow::bail!("{}", failed())
}

/// A new file that is named by the time, `mtu-trace-20261125-120322.pcapng`; nothing is overwritten.
fn named(directory: &Path, now: Timestamp) -> Result<(File, PathBuf)> {
    let stem = format!("mtu-trace-{}", now.strftime("%Y%m%d-%H%M%S"));
    for number in 1..1000 {
        let name = match number {
            1 => format!("{stem}.pcapng"),
            number => format!("{stem}-{number}.pcapng"),
        };
        let path = directory.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
        }
    }
    anyhow::bail!("{stem}.pcapng and many others like it exist already")
}
