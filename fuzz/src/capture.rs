//! Changes to captures.

use fastrand::Rng;

use crate::cbor;
use crate::framing::{self, Block};

/// Blocks that every section begins with.
const OPENING: usize = 2;

/// Another capture, of which most can still be read; `None` to have libFuzzer change the bytes.
pub fn mutated(
    file: &[u8],
    rng: &mut Rng,
    mutate: &mut dyn FnMut(&mut Vec<u8>),
) -> Option<Vec<u8>> {
    let (mut blocks, rest) = framing::split(file);
    if blocks.is_empty() || rng.u8(..16) == 0 {
        return None;
    }
    let at = rng.usize(..blocks.len());
    match rng.u8(..16) {
        0 => {
            let copy = blocks[at].clone();
            blocks.insert(rng.usize(..=blocks.len()), copy);
        }
        1 => {
            blocks.remove(at);
        }
        2 => {
            let with = rng.usize(..blocks.len());
            blocks.swap(at, with);
        }
        3 => {
            let run: Vec<Block> = blocks[at..].iter().take(8).cloned().collect();
            let to = rng.usize(at..=blocks.len());
            blocks.splice(to..to, run);
        }
        4 => {
            let end = rng.usize(at..=blocks.len());
            blocks.drain(at..end);
        }
        5 | 6 => mutate(&mut blocks[at].body),
        _ => {
            let content = blocks[at].content().and_then(|bytes| cbor::decoded(&bytes));
            let Some(mut value) = content else {
                mutate(&mut blocks[at].body);
                return Some(framing::join(&blocks, rest));
            };
            cbor::change(&mut value, rng, mutate);
            blocks[at].set_content(&cbor::encoded(&value));
        }
    }
    Some(framing::join(&blocks, rest))
}

/// A capture that goes on with a part of another.
#[must_use]
pub fn crossed(file: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let (mut blocks, rest) = framing::split(file);
    let (others, _) = framing::split(other);
    let from = rng.usize(..=others.len());
    let run: Vec<Block> = others[from..]
        .iter()
        .take(rng.usize(1..16))
        .cloned()
        .collect();
    let to = rng.usize(blocks.len().min(OPENING)..=blocks.len());
    blocks.splice(to..to, run);
    framing::join(&blocks, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::OWN;

    fn file() -> Vec<u8> {
        let section = Block {
            kind: 0x0a0d_0d0a,
            body: vec![0; 16],
        };
        let own = |content: &[u8]| Block {
            kind: OWN,
            body: [b"trc\x01", content].concat(),
        };
        framing::join(&[section, own(b"\x83\x01\x02\x03"), own(b"\x61a")], &[])
    }

    #[test]
    fn changed_captures_are_whole_blocks() {
        let mut rng = Rng::with_seed(1);
        let mut made = 0;
        for _ in 0..500 {
            let mut mutate = |bytes: &mut Vec<u8>| bytes.push(1);
            if let Some(file) = mutated(&file(), &mut rng, &mut mutate) {
                let (_, rest) = framing::split(&file);
                assert_eq!(rest, b"");
                made += 1;
            }
            let crossed = crossed(&file(), &file(), &mut rng);
            let (blocks, rest) = framing::split(&crossed);
            assert_eq!(rest, b"");
            assert!(blocks.len() >= 3);
        }
        assert!(made > 400, "{made}");
        assert_eq!(mutated(b"", &mut rng, &mut |_| {}), None);
    }
}
