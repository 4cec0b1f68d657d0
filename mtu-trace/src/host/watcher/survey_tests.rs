//! Tests of looks inside real namespaces. They need root and `ip`, as [`crate::host::watcher::tests`] do.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::host::watcher::notice::Notice;
use crate::host::watcher::tests::{Lab, find, link, run, wait_for};
use crate::model::network::{
    Address, Fdb, Inside, LearnedPathMtu, NextHop, OuterDf, Route, RouteKind, Sysctls, Tunnel,
};

/// Longer than a look is put off, shorter than one is believed, ns.
const LATER_NS: u64 = 10_000_000_000;
/// Longer than one is believed, ns.
const MUCH_LATER_NS: u64 = 31_000_000_000;

fn surveyed() -> Watcher {
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    watcher.survey(0).expect("a survey");
    watcher
}

fn inside(watcher: &Watcher, name: &str) -> Arc<Inside> {
    let id = find(watcher.topology(), name).expect("it is known");
    let netns = &watcher.topology().namespaces[&id];
    Arc::clone(netns.inside.as_ref().expect("it was looked at"))
}

fn route<'a>(inside: &'a Inside, destination: &str) -> &'a Route {
    let mut routes = inside.routes.iter();
    routes
        .find(|route| show(route.destination) == destination)
        .unwrap_or_else(|| panic!("{destination} in {inside:#?}"))
}

fn show(prefix: Address) -> String {
    format!("{}/{}", prefix.address, prefix.prefix_len)
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

#[test]
fn vxlans_tell_how_they_wrap_packets() {
    let Some(lab) = Lab::new("wrap") else { return };
    lab.ip("netns add @a");
    lab.ip("netns add @b");
    lab.ip("-n @a link add u0 type veth peer name u1");
    lab.ip("-n @a link set u0 up");
    lab.ip("-n @a link add x4 type vxlan id 4 local 192.0.2.1 remote 192.0.2.2 dev u0 dstport 4789 df set");
    lab.ip("-n @a link add x6 type vxlan id 6 local 2001:db8::1 remote 2001:db8::2 dstport 4790 df inherit");
    lab.ip("-n @a link add xn type vxlan id 7 dstport 4791");
    let alias = "\u{1b}[2Jlan";
    run(Command::new("ip").args(["-n", &lab.name("a"), "link", "set", "xn", "alias", alias]));
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    let topology = watcher.topology();
    let (a, u0, veth) = link(topology, &lab.name("a"), "u0");
    assert!(veth.up && !veth.carrier && veth.tunnel.is_none());
    let x4 = Tunnel {
        netns: Some(a),
        ifindex: Some(u0),
        id: Some(4),
        local: address("192.0.2.1"),
        remote: address("192.0.2.2"),
        overhead_bytes: 50,
        df: OuterDf::Set,
    };
    let x6 = Tunnel {
        netns: Some(a),
        ifindex: None,
        id: Some(6),
        local: address("2001:db8::1"),
        remote: address("2001:db8::2"),
        overhead_bytes: 70,
        df: OuterDf::Inherit,
    };
    let of = |topology: &Topology, netns, name| link(topology, &lab.name(netns), name).2.clone();
    assert_eq!(of(topology, "a", "x4").tunnel, Some(x4.clone()));
    assert_eq!(of(topology, "a", "x6").tunnel, Some(x6.clone()));
    let xn = of(topology, "a", "xn");
    assert_eq!(xn.alias.as_deref(), Some("\\x1b[2Jlan"));
    let tunnel = xn.tunnel.expect("a tunnel");
    assert_eq!((tunnel.overhead_bytes, tunnel.remote), (50, None));

    // A veth has a carrier while its other end is up.
    lab.ip("-n @a link set u1 up");
    // The outer packets stay where the tunnel was made, whatever is in between.
    for tunnel in ["x4", "x6"] {
        lab.ip(&format!("-n @a link set {tunnel} netns @b"));
    }
    watcher.refresh(Depth::Normal, 0).expect("a look");
    let topology = watcher.topology();
    assert!(of(topology, "a", "u0").carrier);
    assert_eq!(of(topology, "b", "x4").tunnel, Some(x4));
    let moved = of(topology, "b", "x6");
    assert_eq!(moved.tunnel, Some(x6));
    // It is on no device, least of all on one there that happens to have its index.
    assert_eq!(moved.peer, None);

    // Where it came from becomes known by it.
    lab.ip("netns add @c");
    lab.ip("-n @c link add xc type vxlan id 8 remote 192.0.2.3 dstport 4792");
    lab.ip("-n @c link set xc netns @b");
    wait_for("the namespace a tunnel came from", || {
        watcher.follow(0).expect("a look");
        let topology = watcher.topology();
        let c = find(topology, &lab.name("c"));
        let links = find(topology, &lab.name("b")).map(|b| &topology.namespaces[&b].links);
        let xc = links.and_then(|links| links.values().find(|link| link.name == "xc"));
        let outer = xc.and_then(|link| link.tunnel.as_ref()?.netns);
        c.is_some() && outer == c
    });
}

#[test]
fn routes_and_rules_are_seen_and_changes_of_them_heard() {
    let Some(lab) = Lab::new("route") else { return };
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
    let mut watcher = surveyed();
    let a = find(watcher.topology(), &lab.name("a")).expect("a is found");
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

#[test]
fn settings_and_frames_destinations_are_seen() {
    let Some(lab) = Lab::new("set") else { return };
    lab.ip("netns add @a");
    lab.ip("-n @a link add x0 type vxlan id 4 local 192.0.2.1 dstport 4789");
    run(Command::new("bridge")
        .args(["-n", &lab.name("a"), "fdb", "append"])
        .args(["02:00:00:00:00:01", "dev", "x0", "dst", "198.51.100.1"]));
    for mac in ["00:00:00:00:00:00", "02:00:00:00:00:02"] {
        run(Command::new("bridge")
            .args(["-n", &lab.name("a"), "fdb", "append", mac])
            .args(["dev", "x0", "dst", "198.51.100.2"]));
    }
    let mut watcher = surveyed();
    let (a, x0, _) = link(watcher.topology(), &lab.name("a"), "x0");
    let seen = inside(&watcher, &lab.name("a"));
    let fdb = |text| Fdb {
        ifindex: x0,
        remote: address(text).expect("an address"),
    };
    assert_eq!(seen.fdb, [fdb("198.51.100.1"), fdb("198.51.100.2")]);
    let defaults = Sysctls {
        ip_no_pmtu_disc: Some(0),
        tcp_mtu_probing: Some(0),
        ip_forward_use_pmtu: Some(0),
        icmp_ratelimit: Some(1000),
        icmp_ratemask: Some(6168),
        ..seen.sysctls
    };
    assert_eq!(seen.sysctls, defaults);
    let bridges = Path::new("/proc/sys/net/bridge").exists();
    assert_eq!(seen.sysctls.bridge_nf_call_iptables.is_some(), bridges);

    lab.ip("netns exec @a sysctl -qw net.ipv4.tcp_mtu_probing=2 net.ipv4.icmp_ratemask=0");
    let changes = watcher.survey(LATER_NS).expect("a survey");
    assert!(!changes.changed.contains(&a));
    let changes = watcher.survey(MUCH_LATER_NS).expect("a survey");
    assert!(changes.changed.contains(&a));
    let seen = inside(&watcher, &lab.name("a"));
    let changed = Sysctls {
        tcp_mtu_probing: Some(2),
        icmp_ratemask: Some(0),
        ..defaults
    };
    assert_eq!(seen.sysctls, changed);

    // What was seen stays when it is gone, and nobody of ours keeps it.
    lab.ip("netns del @a");
    wait_for("the death of a", || {
        watcher.follow(1).expect("a look").gone.contains(&a)
    });
    watcher.survey(MUCH_LATER_NS + LATER_NS).expect("a survey");
    assert_eq!(watcher.topology().namespaces[&a].inside, Some(seen));
}

#[test]
fn learned_path_mtus_are_seen() {
    let Some(lab) = Lab::new("learn") else { return };
    // A sender, a router whose link to the receiver is narrow, and the receiver.
    for netns in ["a", "r", "b"] {
        lab.ip(&format!("netns add @{netns}"));
    }
    lab.ip("-n @a link add v0 type veth peer name v1 netns @r");
    lab.ip("-n @r link add w0 type veth peer name w1 netns @b");
    lab.ip("netns exec @r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    for (netns, device, own) in [
        ("a", "v0", "1.1"),
        ("r", "v1", "1.2"),
        ("r", "w0", "2.2"),
        ("b", "w1", "2.1"),
    ] {
        let (net, host) = own.split_once('.').expect("two parts");
        lab.ip(&format!("-n @{netns} addr add 10.99.{own}/24 dev {device}"));
        lab.ip(&format!(
            "-n @{netns} addr add 2001:db8:{net}::{host}/64 dev {device} nodad"
        ));
        lab.ip(&format!("-n @{netns} link set {device} up"));
    }
    lab.ip("-n @r link set w0 mtu 1400");
    lab.ip("-n @a route add default via 10.99.1.2");
    lab.ip("-n @a route add default via 2001:db8:1::2");
    let mut watcher = surveyed();
    assert_eq!(inside(&watcher, &lab.name("a")).path_mtus, []);

    let file = NetnsFile::open(format!("/run/netns/{}", lab.name("a"))).expect("a opens");
    let (v4, v6) = ("10.99.2.1", "2001:db8:2::1");
    let wanted = [v4, v6].map(|to| LearnedPathMtu {
        destination: address(to).expect("an address"),
        mtu_bytes: 1400,
    });
    let mut now_ns = 0;
    // Duplicate address detection, neighbour discovery and the ICMP messages take their time.
    wait_for("both path MTUs", || {
        file.run(|| {
            for (own, to) in [("0.0.0.0:0", v4), ("[::]:0", v6)] {
                let socket = UdpSocket::bind(own).expect("a socket");
                discover(&socket);
                let _told = socket.send_to(&[0; 1452], (to, 9));
            }
        })
        .expect("a thread");
        now_ns += MUCH_LATER_NS;
        watcher.survey(now_ns).expect("a survey");
        inside(&watcher, &lab.name("a")).path_mtus == wanted
    });
    // They are no routes.
    let seen = inside(&watcher, &lab.name("a"));
    assert!(
        !seen
            .routes
            .iter()
            .any(|route| show(route.destination) == "10.99.2.1/32")
    );
    drop(file);
}

/// Sets DF on what a socket sends.
fn discover(socket: &UdpSocket) {
    for (level, option) in [
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    ] {
        let probe: libc::c_int = libc::IP_PMTUDISC_DO;
        // SAFETY: the pointer is to a local of the length given.
        let _result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const probe).cast(),
                size_of_val(&probe) as libc::socklen_t,
            )
        };
    }
}

#[test]
fn too_many_changes_of_routes_lose_nothing_but_themselves() {
    let Some(lab) = Lab::new("flood") else { return };
    lab.ip("netns add @a");
    lab.ip("netns add @quiet");
    lab.ip("-n @a link set lo up");
    let mut watcher = surveyed();
    let batch: String = (0..20_000)
        .map(|number| {
            format!(
                "route add blackhole 10.{}.{}.0/24\n",
                number >> 8,
                number & 255
            )
        })
        .collect();
    let path = std::env::temp_dir().join(lab.name("batch"));
    std::fs::write(&path, batch).expect("a file");
    let path = path.to_str().expect("a path");
    run(Command::new("ip").args(["-n", &lab.name("a"), "-batch", path]));
    std::fs::remove_file(path).expect("it was there");
    watcher.listen().expect("notices");
    assert!(!watcher.pending.contains(&Notice::Lost));
    // Nobody knows any more who it was, so everybody is looked at, even where nothing is heard.
    lab.ip("netns exec @quiet sysctl -qw net.ipv4.tcp_mtu_probing=1");
    watcher.survey(LATER_NS).expect("a survey");
    let quiet = inside(&watcher, &lab.name("quiet"));
    assert_eq!(quiet.sysctls.tcp_mtu_probing, Some(1));
    let seen = inside(&watcher, &lab.name("a"));
    let all = seen.routes.len() + seen.routes_left_out;
    assert!((20_000..20_100).contains(&all), "{all}");
    assert!(seen.routes_left_out > 10_000);
    lab.ip("-n @a route flush type blackhole");
}
