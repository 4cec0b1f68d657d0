//! Inputs to begin with, made from the golden captures: they are what real traces look like.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use mtu_trace_common::map::{FlowKey, flag};
use mtu_trace_common::record::{
    ClosedRecord, HEAD_BYTES, PacketRecord, RecordHeader, RetransmitRecord, kind,
};
use zerocopy::{FromZeros, IntoBytes};

/// Where the captures are.
const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../mtu-trace/tests/core/golden"
);
/// Blocks that every capture begins with, and those that tell of the network.
const OPENING: usize = 2;
const NETWORK: usize = 4;
/// Blocks of a small capture.
const PART: usize = 10;
/// Type of the blocks that packets are in, and where the packet is: behind its length on the wire.
const PACKET_BLOCK: u32 = 6;
const CAPTURED_AT: usize = 20;
const PACKET_AT: usize = 28;

/// Writes those of the fuzz target called `target` to `directory`, whatever else is there.
///
/// # Errors
///
/// There is no such target, a capture cannot be read, or `directory` cannot be written.
pub fn write(target: &str, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for (name, path) in golden()? {
        let seeds = match target {
            "reader" => captures(&unpacked(&path)?),
            "records" => records(&unpacked(&path)?),
            // As zstd, which they are, and as gzip.
            "compressed" => vec![
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
                output(Command::new("gzip").arg("-cn").arg(&path))?,
            ],
            other => bail!("no fuzz target is called {other}"),
        };
        for (number, seed) in seeds.iter().enumerate() {
            let path = directory.join(format!("seed-{name}-{number}"));
            fs::write(&path, seed).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Names and files of the golden captures.
fn golden() -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(GOLDEN).with_context(|| format!("cannot read {GOLDEN}"))?;
    let mut captures = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".pcapng.zst") {
            captures.push((name.to_owned(), path));
        }
    }
    ensure!(!captures.is_empty(), "no capture is in {GOLDEN}");
    Ok(captures)
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    output(Command::new("zstd").arg("-dcq").arg(path))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().display().to_string();
    let output = command.output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        stderr.trim()
    );
    Ok(output.stdout)
}

/// A capture, and its parts with and without the network: libFuzzer likes them small.
fn captures(capture: &[u8]) -> Vec<Vec<u8>> {
    let blocks: Vec<&[u8]> = blocks(capture).collect();
    let mut seeds = vec![capture.to_vec()];
    for opening in [OPENING, NETWORK] {
        let opening = &blocks[..opening.min(blocks.len())];
        let rest = blocks.get(NETWORK..).unwrap_or_default();
        let parts = rest.chunks(PART);
        seeds.extend(parts.map(|part| [opening, part].concat().concat()));
    }
    seeds
}

/// Records about the packets of a capture: one of each kind, and all of them in a row.
fn records(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, head) in heads(capture).enumerate() {
        let time_ns = number as u64 * 100_000_000;
        for kind in [kind::DROP, kind::ICMP_SENT, kind::SIGHTING] {
            seeds.push(packet(kind, time_ns, head).as_bytes().to_vec());
        }
        seeds.push(retransmit(time_ns, head).as_bytes().to_vec());
    }
    if let Some(head) = heads(capture).next() {
        let mut closed = ClosedRecord::new_zeroed();
        closed.header = header(kind::CLOSED, size_of::<ClosedRecord>(), 1 << 40);
        closed.key = key(head);
        seeds.push(closed.as_bytes().to_vec());
    }
    if !seeds.is_empty() {
        seeds.push(seeds.concat());
    }
    seeds
}

fn packet(kind: u32, time_ns: u64, head: &[u8]) -> PacketRecord {
    let mut record = PacketRecord::new_zeroed();
    record.header = header(kind, size_of::<PacketRecord>(), time_ns);
    record.key.flow = key(head);
    record.count = 1;
    record.l3_len = 1500;
    record.headers_len = 40;
    let length = head.len().min(HEAD_BYTES);
    record.head_len = length as u32;
    record.head[..length].copy_from_slice(&head[..length]);
    record
}

fn retransmit(time_ns: u64, head: &[u8]) -> RetransmitRecord {
    let mut record = RetransmitRecord::new_zeroed();
    record.header = header(kind::RETRANSMIT, size_of::<RetransmitRecord>(), time_ns);
    record.key = key(head);
    record.state = 1;
    record.end_seq = 1460;
    record.count = 1;
    record.flags = flag::KNOWN;
    record
}

fn header(kind: u32, length: usize, time_ns: u64) -> RecordHeader {
    RecordHeader {
        kind,
        len: length as u32,
        time_ns,
    }
}

/// The flow of an IPv4 packet of TCP without options; zeros for what is cut off.
fn key(head: &[u8]) -> FlowKey {
    let mut key = FlowKey {
        family: 4,
        protocol: 6,
        ..FlowKey::default()
    };
    if let Some(head) = head.get(..24) {
        key.source[..4].copy_from_slice(&head[12..16]);
        key.destination[..4].copy_from_slice(&head[16..20]);
        key.source_port = u16::from_be_bytes([head[20], head[21]]);
        key.destination_port = u16::from_be_bytes([head[22], head[23]]);
    }
    key
}

/// The IPv4 packets of a capture; one that is made up may hold any bytes.
fn heads(capture: &[u8]) -> impl Iterator<Item = &[u8]> {
    blocks(capture)
        .filter(|block| word(block, 0) == Some(PACKET_BLOCK))
        .filter_map(|block| {
            let length = word(block, CAPTURED_AT)? as usize;
            block.get(PACKET_AT..)?.get(..length)
        })
        .filter(|head| head.first().is_some_and(|first| first >> 4 == 4))
}

/// The blocks of a little-endian pcapng file, up to where it is damaged.
fn blocks(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = word(file, 4)? as usize;
        let (block, rest) = file.split_at_checked(length.max(1))?;
        file = rest;
        Some(block)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn golden_captures_are_cut_at_their_blocks() -> Result<()> {
        for (name, path) in golden()? {
            let capture = unpacked(&path)?;
            let all: Vec<&[u8]> = blocks(&capture).collect();
            assert_eq!(all.concat(), capture, "{name}");
            let seeds = captures(&capture);
            assert_eq!(seeds[0], capture);
            assert!(seeds.len() > 4, "{name}");
            for seed in &seeds {
                assert!(seed.starts_with(&all[..OPENING].concat()), "{name}");
                assert_eq!(blocks(seed).collect::<Vec<_>>().concat(), *seed);
            }
        }
        Ok(())
    }

    #[test]
    fn records_are_about_the_packets_of_the_captures() -> Result<()> {
        for (name, path) in golden()? {
            let capture = unpacked(&path)?;
            let seeds = records(&capture);
            if heads(&capture).next().is_none() {
                assert!(seeds.is_empty(), "{name}");
                continue;
            }
            assert!(seeds.len() > 10, "{name}");
            let ports = size_of::<RecordHeader>() + offset_of!(FlowKey, source_port);
            for seed in &seeds {
                let length = word(seed, offset_of!(RecordHeader, len)).context("no length")?;
                assert!(length as usize <= seed.len());
                assert_ne!(&seed[ports..ports + 4], [0; 4], "{name}");
            }
        }
        Ok(())
    }
}
