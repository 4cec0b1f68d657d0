//! What a trace tells, taken in.

use std::time::{Duration, Instant};

use crate::show::tui::app::App;
use crate::show::tui::feed::{FeedItem, Gone};
use crate::show::tui::run::{Ending, FRAME, Shell, Source};

/// How long events are taken in before keys are looked at again.
const INTAKE: Duration = Duration::from_millis(20);

impl Shell<'_> {
    /// Takes in what has come, for a while.
    pub(crate) fn take_in(&mut self) -> Option<Ending> {
        let Source::Live { watch, feed, .. } = &mut *self.source else {
            return None;
        };
        let begun = Instant::now();
        let version = watch.version();
        let mut ending = None;
        let mut changed = false;
        while ending.is_none() {
            match feed.next() {
                Ok(Some(FeedItem::Events(events))) => {
                    for event in &events {
                        watch.apply(event);
                    }
                }
                Ok(Some(FeedItem::Ended(why))) => {
                    let why = why.unwrap_or_else(|| "the trace has ended".to_owned());
                    ending = Some(Ending::Source(why));
                }
                Ok(Some(told)) => {
                    changed |= note(self.app, told);
                }
                Ok(None) => break,
                Err(Gone) => {
                    ending = Some(Ending::Source("the thread that traces has died".to_owned()));
                }
            }
            if begun.elapsed() >= INTAKE {
                feed.again();
                break;
            }
        }
        let waiting = feed.waiting();
        // What is on the way for a moment is not told.
        let waiting = if begun.elapsed() >= INTAKE {
            waiting
        } else {
            0
        };
        changed |= waiting != self.app.facts.waiting;
        self.app.facts.waiting = waiting;
        if let Some(held) = &self.held {
            let before = held.analysis().state().events;
            let since = watch.analysis().state().events.saturating_sub(before);
            changed |= self.app.held != Some(since);
            self.app.held = Some(since);
        }
        if changed || (watch.version() != version && self.held.is_none()) {
            self.pace.want(FRAME);
        }
        ending
    }
}

/// Takes in what is no event; says whether the screen changes by it.
fn note(app: &mut App, told: FeedItem) -> bool {
    match told {
        FeedItem::Hooks(hooks) => app.facts.hooks = hooks,
        FeedItem::Risks(risks) => app.facts.risks = risks,
        FeedItem::Said(text, tone) => app.tell(text, tone),
        FeedItem::Spool(spool) => {
            let changed = app.facts.spool != spool;
            app.facts.spool = spool;
            return changed;
        }
        FeedItem::Events(_) | FeedItem::Ended(_) => {}
    }
    true
}
