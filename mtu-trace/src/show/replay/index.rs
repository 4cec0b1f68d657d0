//! Goes through a capture once, and keeps copies of the state.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::capture::{PartHeader, Reader};
use crate::core::select::Scope;
use crate::core::verdicts::Made;
use crate::show::replay::moment::{At, CaptureBytes, Moment};
use crate::show::watch::Watch;

/// Events between two copies at first. As many are taken in again in some hundredths of a second.
const EVENTS: u64 = 8192;
/// Copies at most: from then on, every other one goes, and the rest come at twice the distance.
const MOST_COPIES: usize = 512;
/// Events after which what is indexed is told.
const TOLD_EVERY: u64 = 1024;

/// What is known of a capture so far.
pub struct Indexed {
    /// In their order; the first is of the beginning.
    pub copies: Vec<Moment<At>>,
    /// How many events were gone through.
    pub taken: u64,
    /// The latest time, ns.
    pub last_ns: u64,
    /// Findings made up to this moment.
    pub made: imbl::Vector<Made>,
    /// What a user should know of the file.
    pub notes: Vec<String>,
    /// Whether all of it was gone through.
    pub is_done: bool,
}

impl Indexed {
    /// The last copy of those, from the beginning on, that are early enough; the first if none is.
    pub fn last_copy(&self, is_early: impl FnMut(&Moment<At>) -> bool) -> &Moment<At> {
        let after = self.copies.partition_point(is_early);
        &self.copies[after.saturating_sub(1)]
    }

    /// Takes in how far the indexing has come.
    fn tell(&mut self, moment: &Moment<CaptureBytes>) {
        self.taken = moment.taken;
        self.last_ns = self.last_ns.max(moment.latest_ns);
        self.made = moment.watch.analysis.made().clone();
    }
}

/// What is known so far, between threads.
pub struct SharedIndex {
    indexed: Mutex<Indexed>,
    /// Is told when all is known.
    pub done: Condvar,
}

impl SharedIndex {
    /// What is known so far.
    pub fn lock(&self) -> MutexGuard<'_, Indexed> {
        self.indexed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a capture and begins to go through it, as long as anybody else has what is known of it.
pub fn start(path: &Path, scope: Scope) -> Result<(PartHeader, Arc<SharedIndex>)> {
    let (tell, told) = mpsc::channel();
    let path = path.to_owned();
    // What may not be sent to another thread is opened there.
    let run = move || {
        let (mut moment, again) = match open(&path, scope) {
            Ok(opened) => opened,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let header = moment.reader.header().clone();
        let shared = Arc::new(SharedIndex {
            indexed: Mutex::new(Indexed {
                copies: vec![moment.copy(|offset| again.at(offset))],
                taken: 0,
                last_ns: header.began_ns,
                made: imbl::Vector::new(),
                notes: Vec::new(),
                is_done: false,
            }),
            done: Condvar::new(),
        });
        if tell.send(Ok((header, Arc::clone(&shared)))).is_ok() {
            go_through(&mut moment, &again, &shared);
        }
    };
    thread::Builder::new()
        .name("replay-index".to_owned())
        .spawn(run)
        .context("cannot start a thread")?;
    told.recv().context("the capture cannot be read")?
}

fn open(path: &Path, scope: Scope) -> Result<(Moment<CaptureBytes>, At)> {
    let spool = CaptureBytes::open(path)?;
    let again = spool.again();
    let moment = Moment::new(Reader::new(spool)?, Watch::of(scope));
    if let (true, Some(damage)) = (moment.next.is_none(), &moment.reader.condition().damage) {
        bail!("it is damaged {damage}, before the first event");
    }
    Ok((moment, again))
}

/// Tells those who wait that no more is to come, also if that is by a panic.
struct Finish<'a>(&'a SharedIndex);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.lock().is_done = true;
        self.0.done.notify_all();
    }
}

fn go_through(moment: &mut Moment<CaptureBytes>, again: &At, shared: &Arc<SharedIndex>) {
    let _finish = Finish(shared);
    let mut distance = EVENTS;
    let mut next_copy = distance;
    while moment.advance().is_some() {
        if !moment.taken.is_multiple_of(TOLD_EVERY) {
            continue;
        }
        if Arc::strong_count(shared) == 1 {
            return;
        }
        let copy = (moment.taken >= next_copy).then(|| moment.copy(|offset| again.at(offset)));
        let mut indexed = shared.lock();
        if let Some(copy) = copy {
            if indexed.copies.len() >= MOST_COPIES {
                distance *= 2;
                let mut keep = [true, false].into_iter().cycle();
                indexed.copies.retain(|_| keep.next().unwrap_or_default());
            }
            indexed.copies.push(copy);
            next_copy = moment.taken + distance;
        }
        indexed.tell(moment);
    }
    let mut indexed = shared.lock();
    indexed.tell(moment);
    let reader = &moment.reader;
    let ended_ns = reader.end().map_or(0, |end| end.ended_ns);
    indexed.last_ns = indexed.last_ns.max(ended_ns);
    indexed.notes = reader.condition().notes();
}
