//! Events to the bytes of a capture.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::{io, mem};

use serde::Serialize;

use crate::capture::change::Change;
use crate::capture::dictionary::{Numbered, Numbers};
use crate::capture::format::{PartEnd, PartHeader};
use crate::capture::row::{self, Put, RowWriter};
use crate::capture::{blocks, content, rows};
use crate::core::sites::describe_packet;
use crate::model::event::{Device, Event, EventKind, Flow, Packet};
use crate::model::hook_status::HookStatus;
use crate::model::network::Topology;
use crate::model::store::Store;

/// Turns events into blocks, and remembers what the start of another part must tell again. It fails
/// only if something is too long for a block.
pub struct Encoder {
    pub(crate) header: PartHeader,
    carried: Carried,
    part: PartState,
}

/// What begins anew with each part.
#[derive(Default)]
struct PartState {
    /// The interfaces. A device that is renamed or gets another MTU has another one from then on.
    interfaces: Numbered<Device>,
    topology: Arc<Topology>,
    numbers: Numbers,
    events: u64,
}

impl Encoder {
    /// An encoder of a recording of which nothing is written yet.
    pub fn new(header: PartHeader) -> Self {
        Self {
            header,
            carried: Carried::default(),
            part: PartState::default(),
        }
    }

    /// The start of the recording.
    pub fn opening(&mut self) -> io::Result<Vec<u8>> {
        let header = &self.header;
        let application = format!("mtu-trace {}", header.tool_version);
        let mut comment = format!(
            "Recorded by {application} on {}: headers of packets that were dropped or too big, and \
             what else a report needs. `mtu-trace report` reads it.",
            header.hostname
        );
        if header.part > 1 {
            comment += &format!(" Part {} of the recording.", header.part);
        }
        let os = format!("Linux {}", header.kernel);
        let mut to = blocks::section(&header.machine, &os, &application, &comment)?;
        put_structure(&mut to, content::HEADER, header)?;
        self.part = PartState::default();
        for event in self.carried.events() {
            if let EventKind::Topology(topology) = &event.kind {
                self.part.topology = Arc::clone(topology);
            }
            put_row(&mut self.part.numbers, &mut to, |to| {
                to.key(content::CARRIED)?;
                to.key(rows::kind_name(&event.kind))?;
                rows::put_event(event, to)
            })?;
        }
        Ok(to)
    }

    /// The end of this part and the start of the next: each can be read alone.
    pub fn next_part(&mut self, now_ns: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let end = end(&PartEnd {
            ended_ns: now_ns,
            hooks: self.header.hooks.clone(),
            events: self.part.events,
            continued: true,
        })?;
        self.header.part += 1;
        self.header.began_ns = now_ns;
        Ok((end, self.opening()?))
    }

    /// The end of the recording.
    pub fn close(&self, now_ns: u64, hooks: Vec<HookStatus>) -> io::Result<Vec<u8>> {
        end(&PartEnd {
            ended_ns: now_ns,
            hooks,
            events: self.part.events,
            continued: false,
        })
    }

    /// Adds the blocks of an event.
    pub fn event(&mut self, event: &Event, to: &mut Vec<u8>) -> io::Result<()> {
        self.part.events += 1;
        self.carried.note(event);
        match &event.kind {
            EventKind::Packet(packet) => return self.packet(event, packet, to),
            EventKind::Topology(topology) => {
                let before = mem::replace(&mut self.part.topology, Arc::clone(topology));
                if !before.namespaces.is_empty() {
                    let change = Change::between(&before, topology, event.time_ns);
                    return put_structure(to, content::CHANGE, &change);
                }
            }
            _ => {}
        }
        put_row(&mut self.part.numbers, to, |to| {
            to.key(rows::kind_name(&event.kind))?;
            rows::put_event(event, to)
        })
    }

    fn packet(&mut self, event: &Event, packet: &Packet, to: &mut Vec<u8>) -> io::Result<()> {
        let part = &mut self.part;
        let (interface, new) = part.interfaces.number(&packet.device);
        if new {
            to.extend(blocks::interface(&packet.device, &part.topology)?);
        }
        let write = |to: &mut RowWriter<'_>| rows::put_event(event, to);
        let (row, told) = row::written(&mut part.numbers, Vec::new, write)?;
        to.extend(told);
        let wall = self.header.clock.wall(event.time_ns).as_nanosecond();
        let wall_ns = u64::try_from(wall).unwrap_or(0);
        let comment = describe_packet(packet, &part.topology);
        let block = blocks::packet(interface, wall_ns, packet, &comment, &row)?;
        to.extend(block);
        Ok(())
    }

    pub(crate) fn interfaces(&self) -> u32 {
        self.part.interfaces.count()
    }
}

/// Adds a block with a structure whose fields have their names.
fn put_structure(to: &mut Vec<u8>, key: &str, value: &impl Serialize) -> io::Result<()> {
    put_row(&mut Numbers::default(), to, |to| {
        to.key(key)?;
        to.structure(value)
    })
}

/// Adds a block with what `write` writes, and before it those of the entries that it speaks of first.
fn put_row(
    numbers: &mut Numbers,
    to: &mut Vec<u8>,
    write: impl Fn(&mut RowWriter<'_>) -> Put,
) -> io::Result<()> {
    let (content, told) = row::written(numbers, blocks::own_content, write)?;
    to.extend(told);
    blocks::put_own(to, &content)
}

/// The block that ends a part.
fn end(end: &PartEnd) -> io::Result<Vec<u8>> {
    let mut to = Vec::new();
    put_structure(&mut to, content::END, end)?;
    Ok(to)
}

/// The most connections that are told again; the oldest go first. A choice: a part's opening has at
/// most two megabytes of them.
const MAX_CONNECTIONS: usize = 20_000;

/// What a part tells again of those before it, so that it can be read alone.
#[derive(Default)]
struct Carried {
    /// The latest event of each kind that tells of the network and of what is not seen of it.
    state: [Option<Event>; 4],
    /// The latest event of each store of the tracer's own.
    stores: BTreeMap<Store, Event>,
    /// The latest event of each connection that is open, oldest first.
    open: BTreeMap<u64, Event>,
    ages: HashMap<Flow, u64>,
    next_age: u64,
}

impl Carried {
    fn note(&mut self, event: &Event) {
        let place = match &event.kind {
            EventKind::Topology(_) => 0,
            EventKind::Blind(_) => 1,
            EventKind::Limited(_) => 2,
            EventKind::Lost(_) => 3,
            EventKind::Evicted(told) => {
                self.stores.insert(told.store, event.clone());
                return;
            }
            EventKind::Connection(socket) => return self.open(socket.flow, event),
            EventKind::Closed(closed) => return self.close(&closed.flow),
            _ => return,
        };
        self.state[place] = Some(event.clone());
    }

    fn open(&mut self, flow: Flow, event: &Event) {
        self.close(&flow);
        if self.open.len() >= MAX_CONNECTIONS
            && let Some((_, oldest)) = self.open.pop_first()
            && let EventKind::Connection(socket) = &oldest.kind
        {
            self.ages.remove(&socket.flow);
        }
        self.ages.insert(flow, self.next_age);
        self.open.insert(self.next_age, event.clone());
        self.next_age += 1;
    }

    fn close(&mut self, flow: &Flow) {
        if let Some(age) = self.ages.remove(flow) {
            self.open.remove(&age);
        }
    }

    /// The events in the order in which they are told again: the network first, then what is not
    /// seen, then the connections, oldest first.
    fn events(&self) -> impl Iterator<Item = &Event> {
        let state = self.state.iter().flatten().chain(self.stores.values());
        state.chain(self.open.values())
    }
}
