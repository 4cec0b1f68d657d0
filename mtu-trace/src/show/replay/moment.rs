//! The state after some of a capture's events, and the reader of the rest.

use std::io::Read;

use crate::capture::Reader;
use crate::model::event::Event;
use crate::show::replay::spool::At;
use crate::show::watch::Watch;

/// A moment of a capture.
pub struct Moment<R> {
    reader: Reader<R>,
    /// All that was seen by then.
    pub watch: Watch,
    /// The event that comes next.
    next: Option<Event>,
    /// How many events there were.
    pub taken: u64,
    /// The latest time among them, ns.
    pub latest_ns: u64,
}

impl<R: Read> Moment<R> {
    /// The moment before the first event that is yet to be read.
    pub fn new(mut reader: Reader<R>, watch: Watch) -> Self {
        Self {
            next: reader.next_event(),
            reader,
            watch,
            taken: 0,
            latest_ns: 0,
        }
    }

    /// A copy that reads the rest elsewhere, from the given offset, bytes.
    pub fn copy<S: Read>(&self, input: impl FnOnce(u64) -> S) -> Moment<S> {
        Moment {
            reader: self.reader.fork(input),
            watch: self.watch.clone(),
            next: self.next.clone(),
            taken: self.taken,
            latest_ns: self.latest_ns,
        }
    }

    /// The reader of the rest.
    pub fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// Whether no event is left.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Takes in the next event.
    pub fn advance(&mut self) -> Option<Event> {
        let event = self.skim()?;
        self.watch.apply(&event);
        Some(event)
    }

    /// Goes past the next event without taking it in.
    pub fn skim(&mut self) -> Option<Event> {
        let event = self.next.take()?;
        self.next = self.reader.next_event();
        self.taken += 1;
        self.latest_ns = self.latest_ns.max(event.time_ns);
        Some(event)
    }

    /// Takes in what comes before the first event that is later, ns, or until there were so many.
    pub fn until(&mut self, to_ns: u64, most: u64) {
        while self.taken < most && self.next.as_ref().is_some_and(|it| it.time_ns <= to_ns) {
            self.advance();
        }
    }
}

impl Moment<At> {
    /// A copy that goes on by itself.
    pub fn fork(&self) -> Self {
        let input = self.reader.input();
        self.copy(|offset| input.at(offset))
    }
}
