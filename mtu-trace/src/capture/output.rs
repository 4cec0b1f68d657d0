//! Where a capture is written to: one file, files in a row, or standard output.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::capture::PartStore;

/// How often it is looked whether the file is still there. A choice: a look is a system call.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is left alone, and the capture is not begun.
    Refused,
    /// It is overwritten, and parts of an earlier capture are removed.
    Overwritten,
}

/// The file, files or pipe to which a capture is written.
pub struct CaptureOutput {
    /// The name the user gave; `-` is standard output.
    path: PathBuf,
    part_bytes: Option<u64>,
    /// How many parts are kept; `None` for all.
    most_parts: Option<u32>,
    existing: Existing,
    file: File,
    /// What of the file is known to be whole, bytes; `None` where nothing can be taken back.
    whole_bytes: Option<u64>,
    /// The parts that are there, the latest last; none of standard output.
    parts: VecDeque<PathBuf>,
    touched: bool,
    looked: Instant,
}

impl CaptureOutput {
    /// Opens a file, the first of a row of files if they are limited, or standard output for `-`; fails
    /// if there is something already that is not to be overwritten.
    pub fn open(
        path: &Path,
        part_bytes: Option<u64>,
        most_parts: Option<u32>,
        existing: Existing,
    ) -> Result<Self> {
        let (file, whole_bytes, first) = if path.as_os_str() == "-" {
            let file = io::stdout().as_fd().try_clone_to_owned();
            let file = file.context("cannot write the capture to standard output")?;
            (File::from(file), None, None)
        } else {
            let mut first = path.to_owned();
            if part_bytes.is_some() {
                first = part_path(path, 1);
                clear(path, existing)?;
            }
            let (file, whole_bytes) = create(&first, existing)?;
            (file, whole_bytes, Some(first))
        };
        Ok(Self {
            path: path.to_owned(),
            part_bytes,
            most_parts,
            existing,
            file,
            whole_bytes,
            parts: first.into_iter().collect(),
            touched: false,
            looked: Instant::now(),
        })
    }

    pub fn is_stdout(&self) -> bool {
        self.parts.is_empty()
    }

    /// What is written to at present, for a message.
    pub fn name(&self) -> String {
        match self.parts.back() {
            Some(path) => path.display().to_string(),
            None => "standard output".to_owned(),
        }
    }

    fn give_up(&mut self, blocks: &[u8], done: usize, error: &io::Error) -> Result<()> {
        if let Some(whole) = self.whole_bytes {
            let good = whole + whole_blocks(blocks, done) as u64;
            // If this fails too, readers will say that the file is cut off.
            let _as_it_is = self.file.set_len(good);
        }
        if self.is_stdout() && error.kind() == io::ErrorKind::BrokenPipe {
            bail!("whoever read the capture from standard output has closed it");
        }
        bail!(
            "cannot write the capture to {}: {error}; what was written before can be read",
            self.name()
        )
    }

    /// A file that somebody removes takes everything that is written to it, for nobody.
    fn look(&mut self) -> Result<()> {
        if self.whole_bytes.is_none() || self.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked = Instant::now();
        if self.file.metadata().is_ok_and(|found| found.nlink() == 0) {
            bail!("{} was removed while it was being written", self.name());
        }
        Ok(())
    }
}

impl PartStore for CaptureOutput {
    const THREAD: &'static str = "capture";
    /// A choice: seconds of the greatest load.
    const MAX_WAITING_BYTES: usize = 64 << 20;

    fn part_bytes(&self) -> Option<u64> {
        self.part_bytes
    }

    /// Writes whole blocks. After an error the file ends with the last whole block.
    fn write(&mut self, blocks: &[u8]) -> Result<()> {
        self.touched = true;
        let mut done = 0;
        while done < blocks.len() {
            match self.file.write(&blocks[done..]) {
                Ok(0) => return self.give_up(blocks, done, &io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(blocks, done, &error),
            }
        }
        if let Some(whole) = &mut self.whole_bytes {
            *whole += blocks.len() as u64;
        }
        self.look()
    }

    /// Goes on in another file, and removes the oldest if there are too many.
    fn next_part(&mut self, number: u32) -> Result<()> {
        let path = part_path(&self.path, number);
        (self.file, self.whole_bytes) = create(&path, self.existing)?;
        self.parts.push_back(path);
        let most = self.most_parts.unwrap_or(u32::MAX) as usize;
        while self.parts.len() > most
            && let Some(oldest) = self.parts.pop_front()
        {
            if let Err(error) = fs::remove_file(&oldest)
                && error.kind() != io::ErrorKind::NotFound
            {
                let oldest = oldest.display();
                bail!("cannot remove the oldest part {oldest}: {error}");
            }
        }
        Ok(())
    }
}

impl Drop for CaptureOutput {
    /// A file that was made for nothing goes again.
    fn drop(&mut self) {
        if !self.touched
            && self.whole_bytes.is_some()
            && let Some(path) = self.parts.back()
        {
            let _stays = fs::remove_file(path);
        }
    }
}

/// Makes a file, and says whether it is one whose end can be taken back.
fn create(path: &Path, existing: Existing) -> Result<(File, Option<u64>)> {
    let special = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let mut options = OpenOptions::new();
    options.write(true);
    if special {
        // A FIFO or a device: there is nothing to overwrite.
        let file = options.open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        return Ok((file, None));
    }
    match existing {
        Existing::Overwritten => options.create(true).truncate(true),
        Existing::Refused => options.create_new(true),
    };
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow!(
            "{} exists already: choose another name, or overwrite it with --force",
            path.display()
        ),
        _ => anyhow!(error).context(format!("cannot create the capture file {}", path.display())),
    })?;
    Ok((file, Some(0)))
}

/// `trace.pcapng` to `trace-00001.pcapng`.
fn part_path(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!("-{number:05}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Makes way for a new row of parts: those of an earlier one would be taken for its continuation.
fn clear(path: &Path, existing: Existing) -> Result<()> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let found = fs::read_dir(directory)
        .with_context(|| format!("cannot look for parts in {}", directory.display()))?;
    for entry in found.flatten() {
        let old = path.with_file_name(entry.file_name());
        let name = old.display();
        match existing {
            _ if !is_part(path, &old) => {}
            Existing::Refused => bail!(
                "{name} exists already: choose another name, or have all parts of it removed with --force"
            ),
            Existing::Overwritten => {
                fs::remove_file(&old).with_context(|| format!("cannot remove {name}"))?;
            }
        }
    }
    Ok(())
}

fn is_part(path: &Path, other: &Path) -> bool {
    let stem = other.file_stem().and_then(OsStr::to_str);
    let number = stem.and_then(|stem| stem.rsplit_once('-')?.1.parse().ok());
    number.is_some_and(|number| part_path(path, number) == other)
}

/// How many of the first `written` bytes are whole blocks.
fn whole_blocks(blocks: &[u8], written: usize) -> usize {
    let mut end = 0;
    while let Some([a, b, c, d]) = blocks.get(end + 4..end + 8) {
        let next = end + u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if next > written || next == end {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_numbers_before_the_extension() {
        let part = |path: &str| part_path(Path::new(path), 12);
        assert_eq!(part("/a/b.pcapng"), Path::new("/a/b-00012.pcapng"));
        assert_eq!(part("b"), Path::new("b-00012"));
        assert_eq!(part("b.x.pcapng"), Path::new("b.x-00012.pcapng"));
    }

    #[test]
    fn parts_are_told_from_other_files() {
        let path = Path::new("/a/b.pcapng");
        for number in ["00001", "99999", "100000"] {
            let part = format!("/a/b-{number}.pcapng");
            assert!(is_part(path, Path::new(&part)), "{part}");
        }
        for other in [
            "/a/b.pcapng",
            "/a/b-1.pcapng",
            "/a/b-00001.pcap",
            "/a/bb-00001.pcapng",
            "/a/b-0000x.pcapng",
            "/a/b--0001.pcapng",
        ] {
            assert!(!is_part(path, Path::new(other)), "{other}");
        }
    }

    #[test]
    fn whole_blocks_are_counted() {
        let block = |length: u32| [&[9; 4], &length.to_le_bytes()[..], &[0; 100]].concat();
        let blocks = [&block(12)[..12], &block(16)[..16]].concat();
        for (written, whole) in [(0, 0), (11, 0), (12, 12), (27, 12), (28, 28)] {
            assert_eq!(whole_blocks(&blocks, written), whole, "{written}");
        }
        assert_eq!(whole_blocks(&[0; 20], 20), 0);
    }
}
