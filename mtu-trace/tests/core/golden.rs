//! Captures of real traces, kept as they were written: a change that can no longer read them, or that
//! reads something else from them, fails here. Their reports are in `snapshots/` beside the other ones.
//!
//! The files were recorded by version 0.1.0 on Linux 6.18.44, a router between two namespaces whose
//! interface towards the client has an MTU of 1400: once with the ICMP error dropped by its OUTPUT
//! rules, once without. They are compressed with `zstd -19`.

use std::{path::Path, process::Command};

use insta::assert_snapshot;
use mtu_trace::{
    capture::{self, Reader},
    event::EventKind,
};

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
    assert_eq!(events("filtered"), (68, 1208));
    assert_snapshot!("filtered", report("filtered"));
}

#[test]
fn a_discovered_mtu() {
    assert_eq!(events("discovered"), (21, 420));
    assert_snapshot!("discovered", report("discovered"));
}
