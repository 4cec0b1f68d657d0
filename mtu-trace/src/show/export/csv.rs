//! Events as a table, of which a spreadsheet or a script wants no more than fits a line.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

use crate::base::clock::Clock;
use crate::capture::kind_name;
use crate::core::sites::{describe_briefly, netns_label};
use crate::model::event::{Count, Device, Event, EventKind, Flow};
use crate::model::network::Topology;
use crate::show::export::{Events, ExportDefinition};

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
    pub fn new(event: &Event, clock: &Clock, topology: &Arc<Topology>) -> Option<Self> {
        let mut row = Self {
            time: clock.wall(event.time_ns).to_string(),
            time_ns: event.time_ns,
            event: kind_name(&event.kind),
            what: describe_briefly(event, topology),
            ..Self::default()
        };
        if let Some(flow) = event.kind.flow() {
            row.flow(&flow, topology);
        }
        match &event.kind {
            EventKind::Tick | EventKind::Topology(_) => return None,
            EventKind::Packet(packet) => {
                row.device(&packet.device);
                row.length_bytes = Some(packet.length_bytes);
                row.seq = packet.tcp.map(|tcp| tcp.seq);
                row.ack = packet.tcp.map(|tcp| tcp.ack);
                row.count = Some(packet.count);
            }
            EventKind::Retransmit(sent) => {
                row.length_bytes = Some(sent.end_seq.wrapping_sub(sent.seq));
                row.mtu_bytes = Some(sent.pmtu_bytes);
                row.seq = Some(sent.seq);
                row.count = Some(sent.count);
            }
            EventKind::PathMtu(told) => {
                if !told.is_socket() {
                    // A route is to somewhere, for whatever protocol, from whomever.
                    row.protocol.clear();
                    row.source.clear();
                    row.destination = told.flow.destination.ip().to_string();
                }
                row.mtu_bytes = Some(told.mtu_bytes);
                row.count = Some(told.count);
            }
            EventKind::Sample(sample) => row.mtu_bytes = Some(sample.pmtu_bytes),
            EventKind::Count(Count::Dropped { count, .. } | Count::Retransmitted { count, .. })
            | EventKind::Lost(count) => row.count = Some(*count),
            EventKind::Evicted(told) => row.count = Some(told.evicted),
            EventKind::Connection(_)
            | EventKind::Closed(_)
            | EventKind::Rule(_)
            | EventKind::Blind(_)
            | EventKind::Limited(_) => {}
        }
        Some(row)
    }

    fn flow(&mut self, flow: &Flow, topology: &Topology) {
        self.netns = netns_label(flow.netns, topology);
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
