//! Records of any bytes: they are errors or events, and whatever events they are, they are analysed,
//! reported and kept.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use mtu_trace::testing::{
    Decoder, Event, EventKind, KernelTypes, PartHeader, Reader, Topology, capture, flow, key,
    name_devices,
};
use mtu_trace_common::record::HEAD_BYTES;
use mtu_trace_fuzz::run::Run;
use mtu_trace_fuzz::{grown, heap, kernel};
use zerocopy::IntoBytes as _;

#[global_allocator]
static HEAP: heap::Bounded = heap::Bounded;

/// What any records may take, bytes.
const ANY_BYTES: usize = 2 << 20;
/// What they may take for each of their own bytes.
const FOR_EACH_BYTE: usize = 256;

/// How a real trace came about, and the network it was made in.
static TRACE: LazyLock<(PartHeader, Arc<Topology>)> = LazyLock::new(|| {
    let path = "../mtu-trace/tests/core/golden/filtered.pcapng.zst";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let input = capture::open(&path).expect("the golden capture is there");
    let mut reader = Reader::new(input).expect("it is a capture");
    let mut topology = Arc::default();
    while let Some(event) = reader.next_event() {
        if let EventKind::Topology(found) = event.kind {
            topology = found;
        }
    }
    (reader.header().clone(), topology)
});

fuzz_target!(|input: &[u8]| {
    LazyLock::force(&TRACE);
    heap::within(ANY_BYTES + FOR_EACH_BYTE * input.len(), || decode(input));
});

fn decode(input: &[u8]) {
    let (header, topology) = &*TRACE;
    let decoder = Decoder::new(
        KernelTypes {
            drop_reasons: BTreeMap::from([(93, "PKT_TOO_BIG".to_owned())]),
            ..KernelTypes::default()
        },
        None,
    );
    let mut run = Run::new(header);
    run.take(&Event {
        time_ns: header.began_ns,
        kind: EventKind::Topology(Arc::clone(topology)),
    });
    for record in kernel::records(input) {
        let words = kernel::aligned(record);
        let record = &words.as_bytes()[..record.len()];
        // Errors say what is wrong, whatever it is.
        let mut event = match decoder.decode(record, topology) {
            Ok((event, _count)) => event,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        name_devices(&mut event, topology);
        if let EventKind::Packet(packet) = &event.kind {
            assert!(packet.head.len() <= HEAD_BYTES);
            assert_eq!(flow(&key(&packet.flow)), packet.flow);
        }
        run.take(&event);
        run.take(&Event {
            time_ns: event.time_ns,
            kind: EventKind::Tick,
        });
    }
    run.end(Vec::new());
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = fastrand::Rng::with_seed(seed.into());
    let changed = kernel::mutated(&data[..size], &TRACE.1, &mut rng, &mut grown(fuzzer_mutate));
    if changed.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
});
