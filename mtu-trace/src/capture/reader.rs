//! A capture's events, exactly as they were written, and what is wrong with the file.

use std::io::Read;
use std::sync::Arc;

use pcap_parser::{EPB_MAGIC, SHB_MAGIC};

use crate::capture::condition::{Condition, Damage, ReadError};
use crate::capture::content::{BlockContent, Misread};
use crate::capture::dictionary::{Dictionary, EntryError};
use crate::capture::format::{BLOCK_TYPE, FORMAT, MAGIC, PartEnd, PartHeader};
use crate::capture::stream::{Blocks, CUT_OFF, FoundBlock, NoBlock};
use crate::capture::{blocks, content};
use crate::model::event::{Event, EventKind};
use crate::model::network::Topology;

/// Names of unknown kinds that are told apart.
const MOST_NAMES: usize = 20;

/// Reads a capture, event by event.
pub struct Reader<R> {
    blocks: Blocks<R>,
    first: PartHeader,
    /// That of the part that is being read.
    part: u32,
    /// Whether what earlier parts have told is to be told again.
    told_before: bool,
    /// What a section that is being read is to us.
    section: Section,
    topology: Arc<Topology>,
    dictionary: Dictionary,
    end: Option<PartEnd>,
    condition: Condition,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// Its header must come next.
    New,
    /// It is a part of the recording.
    Ours,
    /// It is not of the recording, and is skipped.
    Other,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a capture; fails if nothing of it can be used.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut blocks = Blocks::new(input);
        of_our_type(blocks.peek(12)?)?;
        let damaged = |offset, what| ReadError::Damaged(Damage { offset, what });
        let refused = |offset, why| match why {
            NoBlock::Io(error) => ReadError::Io(error),
            NoBlock::Wrong(what) => damaged(offset, what),
            // A section without a block: whoever wrote it, there is nothing in it.
            NoBlock::End => damaged(offset, CUT_OFF.to_owned()),
        };
        blocks.next().map_err(|why| refused(0, why))?;
        let offset = blocks.offset;
        let found = blocks.next().map_err(|why| refused(offset, why))?;
        let (version, content) = own(&blocks, &found).ok_or(ReadError::Foreign)?;
        if version > FORMAT {
            return Err(ReadError::Newer(version));
        }
        let header = header(version, content)
            .and_then(|header| header.ok_or("the recording's header is missing".to_owned()))
            .map_err(|what| damaged(offset, what))?;
        let condition = Condition {
            first_part: (header.part > 1).then_some(header.part),
            ..Condition::default()
        };
        Ok(Self {
            blocks,
            part: header.part,
            first: header,
            told_before: false,
            section: Section::Ours,
            topology: Arc::default(),
            dictionary: Dictionary::default(),
            end: None,
            condition,
            done: false,
        })
    }

    /// A second reader that goes on from here, with an input that begins at the given offset, bytes.
    pub fn fork<S: Read>(&self, input: impl FnOnce(u64) -> S) -> Reader<S> {
        Reader {
            blocks: self.blocks.fork(input(self.blocks.offset)),
            first: self.first.clone(),
            part: self.part,
            told_before: self.told_before,
            section: self.section,
            dictionary: self.dictionary.clone(),
            topology: Arc::clone(&self.topology),
            end: self.end.clone(),
            condition: self.condition.clone(),
            done: self.done,
        }
    }

    pub(crate) fn input(&self) -> &R {
        &self.blocks.input
    }

    /// How the recording, or the first part of it that was read, came about.
    pub fn header(&self) -> &PartHeader {
        &self.first
    }

    /// How the recording, or the last part of it that was read, ended.
    pub fn end(&self) -> Option<&PartEnd> {
        self.end.as_ref()
    }

    /// How the file was found. Complete once all events are read.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The next event; `None` once nothing more can be read.
    pub fn next_event(&mut self) -> Option<Event> {
        while !self.done {
            match self.blocks.next() {
                Ok(found) => match self.block(&found) {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => {}
                    Err(what) => self.stop(found.offset, what),
                },
                Err(NoBlock::End) => {
                    self.done = true;
                    match &self.end {
                        Some(end) => self.condition.continued = end.continued,
                        None => self.condition.unended = true,
                    }
                }
                Err(NoBlock::Wrong(what)) => self.stop(self.blocks.offset, what),
                Err(NoBlock::Io(error)) => {
                    let what = format!("it cannot be read further: {error}");
                    self.stop(self.blocks.offset, what);
                }
            }
        }
        None
    }

    fn stop(&mut self, offset: u64, what: String) {
        self.condition.damage = Some(Damage { offset, what });
        self.end = None;
        self.done = true;
    }

    fn skip(&mut self, name: String) {
        let unknown = &mut self.condition.unknown;
        let room = unknown.len() < MOST_NAMES || unknown.contains_key(&name);
        let name = if room { name } else { "others".to_owned() };
        *unknown.entry(name).or_default() += 1;
    }

    /// Takes in a block: the event it has, or what is wrong with it.
    fn block(&mut self, found: &FoundBlock) -> Result<Option<Event>, String> {
        if found.block_type == SHB_MAGIC {
            self.section = Section::New;
            return Ok(None);
        }
        let read = match self.section {
            Section::New => return self.section_header(found).map(|()| None),
            Section::Other => return Ok(None),
            Section::Ours if found.block_type == EPB_MAGIC => self.packet(found),
            Section::Ours => match own(&self.blocks, found) {
                Some((version, content)) => content::read(version, content, &self.dictionary),
                None => return Ok(None),
            },
        };
        match read {
            Ok(content) => self.content(content).map_err(|error| error.to_string()),
            Err(Misread::Unknown(name)) => {
                self.skip(name);
                Ok(None)
            }
            Err(Misread::Malformed(what)) => Err(what),
        }
    }

    fn content(&mut self, content: BlockContent) -> Result<Option<Event>, EntryError> {
        let event = match content {
            BlockContent::Carried(_) if self.told_before => return Ok(None),
            BlockContent::Event(event) | BlockContent::Carried(event) => event,
            BlockContent::Change(change) => Event {
                time_ns: change.time_ns,
                kind: EventKind::Topology(Arc::new(change.apply(&self.topology))),
            },
            BlockContent::Name(number, name) => {
                return self.dictionary.names.learn(number, name).map(|()| None);
            }
            BlockContent::Device(number, device) => {
                return self.dictionary.devices.learn(number, device).map(|()| None);
            }
            BlockContent::End(end) => {
                self.end = Some(*end);
                return Ok(None);
            }
            BlockContent::Header(_) => {
                self.skip("header".to_owned());
                return Ok(None);
            }
        };
        if let EventKind::Topology(topology) = &event.kind {
            self.topology = Arc::clone(topology);
        }
        Ok(Some(event))
    }

    /// Takes in the first block of a further section.
    fn section_header(&mut self, found: &FoundBlock) -> Result<(), String> {
        self.section = Section::Other;
        self.dictionary = Dictionary::default();
        let header = match own(&self.blocks, found) {
            Some((version, content)) => header(version, content)?,
            None => None,
        };
        let follows = |it: &PartHeader| it.recording == self.first.recording && it.part > self.part;
        let Some(header) = header.filter(follows) else {
            self.condition.other.get_or_insert(found.offset);
            return Ok(());
        };
        self.section = Section::Ours;
        self.told_before = header.part == self.part + 1;
        let missing = self.part + 1..header.part;
        let room = MOST_NAMES.saturating_sub(self.condition.missing_parts.len());
        self.condition.missing_parts.extend(missing.take(room));
        self.part = header.part;
        self.end = None;
        Ok(())
    }

    fn packet(&self, found: &FoundBlock) -> Result<BlockContent, Misread> {
        let bytes = self.blocks.bytes(found);
        let (head, event) = blocks::read_packet(bytes, found.order).ok_or_else(|| {
            Misread::Malformed("a packet that is longer than its block".to_owned())
        })?;
        let unknown = || Misread::Unknown("packet without an event".to_owned());
        let mut event = content::packet(&event.ok_or_else(unknown)?, &self.dictionary)?;
        if let EventKind::Packet(packet) = &mut event.kind {
            packet.head = head.to_vec();
        }
        Ok(BlockContent::Event(event))
    }
}

/// The recording's header, if a block of ours has it.
fn header(version: u8, content: &[u8]) -> Result<Option<PartHeader>, String> {
    match content::read(version, content, &Dictionary::default()) {
        Ok(BlockContent::Header(header)) => Ok(Some(*header)),
        Ok(_) | Err(Misread::Unknown(_)) => Ok(None),
        Err(Misread::Malformed(what)) => Err(what),
    }
}

/// Version and content of a block of ours.
fn own<'a, R: Read>(blocks: &'a Blocks<R>, found: &FoundBlock) -> Option<(u8, &'a [u8])> {
    if found.block_type != BLOCK_TYPE {
        return None;
    }
    let bytes = blocks.bytes(found);
    let content = bytes.get(8..bytes.len() - 4)?.strip_prefix(&MAGIC)?;
    let (version, rest) = content.split_first()?;
    Some((*version, rest))
}

/// Refuses a file that begins as none of ours does.
fn of_our_type(start: &[u8]) -> Result<(), ReadError> {
    const PCAPNG: [u8; 4] = SHB_MAGIC.to_le_bytes();
    const CLASSIC: [[u8; 4]; 4] = [
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x4d, 0x3c, 0xb2, 0xa1],
    ];
    Err(match start {
        [] => ReadError::Empty,
        _ if start.starts_with(&PCAPNG) || PCAPNG.starts_with(start) => return Ok(()),
        _ if CLASSIC.iter().any(|magic| start.starts_with(magic)) => ReadError::OtherType(
            "it is a classic pcap file, which has packets but not what mtu-trace records with them",
        ),
        _ => ReadError::OtherType("it does not begin as pcapng files do"),
    })
}
