//! Blocks of a pcapng file: how they are written, and what is in those of packets.

use std::borrow::Cow;
use std::io;

use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, Linktype,
    OptionCode, PcapError, PcapNGOption, SHB_MAGIC, SectionHeaderBlock, ToVec, parse_option_be,
    parse_option_le,
};

use crate::capture::format::{BLOCK_TYPE, FORMAT, MAGIC, OPTION_CODE};
use crate::capture::stream::{ByteOrder, MOST_BLOCK_BYTES};

/// The longest part of an event that one option can hold, bytes: options have 16-bit lengths.
const MOST_OPTION_BYTES: usize = 65_532;

/// The packet begins with its IP header.
const LINKTYPE_RAW: Linktype = Linktype(101);

/// The resolution of times, nanoseconds, as the option `if_tsresol` has it.
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
    /// The packet's headers, from the IP header on.
    pub head: &'a [u8],
    /// Length of the whole packet, bytes.
    pub length_bytes: u32,
    /// What happened to the packet, in words.
    pub comment: &'a str,
    /// Whether it was coming in or leaving, if that is known.
    pub egress: Option<bool>,
    /// The event, encoded as a row.
    pub event: &'a [u8],
}

impl PacketBlock<'_> {
    /// The bytes of the block.
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
    /// The packet's headers, from the IP header on.
    pub head: &'a [u8],
    /// The event, encoded, if it is in there.
    pub event: Option<Cow<'a, [u8]>>,
}

/// What is in an enhanced packet block; `None` if the packet says it is longer than its block.
///
/// pcap-parser would make a list of the options first, which takes as long as all the rest.
pub fn packet(block: &[u8], order: ByteOrder) -> Option<KeptPacket<'_>> {
    // Type, length, interface, two of time, captured length, original length (section 4.3).
    let (fixed, rest) = block.split_at_checked(28)?;
    let length: [u8; 4] = fixed[20..24].try_into().ok()?;
    let length = usize::try_from(order.number(length)).ok()?;
    let (rest, _length_again) = rest.split_last_chunk::<4>()?;
    let (padded, mut options) = rest.split_at_checked(length.checked_next_multiple_of(4)?)?;
    let mut event: Option<Cow<'_, [u8]>> = None;
    let parse = match order {
        ByteOrder::Big => parse_option_be::<PcapError<&[u8]>>,
        ByteOrder::Little => parse_option_le::<PcapError<&[u8]>>,
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

/// Adds a block of ours.
///
/// # Errors
///
/// If it is longer than readers take.
pub fn put_own(to: &mut Vec<u8>, content: &[u8]) -> io::Result<()> {
    // Type and length before the content, the length again behind it (section 3.1).
    let padded = content.len().next_multiple_of(4);
    let length = padded + 12;
    if length > MOST_BLOCK_BYTES {
        return Err(io::Error::other(format!(
            "an event of {length} bytes does not fit into a capture"
        )));
    }
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    to.reserve(padded + 12);
    to.extend(BLOCK_TYPE.to_le_bytes());
    to.extend(length);
    to.extend(content);
    to.extend(&[0; 3][..padded - content.len()]);
    to.extend(length);
    Ok(())
}
