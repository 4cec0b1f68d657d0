//! How a file of a capture was found: what is wrong with it, and what is missing.

use std::collections::BTreeMap;
use std::io;

use crate::capture::format::FORMAT;

/// Why nothing of a file can be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It is of another type.
    #[error("it is no capture: {0}")]
    OtherType(&'static str),
    /// It has packets, but no trace.
    #[error(
        "it is a pcapng file of another program: it has packets, but not what mtu-trace records \
         with them"
    )]
    Foreign,
    /// A newer version of this tool has written it.
    #[error(
        "it has version {0} of the format, of which {FORMAT} is the newest that this version of \
         mtu-trace can read; use a newer one"
    )]
    Newer(u8),
    /// Its beginning is damaged.
    #[error("it is damaged {0}, before the first event")]
    Damaged(Damage),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where a file is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} ({what})")]
pub struct Damage {
    /// Where the block begins that cannot be used, bytes from the start of the file, or of what was
    /// in it before it was compressed.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

/// How a file was found, once all of it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Where and why reading ended before the file did, or where the file ends too early.
    pub damage: Option<Damage>,
    /// Whether the recording's end is missing, without a damage.
    pub unended: bool,
    /// What was skipped because it is not known here, and how often.
    pub unknown: BTreeMap<String, u64>,
    /// The first part that was read, if that is not the first of the recording.
    pub first_part: Option<u32>,
    /// Parts that are missing between others.
    pub missing_parts: Vec<u32>,
    /// Whether parts follow that were not read.
    pub continued: bool,
    /// Where something begins that does not belong to the recording, bytes.
    pub other: Option<u64>,
}

impl Condition {
    /// What a user should know, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(damage) = &self.damage {
            notes.push(format!(
                "The capture is damaged or cut off {damage}: the report is of what comes before."
            ));
        }
        if self.unended {
            notes.push(
                "The capture has no end: it is still being written, or its recording was killed."
                    .to_owned(),
            );
        }
        if !self.unknown.is_empty() {
            let kinds = self.unknown.iter();
            let kinds = kinds.map(|(name, count)| format!("{count} of \"{name}\""));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "Something in the capture is not known to this version and was left out: {kinds}."
            ));
        }
        if let Some(part) = self.first_part {
            notes.push(format!(
                "The capture begins with part {part} of its recording: what came before is not in \
                 it, but for the network and the connections that were open."
            ));
        }
        let missing = self.missing_parts.iter();
        notes.extend(missing.map(|part| format!("Part {part} of the recording is missing.")));
        if self.continued {
            notes.push("The recording goes on in another part.".to_owned());
        }
        if let Some(offset) = self.other {
            notes.push(format!(
                "At byte {offset} another recording begins, which was left out: report each alone."
            ));
        }
        notes
    }
}
