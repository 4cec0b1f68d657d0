//! Tests of what is read from netlink messages, with messages made by hand: the machine that runs
//! them need not have the devices, nor the routes.

use std::net::IpAddr;
use std::slice;

use proptest::prelude::*;

use crate::host::watcher::linkinfo::LinkInfo;
use crate::host::watcher::routes::{IPV4, IPV6, MOST, Read, RouteCollector, path_mtu, route, rule};
use crate::model::network::{LearnedPathMtu, OuterDf, Tunnel};

/// An attribute, padded.
fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn u32_nla(kind: u16, value: u32) -> Vec<u8> {
    nla(kind, &value.to_ne_bytes())
}

fn ip_nla(kind: u16, text: &str) -> Vec<u8> {
    match ip(text) {
        IpAddr::V4(address) => nla(kind, &address.octets()),
        IpAddr::V6(address) => nla(kind, &address.octets()),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn info(kind: &str, data: &[Vec<u8>]) -> LinkInfo {
    let name = nla(libc::IFLA_INFO_KIND, format!("{kind}\0").as_bytes());
    // The kernel marks what has attributes inside (`NLA_F_NESTED`).
    let data = nla(libc::IFLA_INFO_DATA | 0x8000, &data.concat());
    LinkInfo::read(&[name, data].concat())
}

/// What a tunnel adds, and its bit.
fn wraps(kind: &str, data: &[Vec<u8>]) -> (u32, OuterDf) {
    let tunnel = info(kind, data).tunnel.expect(kind);
    (tunnel.overhead_bytes, tunnel.df)
}

#[test]
fn vlans_and_vrfs_tell_their_numbers() {
    let vlan = info("vlan", &[nla(1, &100_u16.to_ne_bytes())]);
    assert_eq!(
        (vlan.vlan, vlan.tunnel, vlan.vrf_table),
        (Some(100), None, None)
    );
    let vrf = info("vrf", &[u32_nla(1, 70_000)]);
    assert_eq!((vrf.vrf_table, vrf.vlan), (Some(70_000), None));
    assert_eq!(info("veth", &[u32_nla(1, 5)]).tunnel, None);
    assert_eq!(LinkInfo::read(&[]), LinkInfo::default());
}

#[test]
fn udp_tunnels_tell_their_headers() {
    use crate::model::network::OuterDf::{Inherit, Set, Unset};
    assert_eq!(wraps("vxlan", &[ip_nla(2, "192.0.2.1")]), (50, Unset));
    assert_eq!(
        wraps("vxlan", &[ip_nla(16, "2001:db8::1"), nla(29, &[1])]),
        (70, Set)
    );
    // GPE carries packets, not frames.
    assert_eq!(
        wraps("vxlan", &[nla(27, &[]), nla(29, &[2])]),
        (36, Inherit)
    );
    let group = info("vxlan", &[ip_nla(2, "239.1.1.1"), u32_nla(3, 7)]).tunnel;
    let group = group.expect("a tunnel");
    assert_eq!((group.remote, group.ifindex), (None, Some(7)));

    assert_eq!(
        wraps("geneve", &[ip_nla(2, "192.0.2.1"), nla(13, &[1])]),
        (50, Set)
    );
    assert_eq!(wraps("geneve", &[ip_nla(7, "2001:db8::1")]), (70, Unset));
    assert_eq!(
        wraps("geneve", &[ip_nla(7, "2001:db8::1"), nla(14, &[])]),
        (56, Unset)
    );
    let remote = info("geneve", &[ip_nla(7, "2001:db8::1")]).tunnel;
    assert_eq!(remote.expect("a tunnel").remote, Some(ip("2001:db8::1")));
    assert_eq!(wraps("bareudp", &[]), (28, Unset));
    // It has no data at all.
    let name = nla(libc::IFLA_INFO_KIND, b"wireguard\0");
    let tunnel = LinkInfo::read(&name).tunnel.expect("a tunnel");
    assert_eq!(tunnel.overhead_bytes, 60);
}

#[test]
fn gre_tells_its_options() {
    use crate::model::network::OuterDf::{Inherit, Set, Unset};
    let flags = |flags: u16| nla(3, &flags.to_be_bytes());
    let ends = [
        ip_nla(6, "192.0.2.1"),
        ip_nla(7, "192.0.2.2"),
        u32_nla(1, 9),
        nla(5, &77u32.to_be_bytes()),
    ]
    .concat();
    let full = info("gre", &[ends, flags(0xb000), nla(10, &[1])]).tunnel;
    let wanted = Tunnel {
        netns: None,
        ifindex: Some(9),
        id: Some(77),
        local: Some(ip("192.0.2.1")),
        remote: Some(ip("192.0.2.2")),
        overhead_bytes: 36,
        df: Set,
    };
    assert_eq!(full, Some(wanted));
    assert_eq!(wraps("gre", &[flags(0)]), (24, Inherit));
    for option in [0x8000, 0x2000, 0x1000] {
        assert_eq!(wraps("gre", &[flags(option)]).0, 28);
    }
    let ignore = [flags(0x2000), nla(10, &[0]), nla(19, &[1])];
    assert_eq!(wraps("gretap", &ignore), (42, Unset));
    assert_eq!(wraps("gretap", &[nla(19, &[0])]), (38, Inherit));
    // FOU and GUE.
    assert_eq!(wraps("gre", &[nla(14, &1_u16.to_ne_bytes())]).0, 32);
    assert_eq!(wraps("gre", &[nla(14, &2_u16.to_ne_bytes())]).0, 36);
    // With and without an encapsulation limit.
    assert_eq!(wraps("ip6gre", &[u32_nla(13, 0)]), (52, Set));
    assert_eq!(wraps("ip6gre", &[u32_nla(13, 1)]), (44, Set));
    assert_eq!(wraps("ip6gretap", &[u32_nla(13, 1)]), (58, Set));
    for (version, bytes) in [(0, 38), (1, 50), (2, 54)] {
        assert_eq!(wraps("erspan", &[nla(22, &[version])]).0, bytes);
        assert_eq!(
            wraps("ip6erspan", &[nla(22, &[version]), u32_nla(13, 1)]).0,
            bytes + 20
        );
    }
    // "Any" is none.
    let any = info(
        "gre",
        &[ip_nla(6, "0.0.0.0"), ip_nla(7, "0.0.0.0"), u32_nla(1, 0)],
    );
    let any = any.tunnel.expect("a tunnel");
    assert_eq!((any.local, any.remote, any.ifindex), (None, None, None));
}

#[test]
fn ip_in_ip_and_others() {
    use crate::model::network::OuterDf::{Inherit, Set, Unset};
    let set = |kind| nla(kind, &[1]);
    assert_eq!(wraps("ipip", &[nla(10, &[0])]), (20, Inherit));
    assert_eq!(wraps("ipip", &[set(10)]), (20, Set));
    assert_eq!(wraps("sit", &[nla(10, &[0])]), (20, Unset));
    assert_eq!(
        wraps("sit", &[set(10), nla(15, &1_u16.to_ne_bytes())]),
        (28, Set)
    );
    assert_eq!(wraps("ip6tnl", &[u32_nla(8, 0)]), (48, Set));
    assert_eq!(wraps("ip6tnl", &[u32_nla(8, 1)]), (40, Set));
    let ends = [
        u32_nla(1, 4),
        ip_nla(2, "2001:db8::1"),
        ip_nla(3, "2001:db8::2"),
    ];
    let tunnel = info("ip6tnl", &ends).tunnel.expect("a tunnel");
    assert_eq!(tunnel.local, Some(ip("2001:db8::1")));
    assert_eq!(
        (tunnel.remote, tunnel.ifindex),
        (Some(ip("2001:db8::2")), Some(4))
    );
    let ends = [
        u32_nla(1, 4),
        ip_nla(4, "192.0.2.1"),
        ip_nla(5, "192.0.2.2"),
    ];
    let tunnel = info("vti", &ends).tunnel.expect("a tunnel");
    assert_eq!(
        (tunnel.local, tunnel.remote),
        (Some(ip("192.0.2.1")), Some(ip("192.0.2.2")))
    );
    assert_eq!((tunnel.ifindex, tunnel.overhead_bytes), (Some(4), 0));
    assert_eq!(wraps("xfrm", &[u32_nla(1, 4)]), (0, Unset));
}

/// An `RTM_NEWROUTE`: prefix length, source prefix length, TOS, kind, flags.
fn route_bytes(header: [u8; 4], flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let [len, source_len, tos, kind] = header;
    let header = [libc::AF_INET as u8, len, source_len, tos, 254, 0, 0, kind];
    let flags = flags.to_ne_bytes().to_vec();
    [header.to_vec(), flags, attributes.concat()].concat()
}

#[test]
fn routes_that_are_not_in_use_or_not_for_all_are_told_apart() {
    let to = ip_nla(libc::RTA_DST, "192.0.2.0");
    let plain = route_bytes([24, 0, 0, 1], 0, slice::from_ref(&to));
    assert!(matches!(route(IPV4, &plain), Some(Read::Route(_))));
    // Of another family, dead, learned, of an unknown kind, with an impossible length.
    assert_eq!(route(IPV6, &plain), None);
    for (kind, flags, len) in [
        (1, 1, 24),
        (1, libc::RTM_F_CLONED, 24),
        (99, 0, 24),
        (1, 0, 33),
    ] {
        assert_eq!(
            route(
                IPV4,
                &route_bytes([len, 0, 0, kind], flags, slice::from_ref(&to))
            ),
            None
        );
    }
    for (source_len, tos) in [(8, 0), (0, 16)] {
        let special = route_bytes([24, source_len, tos, 1], 0, slice::from_ref(&to));
        assert_eq!(route(IPV4, &special), Some(Read::Special));
    }
    // Of several next hops one is dead.
    let hop = |flags: u8, ifindex: u32| {
        let header = [
            &16_u16.to_ne_bytes()[..],
            &[flags, 0],
            &ifindex.to_ne_bytes(),
        ]
        .concat();
        [header, ip_nla(libc::RTA_GATEWAY, "192.0.2.9")].concat()
    };
    let hops = nla(
        libc::RTA_MULTIPATH,
        &[hop(0, 3), hop(1, 4), hop(16, 5)].concat(),
    );
    let Some(Read::Route(found)) = route(IPV4, &route_bytes([24, 0, 0, 1], 0, &[to, hops])) else {
        panic!("no route");
    };
    let devices: Vec<_> = found.hops.iter().filter_map(|hop| hop.ifindex).collect();
    assert_eq!(devices, [3, 5]);
    assert!(
        found
            .hops
            .iter()
            .all(|hop| hop.gateway == Some(ip("192.0.2.9")))
    );
}

#[test]
fn of_too_many_routes_the_decisive_ones_are_kept() {
    let mut kept = RouteCollector::default();
    let gateway = ip_nla(libc::RTA_GATEWAY, "192.0.2.9");
    let to = |number: u32, len: u8, rest: &[Vec<u8>]| {
        let to = nla(libc::RTA_DST, &number.to_be_bytes());
        route_bytes([len, 0, 0, 1], 0, &[vec![to], rest.to_vec()].concat())
    };
    kept.take(IPV4, &to(1, 32, &[]));
    for number in 0..6000 {
        kept.take(IPV4, &to(number << 8, 24, slice::from_ref(&gateway)));
    }
    let metrics = nla(libc::RTA_METRICS, &u32_nla(2, 1400));
    kept.take(IPV4, &to(2, 32, &[gateway.clone(), metrics]));
    kept.take(IPV4, &to(10 << 24, 8, &[u32_nla(libc::RTA_OIF, 3)]));
    kept.take(IPV4, &route_bytes([0, 0, 0, 1], 0, &[gateway]));
    let (routes, left_out) = kept.finish();
    assert_eq!((routes.len(), left_out), (MOST, 6004 - MOST));
    let last: Vec<_> = routes[MOST - 3..]
        .iter()
        .map(|route| route.destination.prefix_len)
        .collect();
    assert_eq!(last, [32, 8, 0]);
    assert_eq!(routes[0].destination.prefix_len, 24);
    let (routes, left_out) = RouteCollector::default().finish();
    assert_eq!((routes, left_out), (Vec::new(), 0));
}

#[test]
fn a_path_mtu_expires() {
    let cloned = libc::RTM_F_CLONED;
    let told = |flags, left: i32| {
        let age = [0, 0, left, 0, 0, 0, 0, 0].map(i32::to_ne_bytes).concat();
        let attributes = [
            ip_nla(libc::RTA_DST, "192.0.2.1"),
            nla(libc::RTA_METRICS, &u32_nla(2, 1400)),
            nla(libc::RTA_CACHEINFO, &age),
        ];
        path_mtu(IPV4, &route_bytes([32, 0, 0, 1], flags, &attributes))
    };
    let destination = ip("192.0.2.1");
    let mtu_bytes = 1400;
    assert_eq!(
        told(cloned, 600),
        Some(LearnedPathMtu {
            destination,
            mtu_bytes
        })
    );
    assert_eq!((told(cloned, 0), told(0, 600)), (None, None));
}

#[test]
fn conditions_that_are_not_known_are_conditions() {
    let told = |tos: u8, action: u8, flags: u32, attributes: &[Vec<u8>]| {
        let header = [libc::AF_INET as u8, 0, 0, tos, 254, 0, 0, action].to_vec();
        let bytes = [header, flags.to_ne_bytes().to_vec(), attributes.concat()].concat();
        rule(IPV4, &bytes).expect("a rule")
    };
    let harmless = [
        u32_nla(6, 5),
        u32_nla(14, u32::MAX),
        nla(21, &[2]),
        u32_nla(11, 1),
    ];
    let plain = told(0, 1, 0, &harmless);
    assert_eq!(
        (plain.priority, plain.table, plain.conditional),
        (5, Some(254), false)
    );
    assert!(told(8, 1, 0, &[]).conditional && told(0, 1, 2, &[]).conditional);
    // Marks, tunnels, users, protocols, ports, and what a later kernel may have.
    for kind in [10, 12, 13, 16, 20, 22, 23, 24, 25, 26, 27, 99] {
        assert!(told(0, 1, 0, &[u32_nla(kind, 1)]).conditional, "{kind}");
    }
    assert!(told(0, 1, 0, &[u32_nla(14, 0)]).conditional);
    let l3mdev = told(0, 1, 0, &[u32_nla(15, 0), nla(19, &[1])]);
    assert_eq!(
        (l3mdev.table, l3mdev.l3mdev, l3mdev.conditional),
        (None, true, false)
    );
    for action in [2, 3, 6, 7, 8] {
        assert_eq!(told(0, action, 0, &[]).table, None);
    }
}

const KINDS: [&str; 12] = [
    "vxlan",
    "geneve",
    "gre",
    "ip6gretap",
    "erspan",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "xfrm",
    "vlan",
    "vrf",
];

proptest! {
    #[test]
    fn nothing_makes_the_readers_panic(
        kind in prop::sample::select(&KINDS[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        attributes in prop::collection::vec((0_u16..32, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let listed: Vec<Vec<u8>> = attributes.iter().map(|(kind, value)| nla(*kind, value)).collect();
        let _kind = info(kind, &listed);
        let _kind = info(kind, slice::from_ref(&bytes));
        let _kind = LinkInfo::read(&bytes);
        for family in [IPV4, IPV6] {
            let mut headed = bytes.clone();
            headed.resize(12, 0);
            headed[0] = family.0;
            headed[8..].fill(0);
            for bytes in [bytes.clone(), [headed.clone(), listed.concat()].concat()] {
                let _route = route(family, &bytes);
                let _path_mtu = path_mtu(family, &bytes);
                let _rule = rule(family, &bytes);
            }
        }
    }
}
