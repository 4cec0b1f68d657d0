//! Records of the kernel programs, one after the other as in the ring buffer.

use std::mem::offset_of;

use fastrand::Rng;
use mtu_trace::testing::Topology;
use mtu_trace_common::record::{
    ClosedRecord, PacketRecord, PathMtuRecord, RecordHeader, RetransmitRecord, kind,
};

/// Records of an input, by the lengths in their headers. The last one ends where the input does.
pub fn records(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        let length = input.get(4..8).map_or(input.len(), |length| {
            u32::from_ne_bytes(length.try_into().unwrap_or_default()) as usize
        });
        let (record, rest) = input
            .split_at_checked(length.max(size_of::<RecordHeader>()))
            .unwrap_or((input, &[]));
        input = rest;
        Some(record)
    })
}

/// The bytes as the ring buffer has them: aligned for every field.
#[must_use]
pub fn aligned(record: &[u8]) -> Vec<u64> {
    let mut words = vec![0; record.len().div_ceil(8)];
    zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice())[..record.len()].copy_from_slice(record);
    words
}

/// Other records: whole ones, of known kinds, in namespaces and on devices that there are.
pub fn mutated(
    input: &[u8],
    topology: &Topology,
    rng: &mut Rng,
    mutate: &mut dyn FnMut(&mut Vec<u8>),
) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = records(input).map(<[u8]>::to_vec).collect();
    if all.is_empty() {
        all.push(Vec::new());
    }
    let at = rng.usize(..all.len());
    match rng.u8(..10) {
        0 => {
            let copy = all[at].clone();
            all.insert(rng.usize(..=all.len()), copy);
        }
        1 if all.len() > 1 => {
            all.remove(at);
        }
        2 => {
            let with = rng.usize(..all.len());
            all.swap(at, with);
        }
        3 => whole(&mut all[at], rng),
        4 => placed(&mut all[at], topology, rng),
        5 => later(&mut all[at], rng),
        6 => {
            // The same conversation in another record.
            let other = all[rng.usize(..all.len())].clone();
            let key = size_of::<RecordHeader>()..offset_of!(PacketRecord, count);
            if let (Some(from), Some(to)) = (other.get(key.clone()), all[at].get_mut(key)) {
                to.copy_from_slice(from);
            }
        }
        _ => mutate(&mut all[at]),
    }
    all.concat()
}

/// Makes a record one of a known kind, as long as it should be.
fn whole(record: &mut Vec<u8>, rng: &mut Rng) {
    let (kind, length) = match rng.u32(1..=7) {
        kind::RETRANSMIT => (kind::RETRANSMIT, size_of::<RetransmitRecord>()),
        kind::CLOSED => (kind::CLOSED, size_of::<ClosedRecord>()),
        kind::PATH_MTU => (kind::PATH_MTU, size_of::<PathMtuRecord>()),
        other => (other, size_of::<PacketRecord>()),
    };
    record.resize(length, 0);
    put(record, 0, &kind.to_ne_bytes());
    put(record, 4, &(length as u32).to_ne_bytes());
}

/// Puts a record, or one of its devices, where there is a device.
fn placed(record: &mut [u8], topology: &Topology, rng: &mut Rng) {
    let devices = topology
        .namespaces
        .iter()
        .flat_map(|(id, netns)| netns.links.keys().map(move |ifindex| (id.0, *ifindex)));
    let devices: Vec<(u64, u32)> = devices.collect();
    let Some((netns, ifindex)) = rng.choice(devices) else {
        return;
    };
    let device = match rng.u8(..5) {
        0 => offset_of!(PacketRecord, device),
        1 => offset_of!(PacketRecord, route),
        2 => offset_of!(PacketRecord, peer),
        3 => {
            return put(
                record,
                offset_of!(PacketRecord, iif),
                &ifindex.to_ne_bytes(),
            );
        }
        // What every kind's key begins with.
        _ => return put(record, size_of::<RecordHeader>(), &netns.to_ne_bytes()),
    };
    put(record, device, &netns.to_ne_bytes());
    put(record, device + 12, &ifindex.to_ne_bytes());
}

/// Lets some time pass until a record.
fn later(record: &mut [u8], rng: &mut Rng) {
    let at = offset_of!(RecordHeader, time_ns);
    let Some(time) = record.get(at..at + 8) else {
        return;
    };
    let time = u64::from_ne_bytes(time.try_into().unwrap_or_default());
    let time = time.wrapping_add(rng.u64(..10_000_000_000));
    put(record, at, &time.to_ne_bytes());
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = record.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_they_say() {
        let record = |length: u32, size: usize| {
            let mut record = vec![1; size];
            put(&mut record, 4, &length.to_ne_bytes());
            record
        };
        let all = [record(24, 24), record(16, 16), record(99, 30)];
        let input = all.concat();
        assert!(records(&input).eq(all.iter().map(Vec::as_slice)));
        // One that says it is shorter than its own header is not taken at its word.
        assert_eq!(records(&record(0, 40)).next().unwrap().len(), 16);
        assert_eq!(records(&[1, 2, 3]).collect::<Vec<_>>(), [[1, 2, 3]]);
        assert_eq!(records(&[]).count(), 0);
    }

    #[test]
    fn whole_records_of_each_kind_come_from_nothing() {
        let mut rng = Rng::with_seed(1);
        let mut kinds = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let made = mutated(&[], &Topology::default(), &mut rng, &mut |_| {});
            if let Some(kind) = made.first() {
                kinds.insert((*kind, made.len()));
            }
        }
        let (packet, sent) = (size_of::<PacketRecord>(), size_of::<RetransmitRecord>());
        let (closed, told) = (size_of::<ClosedRecord>(), size_of::<PathMtuRecord>());
        let all = [
            (1, packet),
            (2, packet),
            (3, packet),
            (4, sent),
            (5, closed),
            (6, packet),
            (7, told),
        ];
        assert!(kinds.into_iter().eq(all));
    }
}
