//! Lists of events with times in milliseconds, and what the analysis makes of them.

use std::collections::{BTreeMap, HashMap};

use mtu_trace::testing::{
    Analysis, Closed, Event, EventKind, Finding, Flow, Isn, NetnsId, PacketKind, Retransmit,
    Sample, Socket, Store, StoreState, TCP, TcpState, Verdict,
};

use super::network::{CONTAINER, HOST, SERVER, told};
use super::packet::{MSS, Places};

/// The kernel's clock when a scenario begins: long after boot.
pub const START_NS: u64 = 5_000_000_000_000;
pub const NS_PER_MS: u64 = 1_000_000;
/// Time between two ticks, as in a live trace.
const TICK_MS: u64 = 100;

/// An event at a time, ms from the beginning.
pub fn at(ms: u64, kind: impl Into<EventKind>) -> Event {
    Event {
        time_ns: START_NS + ms * NS_PER_MS,
        kind: kind.into(),
    }
}

pub fn flow(netns: NetnsId, source: &str, destination: &str) -> Flow {
    Flow {
        netns,
        protocol: TCP,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// A connection from the container to the server, both on this host, behind two NATs.
#[derive(Clone, Copy, Debug)]
pub struct Conn {
    pub client: Socket,
    pub server: Socket,
    port: u16,
}

impl Conn {
    /// The `number`th connection, with ports and initial sequence numbers of its own.
    pub fn new(number: u16) -> Self {
        let far = u32::from(number) * 4_000_000;
        Self::with_isn(
            number,
            Isn {
                iss: 0x1000_0000u32.wrapping_add(far),
                irs: 0x9000_0000u32.wrapping_add(far),
            },
        )
    }

    /// The same with given initial sequence numbers, from the container's side.
    pub fn with_isn(number: u16, isn: Isn) -> Self {
        let port = 40_000 + number;
        let outside = 50_000 + number;
        let own = format!("192.0.2.2:{port}");
        let known_as = format!("198.51.100.1:{outside}");
        Self {
            client: Socket {
                flow: flow(CONTAINER, &own, "198.51.100.9:80"),
                opened_ns: START_NS,
                isn: Some(isn),
                active: Some(true),
            },
            server: Socket {
                flow: flow(SERVER, "198.51.100.9:80", &known_as),
                opened_ns: START_NS,
                isn: Some(Isn {
                    iss: isn.irs,
                    irs: isn.iss,
                }),
                active: Some(false),
            },
            port,
        }
    }

    /// The download's flow where the host forwards it: one NAT undone, one still to be.
    pub fn forwarded(self) -> Flow {
        flow(HOST, "198.51.100.9:80", &format!("10.42.0.5:{}", self.port))
    }

    /// First sequence number of the server's `nth` full segment.
    pub fn server_seq(self, nth: u32) -> u32 {
        let irs = self.client.isn.unwrap().irs;
        irs.wrapping_add(1).wrapping_add(nth * MSS)
    }

    /// The same of the container's.
    pub fn client_seq(self, nth: u32) -> u32 {
        let iss = self.client.isn.unwrap().iss;
        iss.wrapping_add(1).wrapping_add(nth * MSS)
    }

    pub fn client_known(self) -> EventKind {
        EventKind::Connection(self.client)
    }

    pub fn server_known(self) -> EventKind {
        EventKind::Connection(self.server)
    }

    /// The server sends its `nth` segment again, which is its first that is not acknowledged.
    pub fn server_resends(self, nth: u32, timeouts: u32) -> Retransmit {
        resend(self.server, self.server_seq(nth), timeouts)
    }

    pub fn client_resends(self, nth: u32, timeouts: u32) -> Retransmit {
        resend(self.client, self.client_seq(nth), timeouts)
    }

    /// The server's socket, so many segments acknowledged.
    pub fn server_stands(self, segments: u32, mss: u32) -> EventKind {
        let acked = u64::from(segments * MSS);
        EventKind::Sample(stands(self.server.flow, mss, acked, 80))
    }

    /// The container's socket, so many segments received.
    pub fn client_stands(self, segments: u32) -> EventKind {
        let received = u64::from(segments * MSS);
        // Bytes acknowledged count the SYN on the side that opened.
        EventKind::Sample(stands(self.client.flow, MSS, 81, received))
    }
}

/// What a sender does at a timeout, the first of which is counted as none yet.
pub fn resend(socket: Socket, seq: u32, timeouts: u32) -> Retransmit {
    Retransmit {
        socket,
        seq,
        end_seq: seq.wrapping_add(MSS),
        snd_una: seq,
        state: TcpState::ESTABLISHED,
        ca_state: 4,
        timeouts,
        backoff: timeouts,
        mss_cache: MSS,
        pmtu_bytes: 1500,
        packets_out: 10,
        sacked_out: 0,
        bytes_acked: 0,
        count: 0,
        timers: None,
        error: None,
        unsent: 0,
    }
}

fn stands(flow: Flow, mss: u32, bytes_acked: u64, bytes_received: u64) -> Sample {
    Sample {
        flow,
        state: TcpState::ESTABLISHED,
        timeouts: 0,
        backoff: 0,
        mss,
        // Probing (1024) lowers the segment size and leaves the path MTU alone.
        pmtu_bytes: if mss == 1024 { 1500 } else { mss + 52 },
        unacked: 0,
        sacked: 0,
        bytes_acked,
        bytes_received,
        held_bytes: 0,
        unsent_bytes: 0,
        window_closed: false,
        outstanding_bytes: 0,
        is_held_up: false,
        waited_ms: None,
        duplicates: 0,
    }
}

/// The end of a socket.
pub fn ends(socket: Socket, last_state: u32, error: u32) -> EventKind {
    EventKind::Closed(Closed {
        flow: socket.flow,
        last_state: TcpState(last_state),
        error,
        bytes_acked: 0,
        bytes_received: 0,
        unacknowledged: 0,
    })
}

/// Convertible like the packets, so that a scenario reads the same for both.
pub fn again(retransmit: Retransmit) -> EventKind {
    EventKind::Retransmit(Box::new(retransmit))
}

/// How a store of the tracer's own stands.
pub fn evicted(store: Store, bound: u64, evicted: u64) -> EventKind {
    EventKind::Evicted(StoreState {
        store,
        bound,
        evicted,
    })
}

/// The beginning of most scenarios: the network, and a connection known at both ends.
pub fn opening(places: &Places, conn: Conn) -> Vec<Event> {
    vec![
        at(0, told(&places.topology)),
        at(50, conn.client_known()),
        at(50, conn.server_known()),
    ]
}

/// What became of a scenario.
pub struct Outcome {
    pub analysis: Analysis,
    /// The verdicts that stood at any tick, with the first time each did, ms.
    pub ever: BTreeMap<&'static str, u64>,
}

impl Outcome {
    pub fn findings(&self) -> Vec<Finding> {
        self.analysis.findings()
    }

    /// The one finding there is.
    #[track_caller]
    pub fn only(&self) -> Finding {
        let mut findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }

    /// That nothing was ever found.
    #[track_caller]
    pub fn nothing(&self) {
        assert!(self.ever.is_empty(), "{:#?}", self.findings());
    }

    #[track_caller]
    pub fn never(&self, verdict: Verdict) {
        assert!(!self.ever.contains_key(verdict.name()), "{:?}", self.ever);
    }
}

/// Plays events in the order of their times, with ticks until the end, counted as the kernel
/// counts them.
pub fn run(events: Vec<Event>, until_ms: u64) -> Outcome {
    let mut outcome = Outcome {
        analysis: Analysis::default(),
        ever: BTreeMap::new(),
    };
    for event in timeline(events, until_ms) {
        outcome.analysis.apply(&event);
        if matches!(event.kind, EventKind::Tick) {
            let ms = (event.time_ns - START_NS) / NS_PER_MS;
            for finding in outcome.analysis.findings() {
                outcome.ever.entry(finding.verdict.name()).or_insert(ms);
            }
        }
    }
    outcome
}

/// The events as a live trace would hand them over.
pub fn timeline(mut events: Vec<Event>, until_ms: u64) -> Vec<Event> {
    events.extend((0..=until_ms / TICK_MS).map(|tick| at(tick * TICK_MS, EventKind::Tick)));
    // Stable: what happens at one time stays in order, and a tick is last.
    events.sort_by_key(|event| (event.time_ns, matches!(event.kind, EventKind::Tick)));
    number(&mut events);
    events
}

/// Fills in counts and first times that are not given: by flow and place, and by socket.
fn number(events: &mut [Event]) {
    let mut packets: HashMap<(Flow, String), (u64, u64)> = HashMap::new();
    let mut resends: HashMap<Flow, [u64; 2]> = HashMap::new();
    for event in events {
        match &mut event.kind {
            EventKind::Packet(packet) if packet.count == 0 => {
                let place = match &packet.what {
                    PacketKind::Dropped { function, .. } => function.to_string(),
                    PacketKind::IcmpSent => "icmp_send".into(),
                    PacketKind::Seen { egress, .. } => {
                        format!("{}/{egress}", packet.device.ifindex)
                    }
                };
                let counted = packets.entry((packet.flow, place));
                let (count, first_ns) = counted.or_insert((0, event.time_ns));
                *count += 1;
                (packet.count, packet.first_ns) = (*count, *first_ns);
            }
            EventKind::Retransmit(retransmit) if retransmit.count == 0 => {
                let counts = resends.entry(retransmit.socket.flow).or_default();
                counts[usize::from(retransmit.error.is_some())] += 1;
                [retransmit.count, retransmit.unsent] = *counts;
            }
            _ => {}
        }
    }
}
