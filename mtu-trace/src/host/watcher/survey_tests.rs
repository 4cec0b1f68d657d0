//! Tests of looks inside real namespaces. They need root and `ip`, as [`crate::host::watcher::tests`] do.

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::host::watcher::notice::Notice;
use crate::host::watcher::tests::{Lab, find, link, run, wait_for};
use crate::model::network::{Address, Fdb, Inside, LearnedPathMtu, OuterDf, Sysctls, Tunnel};

/// Longer than a look is put off, shorter than one is believed, ns.
pub(crate) const LATER_NS: u64 = 10_000_000_000;
/// Longer than one is believed, ns.
pub(crate) const MUCH_LATER_NS: u64 = 31_000_000_000;

pub(crate) fn surveyed() -> Watcher {
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    watcher.survey(0).expect("a survey");
    watcher
}

pub(crate) fn inside(watcher: &Watcher, name: &str) -> Arc<Inside> {
    let id = find(watcher.topology(), name).expect("it is known");
    let netns = &watcher.topology().namespaces[&id];
    Arc::clone(netns.inside.as_ref().expect("it was looked at"))
}

pub(crate) fn show(prefix: Address) -> String {
    format!("{}/{}", prefix.address, prefix.prefix_len)
}

pub(crate) fn address(text: &str) -> Option<IpAddr> {
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
