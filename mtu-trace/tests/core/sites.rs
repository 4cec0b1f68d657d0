//! Which drops are for the size of the packet: the function's own length test, made again.

use mtu_trace::testing::{BRIDGE_NETFILTER, FORWARD, OUTPUT, Site, VETH, oversized};

use super::network::{self, BRIDGE, CONTAINER_ETH0, Mtus, ROUTED, VETHOUT, device};
use super::packet::{Places, Shown};
use super::scenario::Conn;

fn kind(places: &Places, shown: &Shown) -> Option<&'static Site> {
    oversized(&shown.0, &places.topology).map(|drop| drop.site)
}

#[test]
fn router_tests_to_the_byte() {
    let places = Places::new(ROUTED);
    let drop = places
        .forward(Conn::new(0), 0)
        .dropped("ip_forward", "NOT_SPECIFIED");
    assert_eq!(kind(&places, &drop.clone().long(1451)), Some(&FORWARD));
    assert_eq!(kind(&places, &drop.long(1450)), None);
}

#[test]
fn route_metric_comes_before_the_devices_mtu() {
    let places = Places::new(ROUTED);
    let drop = places
        .forward(Conn::new(0), 0)
        .dropped("ip_forward", "NOT_SPECIFIED");
    let tight = drop
        .long(1400)
        .with(|packet| packet.route_mtu_bytes = Some(1300));
    let site = oversized(&tight.0, &places.topology).unwrap();
    assert_eq!(site.limit_bytes, Some(1300));
    let wide = tight.with(|packet| packet.route_mtu_bytes = Some(9000));
    assert_eq!(kind(&places, &wide), None);
}

#[test]
fn ipv6_routers_never_go_below_the_minimum() {
    let places = Places::new(ROUTED);
    let ipv6 = places
        .forward(Conn::new(0), 0)
        .dropped("ip6_forward", "NOT_SPECIFIED")
        .with(|packet| {
            packet.flow.source = "[2001:db8::9]:80".parse().unwrap();
            packet.flow.destination = "[2001:db8::5]:40000".parse().unwrap();
            packet.route_mtu_bytes = Some(1000);
        });
    assert_eq!(kind(&places, &ipv6.clone().long(1280)), None);
    let site = oversized(&ipv6.long(1281).0, &places.topology).unwrap();
    assert_eq!((site.site, site.limit_bytes), (&FORWARD, Some(1280)));
}

#[test]
fn layer_two_has_room_for_a_vlan_tag() {
    // `is_skb_forwardable` adds `VLAN_HLEN` to the MTU: a packet of 1500 bytes passes 1496.
    let conn = Conn::new(0);
    for (bytes, dies) in [(1496, false), (1495, true)] {
        let places = Places::new(Mtus {
            inner: bytes,
            ..network::VETH
        });
        let veth = kind(&places, &places.veth(conn, 0));
        assert_eq!(veth.is_some(), dies, "veth, {bytes}");
        let places = Places::new(Mtus {
            port: bytes,
            ..BRIDGE
        });
        let bridge = kind(&places, &places.bridge(conn, 0));
        assert_eq!(bridge.is_some(), dies, "bridge, {bytes}");
    }
    // The tag of a frame that has one takes it.
    let places = Places::new(Mtus {
        inner: 1496,
        ..network::VETH
    });
    let tagged = places.veth(conn, 0).with(|packet| packet.tag_bytes = 4);
    assert_eq!(kind(&places, &tagged), Some(&VETH));
    assert_eq!(kind(&places, &tagged.long(1496)), None);
    // Bridge netfilter has none.
    let places = Places::new(Mtus {
        port: 1496,
        ..BRIDGE
    });
    let filtered = places
        .bridge(conn, 0)
        .dropped("br_nf_dev_queue_xmit", "NOT_SPECIFIED");
    assert_eq!(kind(&places, &filtered), Some(&BRIDGE_NETFILTER));
}

#[test]
fn layer_two_lets_super_packets_through_whatever_their_length() {
    // What is dropped there all the same is dropped because the device is down.
    let conn = Conn::new(0);
    let places = Places::new(network::VETH);
    let super_packet = places.veth(conn, 0).with(|packet| packet.gso = true);
    assert_eq!(kind(&places, &super_packet), None);
    let places = Places::new(BRIDGE);
    let super_packet = places.bridge(conn, 0).with(|packet| packet.gso = true);
    assert_eq!(kind(&places, &super_packet), None);
    // A router measures each of the segments.
    let places = Places::new(ROUTED);
    let super_packet = places.forward(conn, 0).with(|packet| packet.gso = true);
    assert_eq!(kind(&places, &super_packet), Some(&FORWARD));
}

#[test]
fn fragmentation_of_a_bridged_packet_is_the_bridge() {
    let places = Places::new(BRIDGE);
    let drop = places
        .bridge(Conn::new(0), 0)
        .dropped("ip6_fragment", "NOT_SPECIFIED");
    assert_eq!(kind(&places, &drop), Some(&BRIDGE_NETFILTER));
    // On its way out of a routed device it is the host's own.
    let routed = drop.with(|packet| {
        packet.device = device(&places.topology, CONTAINER_ETH0);
        packet.device.mtu_bytes = 1450;
        packet.route = Some(packet.device.clone());
    });
    assert_eq!(kind(&places, &routed), Some(&OUTPUT));
}

#[test]
fn unnamed_function_is_known_by_the_lengths_alone() {
    let places = Places::new(network::VETH);
    let drop = places
        .veth(Conn::new(0), 0)
        .dropped("0xffffffffc0123456", "NOT_SPECIFIED");
    let site = oversized(&drop.0, &places.topology).unwrap();
    assert_eq!((site.site, site.known_function), (&VETH, false));
    assert_eq!(site.egress.unwrap().ifindex, VETHOUT.1);
    assert_eq!(kind(&places, &drop.long(1450)), None);
}

#[test]
fn other_functions_are_never_a_matter_of_size() {
    let places = Places::new(ROUTED);
    for function in ["nft_do_chain", "tcp_v4_rcv", "sk_skb_reason_drop", ""] {
        let drop = places
            .forward(Conn::new(0), 0)
            .dropped(function, "NOT_SPECIFIED");
        assert_eq!(kind(&places, &drop), None, "{function}");
    }
}

#[test]
fn the_kernels_word_needs_no_function_and_no_limit() {
    let places = Places::new(ROUTED);
    let drop = places.forward(Conn::new(0), 0);
    let site = |shown: &Shown| oversized(&shown.0, &places.topology).unwrap();
    let unknown = site(&drop.clone().dropped("do_output", "PKT_TOO_BIG"));
    assert_eq!(
        (unknown.site.name, unknown.limit_bytes),
        ("unlisted", Some(1450))
    );
    // It fits all that is seen: the kernel has compared with something else.
    let known = site(&drop.clone().long(1440));
    assert_eq!((known.site, known.limit_bytes), (&FORWARD, None));
    assert_eq!(known.fits_bytes(), 1439);
    let by_address = site(&drop.dropped("0xffffffffc0123456", "PKT_TOO_BIG").long(1440));
    assert_eq!(
        (by_address.site.name, by_address.limit_bytes),
        ("unlisted", None)
    );
}
