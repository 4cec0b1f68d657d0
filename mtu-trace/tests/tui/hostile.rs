//! Whatever there is, and whatever is pressed: nothing that could do something to a terminal, or pass for
//! something else, reaches the screen, and nothing panics.

use mtu_trace::testing::{ASCII, EventKind, KEYS, Mode, Theme, UNICODE};
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::recording::{kept, read};
use super::scenario::at;
use super::stage::{Stage, facts, several};

/// Events whose names are not what names should be, out of a capture from elsewhere.
fn rude() -> Vec<mtu_trace::testing::Event> {
    let mut events = several();
    for event in &mut events {
        match &mut event.kind {
            EventKind::Topology(topology) => {
                let topology = std::sync::Arc::make_mut(topology);
                for netns in topology.namespaces.values_mut() {
                    netns.name = Some("\u{1b}[2Jx\u{9b}31m\u{202e}\n雪雪".to_owned());
                    if let Some(container) = &mut netns.container {
                        container.name = Some("\u{1b}]0;owned\u{7}\t雪".repeat(40));
                    }
                    for link in netns.links.values_mut() {
                        link.alias = Some("\r\u{1b}c".to_owned());
                        link.kind = "\u{7f}kind\u{85}".into();
                    }
                }
            }
            EventKind::Packet(packet) => {
                packet.device.name = Some("\u{1b}[31m".into());
            }
            _ => {}
        }
    }
    events.push(at(50, EventKind::Blind(vec!["\u{1b}[0m".to_owned()])));
    read(&kept(&events)).0
}

/// What does something to a terminal, or turns or hides what is written. The library of the screens
/// drops control characters by itself, but none of the others.
fn is_rude(character: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}'].contains(&character);
    let embeds = ('\u{202a}'..='\u{202e}').contains(&character);
    let isolates = ('\u{2066}'..='\u{2069}').contains(&character);
    character.is_control() || turns || embeds || isolates
}

#[test]
fn nothing_rude_reaches_the_screen() {
    let mut stage = Stage::new(rude(), 4000);
    let mut seen = String::new();
    for key in "1234?".chars() {
        stage.key(KeyCode::Char(key));
        for size in [(40, 12), (80, 24), (120, 40), (300, 100)] {
            for cell in &stage.buffer(size).content {
                let symbol = cell.symbol();
                assert!(!symbol.chars().any(is_rude), "{symbol:?}");
                seen.push_str(symbol);
            }
        }
    }
    // It was there to be seen.
    for words in [
        r"\x1b[2J",
        r"\x9b31m",
        r"\u{202e}",
        r"\x1b]0;owned\x07",
        r"\x7fkind",
    ] {
        assert!(seen.contains(words), "{words}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any keys in any order on a terminal that changes its size meanwhile.
    #[test]
    fn nothing_panics(
        keys in prop::collection::vec((0..KEYS.len(), 0..2usize, 1..320u16, 1..110u16), 1..40),
        replay: bool,
        ascii: bool,
        until_ms in 0..5000u64,
    ) {
        let mode = if replay { Mode::Replay } else { Mode::Live };
        let glyphs = if ascii { &ASCII } else { &UNICODE };
        let mut stage = Stage::with(facts(mode), several(), until_ms, Theme::True, glyphs);
        for (binding, alternative, columns, rows) in keys {
            let keys = &KEYS[binding].keys;
            let chord = keys[alternative.min(keys.len() - 1)];
            let modifiers = if chord.ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
            stage.event(KeyEvent::new(chord.code, modifiers));
            let buffer = stage.buffer((columns, rows));
            prop_assert_eq!(buffer.content.len(), usize::from(columns) * usize::from(rows));
        }
    }
}
