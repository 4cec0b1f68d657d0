//! Events to the bytes of a capture.

use std::{borrow::Cow, io, sync::Arc};

use crate::{
    capture::{
        blocks,
        blocks::PacketBlock,
        change::Change,
        comment::describe,
        format::{End, Header, ItemRef, encode, name},
        interfaces::{Interfaces, description},
        open_sockets::OpenSockets,
        row,
        row::Item,
        rows::{At, DeviceRow, Dropped, NameRow, PacketRow, Retransmitted, Tick, What},
        stream::MOST_BLOCK_BYTES,
        tables,
        tables::Numbers,
    },
    model::{
        event::{Count, Device, Event, EventKind, Name, Packet, PacketKind},
        hook_status::HookStatus,
        network::Topology,
    },
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
    limited: Option<Event>,
    lost: Option<Event>,
    open: OpenSockets,
    /// What this part has told of names and devices.
    numbers: Numbers,
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
            limited: None,
            lost: None,
            open: OpenSockets::default(),
            numbers: Numbers::default(),
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
        self.numbers = Numbers::default();
        self.events = 0;
        self.topology = Arc::default();
        if let Some(network) = &self.network
            && let EventKind::Topology(topology) = &network.kind
        {
            self.topology = Arc::clone(topology);
        }
        let state = [&self.network, &self.blind, &self.limited, &self.lost];
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
        let time_ns = event.time_ns;
        match &event.kind {
            EventKind::Packet(packet) => self.packet(time_ns, packet, to),
            EventKind::Topology(topology) => self.topology(event, topology, to),
            EventKind::Blind(_) => {
                self.blind = Some(event.clone());
                put(to, &ItemRef::Event(event))
            }
            EventKind::Limited(_) => {
                self.limited = Some(event.clone());
                put(to, &ItemRef::Event(event))
            }
            EventKind::Lost(_) => {
                self.lost = Some(event.clone());
                put(to, &ItemRef::Event(event))
            }
            EventKind::Tick => put_row(to, name::TICK, &Tick(time_ns)),
            EventKind::Connection(socket) => {
                self.open.note(event);
                put_row(to, name::CONNECTION, &At(time_ns, *socket))
            }
            EventKind::Retransmit(retransmit) => put_row(
                to,
                name::RETRANSMIT,
                &At(time_ns, Cow::Borrowed(&**retransmit)),
            ),
            EventKind::Sample(sample) => put_row(to, name::SAMPLE, &At(time_ns, *sample)),
            EventKind::Closed(closed) => {
                self.open.note(event);
                put_row(to, name::CLOSED, &At(time_ns, *closed))
            }
            EventKind::PathMtu(_) => put(to, &ItemRef::Event(event)),
            EventKind::Count(count) => self.count(time_ns, count, to),
        }
    }

    fn count(&mut self, time_ns: u64, count: &Count, to: &mut Vec<u8>) -> io::Result<()> {
        match count {
            Count::Dropped {
                flow,
                function,
                count,
                last_ns,
            } => {
                self.numbers.make_room(1, function.len());
                let row = Dropped {
                    flow: *flow,
                    function: self.name(function, to)?,
                    count: *count,
                    last_ns: *last_ns,
                };
                put_row(to, name::DROPPED, &At(time_ns, row))
            }
            Count::Retransmitted {
                flow,
                count,
                last_ns,
            } => {
                let row = Retransmitted {
                    flow: *flow,
                    count: *count,
                    last_ns: *last_ns,
                };
                put_row(to, name::RETRANSMITTED, &At(time_ns, row))
            }
        }
    }

    /// A name's number, told before if it is new.
    fn name(&mut self, name: &Name, to: &mut Vec<u8>) -> io::Result<u32> {
        let (number, new) = self.numbers.name(name);
        if new {
            let name = name.clone();
            put_row(to, name::NAME, &NameRow { number, name })?;
        }
        Ok(number)
    }

    /// The same of a device.
    fn device(&mut self, device: &Device, to: &mut Vec<u8>) -> io::Result<u32> {
        let (number, new) = self.numbers.device(device);
        if new {
            let row = DeviceRow {
                number,
                netns: device.netns,
                ifindex: device.ifindex,
                name: device.name.clone(),
                mtu_bytes: device.mtu_bytes,
            };
            put_row(to, name::DEVICE, &row)?;
        }
        Ok(number)
    }

    /// A packet's row; what it speaks of is told before.
    fn row(&mut self, packet: &Packet, to: &mut Vec<u8>) -> io::Result<PacketRow> {
        let (entries, text_bytes) = tables::spoken_of(packet);
        self.numbers.make_room(entries, text_bytes);
        let what = match &packet.what {
            PacketKind::Dropped { function, reason } => {
                let function = self.name(function, to)?;
                let reason = reason.as_ref().map(|it| self.name(it, to)).transpose()?;
                What::Dropped(function, reason)
            }
            PacketKind::IcmpSent => What::IcmpSent,
            PacketKind::Seen {
                egress,
                limit_bytes,
            } => What::Seen(*egress, *limit_bytes),
        };
        let route_input = packet.route_input.as_ref();
        let route_input = route_input.map(|it| self.name(it, to)).transpose()?;
        let device = self.device(&packet.device, to)?;
        let mut other = |device: &Option<Device>| {
            let device = device.as_ref();
            device.map(|it| self.device(it, to)).transpose()
        };
        Ok(PacketRow {
            what,
            flow: packet.flow,
            device,
            has_device: packet.has_device,
            route: other(&packet.route)?,
            peer: other(&packet.peer)?,
            came_in: other(&packet.came_in)?,
            route_input,
            route_mtu_bytes: packet.route_mtu_bytes,
            length_bytes: packet.length_bytes,
            buffer_bytes: packet.buffer_bytes,
            tag_bytes: packet.tag_bytes,
            gso: packet.gso,
            tcp: packet.tcp,
            icmp_error: packet.icmp_error,
            inner: packet.inner,
            count: packet.count,
            first_ns: packet.first_ns,
            repeats: packet.repeats,
        })
    }

    fn packet(&mut self, time_ns: u64, packet: &Packet, to: &mut Vec<u8>) -> io::Result<()> {
        let (interface, new) = self.interfaces.number(&packet.device);
        if new {
            let description = description(&packet.device, &self.topology);
            let block = blocks::interface(&description.name, &description.words)?;
            to.extend(block);
        }
        let row = self.row(packet, to)?;
        let wall = self.header.clock.wall(time_ns).as_nanosecond();
        let block = PacketBlock {
            interface,
            wall_ns: u64::try_from(wall).unwrap_or(0),
            head: &packet.head,
            // What the headers that are kept speak of: of a GSO packet, all of it.
            length_bytes: packet.buffer_bytes,
            comment: &describe(packet, &self.topology),
            egress: packet.egress(),
            event: &row::alone(&At(time_ns, row))?,
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
    put_content(to, &encode(blocks::own_content(), item)?)
}

fn put_row(to: &mut Vec<u8>, name: &str, item: &impl Item) -> io::Result<()> {
    put_content(to, &row::named(blocks::own_content(), name, item)?)
}

fn put_content(to: &mut Vec<u8>, content: &[u8]) -> io::Result<()> {
    let block = blocks::own(content)?;
    if block.len() > MOST_BLOCK_BYTES {
        return Err(io::Error::other(format!(
            "an event of {} bytes does not fit into a capture",
            block.len()
        )));
    }
    to.extend(block);
    Ok(())
}
