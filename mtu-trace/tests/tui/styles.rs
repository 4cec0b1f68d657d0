//! What the colours are: each cell of a screen by a letter for its style.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use mtu_trace::testing::{Mode, Theme, UNICODE};
use ratatui::crossterm::event::KeyCode;
use ratatui::style::Style;

use super::stage::{Stage, facts, several};

/// The styles of a screen: a letter for each cell, and what each letter stands for.
fn styles(stage: &mut Stage, size: (u16, u16)) -> String {
    let buffer = stage.buffer(size);
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut free = ('a'..='z').chain('A'..='Z');
    let mut drawn = String::new();
    for row in buffer.content.chunks(usize::from(size.0)) {
        for cell in row {
            let style = cell.style();
            let plain = style.fg == Style::reset().fg && style.bg == Style::reset().bg;
            let named = format!("{:?} on {:?} {:?}", cell.fg, cell.bg, cell.modifier);
            let letter = if plain && cell.modifier.is_empty() {
                '.'
            } else {
                *letters.entry(named).or_insert_with(|| free.next().unwrap())
            };
            drawn.push(letter);
        }
        drawn.push('\n');
    }
    let legend = letters
        .iter()
        .map(|(style, letter)| format!("{letter}: {style}\n"));
    legend.collect::<String>() + &drawn
}

#[test]
fn each_theme() {
    let themes = [
        ("mono", Theme::Mono),
        ("ansi", Theme::Ansi),
        ("true", Theme::True),
    ];
    for (name, theme) in themes {
        let mut stage = Stage::with(facts(Mode::Live), several(), 4000, theme, &UNICODE);
        assert_snapshot!(format!("{name}_80x24"), styles(&mut stage, (80, 24)));
    }
}

#[test]
fn without_colours_nothing_but_the_colours_is_missing() {
    let mut screens = [Theme::Mono, Theme::Ansi, Theme::True].map(|theme| {
        let mut stage = Stage::with(facts(Mode::Live), several(), 4000, theme, &UNICODE);
        stage.key(KeyCode::Char('3'));
        (stage.text((120, 40)), styles(&mut stage, (120, 40)))
    });
    assert_eq!(screens[0].0, screens[1].0);
    assert_eq!(screens[0].0, screens[2].0);
    let mono = &mut screens[0].1;
    let colours = mono.lines().filter(|line| line.contains(" on "));
    for line in colours {
        assert!(line.contains("Reset on Reset"), "{line}");
    }
}
