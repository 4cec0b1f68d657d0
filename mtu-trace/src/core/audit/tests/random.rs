//! Networks that make no sense: whoever owns a namespace decides what it says of itself.

use proptest::prelude::*;

use crate::core::audit::tests::overlay::overlay;
use crate::core::audit::tests::planned::{engine, waiting};
use crate::core::audit::tests::{check_with, nested};
use crate::core::graph::fixture::Lab;
use crate::model::network::{
    Address, Fdb, Inside, Link, Netns, NetnsId, NextHop, OuterDf, Peer, Route, RouteKind, Topology,
    Tunnel,
};

const NAMESPACES: u64 = 4;
const LINKS: u32 = 5;

fn address() -> impl Strategy<Value = std::net::IpAddr> {
    prop_oneof![
        (0u8..4, 0u8..6).prop_map(|(net, host)| [192, 0, net, host].into()),
        (0u16..4, 0u16..6).prop_map(|(net, host)| [0x2001, 0xdb8, net, 0, 0, 0, 0, host].into()),
        Just([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()),
        Just([224, 0, 0, 1].into()),
        Just([0, 0, 0, 0].into()),
    ]
}

fn network() -> impl Strategy<Value = Address> {
    (address(), any::<u8>()).prop_map(|(address, prefix_len)| Address {
        address,
        prefix_len,
    })
}

fn link() -> impl Strategy<Value = Link> {
    let kind = prop::sample::select(vec![
        "veth",
        "bridge",
        "vxlan",
        "macvlan",
        "vlan",
        "physical",
        "wireguard",
        "vrf",
        "loopback",
        "gre",
        "?",
    ]);
    let peer = prop::option::of((0..=NAMESPACES, 0..=LINKS));
    let tunnel = prop::option::of((
        prop::option::of(0..=NAMESPACES),
        prop::option::of(address()),
        any::<u32>(),
        0usize..3,
    ));
    (
        kind,
        prop_oneof![Just(1500u32), Just(1450), any::<u32>()],
        any::<bool>(),
        prop::option::of(0..=LINKS),
        peer,
        tunnel,
        prop::collection::vec(network(), 0..3),
    )
        .prop_map(
            |(kind, mtu_bytes, up, master, peer, tunnel, addresses)| Link {
                name: kind.to_owned(),
                kind: kind.into(),
                mtu_bytes,
                up,
                master,
                peer: peer.map(|(netns, ifindex)| Peer {
                    netns: Some(NetnsId(netns)),
                    ifindex,
                }),
                tunnel: tunnel.map(|(netns, remote, overhead_bytes, df)| Tunnel {
                    netns: netns.map(NetnsId),
                    remote,
                    overhead_bytes,
                    df: [OuterDf::Unset, OuterDf::Set, OuterDf::Inherit][df],
                    ..Tunnel::default()
                }),
                vrf_table: Some(254),
                addresses,
                ..Link::default()
            },
        )
}

fn route() -> impl Strategy<Value = Route> {
    let hop = (prop::option::of(address()), prop::option::of(0..=LINKS))
        .prop_map(|(gateway, ifindex)| NextHop { gateway, ifindex });
    (
        network(),
        253u32..256,
        0usize..4,
        prop::collection::vec(hop, 0..3),
        prop::option::of(any::<u32>()),
        any::<bool>(),
    )
        .prop_map(
            |(destination, table, kind, hops, mtu_bytes, mtu_locked)| Route {
                destination,
                table,
                kind: [
                    RouteKind::Unicast,
                    RouteKind::Unicast,
                    RouteKind::Reject,
                    RouteKind::Throw,
                ][kind],
                metric: 0,
                hops,
                mtu_bytes,
                mtu_locked,
                encapsulation: None,
                source: None,
            },
        )
}

fn netns() -> impl Strategy<Value = Netns> {
    (
        prop::collection::vec(link(), 1..LINKS as usize),
        prop::collection::vec(route(), 0..6),
        prop::collection::vec((0..=LINKS, address()), 0..3),
        any::<bool>(),
    )
        .prop_map(|(links, routes, fdb, forwards)| Netns {
            forwards_ipv4: forwards,
            forwards_ipv6: forwards,
            links: (1..).zip(links).collect(),
            inside: Some(std::sync::Arc::new(Inside {
                routes,
                fdb: fdb
                    .into_iter()
                    .map(|(ifindex, remote)| Fdb { ifindex, remote })
                    .collect(),
                ..Inside::default()
            })),
            ..Netns::default()
        })
}

/// Namespaces that are joined at random.
pub(super) fn odd_network() -> impl Strategy<Value = Lab> {
    prop::collection::vec(netns(), 1..NAMESPACES as usize).prop_map(|namespaces| {
        let mut lab = Lab {
            topology: Topology {
                namespaces: (1..).map(NetnsId).zip(namespaces).collect(),
            },
        };
        let first = lab.topology.namespaces.values_mut().next();
        first.expect("a namespace").inode = 2;
        lab
    })
}

proptest! {
    #[test]
    fn no_network_is_too_odd(lab in odd_network(), mtu_bytes in any::<u32>()) {
        for finding in check_with(&lab, &[engine("bridge", mtu_bytes)]) {
            prop_assert!(finding.boundary.is_some());
            prop_assert!(!finding.path.is_empty());
            prop_assert!(!finding.summary.is_empty());
        }
    }
}

/// A change to a network that works.
#[derive(Clone, Debug)]
enum Change {
    Mtu(u32),
    Overhead(u32),
    Down,
    Master(Option<u32>),
    RouteMtu(u32),
}

fn change() -> impl Strategy<Value = (u64, usize, Change)> {
    let number = || prop_oneof![0u32..3000, any::<u32>()];
    let change = prop_oneof![
        4 => number().prop_map(Change::Mtu),
        2 => number().prop_map(Change::Overhead),
        1 => Just(Change::Down),
        1 => prop::option::of(0..=LINKS).prop_map(Change::Master),
        1 => number().prop_map(Change::RouteMtu),
    ];
    (1..=NAMESPACES, 0usize..4, change)
}

/// A network that works, but for a few numbers.
pub(super) fn odd_number() -> impl Strategy<Value = Lab> {
    let changes = prop::collection::vec(change(), 0..6);
    (0..4, changes).prop_map(|(which, changes)| {
        let mut lab = match which {
            0 => nested(1500, 1450, 1500),
            1 => waiting(1450, 1500),
            2 => overlay(1500, 1500, 1400, true),
            _ => overlay(1500, 1500, 1400, false),
        };
        for (netns, nth, change) in changes {
            if let Change::RouteMtu(mtu) = change {
                if let Some(route) = lab.inside(netns).routes.get_mut(nth) {
                    route.mtu_bytes = Some(mtu);
                }
                continue;
            }
            let links = &mut lab.netns(netns).links;
            let Some(link) = links.values_mut().nth(nth) else {
                continue;
            };
            match change {
                Change::Mtu(mtu) => link.mtu_bytes = mtu,
                Change::Down => link.up = false,
                Change::Master(master) => link.master = master,
                Change::Overhead(bytes) => {
                    link.tunnel.get_or_insert_default().overhead_bytes = bytes;
                }
                Change::RouteMtu(_) => {}
            }
        }
        lab
    })
}

proptest! {
    #[test]
    fn no_number_is_too_odd(lab in odd_number()) {
        for finding in check_with(&lab, &[engine("docker0", 1500)]) {
            let boundary = finding.boundary.expect("a boundary");
            prop_assert!(boundary.limit_bytes.is_some_and(|limit| boundary.packet_bytes > limit), "{boundary:?}");
        }
    }
}
