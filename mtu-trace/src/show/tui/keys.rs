//! The one table of keys: what they do, and what the footer and the help say of them.

use std::sync::LazyLock;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::show::tui::action::Action;
use crate::show::tui::panes::PANES;

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The key works on every screen.
    Always,
    /// The key works while tracing.
    Live,
    /// The key works while replaying.
    Replay,
}

/// Whether what is shown happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The key works while tracing.
    Live,
    /// It comes from a capture.
    Replay,
}

/// A key, with Ctrl or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    /// The key as the terminal names it.
    pub code: KeyCode,
    /// Whether Ctrl is held with it.
    pub ctrl: bool,
}

impl Chord {
    /// How it is written.
    #[must_use]
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

const fn key(code: KeyCode) -> Chord {
    Chord { code, ctrl: false }
}

const fn char(c: char) -> Chord {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Chord {
    Chord {
        code: KeyCode::Char(c),
        ctrl: true,
    }
}

/// Keys with one meaning.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys, each of which does it.
    pub keys: &'static [Chord],
    /// What the keys do.
    pub action: Action,
    /// The screens on which they do it.
    pub when: When,
    /// What the footer says, and how much it wants to: 1 goes first, 0 is not there.
    pub footer: (u8, &'static str),
    /// What the help says.
    pub help: &'static str,
}

const fn binding(
    keys: &'static [Chord],
    action: Action,
    when: When,
    footer: (u8, &'static str),
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        when,
        footer,
        help,
    }
}

const NONE: (u8, &str) = (0, "");

/// The keys of the panes, in their order.
static DIGITS: [[Chord; 1]; 9] = [
    [char('1')],
    [char('2')],
    [char('3')],
    [char('4')],
    [char('5')],
    [char('6')],
    [char('7')],
    [char('8')],
    [char('9')],
];

/// Every key, in the order of the help.
pub static KEYS: LazyLock<Vec<Binding>> = LazyLock::new(|| {
    let panes = PANES.iter().zip(&DIGITS).map(|(&pane, digit)| {
        let help = pane.definition().help;
        binding(digit, Action::Focus(pane), When::Always, NONE, help)
    });
    let (moving, acting) = (MOVING.iter().copied(), ACTING.iter().copied());
    moving.chain(panes).chain(acting).collect()
});

/// The keys that move.
#[rustfmt::skip] // A table is read by its columns.
const MOVING: &[Binding] = {
    use Action::*;
    use When::*;
    &[
        binding(&[key(KeyCode::Up), char('k')], Up, Always, NONE, "the row above; scroll up"),
        binding(&[key(KeyCode::Down), char('j')], Down, Always, NONE, "the row below; scroll down"),
        binding(&[key(KeyCode::PageUp), ctrl('b')], PageUp, Always, NONE, "a page up"),
        binding(&[key(KeyCode::PageDown), ctrl('f')], PageDown, Always, NONE, "a page down"),
        binding(&[char('g')], First, Always, NONE, "the first row"),
        binding(&[char('G')], Last, Always, NONE, "the last row"),
        binding(&[key(KeyCode::Home)], First, Live, NONE, "the first row"),
        binding(&[key(KeyCode::End)], Last, Live, NONE, "the last row"),
        binding(&[key(KeyCode::Enter)], Open, Always, (4, "Detail"), "the selected row in full"),
        binding(&[key(KeyCode::Esc)], Back, Always, NONE, "back; in a list, to the findings"),
        binding(&[key(KeyCode::Tab)], NextPane, Always, (5, "Pane"), "the next pane"),
        binding(&[key(KeyCode::BackTab)], PreviousPane, Always, NONE, "the pane before"),
    ]
};

/// The keys that do something.
#[rustfmt::skip]
const ACTING: &[Binding] = {
    use Action::*;
    use When::*;
    &[
        binding(&[char('/')], Filter, Always, (6, "Filter"), "filter, such as `port 443 and net 10.0.0.0/8`; empty for none"),
        binding(&[char('s')], Sort, Always, (8, "Sort"), "sort by something else"),
        binding(&[char('f')], NextFix, Always, NONE, "mark the next fix"),
        binding(&[char('y')], Copy, Always, (7, "Copy fix"), "copy the commands of the marked fix (OSC 52)"),
        binding(&[char('p'), char(' ')], Pause, Live, (9, "Pause"), "hold the screen; tracing goes on"),
        binding(&[char('w')], Write, Live, (10, "Write"), "write the capture so far to a file"),
        binding(&[char(' '), char('p')], Play, Replay, (3, "Play"), "play, or stop"),
        binding(&[char('n')], FindingForward, Replay, (9, "Next finding"), "to when the next finding was made"),
        binding(&[char('N')], FindingBack, Replay, NONE, "to when the finding before was made"),
        binding(&[char('.'), char(']')], EventForward, Replay, (10, "Next event"), "to the next event"),
        binding(&[char(','), char('[')], EventBack, Replay, NONE, "to the event before"),
        binding(&[key(KeyCode::Right), char('l')], SeekForward, Replay, NONE, "forward by a twentieth of the capture"),
        binding(&[key(KeyCode::Left), char('h')], SeekBack, Replay, NONE, "back by a twentieth of the capture"),
        binding(&[char('+'), char('=')], Faster, Replay, (11, "Faster"), "faster, up to 100 times"),
        binding(&[char('-')], Slower, Replay, NONE, "slower, down to a tenth"),
        binding(&[key(KeyCode::Home)], ToStart, Replay, NONE, "to the start of the capture"),
        binding(&[key(KeyCode::End)], ToEnd, Replay, NONE, "to the end of the capture"),
        binding(&[char('?'), key(KeyCode::F(1))], Help, Always, (2, "Help"), "these keys"),
        binding(&[ctrl('l')], Redraw, Always, NONE, "draw everything anew"),
        binding(&[ctrl('z')], Suspend, Always, NONE, "suspend; `fg` goes on"),
        binding(&[char('q'), ctrl('c')], Quit, Always, (1, "Quit"), "end"),
    ]
};

/// The bindings that hold in a mode.
pub fn bindings(mode: Mode) -> impl Iterator<Item = &'static Binding> {
    let holds = move |when| match when {
        When::Always => true,
        When::Live => mode == Mode::Live,
        When::Replay => mode == Mode::Replay,
    };
    KEYS.iter().filter(move |binding| holds(binding.when))
}

/// What a key means in a mode.
#[must_use]
pub fn action(event: KeyEvent, mode: Mode) -> Option<Action> {
    let chord = Chord {
        code: event.code,
        ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
    };
    if event
        .modifiers
        .intersects(KeyModifiers::ALT | KeyModifiers::SUPER)
    {
        return None;
    }
    bindings(mode)
        .find(|binding| binding.keys.contains(&chord))
        .map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings() {
        for mode in [Mode::Live, Mode::Replay] {
            let mut seen = Vec::new();
            for chord in bindings(mode).flat_map(|binding| binding.keys) {
                assert!(!seen.contains(&chord), "{mode:?} {}", chord.name());
                seen.push(chord);
            }
        }
    }

    #[test]
    fn keys_are_named_as_they_are_on_a_keyboard() {
        let names: Vec<String> = KEYS
            .iter()
            .flat_map(|binding| binding.keys)
            .map(|chord| chord.name())
            .collect();
        for name in [
            "Up",
            "PgDn",
            "Ctrl-C",
            "Space",
            "Shift-Tab",
            "Esc",
            "F1",
            "?",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} {names:?}");
        }
    }
}
