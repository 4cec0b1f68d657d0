//! The capture so far, kept to be written when the user wants it.
//!
//! It lies encoded in files without a name, so that neither memory nor anything that is left behind
//! grows with the trace. There are two parts, each of which can be read alone: when the later one is
//! full, the earlier one goes.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::capture::{PartHeader, PartStore, PartWriter, WriteError};
use crate::model::event::{Event, EventKind};
use crate::model::hook_status::HookStatus;
use crate::show::tui::facts::SpoolState;
use crate::show::tui::feed::{FeedItem, Feeder};
use crate::show::tui::theme::Role;

/// The size of a part at which another begins, bytes: so much is kept at least, and twice as much at
/// most. A choice: an hour of a busy node fits, and no disk is short of it.
const PART_BYTES: u64 = 128 << 20;
/// How many ticks pass between two words on how much is kept: a second.
const TICKS_BETWEEN_WORDS: u32 = 10;
/// The most names that are tried for a file of one second.
const MAX_FILE_NAMES: u32 = 1000;

/// The capture so far of a trace that is shown.
pub struct KeptParts {
    writer: PartWriter<LatestParts>,
    feeder: Feeder,
    ticks: u32,
}

impl KeptParts {
    /// Begins to keep what is traced.
    pub fn start(header: PartHeader, feeder: Feeder) -> Result<Self> {
        // Relative to where the user is, as the names of other files.
        let store = LatestParts::new(PART_BYTES, scratch(), PathBuf::from("."))?;
        Self::of(store, header, feeder)
    }

    fn of(store: LatestParts, header: PartHeader, feeder: Feeder) -> Result<Self> {
        Ok(Self {
            writer: PartWriter::start(store, header)?,
            feeder,
            ticks: 0,
        })
    }

    /// Keeps an event. What fails is told on the screen, and the trace goes on.
    pub fn note(&mut self, event: &Event) {
        if let Err(error) = self.writer.note(event) {
            let why = match error {
                WriteError::TooSlow => "the disk takes it too slowly".to_owned(),
                other => other.to_string(),
            };
            let words = format!("nothing more is kept for w: {why}");
            self.feeder.tell(FeedItem::Spool(SpoolState::Failed(words)));
        }
        if matches!(event.kind, EventKind::Tick) {
            if self.ticks.is_multiple_of(TICKS_BETWEEN_WORDS) {
                let feeder = self.feeder.clone();
                self.writer.ask(move |parts| {
                    feeder.tell(FeedItem::Spool(SpoolState::Kept(parts.bytes())));
                });
            }
            self.ticks = self.ticks.wrapping_add(1);
        }
    }

    /// Has everything so far written to a file of this directory.
    pub fn save(&mut self, now_ns: u64, hooks: Vec<HookStatus>) {
        let failed = match self.writer.encoder.close(now_ns, hooks) {
            Ok(_) if !self.writer.is_open() => "it is not kept any more".to_owned(),
            Ok(end) => {
                let feeder = self.feeder.clone();
                self.writer.ask(move |parts| {
                    feeder.tell(match parts.save(&end) {
                        Ok(path) => {
                            let words = format!("the capture so far is in {}", path.display());
                            FeedItem::Said(words, Role::Notice)
                        }
                        Err(error) => FeedItem::Said(format!("{error:#}"), Role::Error),
                    });
                });
                return;
            }
            Err(error) => error.to_string(),
        };
        let words = format!("the capture so far cannot be written: {failed}");
        self.feeder.tell(FeedItem::Said(words, Role::Error));
    }
}

/// The two latest parts of the capture so far.
struct LatestParts {
    earlier: Option<File>,
    later: File,
    /// The size of a part at which another begins, bytes.
    part_bytes: u64,
    scratch: PathBuf,
    /// The directory to which captures are written.
    to: PathBuf,
}

/// A file without a name, for a part.
fn unnamed(directory: &Path) -> Result<File> {
    tempfile::tempfile_in(directory)
        .with_context(|| format!("cannot make a file in {}", directory.display()))
}

impl PartStore for LatestParts {
    const THREAD: &'static str = "spool";
    /// A choice: seconds of the greatest load.
    const MAX_WAITING_BYTES: usize = 32 << 20;

    fn part_bytes(&self) -> Option<u64> {
        Some(self.part_bytes)
    }

    fn write(&mut self, blocks: &[u8]) -> Result<()> {
        Ok(self.later.write_all(blocks)?)
    }

    fn next_part(&mut self, _number: u32) -> Result<()> {
        let next = unnamed(&self.scratch)?;
        self.earlier = Some(std::mem::replace(&mut self.later, next));
        Ok(())
    }
}

impl LatestParts {
    /// Parts of this size in files of `scratch`, from which captures are written `to`.
    fn new(part_bytes: u64, scratch: PathBuf, to: PathBuf) -> Result<Self> {
        Ok(Self {
            earlier: None,
            later: unnamed(&scratch)?,
            part_bytes,
            scratch,
            to,
        })
    }

    fn bytes(&self) -> u64 {
        let parts = self.earlier.iter().chain([&self.later]);
        let sizes = parts.filter_map(|part| Some(part.metadata().ok()?.len()));
        sizes.sum()
    }

    /// Writes everything to a new file; what cannot be written completely is removed.
    fn save(&mut self, end: &[u8]) -> Result<PathBuf> {
        let (mut file, path) = named(&std::path::absolute(&self.to)?, Timestamp::now())?;
        let parts = self.earlier.iter_mut().chain([&mut self.later]);
        let copied = parts.map(|part| {
            part.rewind()?;
            let copied = io::copy(part, &mut file);
            part.seek(SeekFrom::End(0))?;
            copied
        });
        let copied: io::Result<u64> = copied.sum();
        if let Err(error) = copied.and_then(|_| file.write_all(end)) {
            let _stays = fs::remove_file(&path);
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        Ok(path)
    }
}

/// A new file that is named by the time, `mtu-trace-20261125-120322.pcapng`; nothing is overwritten.
fn named(directory: &Path, now: Timestamp) -> Result<(File, PathBuf)> {
    let stem = format!("mtu-trace-{}", now.strftime("%Y%m%d-%H%M%S"));
    for number in 1..MAX_FILE_NAMES {
        let name = match number {
            1 => format!("{stem}.pcapng"),
            number => format!("{stem}-{number}.pcapng"),
        };
        let path = directory.join(name);
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made.with_context(|| format!("cannot create {}", path.display()));
                return made.map(|file| (file, path));
            }
        }
    }
    anyhow::bail!("{stem}.pcapng and many others like it exist already")
}

/// Where large files that do not matter for long are kept.
fn scratch() -> PathBuf {
    let chosen = std::env::var_os("TMPDIR").filter(|it| !it.is_empty());
    PathBuf::from(chosen.unwrap_or_else(|| "/var/tmp".into()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::TryRecvError;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::base::clock::Clock;
    use crate::capture;
    use crate::capture::part_writer::MAX_INTERFACES;
    use crate::capture::{Input, Reader};
    use crate::commands::recording::header;
    use crate::show::tui::feed::{Feed, feed};

    /// Size of a part, bytes.
    const PART: u64 = 4096;

    fn kept(directory: &Path, part_bytes: u64) -> (KeptParts, Feed) {
        let (feeder, feed) = feed();
        let store = LatestParts::new(part_bytes, directory.to_owned(), directory.to_owned());
        let header = header(Clock::now(), Vec::new());
        let kept = KeptParts::of(store.unwrap(), header, feeder);
        (kept.unwrap(), feed)
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
            match feed.next() {
                Ok(told) => {
                    if let Some(found) = wanted(told) {
                        return found;
                    }
                }
                Err(TryRecvError::Empty) => thread::yield_now(),
                Err(TryRecvError::Disconnected) => panic!("nobody tells anything any more"),
            }
        }
        panic!("it was not told");
    }

    /// What is in the one file that is written, once that is told.
    fn written(directory: &Path, feed: &Feed) -> (Vec<Event>, Reader<Input>) {
        let said = heard(feed, |told| match told {
            FeedItem::Said(words, role) => Some((words, role)),
            _ => None,
        });
        let files: Vec<_> = fs::read_dir(directory).unwrap().collect();
        let [Ok(file)] = &files[..] else {
            panic!("{files:?}");
        };
        let path = file.path();
        let words = format!("the capture so far is in {}", path.display());
        assert_eq!(said, (words, Role::Notice));
        let mut reader = Reader::new(capture::open(&path).unwrap()).unwrap();
        let events = std::iter::from_fn(|| reader.next_event()).collect();
        (events, reader)
    }

    #[test]
    fn the_last_two_parts_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let (mut kept, feed) = kept(directory.path(), PART);
        let (mut now_ns, mut of_third) = (0, 0);
        while of_third < 50 {
            now_ns += 1;
            kept.note(&tick(now_ns));
            of_third += u64::from(kept.writer.encoder.header.part == 3);
        }
        kept.save(now_ns, Vec::new());
        let (events, reader) = written(directory.path(), &feed);
        let first_ns = events[0].time_ns;
        // The first part is gone, and nothing of the others is.
        assert!(
            first_ns > 10 && first_ns < now_ns - of_third,
            "{first_ns} of {now_ns}"
        );
        assert_eq!(events, (first_ns..=now_ns).map(tick).collect::<Vec<_>>());
        assert!(reader.condition().damage.is_none());
        assert_eq!(reader.end().map(|end| end.ended_ns), Some(now_ns));
        // It is kept on, and can be written again.
        kept.note(&tick(now_ns + 1));
        assert!(kept.writer.is_open());
    }

    #[test]
    fn interfaces_alone_begin_no_other_file() {
        let golden = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/core/golden/filtered.pcapng.zst"
        );
        let mut reader = Reader::new(capture::open(Path::new(golden)).unwrap()).unwrap();
        let packet =
            std::iter::from_fn(|| reader.next_event()).find_map(|event| match event.kind {
                EventKind::Packet(packet) => Some(packet),
                _ => None,
            });
        let mut packet = packet.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (mut kept, feed) = kept(directory.path(), PART_BYTES);
        let count = MAX_INTERFACES * 2 + 10;
        for number in 0..count {
            packet.device.ifindex = number + 1;
            kept.note(&Event {
                time_ns: number.into(),
                kind: EventKind::Packet(packet.clone()),
            });
        }
        assert_eq!(kept.writer.encoder.header.part, 3);
        kept.save(count.into(), Vec::new());
        let (events, _) = written(directory.path(), &feed);
        assert!(events.iter().map(|event| event.time_ns).eq(0..count.into()));
    }

    #[test]
    fn why_it_is_not_kept_is_told_once() {
        let gone = tempfile::tempdir().unwrap();
        let (mut kept, feed) = kept(gone.path(), PART);
        gone.close().unwrap();
        let failed = |told| match told {
            FeedItem::Spool(SpoolState::Failed(why)) => Some(why),
            _ => None,
        };
        let mut now_ns = 0;
        while kept.writer.is_open() {
            now_ns += 1;
            kept.note(&tick(now_ns));
            thread::yield_now();
        }
        let why = heard(&feed, failed);
        assert!(why.contains("cannot make a file in"), "{why}");
        kept.save(now_ns, Vec::new());
        loop {
            match feed.next() {
                Ok(FeedItem::Said(words, role)) => {
                    assert!(
                        role == Role::Error && words.contains("not kept any more"),
                        "{words}"
                    );
                    break;
                }
                Ok(told) => assert!(failed(told).is_none()),
                Err(error) => assert_eq!(error, TryRecvError::Empty),
            }
        }
    }
}
