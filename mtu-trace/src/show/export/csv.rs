//! Events as a table, of which a spreadsheet or a script wants no more than fits a line.

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    base::clock::Clock,
    capture::describe,
    model::{
        event::{Count, Device, Event, EventKind, Flow, PathMtu, TcpState},
        netns_ref::NetnsRef,
        network::{NetnsId, Topology},
    },
    show::export::{Events, ExportDefinition},
};

/// The events as a table.
pub static EXPORT: ExportDefinition = ExportDefinition {
    name: "csv",
    help: "A table: a line for each event, ticks and topology left out",
    write,
};

fn write(events: &mut Events<'_>, mut to: &mut dyn Write) -> io::Result<()> {
    // Also where no event follows.
    writeln!(to, "{}", CsvRow::header()?)?;
    let mut table = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(&mut to);
    while let Some((event, topology)) = (events.next)() {
        if let Some(row) = CsvRow::new(&event, &events.clock, &topology) {
            table.serialize(row)?;
        }
    }
    table.flush()
}

/// An event as a line of a table. A column that an event has nothing for is empty.
#[derive(Debug, Default, Serialize)]
pub struct CsvRow {
    time: String,
    time_ns: u64,
    event: &'static str,
    what: String,
    netns: String,
    interface: String,
    protocol: String,
    source: String,
    destination: String,
    length_bytes: Option<u32>,
    mtu_bytes: Option<u32>,
    seq: Option<u32>,
    ack: Option<u32>,
    count: Option<u64>,
}

impl CsvRow {
    /// The first line, which names the columns.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub fn header() -> io::Result<String> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.serialize(Self::default())?;
        let lines = table
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        let lines = String::from_utf8_lossy(&lines);
        Ok(lines.lines().next().unwrap_or_default().to_owned())
    }

    /// The line of an event; `None` for ticks and topology.
    #[must_use]
    pub fn new(event: &Event, clock: &Clock, topology: &Arc<Topology>) -> Option<Self> {
        let mut row = Self {
            time: clock.wall(event.time_ns).to_string(),
            time_ns: event.time_ns,
            ..Self::default()
        };
        match &event.kind {
            EventKind::Tick | EventKind::Topology(_) => return None,
            EventKind::Connection(socket) => {
                row.event = "connection";
                row.what = match socket.active {
                    Some(true) => "opened from here",
                    Some(false) => "accepted here",
                    None => "open",
                }
                .to_owned();
                row.flow(&socket.flow, topology);
            }
            EventKind::Packet(packet) => {
                row.event = "packet";
                row.what = describe(packet, topology);
                row.flow(&packet.flow, topology);
                row.device(&packet.device);
                row.length_bytes = Some(packet.length_bytes);
                row.seq = packet.tcp.map(|tcp| tcp.seq);
                row.ack = packet.tcp.map(|tcp| tcp.ack);
                row.count = Some(packet.count);
            }
            EventKind::Retransmit(sent) => {
                row.event = "retransmit";
                row.what = format!(
                    "sent again in {}, {} timeouts, {} bytes acknowledged so far",
                    sent.state.name(),
                    sent.timeouts,
                    sent.bytes_acked
                );
                row.flow(&sent.socket.flow, topology);
                row.length_bytes = Some(sent.end_seq.wrapping_sub(sent.seq));
                row.mtu_bytes = Some(sent.pmtu_bytes);
                row.seq = Some(sent.seq);
                row.count = Some(sent.count);
            }
            EventKind::PathMtu(told) => {
                row.event = "path_mtu";
                row.what = path_mtu(told);
                row.flow(&told.flow, topology);
                if !told.is_socket() {
                    // A route is to somewhere, for whatever protocol, from whomever.
                    row.protocol.clear();
                    row.source.clear();
                    row.destination = told.flow.destination.ip().to_string();
                }
                row.mtu_bytes = Some(told.mtu_bytes);
                row.count = Some(told.count);
            }
            EventKind::Sample(sample) => {
                row.event = "sample";
                row.what = format!(
                    "{}: {} segments in flight, {} timeouts, {} bytes acknowledged, {} received",
                    sample.state.name(),
                    sample.unacked,
                    sample.timeouts,
                    sample.bytes_acked,
                    sample.bytes_received
                );
                row.flow(&sample.flow, topology);
                row.mtu_bytes = Some(sample.pmtu_bytes);
            }
            EventKind::Closed(closed) => {
                row.event = "closed";
                row.what = ending(closed.last_state, closed.error);
                row.flow(&closed.flow, topology);
            }
            EventKind::Count(Count::Dropped {
                flow,
                function,
                count,
                ..
            }) => {
                row.event = "count";
                row.what = format!("dropped by {function}, all told");
                row.flow(flow, topology);
                row.count = Some(*count);
            }
            EventKind::Count(Count::Retransmitted { flow, count, .. }) => {
                row.event = "count";
                row.what = "retransmits, all told".to_owned();
                row.flow(flow, topology);
                row.count = Some(*count);
            }
            EventKind::Lost(lost) => {
                row.event = "lost";
                row.what = "records lost, all told".to_owned();
                row.count = Some(*lost);
            }
            EventKind::Blind(hooks) => {
                row.event = "blind";
                row.what = format!("not at work: {}", hooks.join(", "));
            }
            EventKind::Limited(limits) => {
                row.event = "limited";
                row.what = limits.join(" ");
            }
        }
        Some(row)
    }

    fn flow(&mut self, flow: &Flow, topology: &Topology) {
        self.netns = label(flow.netns, topology);
        self.protocol = match flow.protocol {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            other => other.to_string(),
        };
        self.source = flow.source.to_string();
        self.destination = flow.destination.to_string();
    }

    fn device(&mut self, device: &Device) {
        self.interface = device.name.as_deref().unwrap_or_default().to_owned();
        self.mtu_bytes = Some(device.mtu_bytes);
    }
}

fn label(netns: NetnsId, topology: &Topology) -> String {
    NetnsRef::new(netns, topology).label()
}

fn ending(state: TcpState, error: u32) -> String {
    if error == 0 {
        return format!("closed from {}", state.name());
    }
    let error = io::Error::from_raw_os_error(i32::try_from(error).unwrap_or(0));
    format!("closed from {}: {error}", state.name())
}

/// A path MTU taken over, in words.
#[must_use]
pub fn path_mtu(told: &PathMtu) -> String {
    let by = if told.is_socket() {
        "the socket was told that"
    } else {
        "the route there keeps that"
    };
    let mut words = format!("{by} packets of up to {} bytes pass", told.mtu_bytes);
    if let Some(before) = told.before_bytes {
        words.push_str(&format!(", it sent up to {before} before"));
    }
    words
}
