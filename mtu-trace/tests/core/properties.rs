//! Whatever order events come in, and however often: no panic, the same report again, and nothing
//! called certain that is not.

use mtu_trace::testing::{
    Analysis, Confidence, Count, Event, EventKind, Finding, Isn, PacketKind, TcpState, Verdict,
};
use proptest::prelude::*;

use super::network::{BRIDGE, HOST, Mtus, ROUTED, VETH, told};
use super::packet::{Places, Shown};
use super::reports;
use super::scenario::{Conn, NS_PER_MS, START_NS, again, at, ends};

/// Connections, the last of which has the addresses of the first and sequence numbers that wrap.
fn conns() -> impl Strategy<Value = Conn> + Clone {
    let wraps = Isn {
        iss: u32::MAX - 2000,
        irs: u32::MAX - 4000,
    };
    prop_oneof![
        Just(Conn::new(0)),
        Just(Conn::new(1)),
        Just(Conn::with_isn(0, wraps)),
    ]
}

fn networks() -> impl Strategy<Value = Mtus> {
    prop_oneof![Just(ROUTED), Just(VETH), Just(BRIDGE)]
}

/// A packet anywhere.
fn packets() -> impl Strategy<Value = EventKind> {
    let place = prop_oneof![
        4 => Just(Places::forward as fn(&Places, Conn, u32) -> Shown),
        2 => Just(Places::veth as fn(&Places, Conn, u32) -> Shown),
        2 => Just(Places::bridge as fn(&Places, Conn, u32) -> Shown),
        2 => Just(Places::upload as fn(&Places, Conn, u32) -> Shown),
        1 => Just(Places::blocked_in_output as fn(&Places, Conn, u32) -> Shown),
        1 => Just(Places::blocked_in_input as fn(&Places, Conn, u32) -> Shown),
    ];
    let what = prop_oneof![
        6 => Just(None),
        1 => Just(Some(PacketKind::IcmpSent)),
        1 => any::<bool>().prop_map(|egress| Some(PacketKind::Seen {
            egress,
            limit_bytes: Some(1450),
        })),
        1 => (
            prop_oneof![Just("nft_do_chain"), Just("ip_forward"), Just("0xffffffff81000000")],
            prop_oneof![Just(None), Just(Some("NETFILTER_DROP")), Just(Some("NO_SOCKET"))],
        )
            .prop_map(|(function, reason)| Some(PacketKind::Dropped {
                function: function.into(),
                reason: reason.map(Into::into),
            })),
    ];
    let numbers = (0..4u32, 1..40u64, prop_oneof![Just(1500), 0..9000u32]);
    let odd = (
        any::<bool>(),
        0..8u8,
        prop_oneof![Just(6u8), Just(17), Just(1)],
    );
    (networks(), conns(), place, what, numbers, odd).prop_map(
        |(mtus, conn, place, what, (nth, count, bytes), (gso, odd, protocol))| {
            let shown = place(&Places::new(mtus), conn, nth).long(bytes);
            let shown = shown.with(|packet| {
                packet.count = count;
                packet.first_ns = START_NS;
                if let Some(what) = what {
                    packet.what = what;
                }
                if odd == 0 {
                    packet.gso = gso;
                    packet.has_device = gso;
                    packet.route = None;
                    packet.flow.protocol = protocol;
                    packet.tcp = None;
                }
            });
            shown.into()
        },
    )
}

fn kinds() -> impl Strategy<Value = EventKind> {
    let sockets = (conns(), any::<bool>(), any::<bool>()).prop_map(|(conn, server, known)| {
        let mut socket = if server { conn.server } else { conn.client };
        if !known {
            socket.isn = None;
        }
        socket
    });
    let resends = (conns(), any::<bool>(), 0..4u32, 0..6u32, 0..12u32).prop_map(
        |(conn, server, nth, timeouts, state)| {
            let mut sent = if server {
                conn.server_resends(nth, timeouts)
            } else {
                conn.client_resends(nth, timeouts)
            };
            sent.state = TcpState(state);
            sent.count = u64::from(timeouts + nth);
            again(sent)
        },
    );
    let stands = (conns(), any::<bool>(), 0..5u32).prop_map(|(conn, server, segments)| {
        if server {
            conn.server_stands(segments, 1448)
        } else {
            conn.client_stands(segments)
        }
    });
    let counts = (conns(), any::<bool>(), 0..100u64).prop_map(|(conn, drops, count)| {
        EventKind::Count(if drops {
            Count::Dropped {
                flow: conn.forwarded(),
                function: "ip_forward".into(),
                count,
                last_ns: START_NS,
            }
        } else {
            Count::Retransmitted {
                flow: conn.server.flow,
                count,
                last_ns: START_NS,
            }
        })
    });
    prop_oneof![
        8 => packets(),
        3 => resends,
        2 => stands,
        2 => sockets.clone().prop_map(EventKind::Connection),
        1 => (sockets, 0..13u32, 0..120u32)
            .prop_map(|(socket, state, error)| ends(socket, state, error)),
        1 => counts,
        1 => networks().prop_map(|mtus| told(&Places::new(mtus).topology)),
        1 => (0..3u64).prop_map(EventKind::Lost),
        4 => Just(EventKind::Tick),
    ]
}

/// Events out of order, some of them twice.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..5000u64, kinds(), 0..8u8).prop_map(|(ms, kind, twice)| {
        let event = at(ms, kind);
        vec![event; if twice == 0 { 2 } else { 1 }]
    });
    prop::collection::vec(event, 0..120).prop_map(|events| events.concat())
}

fn analysed(events: &[Event]) -> Vec<Finding> {
    let mut analysis = Analysis::default();
    for event in events {
        analysis.apply(event);
    }
    analysis.findings()
}

/// Findings without what depends on when they were made.
fn undated(mut findings: Vec<Finding>) -> String {
    for finding in &mut findings {
        finding.detected_at_ns = 0;
        finding.path.clear();
        finding.fixes.clear();
    }
    reports::json(findings)
}

fn check(finding: &Finding) -> Result<(), TestCaseError> {
    prop_assert!(finding.first_seen_ns <= finding.last_seen_ns);
    prop_assert!(finding.connections >= 1);
    prop_assert!(!finding.summary.is_empty());
    if finding.verdict == Verdict::MtuBlackHole {
        match &finding.boundary {
            Some(boundary) if finding.evidence.oversized_drops > 0 => {
                prop_assert!(
                    boundary
                        .limit_bytes
                        .is_none_or(|limit| boundary.packet_bytes > limit)
                );
            }
            // The place is beyond what is seen, but not that the message from there is dropped.
            _ => {
                let told = finding.pmtud.as_ref();
                prop_assert!(told.is_some_and(|pmtud| pmtud.blocked_at.is_some()));
                prop_assert!(finding.confidence != Confidence::Confirmed);
            }
        }
        let seen_ns = finding.last_seen_ns - finding.first_seen_ns;
        let is_late = finding.evidence.attempts == 2 && seen_ns >= 3_500_000_000;
        prop_assert!(finding.evidence.attempts >= 3 || is_late);
        prop_assert!(
            finding.confidence != Confidence::Confirmed || finding.evidence.lost_events == 0
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_list_of_events_has_one_sound_report(events in events()) {
        let findings = analysed(&events);
        for finding in &findings {
            check(finding)?;
        }
        let first = reports::json(findings);
        let second = reports::json(analysed(&events));
        prop_assert_eq!(first, second);
    }

    /// Only what has changed is asked about again: whoever asks once at the end hears the same.
    #[test]
    fn conclusions_on_the_way_change_nothing(events in events()) {
        let mut asked_once = Analysis::default();
        let mut asked_always = Analysis::default();
        for event in &events {
            asked_always.apply(event);
            asked_always.apply(&Event { kind: EventKind::Tick, ..event.clone() });
            if event.kind != EventKind::Tick {
                asked_once.apply(event);
            }
        }
        let now_ns = asked_always.state().now_ns;
        let last = Event { time_ns: now_ns, kind: EventKind::Tick };
        asked_once.apply(&last);
        asked_always.apply(&last);
        prop_assert_eq!(undated(asked_once.findings()), undated(asked_always.findings()));
    }

    #[test]
    fn events_of_the_past_and_of_the_end_of_time_are_taken(
        events in events(),
        times in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 120),
    ) {
        let mut events = events;
        for (event, time_ns) in events.iter_mut().zip(times) {
            event.time_ns = time_ns;
        }
        let findings = analysed(&events);
        prop_assert!(reports::json(findings.clone()).contains("findings"));
        prop_assert!(reports::text(findings).contains("mtu-trace"));
    }

    /// Small packets die of many things, and never of their size, unless the kernel itself says so: by its
    /// reason, or by the message that it makes.
    #[test]
    fn small_packets_are_never_an_mtu_problem(events in events()) {
        let is_message = |event: &Event| {
            matches!(&event.kind, EventKind::Packet(packet) if packet.what == PacketKind::IcmpSent)
        };
        let small: Vec<Event> = events
            .into_iter()
            .filter(|event| !is_message(event))
            .map(|mut event| {
                if let EventKind::Packet(packet) = &mut event.kind {
                    packet.length_bytes = packet.length_bytes.min(1280);
                    if let PacketKind::Dropped { reason, .. } = &mut packet.what {
                        reason.take_if(|reason| *reason == "PKT_TOO_BIG");
                    }
                }
                event
            })
            .collect();
        for finding in analysed(&small) {
            prop_assert_eq!(finding.boundary, None);
        }
    }

    /// A count says no less than the number of events.
    #[test]
    fn drops_of_one_site_are_counted_exactly(counts in prop::collection::vec(1..1000u64, 1..30)) {
        let places = Places::new(ROUTED);
        let conn = Conn::new(0);
        let mut events = vec![at(0, told(&places.topology)), at(0, conn.client_known())];
        for (nth, count) in (0..).zip(&counts) {
            let drop = places.forward(conn, 0).with(|packet| {
                packet.count = *count;
                packet.first_ns = START_NS + NS_PER_MS;
            });
            events.push(at(1 + nth * 210, drop));
        }
        events.push(at(20_000, EventKind::Tick));
        if let [finding] = analysed(&events).as_slice() {
            let most = counts.iter().copied().max().unwrap();
            prop_assert_eq!(finding.evidence.oversized_drops, most);
            let netns = &finding.boundary.as_ref().unwrap().netns;
            prop_assert_eq!(netns.cookie, Some(HOST.0));
        }
    }
}
