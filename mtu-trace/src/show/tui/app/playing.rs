//! Playing a capture: where keys lead in it, and how fast it goes.

use crate::show::replay::PlayStep;
use crate::show::tui::action::{Action, Effect};
use crate::show::tui::app::App;

/// A seek goes so far, as a part of the capture.
const SEEK_PART: u64 = 20;
/// The speeds there are.
const SPEEDS: [f64; 10] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

impl App {
    pub(crate) fn play(&mut self, action: Action) -> Option<Effect> {
        let (start, end) = self.playing.span;
        let step = ((end - start.min(end)) / SEEK_PART).max(1);
        match action {
            Action::Play => {
                let at_end = self.now_ns >= end;
                self.playing.running = !self.playing.running;
                // What has come to its end begins again.
                return (self.playing.running && at_end).then_some(Effect::Seek(start));
            }
            Action::Slower => self.speed(-1),
            Action::Faster => self.speed(1),
            Action::SeekBack => {
                return Some(Effect::Seek(self.now_ns.saturating_sub(step).max(start)));
            }
            Action::SeekForward => return Some(Effect::Seek((self.now_ns + step).min(end))),
            Action::ToStart => return Some(Effect::Seek(start)),
            // Wherever that turns out to be.
            Action::ToEnd => return Some(Effect::Seek(u64::MAX)),
            Action::EventBack => return self.stop_and(Effect::StepEvent(PlayStep::Back)),
            Action::EventForward => return self.stop_and(Effect::StepEvent(PlayStep::Forward)),
            Action::FindingBack => return self.stop_and(Effect::StepFinding(PlayStep::Back)),
            Action::FindingForward => return self.stop_and(Effect::StepFinding(PlayStep::Forward)),
            _ => {}
        }
        None
    }

    fn stop_and(&mut self, effect: Effect) -> Option<Effect> {
        self.playing.running = false;
        Some(effect)
    }

    fn speed(&mut self, by: isize) {
        let now = SPEEDS.iter().position(|&speed| speed >= self.playing.speed);
        let next = now.unwrap_or(0).saturating_add_signed(by);
        self.playing.speed = SPEEDS[next.min(SPEEDS.len() - 1)];
    }
}
