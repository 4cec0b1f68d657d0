//! Datapaths whose buffers do not tell where a packet was going: the network as it stands does.

use mtu_trace::testing::{
    BALANCER, Confidence, DATAPATH_PORT, DropSite, Event, IPVLAN, Link, Peer, Verdict, oversized,
};

use super::network::{self, CNI0, EXT0, HOST, ROUTED, SERVER_ETH0, VETHOUT};
use super::packet::{Places, Shown};
use super::scenario::{Conn, again, at, opening, run};

/// The host's bridge and its two ports are a datapath of Open vSwitch, what the server sends comes in by one.
fn switched(port: u32) -> Places {
    let mut places = Places::new(network::Mtus {
        port,
        ..network::VETH
    });
    let host = places.topology.namespaces.get_mut(&HOST).unwrap();
    host.links.get_mut(&CNI0.1).unwrap().kind = "openvswitch".into();
    host.links.get_mut(&EXT0.1).unwrap().master = Some(CNI0.1);
    places
}

/// Another port of the datapath.
fn further_port(places: &mut Places, ifindex: u32, mtu_bytes: u32) {
    let host = places.topology.namespaces.get_mut(&HOST).unwrap();
    let port = Link {
        name: format!("port{ifindex}"),
        kind: "veth".into(),
        mtu_bytes,
        up: true,
        master: Some(CNI0.1),
        ..Link::default()
    };
    host.links.insert(ifindex, port);
}

/// The server's segment as the datapath drops it: its device is the port it came in by, without a route.
fn in_datapath(places: &Places) -> Shown {
    places
        .forward(Conn::new(0), 0)
        .dropped("do_execute_actions", "NOT_SPECIFIED")
        .with(|packet| packet.route = None)
}

/// The same for nobody who is known.
fn to_nobody(places: &Places) -> Shown {
    in_datapath(places).with(|packet| {
        packet.flow.destination = "203.0.113.77:40000".parse().unwrap();
    })
}

fn site(places: &Places, shown: &Shown) -> Option<DropSite> {
    oversized(&shown.0, &places.topology)
}

fn place(site: &DropSite) -> (Option<u32>, Option<u32>, bool) {
    let egress = site.egress.as_ref().map(|by| by.ifindex);
    (egress, site.limit_bytes, site.known_function)
}

#[test]
fn a_datapaths_port_is_the_one_that_leads_to_the_destination() {
    let mut places = switched(1450);
    further_port(&mut places, 20, 1300);
    let found = site(&places, &in_datapath(&places)).unwrap();
    assert_eq!(found.site, &DATAPATH_PORT);
    assert_eq!(place(&found), (Some(VETHOUT.1), Some(1450), true));
    // It has no room for a tag, and what fits did not die of its size.
    let long = |bytes| site(&places, &in_datapath(&places).long(bytes)).is_some();
    assert!(long(1451) && !long(1450));
    // Segments that are still to be cut pass whatever their length.
    let gso = in_datapath(&places).with(|packet| packet.gso = true);
    assert_eq!(site(&places, &gso), None);
}

#[test]
fn what_ports_have_in_common_is_known_where_the_destination_is_not() {
    let mut places = switched(1450);
    let found = site(&places, &to_nobody(&places)).unwrap();
    assert_eq!(place(&found), (Some(VETHOUT.1), Some(1450), false));
    further_port(&mut places, 20, 1450);
    let found = site(&places, &to_nobody(&places)).unwrap();
    assert_eq!(place(&found), (None, Some(1450), false));
    further_port(&mut places, 21, 1300);
    let found = site(&places, &to_nobody(&places)).unwrap();
    assert_eq!(place(&found), (None, None, false));
    let wide = switched(1500);
    assert_eq!(site(&wide, &to_nobody(&wide)), None);
}

#[test]
fn what_a_flow_drops_did_not_die_of_its_size() {
    let places = switched(1450);
    let dropped = in_datapath(&places).dropped("do_execute_actions", "OVS_DROP_EXPLICIT");
    assert_eq!(site(&places, &dropped), None);
    // Beyond a datapath the function means nothing.
    let bridged = Places::new(ROUTED);
    assert_eq!(site(&bridged, &in_datapath(&bridged)), None);
}

#[test]
fn a_datapaths_port_that_tells_nobody_is_a_black_hole() {
    let places = switched(1450);
    let conn = Conn::new(0);
    let mut events = opening(&places, conn);
    events.push(at(100, in_datapath(&places)));
    for (timeouts, ms) in (0..).zip([310, 730, 1560]) {
        events.push(at(ms, again(conn.server_resends(0, timeouts))));
        events.push(at(ms, in_datapath(&places)));
    }
    let finding = run(events, 3000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    let boundary = finding.boundary.unwrap();
    assert!(boundary.silent);
    assert_eq!(boundary.egress.as_deref(), Some("vethout"));
    assert_eq!(boundary.limit_bytes, Some(1450));
}

#[test]
fn an_ipvlan_is_measured_by_the_one_that_has_the_destination() {
    let mut places = Places::new(ROUTED);
    let lower = Some(Peer {
        netns: Some(HOST),
        ifindex: EXT0.1,
    });
    for (at, mtu_bytes) in [(SERVER_ETH0, 1500), (network::OUTER_ETH0, 1400)] {
        let known = places.topology.namespaces.get_mut(&at.0).unwrap();
        let link = known.links.get_mut(&at.1).unwrap();
        link.kind = "ipvlan".into();
        link.peer = lower;
        link.mtu_bytes = mtu_bytes;
    }
    let sent = places.forward(Conn::new(0), 0).with(|packet| {
        packet.device = network::device(&places.topology, SERVER_ETH0);
        packet.route = None;
        packet.flow.destination = "10.42.0.5:40000".parse().unwrap();
    });
    let sent = sent.dropped("__dev_forward_skb2", "NOT_SPECIFIED");
    let found = site(&places, &sent).unwrap();
    assert_eq!(found.site, &IPVLAN);
    assert_eq!(place(&found), (Some(SERVER_ETH0.1), Some(1400), true));
    assert_eq!(found.peer.as_ref().unwrap().netns, network::OUTER);
    assert_eq!(site(&places, &sent.clone().long(1404)), None);
    // What is for nobody who is known can have gone to that one only.
    let elsewhere = sent.with(|packet| {
        packet.flow.destination = "203.0.113.77:40000".parse().unwrap();
    });
    let found = site(&places, &elsewhere).unwrap();
    assert_eq!(place(&found), (Some(SERVER_ETH0.1), Some(1400), false));
}

/// The route in the buffer is that of the service, which leads to this host; the message tells the limit.
#[test]
fn a_balancers_limit_is_what_it_tells() {
    let places = Places::new(ROUTED);
    let conn = Conn::new(0);
    let lo = |shown: Shown| {
        shown.with(|packet| {
            packet.route = Some(mtu_trace::testing::Device {
                netns: HOST,
                ifindex: 1,
                name: Some("lo".into()),
                mtu_bytes: 65536,
            });
        })
    };
    let died = || {
        let died = places.forward(conn, 0);
        lo(died.dropped("ip_vs_nat_xmit", "NOT_SPECIFIED"))
    };
    let mut events = opening(&places, conn);
    for ms in [100, 310, 730, 1560] {
        events.push(at(ms, died().signalled()));
        events.push(Event {
            time_ns: at(ms, died()).time_ns + 5_000,
            ..at(ms, died())
        });
        events.push(at(ms + 1, places.blocked_in_output(conn, 0)));
    }
    let finding = run(events, 3000).only();
    assert_eq!(finding.verdict, Verdict::MtuBlackHole);
    assert!(finding.confidence >= Confidence::Likely);
    let boundary = finding.boundary.unwrap();
    assert_eq!(boundary.function, "ip_vs_nat_xmit");
    assert_eq!(boundary.egress.as_deref(), Some("cni0"));
    assert_eq!(boundary.limit_bytes, Some(1450));
    assert_eq!(BALANCER.name, "balancer");
}
