//! Which way a namespace sends a packet.

use std::net::IpAddr;
use std::sync::Arc;

use crate::core::graph::fixture::network;
use crate::core::graph::route::contains;
use crate::core::graph::{Decision, Destination, example, lookup};
use crate::model::network::{Inside, Link, Netns, NextHop, PolicyRule, Route, RouteKind};

const MAIN: u32 = 254;

fn route(destination: &str, table: u32, ifindex: u32) -> Route {
    Route {
        destination: network(destination),
        table,
        kind: RouteKind::Unicast,
        metric: 0,
        hops: vec![NextHop {
            gateway: None,
            ifindex: Some(ifindex),
        }],
        mtu_bytes: None,
        mtu_locked: false,
        encapsulation: None,
        source: None,
    }
}

fn netns(routes: Vec<Route>, rules: Vec<PolicyRule>) -> Netns {
    let mut netns = Netns::default();
    for ifindex in 2..6 {
        let link = Link {
            name: format!("eth{ifindex}"),
            up: true,
            ..Link::default()
        };
        netns.links.insert(ifindex, link);
    }
    netns.inside = Some(Arc::new(Inside {
        routes,
        rules,
        ..Inside::default()
    }));
    netns
}

fn to(address: &str) -> Destination {
    Destination::Address(address.parse().expect("an address"))
}

fn way(netns: &Netns, destination: Destination) -> Option<u32> {
    match lookup(netns, destination, None, None) {
        Decision::Send(ways) => Some(ways[0].ifindex),
        _ => None,
    }
}

#[test]
fn the_longest_prefix_wins_then_the_lowest_metric() {
    let mut worse = route("192.0.2.0/24", MAIN, 5);
    worse.metric = 100;
    let netns = netns(
        vec![
            worse,
            route("0.0.0.0/0", MAIN, 2),
            route("192.0.2.0/24", MAIN, 3),
            route("192.0.2.128/25", MAIN, 4),
        ],
        Vec::new(),
    );
    assert_eq!(way(&netns, to("192.0.2.1")), Some(3));
    assert_eq!(way(&netns, to("192.0.2.200")), Some(4));
    assert_eq!(way(&netns, to("198.51.100.1")), Some(2));
    assert_eq!(way(&netns, Destination::Outside { ipv6: false }), Some(2));
    assert_eq!(way(&netns, Destination::Outside { ipv6: true }), None);
    assert_eq!(way(&netns, to("2001:db8::1")), None);
}

#[test]
fn a_refusal_ends_the_search_and_a_throw_does_not() {
    let mut refusal = route("192.0.2.0/24", 100, 0);
    refusal.kind = RouteKind::Reject;
    let mut throw = route("198.51.100.0/24", 100, 0);
    throw.kind = RouteKind::Throw;
    let rule = |priority, table| PolicyRule {
        priority,
        table: Some(table),
        ..PolicyRule::default()
    };
    let netns = netns(
        vec![refusal, throw, route("0.0.0.0/0", MAIN, 2)],
        vec![rule(32766, MAIN), rule(10, 100)],
    );
    assert_eq!(
        lookup(&netns, to("192.0.2.1"), None, None),
        Decision::Nowhere
    );
    assert_eq!(way(&netns, to("198.51.100.1")), Some(2));
}

#[test]
fn rules_choose_by_source_and_are_passed_over_when_not_understood() {
    let rules = vec![
        PolicyRule {
            priority: 1,
            table: Some(7),
            conditional: true,
            ..PolicyRule::default()
        },
        PolicyRule {
            priority: 2,
            table: Some(8),
            source: Some(network("192.0.2.0/24")),
            ..PolicyRule::default()
        },
        PolicyRule {
            priority: 3,
            table: Some(MAIN),
            ..PolicyRule::default()
        },
    ];
    let routes = vec![
        route("0.0.0.0/0", 7, 3),
        route("0.0.0.0/0", 8, 4),
        route("0.0.0.0/0", MAIN, 2),
    ];
    let netns = netns(routes, rules);
    let from = |source: &str| {
        let source = source.parse().expect("an address");
        match lookup(&netns, to("203.0.113.1"), Some(source), None) {
            Decision::Send(ways) => ways[0].ifindex,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((from("192.0.2.9"), from("198.51.100.9")), (4, 2));
}

#[test]
fn what_is_down_leads_nowhere_and_addresses_alone_lead_to_their_networks() {
    let mut netns = netns(vec![route("0.0.0.0/0", MAIN, 2)], Vec::new());
    netns.links.get_mut(&2).expect("a link").up = false;
    assert_eq!(way(&netns, to("203.0.113.1")), None);
    netns.inside = None;
    netns.links.get_mut(&3).expect("a link").addresses = vec![network("192.0.2.1/24")];
    assert_eq!(way(&netns, to("192.0.2.7")), Some(3));
    assert_eq!(lookup(&netns, to("192.0.2.1"), None, None), Decision::Local);
    assert_eq!(way(&netns, to("203.0.113.1")), None);
}

#[test]
fn an_address_stands_for_a_network() {
    for (of, expected) in [
        ("192.0.2.0/24", "192.0.2.254"),
        ("192.0.2.4/31", "192.0.2.4"),
        ("192.0.2.4/32", "192.0.2.4"),
        ("0.0.0.0/0", "255.255.255.254"),
        ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:fffe"),
        ("2001:db8::1/128", "2001:db8::1"),
    ] {
        let expected: IpAddr = expected.parse().expect("an address");
        assert_eq!(example(network(of)), expected, "{of}");
        assert!(contains(network(of), expected));
    }
}
