//! The thread that writes what is kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::show::tui::{
    app::Tone,
    facts::SpoolState,
    feed::{FeedItem, Feeder},
};

/// What it is to do.
pub enum Order {
    /// Keep this.
    Write(Vec<u8>),
    /// Begin another part.
    NextPart,
    /// Say how much there is.
    Tell,
    /// Write everything to a file, with this end.
    Save(Vec<u8>),
}

/// The thread's side.
pub struct Keeper {
    earlier: Option<Part>,
    later: Part,
    feeder: Feeder,
    waiting_bytes: Arc<AtomicUsize>,
    scratch: PathBuf,
    to: PathBuf,
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
    /// Keeps a first part in `scratch`, and will write captures `to`.
    ///
    /// # Errors
    ///
    /// There is no room for a file.
    pub fn new(
        feeder: Feeder,
        waiting_bytes: Arc<AtomicUsize>,
        scratch: PathBuf,
        to: PathBuf,
    ) -> Result<Self> {
        Ok(Self {
            earlier: None,
            later: Part::new(nameless(&scratch)?),
            feeder,
            waiting_bytes,
            scratch,
            to,
        })
    }

    /// Follows orders until there will be none, or one fails.
    pub fn work(&mut self, ordered: &Receiver<Order>) {
        for order in ordered {
            if let Err(error) = self.follow(order) {
                let words = format!("nothing more is kept for w: {error:#}");
                self.feeder.tell(FeedItem::Spool(SpoolState::Failed(words)));
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
                let next = Part::new(nameless(&self.scratch)?);
                self.earlier = Some(std::mem::replace(&mut self.later, next));
            }
            Order::Tell => {
                let earlier = self.earlier.as_ref().map_or(0, |part| part.bytes);
                let bytes = earlier + self.later.bytes;
                self.feeder.tell(FeedItem::Spool(SpoolState::Kept(bytes)));
            }
            Order::Save(end) => {
                let told = match self.save(&end) {
                    Ok(path) => FeedItem::Said(
                        format!("the capture so far is in {}", path.display()),
                        Tone::Notice,
                    ),
                    Err(error) => FeedItem::Said(format!("{error:#}"), Tone::Error),
                };
                self.feeder.tell(told);
            }
        }
        Ok(())
    }

    /// Writes everything to a new file; what cannot be written completely is removed.
    fn save(&mut self, end: &[u8]) -> Result<PathBuf> {
        let (mut file, path) = named(&std::path::absolute(&self.to)?, Timestamp::now())?;
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

/// A file without a name in a directory.
fn nameless(directory: &Path) -> Result<File> {
    tempfile::tempfile_in(directory)
        .with_context(|| format!("cannot make a file in {}", directory.display()))
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
