//! Blocks of a pcapng file: written whole, and found in a stream with bounded memory.
//!
//! The parsing is pcap-parser's. What is done here is to hand it one whole block, and to say where
//! and why there is none.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, Linktype,
    OptionCode, PcapError, PcapNGOption, SHB_MAGIC, SectionHeaderBlock, ToVec, UnknownBlock, nom,
    parse_option_be, parse_option_le, parse_sectionheaderblock, parse_unknownblock_be,
    parse_unknownblock_le,
};

use super::format::{BLOCK_TYPE, FORMAT, MAGIC, OPTION_CODE};

/// The longest block that is read or written, bytes: a snapshot of a host with a hundred thousand
/// links has less.
pub const MOST_BLOCK_BYTES: usize = 64 << 20;

/// What the buffer begins with, bytes.
const FIRST_BUFFER_BYTES: usize = 256 << 10;

/// The longest part of an event that one option can hold, bytes: options have 16-bit lengths.
const MOST_OPTION_BYTES: usize = 65_532;

/// The packet begins with its IP header.
const LINKTYPE_RAW: Linktype = Linktype(101);

/// Nanoseconds (`if_tsresol`).
const NANOSECONDS: u8 = 9;

fn option(code: OptionCode, value: &[u8]) -> PcapNGOption<'_> {
    let value = &value[..value.len().min(MOST_OPTION_BYTES)];
    PcapNGOption {
        code,
        len: u16::try_from(value.len()).unwrap_or(u16::MAX),
        value: Cow::Borrowed(value),
    }
}

fn written(block: &mut impl ToVec) -> io::Result<Vec<u8>> {
    block
        .to_vec()
        .map_err(|error| io::Error::other(format!("a block cannot be built: {error:?}")))
}

/// A section header block.
pub fn section(hardware: &str, os: &str, application: &str, comment: &str) -> io::Result<Vec<u8>> {
    written(&mut SectionHeaderBlock {
        block_type: SHB_MAGIC,
        block_len1: 0,
        bom: BOM_MAGIC,
        major_version: 1,
        minor_version: 0,
        section_len: -1,
        options: vec![
            option(OptionCode::ShbHardware, hardware.as_bytes()),
            option(OptionCode::ShbOs, os.as_bytes()),
            option(OptionCode::ShbUserAppl, application.as_bytes()),
            option(OptionCode::Comment, comment.as_bytes()),
        ],
        block_len2: 0,
    })
}

/// An interface description block.
pub fn interface(name: &str, description: &str) -> io::Result<Vec<u8>> {
    written(&mut InterfaceDescriptionBlock {
        block_type: IDB_MAGIC,
        block_len1: 0,
        linktype: LINKTYPE_RAW,
        reserved: 0,
        // No limit.
        snaplen: 0,
        options: vec![
            option(OptionCode::IfName, name.as_bytes()),
            option(OptionCode::IfDescription, description.as_bytes()),
            option(OptionCode::IfTsresol, &[NANOSECONDS]),
        ],
        block_len2: 0,
        if_tsresol: NANOSECONDS,
        if_tsoffset: 0,
    })
}

/// What an enhanced packet block says.
pub struct PacketBlock<'a> {
    /// Number of the interface.
    pub interface: u32,
    /// Wall time, ns since 1970.
    pub wall_ns: u64,
    /// The headers.
    pub head: &'a [u8],
    /// Length of the whole packet, bytes.
    pub length_bytes: u32,
    /// What happened.
    pub comment: &'a str,
    /// Whether it was coming in or leaving, if that is known.
    pub egress: Option<bool>,
    /// The event, encoded.
    pub event: &'a [u8],
}

impl PacketBlock<'_> {
    /// The block.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        // epb_flags: 1 is inbound, 2 outbound.
        let flags = self.egress.map(|egress| 1 + u32::from(egress));
        let flags = flags.map(u32::to_le_bytes);
        let mut options = vec![option(OptionCode::Comment, self.comment.as_bytes())];
        if let Some(flags) = &flags {
            options.push(option(OptionCode(2), flags));
        }
        for part in self.event.chunks(MOST_OPTION_BYTES) {
            options.push(option(OptionCode(OPTION_CODE), part));
        }
        let length = u32::try_from(self.head.len()).unwrap_or(u32::MAX);
        written(&mut EnhancedPacketBlock {
            block_type: EPB_MAGIC,
            block_len1: 0,
            if_id: self.interface,
            ts_high: u32::try_from(self.wall_ns >> 32).unwrap_or(u32::MAX),
            ts_low: u32::try_from(self.wall_ns & 0xffff_ffff).unwrap_or(u32::MAX),
            caplen: length,
            origlen: self.length_bytes.max(length),
            data: self.head,
            options,
            block_len2: 0,
        })
    }
}

/// What an enhanced packet block has for us.
pub struct KeptPacket<'a> {
    /// The headers.
    pub head: &'a [u8],
    /// The event, encoded, if it is in there.
    pub event: Option<Cow<'a, [u8]>>,
}

/// What is in an enhanced packet block; `None` if the packet says it is longer than its block.
///
/// pcap-parser would make a list of the options first, which takes as long as all the rest.
pub fn packet(block: &[u8], big_endian: bool) -> Option<KeptPacket<'_>> {
    // Type, length, interface, two of time, captured length, original length (section 4.3).
    let (fixed, rest) = block.split_at_checked(28)?;
    let length: [u8; 4] = fixed[20..24].try_into().ok()?;
    let length = if big_endian {
        u32::from_be_bytes(length)
    } else {
        u32::from_le_bytes(length)
    };
    let length = usize::try_from(length).ok()?;
    let (rest, _length_again) = rest.split_last_chunk::<4>()?;
    let (padded, mut options) = rest.split_at_checked(length.checked_next_multiple_of(4)?)?;
    let mut event: Option<Cow<'_, [u8]>> = None;
    let parse = if big_endian {
        parse_option_be::<PcapError<&[u8]>>
    } else {
        parse_option_le::<PcapError<&[u8]>>
    };
    while let Ok((rest, option)) = parse(options) {
        options = rest;
        if option.code.0 != OPTION_CODE {
            continue;
        }
        let Cow::Borrowed(value) = option.value else {
            continue;
        };
        let part = value.get(..usize::from(option.len))?;
        match &mut event {
            Some(event) => event.to_mut().extend(part),
            None => event = Some(Cow::Borrowed(part)),
        }
    }
    Some(KeptPacket {
        head: padded.get(..length)?,
        event,
    })
}

/// The beginning of the content of a block of ours.
pub fn own_content() -> Vec<u8> {
    let [a, b, c] = MAGIC;
    vec![a, b, c, FORMAT]
}

/// A block of ours.
pub fn own(content: &[u8]) -> io::Result<Vec<u8>> {
    written(&mut UnknownBlock {
        block_type: BLOCK_TYPE,
        block_len1: 0,
        data: content,
        block_len2: 0,
    })
}

/// Why there is no block.
#[derive(Debug)]
pub enum NoBlock {
    /// The input ends here, between blocks.
    End,
    /// The input ends within a block.
    Truncated,
    /// There is something else.
    Wrong(String),
    /// The input cannot be read.
    Io(io::Error),
}

/// A block in the buffer.
#[derive(Debug)]
pub struct Found {
    /// Where it begins in the input, bytes.
    pub offset: u64,
    /// Its type.
    pub block_type: u32,
    /// Whether its section is big-endian.
    pub big_endian: bool,
    start: usize,
    end: usize,
}

/// A stream of blocks.
pub struct Blocks<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is to be read yet.
    start: usize,
    filled: usize,
    /// Where `start` is in the input.
    offset: u64,
    big_endian: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// The blocks of an input.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            offset: 0,
            big_endian: false,
            ended: false,
        }
    }

    /// Reads on elsewhere: `input` begins where the next block does.
    pub fn fork<S: Read>(&self, input: S) -> Blocks<S> {
        Blocks {
            offset: self.offset,
            big_endian: self.big_endian,
            ..Blocks::new(input)
        }
    }

    /// The next block. It is in the buffer until the next call.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn next(&mut self) -> Result<Found, NoBlock> {
        loop {
            let have = &self.buffer[self.start..self.filled];
            match framed(have, self.big_endian) {
                Ok((length, block_type, big_endian)) => {
                    self.big_endian = big_endian;
                    let found = Found {
                        offset: self.offset,
                        block_type,
                        big_endian,
                        start: self.start,
                        end: self.start + length,
                    };
                    self.start += length;
                    self.offset += length as u64;
                    return Ok(found);
                }
                Err(Frame::Wrong(why)) => return Err(NoBlock::Wrong(why)),
                Err(Frame::Incomplete) if self.ended => {
                    return Err(if have.is_empty() {
                        NoBlock::End
                    } else {
                        NoBlock::Truncated
                    });
                }
                Err(Frame::Incomplete) => self.fill().map_err(NoBlock::Io)?,
            }
        }
    }

    /// The bytes of a block that was just found.
    pub fn bytes(&self, found: &Found) -> &[u8] {
        &self.buffer[found.start..found.end]
    }

    /// What is read.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// Where the next block begins, bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The first bytes of the input, before any block was read.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
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
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

enum Frame {
    Incomplete,
    Wrong(String),
}

/// The block at the start of `have`: its length, its type, and its section's byte order.
fn framed(have: &[u8], big_endian: bool) -> Result<(usize, u32, bool), Frame> {
    let [a, b, c, d, rest @ ..] = have else {
        return Err(Frame::Incomplete);
    };
    let mut big_endian = big_endian;
    // The same in both byte orders, of which it decides.
    if u32::from_le_bytes([*a, *b, *c, *d]) == SHB_MAGIC {
        match parse_sectionheaderblock(have) {
            Ok((_, section)) => big_endian = section.big_endian(),
            Err(nom::Err::Incomplete(_)) => {
                if have.len() >= 12 {
                    too_long(rest, have[8] == 0x1a)?;
                }
                return Err(Frame::Incomplete);
            }
            Err(_) => return Err(Frame::Wrong("a section header that is none".to_owned())),
        }
    }
    let parsed = if big_endian {
        parse_unknownblock_be(have)
    } else {
        parse_unknownblock_le(have)
    };
    match parsed {
        Ok((_, block)) => {
            if block.block_len1 != block.block_len2 || block.block_len1 % 4 != 0 {
                return Err(Frame::Wrong(format!(
                    "a block that says it has {} bytes at its start and {} at its end",
                    block.block_len1, block.block_len2
                )));
            }
            too_long(rest, big_endian)?;
            // pcap-parser reads the type as little-endian in any section.
            let block_type = if big_endian {
                block.block_type.swap_bytes()
            } else {
                block.block_type
            };
            Ok((block.block_len1 as usize, block_type, big_endian))
        }
        Err(nom::Err::Incomplete(_)) => {
            too_long(rest, big_endian)?;
            Err(Frame::Incomplete)
        }
        Err(_) => Err(Frame::Wrong("a block of less than 12 bytes".to_owned())),
    }
}

/// Refuses a block that is longer than any of ours, before it is read; `rest` is what follows its type.
fn too_long(rest: &[u8], big_endian: bool) -> Result<(), Frame> {
    let [a, b, c, d, ..] = rest else {
        return Ok(());
    };
    let length = if big_endian {
        u32::from_be_bytes([*a, *b, *c, *d])
    } else {
        u32::from_le_bytes([*a, *b, *c, *d])
    };
    if length as usize > MOST_BLOCK_BYTES {
        return Err(Frame::Wrong(format!(
            "a block that says it has {length} bytes, where {MOST_BLOCK_BYTES} are the most"
        )));
    }
    Ok(())
}
