//! Events as JSON: what captures hold, with the wall time and the packet's bytes beside it.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::base::clock::Clock;
use crate::core::sites::describe_packet;
use crate::model::event::{Event, EventKind};
use crate::model::network::Topology;
use crate::show::export::{Events, ExportDefinition};
use crate::show::report::Capture;

/// One object for the whole capture.
pub static EXPORT: ExportDefinition = ExportDefinition {
    name: "json",
    help: "One JSON object, with all events in a list",
    write,
};

/// One object for each event.
pub static LINES: ExportDefinition = ExportDefinition {
    name: "ndjson",
    help: "One JSON object a line: the recording, then each event",
    write: write_lines,
};

fn write(events: &mut Events<'_>, to: &mut dyn Write) -> io::Result<()> {
    let recording = serde_json::to_string(&RecordingHead::new(events.capture))?;
    // Everything of the recording, and the events behind it, without having them all in memory.
    let opened = recording.strip_suffix('}').unwrap_or(&recording);
    write!(to, "{opened},\"events\":[")?;
    let mut between: &[u8] = b"\n";
    while let Some((event, topology)) = (events.next)() {
        to.write_all(between)?;
        between = b",\n";
        let exported = ExportedEvent::new(&event, &events.clock, &topology);
        serde_json::to_writer(&mut *to, &exported)?;
    }
    writeln!(to, "\n]}}")
}

fn write_lines(events: &mut Events<'_>, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, &RecordingHead::new(events.capture))?;
    writeln!(to)?;
    while let Some((event, topology)) = (events.next)() {
        let exported = ExportedEvent::new(&event, &events.clock, &topology);
        serde_json::to_writer(&mut *to, &exported)?;
        writeln!(to)?;
    }
    Ok(())
}

/// The name and version of the JSON form of events. Keys may be added, never changed in meaning.
const EVENTS_SCHEMA: &str = "mtu-trace/events/1";

/// An event as JSON has it.
#[derive(Debug, Serialize)]
pub struct ExportedEvent<'a> {
    /// Wall time of the event.
    time: Timestamp,
    /// ns of `CLOCK_MONOTONIC`, and what happened.
    #[serde(flatten)]
    event: &'a Event,
    /// What happened to a packet, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The packet's headers from the IP header on, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
}

impl<'a> ExportedEvent<'a> {
    /// An event in the network as it was then.
    pub fn new(event: &'a Event, clock: &Clock, topology: &Topology) -> Self {
        let packet = match &event.kind {
            EventKind::Packet(packet) => Some(packet),
            _ => None,
        };
        Self {
            time: clock.wall(event.time_ns),
            event,
            summary: packet.map(|packet| describe_packet(packet, topology)),
            head: packet.map(|packet| hexadecimal(&packet.head)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a capture is, as the first line of its events has it.
#[derive(Serialize)]
struct RecordingHead<'a> {
    schema: &'static str,
    started: Timestamp,
    kernel: &'a str,
    hostname: &'a str,
    tool_version: &'a str,
}

impl<'a> RecordingHead<'a> {
    fn new(capture: &'a Capture) -> Self {
        Self {
            schema: EVENTS_SCHEMA,
            started: capture.started,
            kernel: &capture.kernel,
            hostname: &capture.hostname,
            tool_version: &capture.tool_version,
        }
    }
}
