//! A made-up recording: how it came about, and its file.

use std::io::Cursor;

use mtu_trace::testing::{Clock, Encoder, Event, HookStatus, PartHeader, Reader};

use super::scenario::START_NS;

/// Hooks of which one is missing.
pub fn hooks() -> Vec<HookStatus> {
    let hook = |name: &str, attached: bool| HookStatus {
        hook: name.to_owned(),
        mechanism: "raw_tracepoint".to_owned(),
        attached,
        optional: false,
        detail: (!attached).then(|| "no such tracepoint".to_owned()),
        shows: attached.then(|| "packets dropped".to_owned()),
        lost: (!attached).then(|| {
            "whether a boundary told the sender is known from tc and filtered ICMP only".to_owned()
        }),
    };
    vec![hook("skb:kfree_skb", true), hook("icmp:icmp_send", false)]
}

/// How a made-up recording came about.
pub fn header() -> PartHeader {
    PartHeader {
        tool_version: "0.1.0".to_owned(),
        hostname: "node-1".to_owned(),
        kernel: "6.18.44".to_owned(),
        machine: "x86_64".to_owned(),
        clock: Clock {
            wall: "2026-03-04T05:06:07.123456789Z".parse().unwrap(),
            monotonic_ns: START_NS,
        },
        recording: 7,
        part: 1,
        began_ns: START_NS,
        hooks: Vec::new(),
    }
}

/// The file of a recording.
pub fn kept(events: &[Event]) -> Vec<u8> {
    parts(events, usize::MAX).concat()
}

/// The files of a recording, so many events in each.
pub fn parts(events: &[Event], most: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(header());
    let mut files = vec![encoder.opening().unwrap()];
    let mut now_ns = START_NS;
    for (number, event) in events.iter().enumerate() {
        if number > 0 && number % most == 0 {
            let (end, opening) = encoder.next_part(now_ns).unwrap();
            files.last_mut().unwrap().extend(end);
            files.push(opening);
        }
        now_ns = event.time_ns;
        encoder.event(event, files.last_mut().unwrap()).unwrap();
    }
    let end = encoder.close(now_ns, Vec::new()).unwrap();
    files.last_mut().unwrap().extend(end);
    files
}

/// What is read from a file, and the reader after it.
pub fn read(file: &[u8]) -> (Vec<Event>, Reader<Cursor<Vec<u8>>>) {
    let mut reader = Reader::new(Cursor::new(file.to_vec())).unwrap();
    let events = std::iter::from_fn(|| reader.next_event()).collect();
    (events, reader)
}
