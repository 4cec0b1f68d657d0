//! Tests of routes and rules, seen inside real namespaces. They need root and `ip`, as
//! [`crate::host::watcher::tests`] do.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::watcher::survey_tests::{
    LATER_NS, MUCH_LATER_NS, address, inside, show, surveyed,
};
use crate::host::watcher::tests::{Lab, find, link};
use crate::model::network::{Inside, NextHop, Route, RouteKind};

fn route<'a>(inside: &'a Inside, destination: &str) -> &'a Route {
    let mut routes = inside.routes.iter();
    routes
        .find(|route| show(route.destination) == destination)
        .unwrap_or_else(|| panic!("{destination} in {inside:#?}"))
}

/// Makes a namespace with routes and rules of many kinds.
fn add_router(lab: &Lab) {
    lab.ip("netns add @a");
    lab.ip("-n @a link add d0 type bridge");
    lab.ip("-n @a addr add 192.0.2.1/24 dev d0");
    lab.ip("-n @a addr add 2001:db8::1/64 dev d0 nodad");
    lab.ip("-n @a link set d0 up");
    lab.ip("-n @a link add d1 type bridge");
    lab.ip("netns exec @a sysctl -qw net.ipv6.conf.d1.disable_ipv6=1");
    lab.ip("-n @a addr add 198.18.0.1/24 dev d1");
    lab.ip("-n @a link set d1 up");
    lab.ip("-n @a route add 198.51.100.0/24 via 192.0.2.9 mtu 1400 metric 7");
    lab.ip("-n @a route add 198.51.101.0/24 via 192.0.2.9 mtu lock 1300 src 192.0.2.1");
    lab.ip("-n @a route add 198.51.102.0/24 nexthop via 192.0.2.8 nexthop via 192.0.2.9");
    lab.ip("-n @a route add blackhole 198.51.103.0/24");
    lab.ip("-n @a route add default via 192.0.2.7 table 100");
    lab.ip("-n @a route add default via 192.0.2.6 table 70000");
    lab.ip("-n @a route add 203.0.113.0/24 via inet6 2001:db8::9 dev d0");
    lab.ip("-n @a -6 route add 2001:db8:1::/48 via 2001:db8::9 mtu 1380");
    lab.ip("-n @a rule add from 198.51.100.7/32 iif d0 table 100 pref 900");
    lab.ip("-n @a rule add fwmark 1 table 70000 pref 901");
    lab.ip("-n @a rule add table main suppress_prefixlength 0 pref 902");
    lab.ip("-n @a -6 rule add to 2001:db8:1::/48 blackhole pref 903");
}

#[test]
fn routes_are_seen() {
    let Some(lab) = Lab::new("route") else { return };
    add_router(&lab);
    let watcher = surveyed();
    let (_, d0, _) = link(watcher.topology(), &lab.name("a"), "d0");
    let seen = inside(&watcher, &lab.name("a"));
    let via = |text: &str| NextHop {
        gateway: address(text),
        ifindex: Some(d0),
    };
    let of = |destination| {
        let route = route(&seen, destination);
        (
            route.kind,
            route.table,
            route.metric,
            route.mtu_bytes,
            route.mtu_locked,
        )
    };
    assert_eq!(
        of("198.51.100.0/24"),
        (RouteKind::Unicast, 254, 7, Some(1400), false)
    );
    assert_eq!(
        of("198.51.101.0/24"),
        (RouteKind::Unicast, 254, 0, Some(1300), true)
    );
    assert_eq!(route(&seen, "198.51.101.0/24").source, address("192.0.2.1"));
    let shared = [via("192.0.2.8"), via("192.0.2.9")];
    assert_eq!(route(&seen, "198.51.102.0/24").hops, shared);
    assert_eq!(of("198.51.103.0/24").0, RouteKind::Reject);
    let tables: BTreeSet<_> = seen
        .routes
        .iter()
        .filter(|route| show(route.destination) == "0.0.0.0/0")
        .map(|route| (route.table, route.hops[0].gateway))
        .collect();
    let wanted = [(100, address("192.0.2.7")), (70000, address("192.0.2.6"))];
    assert_eq!(tables, BTreeSet::from(wanted));
    assert_eq!(route(&seen, "203.0.113.0/24").hops, [via("2001:db8::9")]);
    assert_eq!(route(&seen, "2001:db8:1::/48").mtu_bytes, Some(1380));
    assert_eq!(of("192.0.2.1/32").0, RouteKind::Local);
    assert_eq!(of("198.18.0.0/24").0, RouteKind::Unicast);
    assert_eq!(
        route(&seen, "192.0.2.0/24").hops,
        [NextHop {
            gateway: None,
            ifindex: Some(d0)
        }]
    );
}

#[test]
fn rules_are_seen() {
    let Some(lab) = Lab::new("rule") else { return };
    add_router(&lab);
    let seen = inside(&surveyed(), &lab.name("a"));
    let rules: Vec<_> = seen
        .rules
        .iter()
        .map(|rule| (rule.ipv6, rule.priority, rule.table, rule.conditional))
        .collect();
    let wanted = [
        (false, 0, Some(255), false),
        (true, 0, Some(255), false),
        (false, 900, Some(100), false),
        (false, 901, Some(70000), true),
        (false, 902, Some(254), true),
        (true, 903, None, false),
        (false, 32766, Some(254), false),
        (true, 32766, Some(254), false),
        (false, 32767, Some(253), false),
    ];
    assert_eq!(rules, wanted);
    let rule = &seen.rules[2];
    assert_eq!(rule.source.map(show).as_deref(), Some("198.51.100.7/32"));
    assert_eq!(rule.iif.as_deref(), Some("d0"));
    assert_eq!(
        seen.rules[5].destination.map(show).as_deref(),
        Some("2001:db8:1::/48")
    );
}

#[test]
fn changes_of_routes_and_rules_are_heard() {
    let Some(lab) = Lab::new("reroute") else {
        return;
    };
    add_router(&lab);
    let mut watcher = surveyed();
    let a = find(watcher.topology(), &lab.name("a")).expect("a is found");
    let seen = inside(&watcher, &lab.name("a"));
    // Nothing new: not even looked at.
    let changes = watcher.survey(LATER_NS).expect("a survey");
    assert!(!changes.changed.contains(&a));
    // Looked at again, and all the same.
    let changes = watcher.survey(MUCH_LATER_NS).expect("a survey");
    assert!(!changes.changed.contains(&a));
    assert!(Arc::ptr_eq(&seen, &inside(&watcher, &lab.name("a"))));

    for (now_ns, change, wanted) in [
        (
            1,
            "route add 198.51.104.0/24 via 192.0.2.9",
            "198.51.104.0/24",
        ),
        (2, "-6 route add 2001:db8:2::/48 dev d0", "2001:db8:2::/48"),
    ] {
        let now_ns = MUCH_LATER_NS + now_ns * LATER_NS;
        lab.ip(&format!("-n @a {change}"));
        // Too soon after the last look, then late enough.
        let changes = watcher.survey(now_ns - LATER_NS + 1).expect("a survey");
        assert!(!changes.changed.contains(&a), "{change}");
        let changes = watcher.survey(now_ns).expect("a survey");
        assert!(changes.changed.contains(&a), "{change}");
        route(&inside(&watcher, &lab.name("a")), wanted);
    }
    let now_ns = MUCH_LATER_NS + 2 * LATER_NS;
    lab.ip("-n @a rule add table 7 pref 905");
    watcher.survey(now_ns + LATER_NS).expect("a survey");
    let seen = inside(&watcher, &lab.name("a"));
    assert!(seen.rules.iter().any(|rule| rule.table == Some(7)));
    // IPv6 tells of routes that vanish with a link; IPv4 does not.
    lab.ip("-n @a link set d1 down");
    watcher.follow(0).expect("a look");
    watcher.survey(now_ns + 2 * LATER_NS).expect("a survey");
    let seen = inside(&watcher, &lab.name("a"));
    let left = |route: &Route| show(route.destination) == "198.18.0.0/24";
    assert!(!seen.routes.iter().any(left));
}
