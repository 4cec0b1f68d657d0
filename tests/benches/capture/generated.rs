//! A trace of any length, made of a real one that goes on and on with other connections.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use mtu_trace::testing::{
    Count, Encoder, Event, EventKind, Flow, Isn, PartHeader, Reader, Socket, Tcp, capture,
};

/// The recording of a black hole.
const REAL: &str = "../mtu-trace/tests/core/golden/filtered.pcapng.zst";
/// Connections that come one after the other, until the first comes again.
const CONNECTIONS: u64 = 5000;
/// Connections that share the ticks: as many as there would be at the same time.
const AT_ONCE: u64 = 16;
/// Clients' ports lie above, services' below.
const CLIENTS: u16 = 10_000;

/// The real trace.
pub struct Generated {
    /// How it came about.
    pub header: PartHeader,
    events: Vec<Event>,
    took_ns: u64,
}

impl Generated {
    /// Reads the real one.
    pub fn open() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REAL);
        let input = capture::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = Reader::new(input)?;
        let mut events = Vec::new();
        while let Some(event) = reader.next_event() {
            events.push(event);
        }
        let first = events.first().context("a capture without events")?.time_ns;
        let last = events.last().map_or(first, |event| event.time_ns);
        Ok(Self {
            header: reader.header().clone(),
            events,
            took_ns: last.saturating_sub(first),
        })
    }

    /// It, again and again. The network is told once.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        (0u64..).flat_map(move |round| {
            let again = move |event: &&Event| match event.kind {
                EventKind::Topology(_) | EventKind::Blind(_) => round == 0,
                EventKind::Tick => round.is_multiple_of(AT_ONCE),
                _ => true,
            };
            let events = self.events.iter().filter(again);
            events.map(move |event| self.again(event, round))
        })
    }

    /// So many connections that are open at the same time and that nothing ails, before all that.
    pub fn among(&self, connections: u32) -> impl Iterator<Item = Event> {
        let first = |event: &&Event| matches!(event.kind, EventKind::Topology(_));
        let network = self.events.iter().find(first).cloned();
        let is_known = |event: &&Event| matches!(event.kind, EventKind::Connection(_));
        let known: Vec<&Event> = self.events.iter().filter(is_known).collect();
        let open = (0..connections).flat_map(move |number| {
            let known = known.clone().into_iter();
            known.map(move |event| {
                let mut event = event.clone();
                if let EventKind::Connection(socket) = &mut event.kind {
                    // Numbers that the rounds do not come to.
                    Other::of(u64::from(!number)).socket(socket);
                    let flow = &mut socket.flow;
                    for end in [&mut flow.source, &mut flow.destination] {
                        if end.port() >= CLIENTS {
                            // 10.0.0.0/8, which the trace has not.
                            end.set_ip(Ipv4Addr::from(0x0a00_0000 + number).into());
                        }
                    }
                }
                event
            })
        });
        network.into_iter().chain(open).chain(self.events())
    }

    /// The trace so often, each time with another place at which packets die: as many findings.
    pub fn findings(&self, count: u64) -> impl Iterator<Item = Event> {
        let rounds = (0..count).flat_map(move |round| {
            let news = |event: &&Event| !matches!(event.kind, EventKind::Tick);
            let events = self.events.iter().filter(news);
            events.map(move |event| {
                let mut event = self.again(event, round);
                if let EventKind::Packet(packet) = &mut event.kind {
                    let egress = packet.route.as_mut().unwrap_or(&mut packet.device);
                    egress.ifindex += u32::try_from(round).unwrap_or(0);
                }
                event
            })
        });
        let first = |event: &Event| !matches!(event.kind, EventKind::Topology(_));
        let network = self.events.iter().find(|event| !first(event)).cloned();
        let last_ns = self.took_ns.saturating_mul(count);
        let tick = self.events.last().map(|event| Event {
            time_ns: event.time_ns + last_ns,
            kind: EventKind::Tick,
        });
        network.into_iter().chain(rounds.filter(first)).chain(tick)
    }

    /// Writes a capture of these events, until it has so many bytes. Returns how many it has, and how many
    /// events.
    pub fn write(
        &self,
        path: &Path,
        events: impl Iterator<Item = Event>,
        bytes: u64,
    ) -> Result<(u64, u64)> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut encoder = Encoder::new(self.header.clone());
        let mut block = encoder.opening()?;
        let (mut written, mut count) = (0, 0);
        let mut keep = |block: &mut Vec<u8>| -> Result<u64> {
            file.write_all(block)?;
            written += block.len() as u64;
            block.clear();
            Ok(written)
        };
        keep(&mut block)?;
        for event in events {
            encoder.event(&event, &mut block)?;
            count += 1;
            if keep(&mut block)? >= bytes {
                break;
            }
        }
        file.flush()?;
        Ok((written, count))
    }

    fn again(&self, event: &Event, round: u64) -> Event {
        let mut event = event.clone();
        event.time_ns += round * self.took_ns;
        let other = Other::of(round);
        match &mut event.kind {
            EventKind::Connection(socket) => other.socket(socket),
            EventKind::Packet(packet) => {
                packet.first_ns += round * self.took_ns;
                if let Some(tcp) = &mut packet.tcp {
                    other.tcp(&packet.flow, tcp);
                }
                if let Some(quoted) = packet.icmp_error.as_mut().and_then(|it| it.quoted.as_mut()) {
                    let (sent, received) = other.shifts(&quoted.flow);
                    quoted.seq = quoted.seq.map(|seq| seq.wrapping_add(sent));
                    quoted.ack = quoted.ack.map(|ack| ack.wrapping_add(received));
                    other.flow(&mut quoted.flow);
                }
                other.flow(&mut packet.flow);
            }
            EventKind::Retransmit(again) => {
                let (sent, _) = other.shifts(&again.socket.flow);
                for seq in [&mut again.seq, &mut again.end_seq, &mut again.snd_una] {
                    *seq = seq.wrapping_add(sent);
                }
                other.socket(&mut again.socket);
            }
            EventKind::Sample(sample) => other.flow(&mut sample.flow),
            EventKind::Closed(closed) => other.flow(&mut closed.flow),
            EventKind::Count(Count::Dropped { flow, .. } | Count::Retransmitted { flow, .. }) => {
                other.flow(flow);
            }
            _ => {}
        }
        event
    }
}

/// What another connection has else: the client's port, and the initial sequence numbers.
struct Other {
    port: u16,
    client: u32,
    server: u32,
}

impl Other {
    fn of(round: u64) -> Self {
        // Two odd factors spread the rounds over all sequence numbers (Knuth's multiplicative hash).
        let spread = |factor: u32| {
            let round = u32::try_from(round & u64::from(u32::MAX)).unwrap_or(0);
            round.wrapping_mul(factor)
        };
        Self {
            port: u16::try_from(round % CONNECTIONS).unwrap_or(0),
            client: spread(0x9e37_79b1),
            server: spread(0x85eb_ca77),
        }
    }

    /// By how much sequence numbers and acknowledgement numbers of a flow are higher.
    fn shifts(&self, flow: &Flow) -> (u32, u32) {
        if flow.source.port() >= CLIENTS {
            (self.client, self.server)
        } else {
            (self.server, self.client)
        }
    }

    fn tcp(&self, flow: &Flow, tcp: &mut Tcp) {
        let (sent, received) = self.shifts(flow);
        tcp.seq = tcp.seq.wrapping_add(sent);
        tcp.ack = tcp.ack.wrapping_add(received);
    }

    fn socket(&self, socket: &mut Socket) {
        let (sent, received) = self.shifts(&socket.flow);
        socket.isn = socket.isn.map(|isn| Isn {
            iss: isn.iss.wrapping_add(sent),
            irs: isn.irs.wrapping_add(received),
        });
        self.flow(&mut socket.flow);
    }

    fn flow(&self, flow: &mut Flow) {
        for end in [&mut flow.source, &mut flow.destination] {
            if end.port() >= CLIENTS {
                end.set_port(CLIENTS + (end.port() - CLIENTS + self.port) % 50_000);
            }
        }
    }
}

/// Whether a part of a benchmark is wanted: it is named, or none is.
pub fn wanted(part: &str) -> bool {
    // cargo itself adds `--bench`.
    let mut named = env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .peekable();
    named.peek().is_none() || named.any(|it| it == part)
}
