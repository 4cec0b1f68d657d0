//! Captures of real traces, kept as they were written: a change that can no longer read them, or that
//! reads something else from them, fails here. Their reports are in `snapshots/` beside the other ones.
//!
//! The files were recorded by version 0.1.0 on Linux 6.18.44, a router between two namespaces whose
//! interface towards the client has an MTU of 1400: once with the ICMP error dropped by its OUTPUT
//! rules, once without. They are compressed with `zstd -19`. They have version 1 of the format;
//! those with `-2` and `-3` have the same events in versions 2 and 3, and `kinds-3` has every kind
//! of event.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use mtu_trace::testing::{Encoder, Event, EventKind, Reader, capture};

use super::captured::every_kind;

fn path(name: &str) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = own.join("tests/core/golden").join(name);
    format!("{}.pcapng.zst", file.display())
}

fn report(name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mtu-trace"))
        .args(["report", &path(name)])
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// How many events there are, and how many bytes of packets they have.
fn events(name: &str) -> (u64, usize) {
    let input = capture::open(Path::new(&path(name))).unwrap();
    let mut reader = Reader::new(input).unwrap();
    let (mut count, mut bytes) = (0, 0);
    while let Some(event) = reader.next_event() {
        count += 1;
        if let EventKind::Packet(packet) = event.kind {
            bytes += packet.head.len();
        }
    }
    assert_eq!(reader.condition().notes(), Vec::<String>::new());
    assert_eq!(reader.end().unwrap().events, count);
    (count, bytes)
}

#[test]
fn a_filtered_message() {
    for name in ["filtered", "filtered-2", "filtered-3"] {
        assert_eq!(events(name), (68, 1208));
        assert_snapshot!("filtered", report(name));
    }
}

#[test]
fn a_discovered_mtu() {
    for name in ["discovered", "discovered-2", "discovered-3"] {
        assert_eq!(events(name), (21, 420));
        assert_snapshot!("discovered", report(name));
    }
}

/// Two faults at once, an upload whose message the container drops and a bridge larger than its port,
/// as `cargo xtask vm` has recorded them on Debian's kernels: other numbers of reasons, other
/// mechanisms, namespaces with and without cookies.
#[test]
fn other_kernels() {
    for kernel in ["5.10", "6.1", "6.12", "7.x"] {
        let name = format!("kernel-{kernel}");
        let (_, bytes) = events(&name);
        assert!(bytes > 0);
        assert_snapshot!(name.as_str(), report(&name));
    }
}

#[test]
fn versions_have_the_same_events() {
    for name in ["filtered", "discovered"] {
        for version in [2, 3] {
            assert_eq!(all(name), all(&format!("{name}-{version}")));
        }
    }
    assert_eq!(all("kernel-7.x"), all("kernel-7.x-3"));
}

fn all(name: &str) -> Vec<Event> {
    let mut reader = Reader::new(capture::open(Path::new(&path(name))).unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_event()).collect()
}

/// It is in two parts, so that what is told again is in it, too.
#[test]
fn every_kind_of_event_is_read() {
    assert_eq!(all("kinds-3"), every_kind());
}

#[test]
fn a_table_without_events_has_its_columns() {
    let lines = |filter: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mtu-trace"))
            .args(["export", &path("filtered"), "--format", "csv"])
            .args(filter)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, none) = (lines(&[]), lines(&["port 1"]));
    assert!(all.len() > 1);
    assert_eq!(none, all[..1]);
    assert!(none[0].starts_with("time,time_ns,event,what,"), "{none:?}");
}

#[test]
fn what_is_read_is_written_again_to_the_byte() {
    for name in ["discovered-3", "filtered-3", "kernel-7.x-3"] {
        let open = || capture::open(Path::new(&path(name))).unwrap();
        let mut reader = Reader::new(open()).unwrap();
        let mut encoder = Encoder::new(reader.header().clone());
        let mut written = encoder.opening().unwrap();
        while let Some(event) = reader.next_event() {
            encoder.event(&event, &mut written).unwrap();
        }
        if let Some(end) = reader.end() {
            let end = encoder.close(end.ended_ns, end.hooks.clone());
            written.extend(end.unwrap());
        }
        let mut kept = Vec::new();
        open().read_to_end(&mut kept).unwrap();
        assert!(written == kept, "{name}");
    }
}
