//! Events to the bytes of a capture.

use std::{io, sync::Arc};

use super::{
    blocks::{self, MOST_BLOCK_BYTES, PacketBlock},
    change::Change,
    comment::describe,
    format::{End, Header, ItemRef, encode},
    interfaces::{Interfaces, description},
    open_sockets::OpenSockets,
};
use crate::{
    event::{Event, EventKind, Packet},
    kernel::HookStatus,
    topology::Topology,
};

/// Turns events into blocks, and remembers what the start of another part must tell again.
pub struct Encoder {
    header: Header,
    interfaces: Interfaces,
    /// The network as this part knows it.
    topology: Arc<Topology>,
    /// The events that tell of the network and of our own state, as they stand.
    network: Option<Event>,
    blind: Option<Event>,
    lost: Option<Event>,
    open: OpenSockets,
    /// Events in this part.
    events: u64,
}

impl Encoder {
    /// An encoder of a recording of which nothing is written yet.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self {
            header,
            interfaces: Interfaces::default(),
            topology: Arc::default(),
            network: None,
            blind: None,
            lost: None,
            open: OpenSockets::default(),
            events: 0,
        }
    }

    /// The start of the recording.
    ///
    /// # Errors
    ///
    /// If something is too long for a block.
    pub fn opening(&mut self) -> io::Result<Vec<u8>> {
        let Header {
            tool_version,
            hostname,
            kernel,
            machine,
            part,
            ..
        } = &self.header;
        let application = format!("mtu-trace {tool_version}");
        let mut comment = format!(
            "Recorded by {application} on {hostname}: headers of packets that were dropped or too \
             big, and what else a report needs. `mtu-trace report` reads it."
        );
        if *part > 1 {
            comment.push_str(&format!(" Part {part} of the recording."));
        }
        let mut to = blocks::section(machine, &format!("Linux {kernel}"), &application, &comment)?;
        put(&mut to, &ItemRef::Header(&self.header))?;
        self.interfaces = Interfaces::default();
        self.events = 0;
        self.topology = Arc::default();
        if let Some(network) = &self.network
            && let EventKind::Topology(topology) = &network.kind
        {
            self.topology = Arc::clone(topology);
        }
        let state = [&self.network, &self.blind, &self.lost];
        for event in state.into_iter().flatten().chain(self.open.events()) {
            put(&mut to, &ItemRef::Carried(event))?;
        }
        Ok(to)
    }

    /// The end of this part and the start of the next: each can be read alone.
    ///
    /// # Errors
    ///
    /// If something is too long for a block.
    pub fn next_part(&mut self, now_ns: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let hooks = self.header.hooks.clone();
        let end = self.end(now_ns, hooks, true)?;
        self.header.part += 1;
        self.header.began_ns = now_ns;
        Ok((end, self.opening()?))
    }

    /// The end of the recording.
    ///
    /// # Errors
    ///
    /// If something is too long for a block.
    pub fn close(&mut self, now_ns: u64, hooks: Vec<HookStatus>) -> io::Result<Vec<u8>> {
        self.end(now_ns, hooks, false)
    }

    fn end(&self, ended_ns: u64, hooks: Vec<HookStatus>, continued: bool) -> io::Result<Vec<u8>> {
        let end = End {
            ended_ns,
            hooks,
            events: self.events,
            continued,
        };
        let mut to = Vec::new();
        put(&mut to, &ItemRef::End(&end))?;
        Ok(to)
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// If it is too long for a block.
    pub fn event(&mut self, event: &Event, to: &mut Vec<u8>) -> io::Result<()> {
        self.events += 1;
        match &event.kind {
            EventKind::Packet(packet) => return self.packet(event, packet, to),
            EventKind::Topology(topology) => return self.topology(event, topology, to),
            EventKind::Blind(_) => self.blind = Some(event.clone()),
            EventKind::Lost(_) => self.lost = Some(event.clone()),
            _ => self.open.note(event),
        }
        put(to, &ItemRef::Event(event))
    }

    fn packet(&mut self, event: &Event, packet: &Packet, to: &mut Vec<u8>) -> io::Result<()> {
        let (interface, new) = self.interfaces.number(&packet.device);
        if new {
            let description = description(&packet.device, &self.topology);
            let block = blocks::interface(&description.name, &description.words)?;
            to.extend(block);
        }
        let wall = self.header.clock.wall(event.time_ns).as_nanosecond();
        let block = PacketBlock {
            interface,
            wall_ns: u64::try_from(wall).unwrap_or(0),
            head: &packet.head,
            // What the headers that are kept speak of: of a GSO packet, all of it.
            length_bytes: packet.buffer_bytes,
            comment: &describe(packet, &self.topology),
            egress: packet.egress(),
            event: &encode(Vec::new(), event)?,
        };
        to.extend(block.write()?);
        Ok(())
    }

    fn topology(
        &mut self,
        event: &Event,
        topology: &Arc<Topology>,
        to: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.network = Some(event.clone());
        let before = std::mem::replace(&mut self.topology, Arc::clone(topology));
        if before.namespaces.is_empty() {
            return put(to, &ItemRef::Event(event));
        }
        let change = Change::between(&before, topology, event.time_ns);
        put(to, &ItemRef::Change(&change))
    }

    /// The number of the part that is written.
    #[must_use]
    pub fn part(&self) -> u32 {
        self.header.part
    }

    /// How many interfaces this part has.
    #[must_use]
    pub fn interfaces(&self) -> u32 {
        self.interfaces.count()
    }
}

fn put(to: &mut Vec<u8>, item: &ItemRef<'_>) -> io::Result<()> {
    let content = encode(blocks::own_content(), item)?;
    let block = blocks::own(&content)?;
    if block.len() > MOST_BLOCK_BYTES {
        return Err(io::Error::other(format!(
            "an event of {} bytes does not fit into a capture",
            block.len()
        )));
    }
    to.extend(block);
    Ok(())
}
