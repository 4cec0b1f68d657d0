//! The one table of keys: what they do, and what the footer and the help say of them.

use std::sync::LazyLock;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::show::replay::PlayStep;
use crate::show::tui::panes::{PANES, Pane};

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of keys says what each does")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    NextPane,
    PreviousPane,
    Focus(Pane),
    Filter,
    Help,
    Pause,
    Write,
    Copy,
    NextFix,
    Sort,
    Redraw,
    Suspend,
    Quit,
    Play,
    StepEvent(PlayStep),
    StepFinding(PlayStep),
    Seek(PlayStep),
    Slower,
    Faster,
    ToStart,
    ToEnd,
}

/// Whether what is shown happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It happens at this very moment.
    Live,
    /// It comes from a capture.
    Replay,
}

/// A key, with Ctrl or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    pub code: KeyCode,
    pub ctrl: bool,
}

impl Chord {
    /// How it is written.
    pub fn name(self) -> String {
        let key = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => c.to_ascii_uppercase().to_string(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::F(number) => format!("F{number}"),
            code => format!("{code:?}"),
        };
        if self.ctrl {
            format!("Ctrl-{key}")
        } else {
            key
        }
    }
}

fn key(code: KeyCode) -> Chord {
    Chord { code, ctrl: false }
}

fn char(c: char) -> Chord {
    key(KeyCode::Char(c))
}

fn ctrl(c: char) -> Chord {
    Chord {
        ctrl: true,
        ..char(c)
    }
}

/// Keys with one meaning.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The keys, each of which does it.
    pub keys: Vec<Chord>,
    pub action: Action,
    /// The mode in which they do it; `None` for both.
    pub mode: Option<Mode>,
    /// What the footer says, and how much it wants to: 1 goes first, 0 is not there.
    pub footer: (u8, &'static str),
    pub help: &'static str,
}

fn binding<const N: usize>(
    keys: [Chord; N],
    action: Action,
    mode: Option<Mode>,
    footer: (u8, &'static str),
    help: &'static str,
) -> Binding {
    Binding {
        keys: keys.to_vec(),
        action,
        mode,
        footer,
        help,
    }
}

const NONE: (u8, &str) = (0, "");
const ALWAYS: Option<Mode> = None;
const LIVE: Option<Mode> = Some(Mode::Live);
const REPLAY: Option<Mode> = Some(Mode::Replay);

/// Every key, in the order of the help.
pub static KEYS: LazyLock<Vec<Binding>> = LazyLock::new(|| {
    let panes = PANES.iter().zip('1'..).map(|(&pane, digit)| {
        let help = pane.definition().help;
        binding([char(digit)], Action::Focus(pane), ALWAYS, NONE, help)
    });
    moving().into_iter().chain(panes).chain(acting()).collect()
});

/// The keys that move.
#[rustfmt::skip] // A table is read by its columns.
fn moving() -> Vec<Binding> {
    use Action::*;
    vec![
        binding([key(KeyCode::Up), char('k')], Up, ALWAYS, NONE, "the row above; scroll up"),
        binding([key(KeyCode::Down), char('j')], Down, ALWAYS, NONE, "the row below; scroll down"),
        binding([key(KeyCode::PageUp), ctrl('b')], PageUp, ALWAYS, NONE, "a page up"),
        binding([key(KeyCode::PageDown), ctrl('f')], PageDown, ALWAYS, NONE, "a page down"),
        binding([char('g')], First, ALWAYS, NONE, "the first row"),
        binding([char('G')], Last, ALWAYS, NONE, "the last row"),
        binding([key(KeyCode::Home)], First, LIVE, NONE, "the first row"),
        binding([key(KeyCode::End)], Last, LIVE, NONE, "the last row"),
        binding([key(KeyCode::Enter)], Open, ALWAYS, (4, "Detail"), "the selected row in full"),
        binding([key(KeyCode::Esc)], Back, ALWAYS, NONE, "back; in a list, to the findings"),
        binding([key(KeyCode::Tab)], NextPane, ALWAYS, (5, "Pane"), "the next pane"),
        binding([key(KeyCode::BackTab)], PreviousPane, ALWAYS, NONE, "the pane before"),
    ]
}

/// The keys that do something.
#[rustfmt::skip]
fn acting() -> Vec<Binding> {
    use Action::*;
    use PlayStep::{Back as Before, Forward as After};
    vec![
        binding([char('/')], Filter, ALWAYS, (6, "Filter"), "filter, such as `port 443 and net 10.0.0.0/8`; empty for none"),
        binding([char('s')], Sort, ALWAYS, (8, "Sort"), "sort by something else"),
        binding([char('f')], NextFix, ALWAYS, NONE, "mark the next fix"),
        binding([char('y')], Copy, ALWAYS, (7, "Copy fix"), "copy the commands of the marked fix (OSC 52)"),
        binding([char('p'), char(' ')], Pause, LIVE, (9, "Pause"), "hold the screen; tracing goes on"),
        binding([char('w')], Write, LIVE, (10, "Write"), "write the capture so far to a file"),
        binding([char(' '), char('p')], Play, REPLAY, (3, "Play"), "play, or stop"),
        binding([char('n')], StepFinding(After), REPLAY, (9, "Next finding"), "to when the next finding was made"),
        binding([char('N')], StepFinding(Before), REPLAY, NONE, "to when the finding before was made"),
        binding([char('.'), char(']')], StepEvent(After), REPLAY, (10, "Next event"), "to the next event"),
        binding([char(','), char('[')], StepEvent(Before), REPLAY, NONE, "to the event before"),
        binding([key(KeyCode::Right), char('l')], Seek(After), REPLAY, NONE, "forward by a twentieth of the capture"),
        binding([key(KeyCode::Left), char('h')], Seek(Before), REPLAY, NONE, "back by a twentieth of the capture"),
        binding([char('+'), char('=')], Faster, REPLAY, (11, "Faster"), "faster, up to 100 times"),
        binding([char('-')], Slower, REPLAY, NONE, "slower, down to a tenth"),
        binding([key(KeyCode::Home)], ToStart, REPLAY, NONE, "to the start of the capture"),
        binding([key(KeyCode::End)], ToEnd, REPLAY, NONE, "to the end of the capture"),
        binding([char('?'), key(KeyCode::F(1))], Help, ALWAYS, (2, "Help"), "these keys"),
        binding([ctrl('l')], Redraw, ALWAYS, NONE, "draw everything anew"),
        binding([ctrl('z')], Suspend, ALWAYS, NONE, "suspend; `fg` goes on"),
        binding([char('q'), ctrl('c')], Quit, ALWAYS, (1, "Quit"), "end"),
    ]
}

/// The bindings that hold in a mode.
pub fn bindings(mode: Mode) -> impl Iterator<Item = &'static Binding> {
    let holds = move |binding: &&Binding| binding.mode.is_none_or(|only| only == mode);
    KEYS.iter().filter(holds)
}

/// What a key means in a mode.
pub fn action(event: KeyEvent, mode: Mode) -> Option<Action> {
    let chord = Chord {
        code: event.code,
        ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
    };
    let others = KeyModifiers::ALT | KeyModifiers::SUPER;
    let bound = bindings(mode).find(|binding| binding.keys.contains(&chord))?;
    (!event.modifiers.intersects(others)).then_some(bound.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings() {
        for mode in [Mode::Live, Mode::Replay] {
            let mut seen = Vec::new();
            for chord in bindings(mode).flat_map(|binding| &binding.keys) {
                assert!(!seen.contains(&chord), "{mode:?} {}", chord.name());
                seen.push(chord);
            }
        }
    }

    #[test]
    fn keys_are_named_as_they_are_on_a_keyboard() {
        let chords = KEYS.iter().flat_map(|binding| &binding.keys);
        let names: Vec<String> = chords.map(|chord| chord.name()).collect();
        for name in "Up PgDn Ctrl-C Space Shift-Tab Esc F1 ?".split(' ') {
            assert!(names.iter().any(|found| found == name), "{name} {names:?}");
        }
    }
}
