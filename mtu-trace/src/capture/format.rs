//! The format's constants, and the two structures that a section begins and ends with.

use serde::{Deserialize, Serialize};

use crate::base::clock::Clock;
use crate::base::text::stored::printable;
use crate::model::hook_status::HookStatus;

/// The version of the format. It changes when old readers would misunderstand a new file; fields and
/// kinds of events are added without.
pub const FORMAT: u8 = 3;

/// Type of our blocks, of those for local use (draft-ietf-opsawg-pcapng, section 3.1): the bytes
/// `MTU` and 0x8d.
pub const BLOCK_TYPE: u32 = u32::from_le_bytes(*b"MTU\x8d");

/// What our blocks begin with, since others may use the same type: these bytes, then [`FORMAT`].
pub const MAGIC: [u8; 3] = *b"trc";

/// Code of the option of an enhanced packet block that has the rest of the event, of those for local
/// use (section 3.5). One event may fill several, which belong together in their order.
pub const OPTION_CODE: u16 = 0x8d54;

/// What stands first in each section: how the trace came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartHeader {
    /// Version of the tool that wrote it.
    #[serde(deserialize_with = "printable")]
    pub tool_version: String,
    /// The name of the host.
    #[serde(deserialize_with = "printable")]
    pub hostname: String,
    /// The release of the host's kernel.
    #[serde(deserialize_with = "printable")]
    pub kernel: String,
    /// Machine, such as `x86_64`.
    #[serde(deserialize_with = "printable")]
    pub machine: String,
    /// A moment of the wall clock, and the same one of the events' clock.
    pub clock: Clock,
    /// What tells this recording from others, so that its parts can be put together.
    pub recording: u64,
    /// Which part of it this is, from 1 on.
    pub part: u32,
    /// When the part begins, ns of `CLOCK_MONOTONIC`.
    pub began_ns: u64,
    /// What became of each hook at the start.
    pub hooks: Vec<HookStatus>,
}

/// What stands last in a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartEnd {
    /// When, ns of `CLOCK_MONOTONIC`.
    pub ended_ns: u64,
    /// What became of each hook by then.
    pub hooks: Vec<HookStatus>,
    /// Events in this part, ticks and all.
    pub events: u64,
    /// Whether another part follows.
    pub continued: bool,
}
