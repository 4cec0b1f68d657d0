//! Selections of findings and events: who is shown, by what, and told from which connection.

use mtu_trace::testing::{
    Analysis, Event, EventKind, Finding, Format, NetnsId, Selection, Style, Verdict,
};
use serde_json::{Value, json};

use super::black_hole::{filtered, filtered_events, hole};
use super::network::{CONTAINER, OUTER, ROUTED, VETH, told};
use super::packet::Places;
use super::reports::report;
use super::scenario::{Conn, NS_PER_MS, START_NS, at, ends, opening, timeline};

/// A namespace beside those of the network.
const STRANGER: NetnsId = NetnsId(105);

/// `--netns name`, `--container name`, and a filter, by the first word.
fn asked(words: &str) -> Selection {
    let mut selection = Selection::default();
    match words.split_once(' ') {
        Some(("--netns", name)) => selection.netns.push(name.to_owned()),
        Some(("--container", name)) => selection.container.push(name.to_owned()),
        _ => selection.filter.push(words.to_owned()),
    }
    selection
}

fn analysed(events: Vec<Event>, until_ms: u64, selection: &Selection) -> Analysis {
    let mut analysis = Analysis::of(selection.recorded().unwrap());
    for event in timeline(events, until_ms) {
        analysis.apply(&event);
    }
    analysis
}

fn found(events: &[Event], words: &str) -> Vec<Finding> {
    analysed(events.to_vec(), 4000, &asked(words)).findings()
}

#[test]
fn a_containers_stall_is_explained_by_the_hosts_drop() {
    let places = Places::new(ROUTED);
    let scenario = filtered_events(&places);
    let whole = found(&scenario, "");
    assert_eq!(whole.len(), 1);
    // Its ends, by each name; the place where packets die; where the message dies; its tuples.
    for words in [
        "--container build",
        "--container ccc",
        "--netns srv",
        "--netns 4026531842",
        "port 40000",
        "src host 198.51.100.9 and dst host 192.0.2.2",
        "host 10.42.0.5",
        "tcp and icmp and not host 10.42.0.6",
    ] {
        assert_eq!(found(&scenario, words), whole, "{words}");
    }
    for words in [
        "--container d00d",
        "--netns build",
        "port 443",
        "dst host 198.51.100.9",
        "udp or ip6",
        "not host 10.42.0.5",
        "not icmp",
    ] {
        assert_eq!(found(&scenario, words), [], "{words}");
    }
}

#[test]
fn the_other_end_of_the_veth_is_its_place_too() {
    let places = Places::new(VETH);
    let conn = Conn::new(0);
    let mut scenario = opening(&places, conn);
    scenario.extend(hole(conn, 100, |nth| places.veth(conn, nth)));
    // Only the limit is in the outer container, whose name is the start of its identifier.
    let findings = found(&scenario, "--container dddd");
    assert_eq!(findings.len(), 1);
    let peer = findings[0]
        .boundary
        .as_ref()
        .unwrap()
        .peer
        .as_ref()
        .unwrap();
    assert_eq!(peer.netns.cookie, Some(OUTER.0));
}

/// Two downloads that die in one place: the first container's, worse and earlier, and one of
/// a namespace that has a name.
fn two(places: &Places) -> Vec<Event> {
    let mut places = places.clone();
    let mut stranger = places.topology.namespaces[&CONTAINER].clone();
    stranger.inode = 1;
    stranger.cookie = Some(STRANGER.0);
    stranger.name = Some("other".to_owned());
    stranger.container = None;
    places.topology.namespaces.insert(STRANGER, stranger);
    let first = Conn::new(0);
    let mut second = Conn::new(1);
    second.client.flow.netns = STRANGER;
    let mut events = opening(&places, first);
    events.push(at(50, second.client_known()));
    events.push(at(50, second.server_known()));
    events.extend(filtered(&places, first, 100));
    let until_ns = START_NS + 2500 * NS_PER_MS;
    let shorter = filtered(&places, second, 1000).into_iter();
    events.extend(shorter.filter(|event| event.time_ns < until_ns));
    events
}

#[test]
fn a_shared_cause_is_told_from_the_selected_connection() {
    let events = two(&Places::new(ROUTED));
    let [whole] = found(&events, "").try_into().unwrap();
    assert_eq!(whole.connections, 2);
    assert_eq!(whole.connection.unwrap().local.port, 40_000);
    for words in ["--netns other", "port 40001"] {
        let [other] = found(&events, words).try_into().unwrap();
        assert_eq!(other.connections, 1, "{words}");
        let shown = other.connection.unwrap();
        assert_eq!(shown.local.port, 40_001, "{words}");
        assert_eq!(shown.local.netns.unwrap().name.as_deref(), Some("other"));
        assert!(!other.summary.contains("build"), "{}", other.summary);
        assert_eq!(other.first_seen_ns, START_NS + 1000 * NS_PER_MS);
        // Not when the first one's was made.
        assert!(other.detected_at_ns > other.first_seen_ns, "{words}");
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = filtered_events(&places);
    // Another cause: the upload dies in the outer container.
    events.extend([0, 210, 630, 1460].map(|ms| at(100 + ms, places.upload(conn, 0))));
    let hidden = |words| {
        let analysis = analysed(events.clone(), 4000, &asked(words));
        let hidden = analysis.selected().map(|selected| selected.hidden_findings);
        (analysis.findings().len(), hidden)
    };
    assert_eq!(hidden(""), (2, None));
    assert_eq!(hidden("src port 80"), (1, Some(1)));
    assert_eq!(hidden("port 80"), (2, Some(0)));
    assert_eq!(hidden("port 81"), (0, Some(2)));
}

#[test]
fn reports_tell_what_was_selected() {
    let analysis = analysed(
        filtered_events(&Places::new(ROUTED)),
        4000,
        &asked("port 81"),
    );
    let mut report = report(analysis.findings());
    report.capture.selection = analysis.selected();
    let written = |format| {
        let mut bytes = Vec::new();
        report.write(&mut bytes, format, &Style::PLAIN).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let text = written(Format::TEXT);
    for wanted in [
        "\nselected: filter \"port 81\"; 1 finding outside is not shown\n",
        "\n\nNothing in the selection.\n",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let json: Value = serde_json::from_str(&written(Format::JSON)).unwrap();
    let wanted = json!({
        "netns": [], "container": [], "pid": [], "filter": "port 81", "unmatched": [],
        "hidden_findings": 1,
    });
    assert_eq!(json["capture"]["selection"], wanted);
}

#[test]
fn findings_are_counted_as_made_only_if_selected() {
    let scenario = filtered_events(&Places::new(ROUTED));
    let made = |words| analysed(scenario.clone(), 4000, &asked(words)).made().len();
    assert_eq!((made("port 80"), made("port 81")), (1, 0));
}

#[test]
fn a_container_stays_selected_when_it_is_gone() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let mut events = filtered_events(&places);
    events.push(at(3500, ends(conn.client, 1, 104)));
    let mut left = places.topology.clone();
    left.namespaces.remove(&CONTAINER);
    events.push(at(3600, told(&left)));
    let analysis = analysed(events, 5000, &asked("--container build"));
    let [finding] = analysis.findings().try_into().unwrap();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert_eq!(analysis.selected().unwrap().unmatched, [""; 0]);
}

#[test]
fn a_container_that_comes_later_is_selected_then() {
    let places = Places::new(ROUTED);
    let mut unnamed = places.topology.clone();
    unnamed.namespaces.get_mut(&CONTAINER).unwrap().container = None;
    let mut events = filtered_events(&places);
    events[0] = at(0, told(&unnamed));
    let named = at(3000, told(&places.topology));
    let before = analysed(events.clone(), 4000, &asked("--container build"));
    assert_eq!(before.findings(), []);
    assert_eq!(before.scope().absent().count(), 1);
    let error = before.scope().complete().unwrap_err().to_string();
    assert!(error.contains("--container build is not there"), "{error}");
    events.push(named);
    let after = analysed(events, 4000, &asked("--container build"));
    let [finding] = after.findings().try_into().unwrap();
    assert_eq!(finding.detected_at_ns, START_NS + 3000 * NS_PER_MS);
}

#[test]
fn events_go_with_their_connection() {
    let events = timeline(two(&Places::new(ROUTED)), 4000);
    let shown = |words: &str| -> Vec<&'static str> {
        let mut analysis = Analysis::of(asked(words).recorded().unwrap());
        let mut shown = Vec::new();
        for event in &events {
            analysis.apply(event);
            if analysis.includes(event) {
                shown.extend(match &event.kind {
                    EventKind::Packet(packet) if packet.icmp_error.is_some() => Some("message"),
                    EventKind::Packet(_) => Some("packet"),
                    EventKind::Retransmit(_) => Some("retransmit"),
                    EventKind::Connection(_) => Some("connection"),
                    _ => None,
                });
            }
        }
        shown
    };
    let count = |words: &str, kind| shown(words).iter().filter(|it| **it == kind).count();
    for kind in ["packet", "message", "retransmit", "connection"] {
        // The host's packets too, whose tuples are others.
        let (first, second) = (
            count("--container build", kind),
            count("--netns other", kind),
        );
        assert!(first > 0 && second > 0, "{kind}");
        assert_eq!(first + second, count("", kind), "{kind}");
        assert_eq!(second, count("port 40001", kind), "{kind}");
        assert_eq!(count("port 443", kind), 0, "{kind}");
    }
    assert_eq!(count("icmp", "message"), count("", "message"));
    assert_eq!(count("icmp", "retransmit"), 0);
    // What is about the trace as a whole is always there.
    let mut analysis = Analysis::of(asked("port 1").recorded().unwrap());
    for event in &events {
        analysis.apply(event);
        let whole = matches!(event.kind, EventKind::Tick | EventKind::Topology(_));
        assert_eq!(analysis.includes(event), whole, "{event:?}");
    }
}
