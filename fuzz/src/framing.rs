//! Blocks of a pcapng file, so that a change inside one leaves those behind it readable.
//!
//! `docs/capture-format.md` has the layout.

/// Type of the blocks of our own.
pub const OWN: u32 = 0x8d55_544d;
/// Type of packets.
pub const PACKET: u32 = 6;
/// What the content of our own begins with: the magic and the version.
const OWN_START: usize = 4;
/// Bytes before a packet's own.
const PACKET_FIXED: usize = 20;
/// The option of a packet that has its event.
const EVENT_OPTION: u16 = 0x8d54;
/// The longest value of an option that ends on a multiple of four.
const MOST_OPTION_BYTES: usize = 65_532;

/// A block without its lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its type.
    pub kind: u32,
    /// What is between its lengths.
    pub body: Vec<u8>,
}

/// The blocks that a file begins with, and what is left behind the last whole one.
#[must_use]
pub fn split(file: &[u8]) -> (Vec<Block>, &[u8]) {
    let mut blocks = Vec::new();
    let mut rest = file;
    while let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 4)) {
        let length = length as usize;
        let Some(body) = rest.get(8..length.saturating_sub(4)) else {
            break;
        };
        if length > rest.len() || !length.is_multiple_of(4) {
            break;
        }
        blocks.push(Block {
            kind,
            body: body.to_vec(),
        });
        rest = &rest[length..];
    }
    (blocks, rest)
}

/// The file of these blocks.
#[must_use]
pub fn join(blocks: &[Block], rest: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for block in blocks {
        let padding = padding(block.body.len());
        let length = (12 + block.body.len() + padding) as u32;
        file.extend(block.kind.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(&block.body);
        file.extend(&[0; 3][..padding]);
        file.extend(length.to_le_bytes());
    }
    file.extend(rest);
    file
}

impl Block {
    /// What it says in CBOR, if anything. There may be padding behind.
    #[must_use]
    pub fn content(&self) -> Option<Vec<u8>> {
        match self.kind {
            OWN => self.body.get(OWN_START..).map(<[u8]>::to_vec),
            PACKET => {
                let options = options(&self.body)?;
                let parts = options.iter().filter(|(code, _)| *code == EVENT_OPTION);
                let content: Vec<u8> = parts.flat_map(|(_, value)| value).copied().collect();
                (!content.is_empty()).then_some(content)
            }
            _ => None,
        }
    }

    /// Has it say something else.
    pub fn set_content(&mut self, content: &[u8]) {
        match self.kind {
            OWN => {
                self.body.truncate(OWN_START);
                self.body.extend(content);
            }
            PACKET => {
                let Some(mut options) = options(&self.body) else {
                    return;
                };
                options.retain(|(code, _)| *code != EVENT_OPTION && *code != 0);
                let parts = content.chunks(MOST_OPTION_BYTES);
                options.extend(parts.map(|part| (EVENT_OPTION, part.to_vec())));
                self.body.truncate(packet_end(&self.body).unwrap_or(0));
                for (code, value) in options {
                    self.body.extend(code.to_le_bytes());
                    self.body.extend((value.len() as u16).to_le_bytes());
                    self.body.extend(&value);
                    self.body.extend(&[0; 3][..padding(value.len())]);
                }
                self.body.extend([0; 4]);
            }
            _ => {}
        }
    }
}

/// Where the options of a packet's block begin.
fn packet_end(body: &[u8]) -> Option<usize> {
    let captured = word(body, 12)? as usize;
    let end = PACKET_FIXED.checked_add(captured.checked_next_multiple_of(4)?)?;
    (end <= body.len()).then_some(end)
}

fn options(body: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut rest = &body[packet_end(body)?..];
    let mut options = Vec::new();
    while let [a, b, c, d, behind @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*c, *d]));
        options.push((u16::from_le_bytes([*a, *b]), behind.get(..length)?.to_vec()));
        rest = behind.get(length + padding(length)..)?;
    }
    Some(options)
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(event: &[u8]) -> Block {
        let mut block = Block {
            kind: PACKET,
            // Five bytes of a packet and a comment of two.
            body: [
                &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0][..],
                &[1, 2, 3, 4, 5, 0, 0, 0],
                &[1, 0, 2, 0, b'h', b'i', 0, 0],
                &[0; 4],
            ]
            .concat(),
        };
        block.set_content(event);
        block
    }

    #[test]
    fn blocks_come_back() {
        let own = Block {
            kind: OWN,
            body: b"trc\x01\xf6\0\0\0".to_vec(),
        };
        let blocks = vec![own.clone(), packet(b"event"), own];
        let file = join(&blocks, b"cut off");
        assert_eq!(split(&file), (blocks, &b"cut off"[..]));
        assert_eq!(split(b""), (Vec::new(), &b""[..]));
        for end in 0..file.len() {
            let (blocks, rest) = split(&file[..end]);
            assert_eq!(join(&blocks, rest), file[..end]);
        }
    }

    #[test]
    fn content_is_changed_and_nothing_else() {
        let mut own = Block {
            kind: OWN,
            body: b"trc\x01\xf6\0\0\0".to_vec(),
        };
        own.set_content(b"\x01");
        assert_eq!(own.body, b"trc\x01\x01");
        assert_eq!(own.content().unwrap(), b"\x01");
        for length in [1, 4, 7, MOST_OPTION_BYTES + 3] {
            let event = vec![7; length];
            let mut packet = packet(b"event");
            let before = packet.body[..36].to_vec();
            packet.set_content(&event);
            assert_eq!(packet.content().unwrap(), event);
            assert_eq!(packet.body[..36], before);
        }
    }
}
