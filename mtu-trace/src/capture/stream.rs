//! A stream of blocks, found with bounded memory.
//!
//! What a block is that is all there is seen here. Of any other pcap-parser knows what is wrong or
//! missing; what is done here is to say where.

use std::io::{self, Read};

use pcap_parser::{
    SHB_MAGIC, nom, parse_sectionheaderblock, parse_unknownblock_be, parse_unknownblock_le,
};

/// The longest block that is read or written, bytes: a snapshot of a host with a hundred thousand
/// links has less.
pub const MOST_BLOCK_BYTES: usize = 64 << 20;

/// What the buffer begins with, bytes.
const FIRST_BUFFER_BYTES: usize = 256 << 10;

/// The order of a section's bytes, which its header decides.
#[derive(Clone, Copy)]
pub enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    #[inline]
    pub fn number(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// What is wrong with an input that ends within a block.
pub const CUT_OFF: &str = "the file ends within a block";

/// Why there is no block.
pub enum NoBlock {
    /// The input ends here, between blocks.
    End,
    /// The input ends within a block, or there is something else.
    Wrong(String),
    Io(io::Error),
}

/// A block in the buffer.
pub struct FoundBlock {
    /// Where it begins in the input, bytes.
    pub offset: u64,
    pub block_type: u32,
    pub order: ByteOrder,
    start: usize,
    end: usize,
}

/// A stream of blocks.
pub struct Blocks<R> {
    pub input: R,
    buffer: Vec<u8>,
    /// What of the buffer is to be read yet.
    start: usize,
    filled: usize,
    /// Where the next block begins in the input, bytes.
    pub offset: u64,
    order: ByteOrder,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            offset: 0,
            order: ByteOrder::Little,
            ended: false,
        }
    }

    /// Reads on elsewhere: `input` begins where the next block does.
    pub fn fork<S: Read>(&self, input: S) -> Blocks<S> {
        Blocks {
            offset: self.offset,
            order: self.order,
            ..Blocks::new(input)
        }
    }

    /// The next block. It is in the buffer until the next call.
    pub fn next(&mut self) -> Result<FoundBlock, NoBlock> {
        loop {
            let have = &self.buffer[self.start..self.filled];
            match framed(have, self.order).map_err(NoBlock::Wrong)? {
                Some((length, block_type, order)) => {
                    self.order = order;
                    let found = FoundBlock {
                        offset: self.offset,
                        block_type,
                        order,
                        start: self.start,
                        end: self.start + length,
                    };
                    self.start += length;
                    self.offset += length as u64;
                    return Ok(found);
                }
                None if !self.ended => self.fill().map_err(NoBlock::Io)?,
                None if have.is_empty() => return Err(NoBlock::End),
                None => return Err(NoBlock::Wrong(CUT_OFF.to_owned())),
            }
        }
    }

    /// The bytes of a block that was just found.
    pub fn bytes(&self, found: &FoundBlock) -> &[u8] {
        &self.buffer[found.start..found.end]
    }

    /// The first bytes of the input, before any block was read.
    pub fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        while self.filled - self.start < most && !self.ended {
            self.fill()?;
        }
        let end = self.filled.min(self.start + most);
        Ok(&self.buffer[self.start..end])
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        // Grows with what is really there, not with what a length says.
        if self.filled == self.buffer.len() {
            let more = self.buffer.len().max(FIRST_BUFFER_BYTES);
            self.buffer.resize(self.buffer.len() + more, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended = read == 0;
        self.filled += read;
        Ok(())
    }
}

/// The block at the start of `have`: its length, its type, and its section's byte order; `None` if it is
/// not all there, an error if it is none.
fn framed(have: &[u8], mut order: ByteOrder) -> Result<Option<(usize, u32, ByteOrder)>, String> {
    let Some((block_type, rest)) = have.split_first_chunk::<4>() else {
        return Ok(None);
    };
    // The same in both byte orders, of which it decides.
    if u32::from_le_bytes(*block_type) == SHB_MAGIC {
        order = match have.get(8) {
            Some(0x1a) => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        match parse_sectionheaderblock(have) {
            Ok(_) => {}
            Err(nom::Err::Incomplete(_)) if have.len() >= 12 => {
                return bounded(rest, order).map(|()| None);
            }
            Err(nom::Err::Incomplete(_)) => return Ok(None),
            Err(_) => return Err("a section header that is none".to_owned()),
        }
    }
    if let Some((length, block_type)) = whole(have, order) {
        return Ok(Some((length, block_type, order)));
    }
    let parsed = match order {
        ByteOrder::Big => parse_unknownblock_be(have),
        ByteOrder::Little => parse_unknownblock_le(have),
    };
    let block = match parsed {
        Ok((_, block)) => block,
        Err(nom::Err::Incomplete(_)) => return bounded(rest, order).map(|()| None),
        Err(_) => return Err("a block of less than 12 bytes".to_owned()),
    };
    let (length, again) = (block.block_len1, block.block_len2);
    if length != again || length % 4 != 0 {
        return Err(format!(
            "a block that says it has {length} bytes at its start and {again} at its end"
        ));
    }
    bounded(rest, order)?;
    // pcap-parser reads the type as little-endian in any section.
    let block_type = order.number(block.block_type.to_le_bytes());
    Ok(Some((length as usize, block_type, order)))
}

/// Length and type of a block that is all there, as nearly all are. Of any other, the parser knows what
/// is wrong or missing, but takes several times as long.
fn whole(have: &[u8], order: ByteOrder) -> Option<(usize, u32)> {
    let (block_type, rest) = have.split_first_chunk::<4>()?;
    let length_bytes = rest.first_chunk::<4>()?;
    let length = usize::try_from(order.number(*length_bytes)).ok()?;
    let is_length = length >= 12 && length.is_multiple_of(4) && length <= MOST_BLOCK_BYTES;
    let (_, length_again) = have.get(..length)?.split_last_chunk::<4>()?;
    (is_length && length_again == length_bytes).then(|| (length, order.number(*block_type)))
}

/// Refuses a block that is longer than any of ours, before it is read; `rest` is what follows its type.
fn bounded(rest: &[u8], order: ByteOrder) -> Result<(), String> {
    let length = rest.first_chunk().map_or(0, |bytes| order.number(*bytes));
    if length as usize <= MOST_BLOCK_BYTES {
        return Ok(());
    }
    Err(format!(
        "a block that says it has {length} bytes, where {MOST_BLOCK_BYTES} are the most"
    ))
}
