//! The whole table of keys: every key does something, and what it says.

use mtu_trace::testing::{
    Action, Effect, Mode, Overlay, Pane, PlayStep, Shown, Theme, UNICODE, action, bindings,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::scenario::{NS_PER_MS, START_NS};
use super::stage::{Stage, facts, several};

const END_NS: u64 = START_NS + 100_000 * NS_PER_MS;
const MIDDLE_NS: u64 = START_NS + 50_000 * NS_PER_MS;

/// In the middle of everything, so that every key has somewhere to go.
fn stage(mode: Mode) -> Stage {
    let mut stage = Stage::with(facts(mode), several(), 5000, Theme::Mono, &UNICODE);
    stage.app.playing.span = (START_NS, END_NS);
    stage.key(KeyCode::Char('3'));
    stage.key(KeyCode::Down);
    stage.app.connections.page = 1;
    stage.app.now_ns = MIDDLE_NS;
    stage
}

/// All that a key can change.
fn state(stage: &Stage) -> String {
    let app = &stage.app;
    format!(
        "{:?} {:?} {:?} {} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?}",
        app.pane,
        app.lower,
        app.shown,
        app.findings.selected,
        app.namespaces.selected,
        app.connections.selected,
        app.scroll.first,
        app.marked(),
        app.finding_order,
        app.connection_order,
        app.overlay,
        app.held,
        app.message,
        app.playing,
    )
}

/// What an action asks of the outside in the middle of everything; `None` if it changes the screens.
fn effect(action: Action) -> Option<Effect> {
    let step = 5_000 * NS_PER_MS;
    match action {
        Action::Write => Some(Effect::Write),
        Action::Redraw => Some(Effect::Redraw),
        Action::Suspend => Some(Effect::Suspend),
        Action::Quit => Some(Effect::Quit),
        Action::StepEvent(step) => Some(Effect::StepEvent(step)),
        Action::StepFinding(step) => Some(Effect::StepFinding(step)),
        Action::Seek(PlayStep::Back) => Some(Effect::Seek(MIDDLE_NS - step)),
        Action::Seek(PlayStep::Forward) => Some(Effect::Seek(MIDDLE_NS + step)),
        Action::ToStart => Some(Effect::Seek(START_NS)),
        Action::ToEnd => Some(Effect::Seek(u64::MAX)),
        _ => None,
    }
}

/// Presses a key, and looks whether the screens are then what an action makes of them.
fn press(mode: Mode, event: KeyEvent, wanted: Action, what: &str) {
    let mut stage = stage(mode);
    let before = state(&stage);
    let selected = stage.app.connections.selected;
    let marked = stage.app.marked();
    assert_eq!(action(event, mode), Some(wanted), "{what}");
    let found = stage.app.key(event);
    let after = state(&stage);
    let app = &stage.app;
    match wanted {
        Action::Up | Action::PageUp => {
            assert_eq!(app.connections.selected, selected - 1, "{what}");
        }
        Action::Down | Action::PageDown => {
            assert_eq!(app.connections.selected, selected + 1, "{what}");
        }
        Action::First => assert_eq!(app.connections.selected, 0, "{what}"),
        Action::Last => {
            let last = app.connections.len - 1;
            assert_eq!(app.connections.selected, last, "{what}");
        }
        Action::Open => {
            assert!(matches!(app.shown, Shown::Connection(_)), "{what}");
            assert_eq!(app.pane, Pane::DETAIL, "{what}");
        }
        Action::Back => assert_eq!(app.pane, Pane::FINDINGS, "{what}"),
        Action::NextPane => assert_eq!(app.pane, Pane::DETAIL, "{what}"),
        Action::PreviousPane => assert_eq!(app.pane, Pane::NAMESPACES, "{what}"),
        Action::Focus(pane) => assert_eq!(app.pane, pane, "{what}"),
        Action::Filter => {
            assert!(matches!(app.overlay, Some(Overlay::Filter(_))), "{what}");
        }
        Action::Help => assert_eq!(app.overlay, Some(Overlay::Help(0)), "{what}"),
        Action::Pause => assert_eq!(app.held, Some(0), "{what}"),
        Action::NextFix => assert_ne!(app.marked(), marked, "{what}"),
        Action::Sort => assert_ne!(after, before, "{what}"),
        Action::Play => assert!(app.playing.running, "{what}"),
        Action::Slower => assert!(app.playing.speed < 1.0, "{what}"),
        Action::Faster => assert!(app.playing.speed > 1.0, "{what}"),
        Action::Copy => {
            let finding = app.finding.as_ref().unwrap();
            let commands = finding.fixes[app.marked()].commands.join("\n");
            assert!(!commands.is_empty());
            return assert_eq!(found, Some(Effect::Copy(commands)), "{what}");
        }
        outside => {
            let effect = effect(outside).unwrap_or_else(|| panic!("{what} is not looked at"));
            return assert_eq!(found, Some(effect), "{what}");
        }
    }
    assert_eq!(found, None, "{what}");
    let stays = wanted == Action::Focus(Pane::CONNECTIONS);
    assert!(after != before || stays, "{what}");
}

#[test]
fn every_key_does_what_the_table_says() {
    for mode in [Mode::Live, Mode::Replay] {
        for binding in bindings(mode) {
            for chord in &binding.keys {
                let modifiers = if chord.ctrl {
                    KeyModifiers::CONTROL
                } else {
                    KeyModifiers::NONE
                };
                let event = KeyEvent::new(chord.code, modifiers);
                let what = format!("{mode:?} {}: {}", chord.name(), binding.help);
                press(mode, event, binding.action, &what);
            }
        }
    }
}

#[test]
fn the_help_has_every_key() {
    for mode in [Mode::Live, Mode::Replay] {
        let mut stage = stage(mode);
        stage.key(KeyCode::Char('?'));
        let text = stage.text((100, 60));
        for binding in bindings(mode) {
            let keys: Vec<String> = binding.keys.iter().map(|chord| chord.name()).collect();
            let keys = keys.join("  ");
            let told = |line: &str| line.contains(binding.help) && line.contains(&keys);
            assert!(
                text.lines().any(told),
                "no {keys}: {} in {text}",
                binding.help
            );
        }
        stage.key(KeyCode::Esc);
        assert_eq!(stage.app.overlay, None);
    }
}

#[test]
fn nothing_comes_after_the_end_of_the_help() {
    let mut stage = stage(Mode::Live);
    stage.key(KeyCode::Char('?'));
    for key in [KeyCode::End, KeyCode::Down, KeyCode::End, KeyCode::PageDown] {
        stage.key(key);
    }
    let last = stage.text((60, 12));
    stage.key(KeyCode::Home);
    assert_ne!(stage.text((60, 12)), last);
    stage.key(KeyCode::End);
    assert_eq!(stage.text((60, 12)), last);
}

#[test]
fn the_footer_names_keys_that_do_it() {
    let mut stage = stage(Mode::Live);
    let text = stage.text((200, 50));
    let footer = text.lines().last().unwrap();
    for binding in bindings(Mode::Live).filter(|binding| binding.footer.0 > 0) {
        let words = format!("{} {}", binding.keys[0].name(), binding.footer.1);
        assert!(footer.contains(&words), "{words}: {footer}");
    }
}

#[test]
fn a_filter_is_applied_only_when_it_is_right() {
    let mut stage = stage(Mode::Live);
    stage.types("/port 80 and");
    assert_eq!(stage.key(KeyCode::Enter), None);
    assert!(matches!(stage.app.overlay, Some(Overlay::Filter(_))));
    stage.types(" net 192.0.2.0/24");
    let Some(Effect::Select(selection)) = stage.key(KeyCode::Enter) else {
        panic!("{:?}", stage.app.overlay);
    };
    assert_eq!(selection.filter, ["port 80 and net 192.0.2.0/24"]);
    assert_eq!(stage.app.overlay, None);
    // Letters are text while it is edited, and q ends nothing.
    stage.types("/q");
    assert_eq!(stage.key(KeyCode::Esc), None);
    assert_eq!(stage.app.facts.selection.filter, Vec::<String>::new());
}

#[test]
fn the_end_of_a_long_filter_is_seen_while_it_is_typed() {
    let mut stage = stage(Mode::Live);
    stage.types(&format!("/{}", "port 80 or ".repeat(20)));
    stage.types("port 4343");
    let text = stage.text((80, 24));
    assert!(
        text.lines().last().unwrap().contains("or port 4343"),
        "{text}"
    );
}

#[test]
fn what_is_pasted_is_no_command() {
    let mut stage = stage(Mode::Live);
    stage.app.paste("q");
    stage.types("/");
    stage.app.paste("port 80\n");
    let Some(Effect::Select(selection)) = stage.key(KeyCode::Enter) else {
        panic!("{:?}", stage.app.overlay);
    };
    assert_eq!(selection.filter, ["port 80"]);
}

#[test]
fn esc_leads_back_to_where_one_came_from() {
    let mut stage = stage(Mode::Live);
    let selected = |stage: &Stage, pane: Pane| {
        if pane == Pane::NAMESPACES {
            stage.app.namespaces.selected
        } else if pane == Pane::CONNECTIONS {
            stage.app.connections.selected
        } else {
            stage.app.findings.selected
        }
    };
    for pane in [Pane::NAMESPACES, Pane::CONNECTIONS, Pane::FINDINGS] {
        let digit = char::from_digit(u32::try_from(pane.number()).unwrap(), 10).unwrap();
        stage.key(KeyCode::Char(digit));
        stage.key(KeyCode::Down);
        let before = selected(&stage, pane);
        assert!(before > 0);
        stage.key(KeyCode::Enter);
        assert_eq!(stage.app.pane, Pane::DETAIL);
        stage.key(KeyCode::Esc);
        assert_eq!(stage.app.pane, pane);
        assert_eq!(selected(&stage, pane), before);
    }
}

#[test]
fn the_worst_is_selected_until_the_user_chooses() {
    use super::network::ROUTED;
    use super::packet::Places;
    use super::scenario::{Conn, at, opening, timeline};
    use super::stage::{filtered, hole};
    let places = Places::new(ROUTED);
    let (drop, bad) = (Conn::new(3), [Conn::new(0), Conn::new(1)]);
    let mut events = opening(&places, drop);
    events.extend(hole(drop, 100, false, |nth| {
        places
            .forward(drop, nth)
            .dropped("nft_do_chain", "NETFILTER_DROP")
    }));
    let mut stage = Stage::new(events, 4000);
    let verdict = |stage: &Stage| stage.app.finding.as_ref().unwrap().verdict.name();
    assert_eq!(verdict(&stage), "local-drop");
    let mut more = Vec::new();
    // What hurts two connections is worse than what hurts one.
    for conn in bad {
        more.extend([at(4100, conn.client_known()), at(4100, conn.server_known())]);
        more.extend(filtered(&places, conn, 4200));
    }
    let later = timeline(more, 9000);
    let later: Vec<_> = later
        .into_iter()
        .filter(|it| it.time_ns > START_NS + 4000 * NS_PER_MS)
        .collect();
    stage.play(&later);
    assert_eq!(verdict(&stage), "mtu-black-hole");
    stage.key(KeyCode::Down);
    assert_eq!(verdict(&stage), "local-drop");
    stage.play(&[]);
    assert_eq!(verdict(&stage), "local-drop");
}
