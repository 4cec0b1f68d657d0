//! Names that containers choose must not do anything to a terminal.

use mtu_trace::testing::{Finding, NetnsId, Process, Topology, printable};
use proptest::prelude::*;

use super::black_hole::filtered_events;
use super::network::{CNI0, CONTAINER, EXT0, HOST, ROUTED, SERVER};
use super::packet::Places;
use super::reports::{json, text};
use super::scenario::run;

/// The network with names as hostile as `/proc` and netlink could hand them over.
fn renamed(bytes: &[u8]) -> Places {
    let mut places = Places::new(ROUTED);
    let name = printable(bytes);
    let of = |topology: &mut Topology, id: NetnsId, (_, ifindex): (NetnsId, u32)| {
        let links = &mut topology.namespaces.get_mut(&id).unwrap().links;
        links.get_mut(&ifindex).unwrap().name.clone_from(&name);
    };
    of(&mut places.topology, HOST, CNI0);
    of(&mut places.topology, HOST, EXT0);
    let namespaces = &mut places.topology.namespaces;
    namespaces.get_mut(&SERVER).unwrap().name = Some(name.clone());
    let inner = namespaces.get_mut(&CONTAINER).unwrap();
    inner.container = None;
    inner.process = Some(Process {
        pid: 4242,
        comm: name,
    });
    places
}

fn findings(places: &Places) -> Vec<Finding> {
    let findings = run(filtered_events(places), 4000).findings();
    assert_eq!(findings.len(), 1);
    findings
}

/// Whether a terminal shows a character as it is.
fn harmless(character: char) -> bool {
    character == '\n' || !character.is_control()
}

#[test]
fn escape_sequences_in_names_are_shown_and_not_obeyed() {
    let places = renamed(b"\x1b]0;owned\x07\x1b[2J\r\nF9 INFO");
    let text = text(findings(&places));
    assert!(text.contains("\\x1b[2J"), "{text}");
    assert!(text.chars().all(harmless), "{text:?}");
    // A line break in a name must not forge a finding.
    assert!(!text.lines().any(|line| line.trim_start().starts_with("F9")));
    let json = json(findings(&places));
    assert!(!json.contains("\\u001b"), "{json}");
}

#[test]
fn commands_stay_one_command() {
    let places = renamed(b"x; reboot '$(id)' `id`");
    for fix in &findings(&places)[0].fixes {
        for command in &fix.commands {
            let mut quoted = false;
            let bare: String = command
                .replace(r"'\''", "")
                .chars()
                .filter(|character| {
                    quoted ^= *character == '\'';
                    !quoted
                })
                .collect();
            assert!(!bare.contains([';', '$', '`']), "{command}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_name_reaches_the_terminal_raw(name in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = text(findings(&renamed(&name)));
        prop_assert!(text.chars().all(harmless), "{:?}", text);
    }
}
