//! Files that are cut off, damaged, hostile, or something else: a clear word on it, what was good is
//! used, and never a panic.

use mtu_trace::testing::{Event, MOST_BLOCK_BYTES, ReadError, Reader};
use proptest::prelude::*;

use super::captured::{captured_events, findings};
use super::recording::{kept, read};

/// Type of the blocks of our own, as the format's documentation has it.
const OWN: u32 = 0x8d55_544d;

fn block(kind: u32, content: &[u8]) -> Vec<u8> {
    let padding = vec![0; content.len().next_multiple_of(4) - content.len()];
    let length = (12 + content.len() + padding.len()) as u32;
    let length = length.to_le_bytes();
    [&kind.to_le_bytes(), &length, content, &padding, &length]
        .map(<[u8]>::to_vec)
        .concat()
}

/// A section header without options.
fn section() -> Vec<u8> {
    let content = [
        &0x1a2b_3c4d_u32.to_le_bytes()[..],
        &1u16.to_le_bytes(),
        &0u16.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
    ];
    block(0x0a0d_0d0a, &content.concat())
}

fn refused(file: &[u8]) -> ReadError {
    match Reader::new(file) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

/// Where the blocks of a file begin, and its end.
fn offsets(file: &[u8]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut at = 0;
    while at < file.len() {
        let length: [u8; 4] = file[at + 4..at + 8].try_into().unwrap();
        at += u32::from_le_bytes(length) as usize;
        offsets.push(at);
    }
    offsets
}

#[test]
fn cut_off_anywhere_it_is_used_up_to_there() {
    let events: Vec<Event> = captured_events().into_iter().take(30).collect();
    let file = kept(&events);
    let ends = offsets(&file);
    let mut most = 0;
    for length in 0..file.len() {
        let cut = &file[..length];
        let Ok(mut reader) = Reader::new(cut) else {
            assert!(length < ends[2], "refused at {length}");
            continue;
        };
        let read: Vec<Event> = std::iter::from_fn(|| reader.next_event()).collect();
        assert!(events.starts_with(&read), "{length}");
        assert!(read.len() >= most, "{length}");
        most = read.len();
        let condition = reader.condition();
        match &condition.damage {
            Some(damage) => {
                let before = ends.iter().rev().find(|end| **end <= length).unwrap();
                assert_eq!(damage.offset, *before as u64, "{length}");
                assert!(!ends.contains(&length));
            }
            None => assert!(condition.unended && ends.contains(&length), "{length}"),
        }
        assert_eq!(condition.notes().len(), 1);
    }
    assert_eq!(most, events.len());
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let words = |file: &[u8]| refused(file).to_string();
    assert!(words(b"").contains("empty"));
    assert!(words(b"hello, this is text").contains("no capture"));
    assert!(words(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]).contains("classic pcap"));
    assert!(words(&[0; 4096]).contains("no capture"));
    // Wireshark's begin with an interface.
    let interface = block(1, &[101, 0, 0, 0, 0, 0, 0, 0]);
    assert!(words(&[section(), interface].concat()).contains("another program"));
    // Others use blocks for local use, too, and may even have the same type.
    let foreign = block(OWN, b"their own words");
    assert!(words(&[section(), foreign].concat()).contains("another program"));
    assert!(words(&[section(), block(OWN, b"trc\x04\xa0")].concat()).contains("version 4"));
    assert!(words(&[section(), block(OWN, b"trc\x01\xff")].concat()).contains("byte 28"));
    assert!(words(&section()).contains("byte 28"));
}

#[test]
fn hostile_lengths_take_no_memory() {
    let good = kept(&captured_events());
    let end = good.len() as u64;
    for length in [0, 1, 8, 11, 13, 0x7fff_fffc, u32::MAX - 3, u32::MAX] {
        let lie = [&OWN.to_le_bytes()[..], &length.to_le_bytes(), &[0; 64]].concat();
        let file = [good.clone(), lie].concat();
        let (events, reader) = read(&file);
        assert_eq!(events.len(), captured_events().len());
        let damage = reader.condition().damage.clone().unwrap();
        assert_eq!(damage.offset, end, "{length}");
    }
    // Just below what is allowed: cut off, and no more memory than there are bytes.
    let length = (MOST_BLOCK_BYTES as u32).to_le_bytes();
    let file = [good, OWN.to_le_bytes().to_vec(), length.to_vec()].concat();
    let (_, reader) = read(&file);
    let damage = reader.condition().damage.clone().unwrap();
    assert!(damage.what.contains("within a block"), "{damage}");
}

#[test]
fn a_packet_that_lies_about_its_length_is_a_damage() {
    let file = kept(&captured_events());
    let at = offsets(&file)
        .into_iter()
        .find(|at| file.get(*at..at + 4) == Some(&6u32.to_le_bytes()))
        .unwrap();
    for length in [1000, 0xffff_fff0, u32::MAX] {
        let mut file = file.clone();
        file[at + 20..at + 24].copy_from_slice(&u32::to_le_bytes(length));
        let (_, reader) = read(&file);
        let damage = reader.condition().damage.clone().unwrap();
        assert_eq!(damage.offset, at as u64);
    }
}

#[test]
fn what_a_newer_version_adds_is_left_out_and_counted() {
    let events = captured_events();
    let file = kept(&events);
    // {"yawn": [1, {}]} and something of a newer format.
    let yawn = b"trc\x03\xa1\x64yawn\x82\x01\xa0";
    let newer = b"trc\x04whatever";
    let added = [block(OWN, yawn), block(OWN, newer), block(OWN, yawn)].concat();
    let last = offsets(&file)[5];
    let file = [&file[..last], &added, &file[last..]].concat();
    let (again, reader) = read(&file);
    assert_eq!(again, events);
    let unknown: Vec<(&str, u64)> = reader
        .condition()
        .unknown
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(unknown, [("format 4", 1), ("yawn", 2)]);
    let notes = reader.condition().notes().concat();
    assert!(notes.contains("2 of \"yawn\""), "{notes}");
}

/// A block of ours with a row.
fn row(name: &str, row: &[u8]) -> Vec<u8> {
    let length = 0x60 + name.len() as u8;
    let content = [b"trc\x03\xa1", &[length][..], name.as_bytes(), row];
    block(OWN, &content.concat())
}

/// The file of a scenario without its blocks of ours that begin like this.
fn without(name: &str) -> (Vec<u8>, usize) {
    let file = kept(&captured_events());
    let ends = offsets(&file);
    let first = row(name, b"");
    let is_it = |at: usize| {
        file.get(at..at + 4) == Some(&OWN.to_le_bytes())
            && file[at + 8..].starts_with(&first[8..13 + name.len()])
    };
    let left = ends.windows(2).filter(|it| !is_it(it[0]));
    let left: Vec<&[u8]> = left.map(|it| &file[it[0]..it[1]]).collect();
    let dropped = ends.len() - 1 - left.len();
    (left.concat(), dropped)
}

#[test]
fn what_was_not_told_is_a_damage() {
    for name in ["name", "device"] {
        let (file, dropped) = without(name);
        assert!(dropped > 1, "{name}: {dropped}");
        let (events, reader) = read(&file);
        assert!(captured_events().starts_with(&events) && events.len() < captured_events().len());
        let damage = reader.condition().damage.clone().unwrap();
        assert!(damage.what.contains("which was not told"), "{damage}");
        assert!(damage.what.contains(name), "{damage}");
        check(&file);
    }
}

#[test]
fn numbers_that_are_told_out_of_order_are_a_damage() {
    let file = kept(&captured_events());
    // 2^32 - 1 in a name and in a device.
    let name = row("name", b"\x82\x1a\xff\xff\xff\xff\x61a");
    let device = row("device", b"\x85\x1a\xff\xff\xff\xff\x01\x02\xf6\x03");
    for entry in [name, device] {
        let file = [file.clone(), entry].concat();
        let (events, reader) = read(&file);
        assert_eq!(events.len(), captured_events().len());
        let damage = reader.condition().damage.clone().unwrap();
        assert!(damage.what.contains("comes next"), "{damage}");
    }
}

#[test]
fn rows_may_grow_and_others_are_left_out() {
    let told = |content: &[u8]| {
        let file = [kept(&captured_events()), row("tick", content)].concat();
        let (events, reader) = read(&file);
        let condition = reader.condition().clone();
        let last = events.last().unwrap().clone();
        (
            events.len() - captured_events().len(),
            last.time_ns,
            condition,
        )
    };
    let nothing = (0, captured_events().last().unwrap().time_ns);
    // [5], [5, {"new": [1]}], and something that is no row of this version.
    let (more, time_ns, condition) = told(b"\x81\x05");
    assert_eq!((more, time_ns), (1, 5));
    assert_eq!(condition.damage, None);
    let (more, time_ns, condition) = told(b"\x82\x05\xa1\x63new\x81\x01");
    assert_eq!((more, time_ns), (1, 5));
    assert_eq!(condition.damage, None);
    for other in [&b"\x80"[..], b"\x81\x63new", b"\x81\xf6", b"\x05", b"\xa0"] {
        let (more, time_ns, condition) = told(other);
        assert_eq!((more, time_ns), nothing, "{other:?}");
        assert_eq!(condition.unknown.get("tick"), Some(&1), "{other:?}");
        assert_eq!(condition.damage, None);
    }
    // Lengths that lie: 2^62 places, more places than there are, and a row in rows without end.
    let deep = [0x81; 5000];
    let long = b"\x9b\x40\0\0\0\0\0\0\0\x05";
    for lie in [&long[..], b"\x98\xff\x05", b"\x9f\x05\x05\x05", &deep] {
        let (more, time_ns, condition) = told(lie);
        assert_eq!((more, time_ns), nothing);
        assert!(condition.damage.is_some(), "{lie:?}");
    }
}

#[test]
fn blocks_of_others_between_ours_are_skipped() {
    let events = captured_events();
    let file = kept(&events);
    let statistics = block(5, &[0; 12]);
    let custom = block(0x0bad, &[0; 40]);
    let at = offsets(&file)[7];
    let file = [&file[..at], &statistics, &custom, &file[at..]].concat();
    let (again, reader) = read(&file);
    assert_eq!(again, events);
    assert!(reader.condition().notes().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is in a file: it is read, analysed and put into words, or refused.
    #[test]
    fn damaged_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = kept(&captured_events()[..40]);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        check(&file);
    }

    #[test]
    fn noise_behind_a_header_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let header = section();
        check(&noise);
        check(&[header.clone(), noise.clone()].concat());
        let own = block(OWN, &[b"trc\x01", noise.as_slice()].concat());
        check(&[header, own.clone()].concat());
        check(&[kept(&captured_events()[..5]), own].concat());
        for name in ["sample", "connection", "retransmit", "count", "name", "device", "closed"] {
            check(&[kept(&captured_events()[..5]), row(name, &noise)].concat());
        }
    }
}

fn check(file: &[u8]) {
    let Ok(mut reader) = Reader::new(file) else {
        return;
    };
    let events: Vec<Event> = std::iter::from_fn(|| reader.next_event()).collect();
    assert!(findings(&events).contains("findings"));
    assert!(
        reader
            .condition()
            .notes()
            .iter()
            .all(|note| !note.contains('\u{1b}'))
    );
}
