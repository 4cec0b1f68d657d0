//! A capture as a film: any moment of it, soon.
//!
//! A thread goes through the whole capture once and keeps a copy of the state every so often
//! (`index`). To see a moment, the events since the copy before it are taken in again. A copy shares
//! with the others what has not changed between them.

pub(crate) mod index;
pub(crate) mod moment;

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::capture::PartHeader;
use crate::core::select::Scope;
use crate::core::verdicts::Made;
use crate::model::event::EventKind;
use crate::show::replay::index::{Indexed, SharedIndex};
use crate::show::replay::moment::{At, Moment};
use crate::show::watch::Watch;

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayStep {
    /// To what came before.
    Back,
    /// To what comes next.
    Forward,
}

/// A capture, and the moment of it that is looked at.
pub struct Replay {
    /// How it was recorded.
    pub header: PartHeader,
    shared: Arc<SharedIndex>,
    moment: Moment<At>,
    /// The moment that was asked for, ns of `CLOCK_MONOTONIC`: no event is later in what is shown.
    pub now_ns: u64,
    /// What is selected since the copies were made.
    scope: Option<Scope>,
}

impl Replay {
    /// Opens a capture, `-` for standard input, at its beginning.
    ///
    /// # Errors
    ///
    /// Nothing of it can be used.
    pub fn open(path: &Path, scope: Scope) -> Result<Self> {
        let (header, shared) = index::start(path, scope)?;
        let moment = shared.lock().copies[0].fork();
        Ok(Self {
            now_ns: header.began_ns,
            header,
            shared,
            moment,
            scope: None,
        })
    }

    /// First and last time, ns of `CLOCK_MONOTONIC`; the last one grows until all is indexed.
    pub fn span(&self) -> (u64, u64) {
        (self.header.began_ns, self.shared.lock().last_ns)
    }

    /// Whether all of it has been gone through.
    pub fn is_indexed(&self) -> bool {
        self.shared.lock().is_done
    }

    /// Waits until all of it has been gone through.
    pub fn index(&self) {
        let is_left = |indexed: &mut Indexed| !indexed.is_done;
        drop(self.shared.done.wait_while(self.shared.lock(), is_left));
    }

    /// What a user should know of the file, in sentences, as soon as all of it has been gone through.
    pub fn notes(&self) -> Vec<String> {
        self.shared.lock().notes.clone()
    }

    /// When findings were made, as far as that is indexed, in their order.
    pub fn made(&self) -> imbl::Vector<Made> {
        self.shared.lock().made.clone()
    }

    /// All that had been seen by then.
    pub fn watch(&self) -> &Watch {
        &self.moment.watch
    }

    /// Shows what another selection covers.
    pub fn select(&mut self, scope: Scope) {
        self.moment.watch.select(scope.clone());
        self.scope = Some(scope);
    }

    /// Shows another moment, or the nearest one that is indexed.
    pub fn seek(&mut self, to_ns: u64) {
        let (first_ns, last_ns) = self.span();
        let to_ns = to_ns.clamp(first_ns, last_ns);
        let shared = self.shared.lock();
        let nearest = shared.last_copy(|copy| copy.latest_ns <= to_ns);
        let on_the_way = self.moment.latest_ns <= to_ns && self.moment.taken >= nearest.taken;
        let (from, most) = ((!on_the_way).then(|| nearest.fork()), shared.taken);
        drop(shared);
        if let Some(from) = from {
            self.resume(from);
        }
        self.moment.until(to_ns, most);
        self.now_ns = to_ns;
    }

    /// Takes in one more event, or takes back the latest one; those that are no news, such as the
    /// passing of time, go with the one before. False if there is none, as far as it is indexed.
    pub fn step_event(&mut self, step: PlayStep) -> bool {
        let wanted = match step {
            PlayStep::Forward => self.next_news(),
            PlayStep::Back => self.news_before(self.moment.taken),
        };
        let Some(taken) = wanted else {
            return false;
        };
        self.show(taken);
        self.now_ns = self.moment.latest_ns.max(self.header.began_ns);
        true
    }

    /// Shows the moment at which the next finding was made, or the one before. False if there is none,
    /// as far as it is indexed.
    pub fn step_finding(&mut self, step: PlayStep) -> bool {
        let made = self.made();
        let mut times = made.iter().map(|made| made.at_ns);
        let wanted = match step {
            PlayStep::Forward => times.find(|&at_ns| at_ns > self.now_ns),
            PlayStep::Back => times.rfind(|&at_ns| at_ns < self.now_ns),
        };
        if let Some(at_ns) = wanted {
            self.seek(at_ns);
        }
        wanted.is_some()
    }

    fn resume(&mut self, from: Moment<At>) {
        self.moment = from;
        if let Some(scope) = &self.scope {
            self.moment.watch.select(scope.clone());
        }
    }

    /// Shows the state after so many events.
    fn show(&mut self, taken: u64) {
        if self.moment.taken > taken {
            let from = self.shared.lock().last_copy(|it| it.taken <= taken).fork();
            self.resume(from);
        }
        while self.moment.taken < taken && self.moment.advance().is_some() {}
    }

    /// How many events there are up to the next one that is news, it included.
    fn next_news(&self) -> Option<u64> {
        let most = self.shared.lock().taken;
        let mut ahead = self.moment.fork();
        while ahead.taken < most {
            if is_news(&ahead.skim()?.kind) {
                return Some(ahead.taken);
            }
        }
        None
    }

    /// How many events there were up to the last news before the `taken`th event's own; 0 if there was
    /// but one.
    fn news_before(&self, taken: u64) -> Option<u64> {
        // The news that is shown now is the latest one among the events so far.
        let (mut end, mut seen) = (taken, 0);
        while end > 0 {
            let mut ahead = self.shared.lock().last_copy(|it| it.taken < end).fork();
            let begin = ahead.taken;
            let mut news = Vec::new();
            while ahead.taken < end {
                let Some(event) = ahead.skim() else { break };
                if is_news(&event.kind) {
                    news.push(ahead.taken);
                }
            }
            if let Some(at) = news.iter().nth_back(1 - seen) {
                return Some(*at);
            }
            seen += news.len();
            end = begin;
        }
        (seen > 0).then_some(0)
    }
}

/// Whether an event is worth a step of its own.
fn is_news(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Tick)
}
