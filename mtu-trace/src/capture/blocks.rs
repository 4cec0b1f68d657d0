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
use crate::model::event::{Device, Packet};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::Topology;

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

/// An interface description block: `eth0@build`, and what the device and its namespace are then.
pub fn interface(device: &Device, topology: &Topology) -> io::Result<Vec<u8>> {
    let netns = NetnsRef::new(device.netns, topology);
    let name = device.name.as_deref().unwrap_or("?");
    let name = format!("{name}@{}", netns.label());
    let mut description = format!("netns {}", netns.inode);
    if let Some(cookie) = netns.cookie {
        description += &format!(" (cookie {cookie})");
    }
    if let Some(name) = &netns.name {
        description += &format!(", name {name}");
    }
    if let Some(chain) = netns.chain() {
        description += &format!(", container {chain}");
    }
    description += &format!(", MTU {}", device.mtu_bytes);
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

/// An enhanced packet block: a packet at a wall time, ns since 1970, what happened to it in words, and
/// the event, encoded.
pub fn packet(
    interface: u32,
    wall_ns: u64,
    packet: &Packet,
    comment: &str,
    event: &[u8],
) -> io::Result<Vec<u8>> {
    // epb_flags: 1 is inbound, 2 outbound.
    let flags = packet.egress().map(|egress| 1 + u32::from(egress));
    let flags = flags.map(u32::to_le_bytes);
    let mut options = vec![option(OptionCode::Comment, comment.as_bytes())];
    options.extend(flags.iter().map(|flags| option(OptionCode(2), flags)));
    let parts = event.chunks(MOST_OPTION_BYTES);
    options.extend(parts.map(|part| option(OptionCode(OPTION_CODE), part)));
    let length = u32::try_from(packet.head.len()).unwrap_or(u32::MAX);
    written(&mut EnhancedPacketBlock {
        block_type: EPB_MAGIC,
        block_len1: 0,
        if_id: interface,
        ts_high: u32::try_from(wall_ns >> 32).unwrap_or(u32::MAX),
        ts_low: u32::try_from(wall_ns & 0xffff_ffff).unwrap_or(u32::MAX),
        caplen: length,
        // What the headers that are kept speak of: of a GSO packet, all of it.
        origlen: packet.buffer_bytes.max(length),
        data: &packet.head,
        options,
        block_len2: 0,
    })
}

/// A packet's headers and its encoded event.
type HeadAndEvent<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// The headers and the encoded event that an enhanced packet block has, the event only if it is one of
/// ours; `None` if the packet says it is longer than its block.
///
/// pcap-parser would make a list of the options first, which takes as long as all the rest.
pub fn read_packet(block: &[u8], order: ByteOrder) -> Option<HeadAndEvent<'_>> {
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
    Some((padded.get(..length)?, event))
}

/// The beginning of the content of a block of ours.
pub fn own_content() -> Vec<u8> {
    let [a, b, c] = MAGIC;
    vec![a, b, c, FORMAT]
}

/// Adds a block of ours; fails if it is longer than readers take.
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
