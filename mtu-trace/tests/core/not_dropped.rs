//! "Nothing is dropped on this host" may be said only where nothing at all speaks against it.

use mtu_trace::testing::{
    Event, EventKind, Netns, NetnsId, PacketKind, PathMtu, Peer, Retransmit, SendError, Store,
    StoreState, Verdict,
};

use super::network::{EXT0, Mtus, device, told};
use super::packet::Places;
use super::scenario::{Conn, again, at, run};

/// What the kernel answers where a rule in OUTPUT has dropped it (`nf_hook_slow`).
const EPERM: u32 = 1;

const WIDE: Mtus = Mtus {
    bridge: 1500,
    port: 1500,
    inner: 1500,
};

/// The segment that is stalled; those before it are acknowledged.
const STALLED: u32 = 5;

fn resent(conn: Conn, timeouts: u32) -> Retransmit {
    Retransmit {
        sacked_out: 1,
        bytes_acked: u64::from(STALLED) * 1448,
        ..conn.server_resends(STALLED, timeouts)
    }
}

/// A stall of full-size segments of which this host shows nothing else.
fn stalled(places: &Places, conn: Conn) -> Vec<Event> {
    let mut events = vec![
        at(0, told(&places.topology)),
        at(50, conn.client_known()),
        at(50, conn.server_known()),
    ];
    let tries = (0..4).zip([310, 730, 1560, 3200]);
    events.extend(tries.map(|(timeouts, ms)| at(ms, again(resent(conn, timeouts)))));
    // By what is acknowledged long since, the flow that others see is known.
    let late = places.forward(conn, 0);
    events.push(at(90, late.dropped("tcp_v4_rcv", "TCP_OLD_DATA")));
    events
}

fn is_said(events: Vec<Event>) -> bool {
    let findings = run(events, 4000).findings();
    findings
        .iter()
        .any(|it| it.verdict == Verdict::RemoteBlackHole)
}

/// Each speaks against it by itself, whatever the function, the reason or the subsystem.
fn witnesses(places: &Places, conn: Conn) -> Vec<(String, EventKind)> {
    let drops = [
        ("ip_forward", "PKT_TOO_BIG"),
        ("ip_tunnel_xmit", "NOT_SPECIFIED"),
        ("ovs_vport_send", "subsystem 3: 12"),
        ("nft_do_chain", "NETFILTER_DROP"),
        ("__dev_queue_xmit", "QDISC_DROP"),
        ("xfrmi_xmit", "NOT_SPECIFIED"),
        ("skb_queue_purge_reason", "QUEUE_PURGE"),
        ("tcp_v4_rcv", "TCP_OLD_DATA"),
        ("kfree_skb_list_reason", "12345"),
    ];
    let drops = drops.map(|(function, reason)| {
        let drop = places.forward(conn, STALLED).dropped(function, reason);
        (format!("{function} ({reason})"), drop.into())
    });
    let sighting = places.forward(conn, STALLED).with(|packet| {
        packet.what = PacketKind::Seen {
            egress: false,
            limit_bytes: Some(1400),
        };
    });
    let message = |packet: &mut mtu_trace::testing::Packet| {
        packet.what = PacketKind::Seen {
            egress: true,
            limit_bytes: None,
        };
    };
    let told = PathMtu {
        flow: conn.server.flow,
        mtu_bytes: 1400,
        before_bytes: Some(1500),
        count: 1,
    };
    let unsent = Retransmit {
        error: Some(SendError(EPERM)),
        ..resent(conn, 0)
    };
    let others: [(&str, EventKind); 7] = [
        (
            "a message is made",
            places.forward(conn, STALLED).signalled().into(),
        ),
        (
            "a message is dropped",
            places.blocked_in_output(conn, STALLED).into(),
        ),
        (
            "a message is seen",
            places.blocked_in_output(conn, STALLED).with(message).into(),
        ),
        ("a message is heeded", EventKind::PathMtu(told)),
        ("a packet that is too long passes", sighting.into()),
        ("it could not be sent", again(unsent)),
        ("records were lost", EventKind::Lost(1)),
    ];
    let others = others.map(|(what, kind)| (what.to_owned(), kind));
    drops.into_iter().chain(others).collect()
}

#[test]
fn whatever_speaks_against_it_keeps_it_from_being_said() {
    let places = Places::new(WIDE);
    let conn = Conn::new(0);
    assert!(is_said(stalled(&places, conn)));
    for (what, kind) in witnesses(&places, conn) {
        // Before the stall, in it, and at its end.
        for ms in [100, 311, 740, 3300] {
            let mut events = stalled(&places, conn);
            events.push(at(ms, kind.clone()));
            assert!(!is_said(events), "{what} at {ms} ms");
        }
    }
}

#[test]
fn a_hook_that_is_not_at_work_proves_nothing() {
    let places = Places::new(WIDE);
    let conn = Conn::new(0);
    let without = |hook: &str, topology| {
        let mut events = stalled(&places, conn);
        events[0] = at(0, told(topology));
        events.push(at(1, EventKind::Blind(vec![hook.to_owned()])));
        is_said(events)
    };
    assert!(!without("skb:kfree_skb", &places.topology));
    // That of tunnels is needed where there is one.
    assert!(without("skb_tunnel_check_pmtu", &places.topology));
    let mut tunnelled = places.topology.clone();
    let (netns, ifindex) = EXT0;
    let host = tunnelled.namespaces.get_mut(&netns).unwrap();
    host.links.get_mut(&ifindex).unwrap().kind = "vxlan".into();
    let host = host.clone();
    assert!(!without("skb_tunnel_check_pmtu", &tunnelled));
    assert!(device(&tunnelled, EXT0).mtu_bytes > 0);
    // Not where its packets cannot get to, whatever else this host has. No way of theirs is known.
    let mut apart = places.topology.clone();
    for (netns, other, kind) in [(901, 902, "vxlan"), (902, 901, "veth")] {
        let mut link = host.links[&ifindex].clone();
        link.kind = kind.into();
        link.peer = Some(Peer {
            netns: Some(NetnsId(other)),
            ifindex,
        });
        let links = [(ifindex, link)].into();
        let netns = (
            NetnsId(netns),
            Netns {
                links,
                ..Netns::default()
            },
        );
        apart.namespaces.extend([netns]);
    }
    assert!(without("skb_tunnel_check_pmtu", &apart));
}

#[test]
fn a_connection_of_which_something_was_forgotten_proves_nothing() {
    let places = Places::new(WIDE);
    let conn = Conn::new(0);
    let mut events = stalled(&places, conn);
    events.push(at(
        1,
        EventKind::Evicted(StoreState {
            store: Store::Troubled,
            bound: 1000,
            evicted: 1,
        }),
    ));
    assert!(!is_said(events));
}

/// A stray duplicate of what was acknowledged hides nothing.
#[test]
fn a_drop_of_acknowledged_data_is_none_of_the_stall() {
    let places = Places::new(WIDE);
    let conn = Conn::new(0);
    let mut events = stalled(&places, conn);
    for ms in [311, 740, 3300] {
        let late = places
            .forward(conn, 1)
            .dropped("tcp_v4_rcv", "TCP_OLD_DATA");
        events.push(at(ms, late));
    }
    assert!(is_said(events));
}
