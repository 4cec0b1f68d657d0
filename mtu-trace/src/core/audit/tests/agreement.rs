//! `check` and a live trace agree: of the same fault both say the same place, limit and packet, and
//! whether anybody is told.
//!
//! The packet is what the drop hook of the kernel would tell of it, by what each function is known to
//! leave in its buffer; nothing of it is taken from the audit.

use std::collections::BTreeSet;

use super::forwarded::{encapsulated, tunnelled, unlocked};
use super::overlay::{overlay, uncut};
use super::{check, nested, switched};
use crate::core::graph::fixture::{Lab, id};
use crate::core::sites::{
    BALANCER, CUT, DATAPATH_PORT, IPSEC_INTERFACE, IPVLAN, OUTPUT, SITES, oversized,
};
use crate::model::event::{Device, Flow, Inner, Packet, PacketKind, TCP};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::EncapsulatedWhen;

/// A device by its namespace and name.
type At = (u64, &'static str);

/// A packet that dies.
struct Drop {
    function: &'static str,
    /// The device in its buffer, if there is one.
    device: Option<At>,
    /// The device of its route and the MTU that the route has of its own, if it is routed.
    route: Option<(At, Option<u32>)>,
    /// The other end of its device.
    peer: Option<At>,
    came_in: Option<At>,
    /// What handles it on its way in.
    input: Option<&'static str>,
    ipv6: bool,
    bytes: u32,
    /// What a tunnel has added to it, bytes.
    added_bytes: u32,
}

const PACKET: Drop = Drop {
    function: "",
    device: None,
    route: None,
    peer: None,
    came_in: None,
    input: None,
    ipv6: false,
    bytes: 1500,
    added_bytes: 0,
};

fn device(lab: &Lab, (netns, name): At) -> Device {
    let ifindex = lab.index(netns, name);
    let link = &lab.topology.namespaces[&id(netns)].links[&ifindex];
    Device {
        netns: id(netns),
        ifindex,
        name: Some(name.into()),
        mtu_bytes: link.mtu_bytes,
    }
}

impl Drop {
    fn packet(&self, lab: &Lab) -> Packet {
        let route = self.route.map(|(at, _)| device(lab, at));
        let ends = if self.ipv6 {
            ["[2001:db8::2]:80", "[2001:db8::3]:40000"]
        } else {
            ["192.0.2.2:80", "192.0.2.3:40000"]
        };
        let [source, destination] = ends.map(|end| end.parse().expect("an address"));
        let device_of_route = || route.clone().expect("a device or a route");
        let device = self
            .device
            .map_or_else(device_of_route, |at| device(lab, at));
        let flow = Flow {
            netns: device.netns,
            protocol: TCP,
            source,
            destination,
        };
        Packet {
            what: PacketKind::Dropped {
                function: self.function.into(),
                reason: None,
            },
            flow,
            has_device: self.device.is_some(),
            route,
            peer: self.peer.map(|at| self::device(lab, at)),
            came_in: self.came_in.map(|at| self::device(lab, at)),
            route_input: self.input.map(Into::into),
            route_mtu_bytes: self.route.and_then(|(_, mtu_bytes)| mtu_bytes),
            length_bytes: self.bytes,
            buffer_bytes: self.bytes,
            tag_bytes: 0,
            route_mtu_locked: false,
            gso: false,
            tcp: None,
            icmp_error: None,
            inner: (self.added_bytes > 0).then_some(Inner {
                flow,
                length_bytes: self.bytes - self.added_bytes,
                begins_at_bytes: self.added_bytes,
                tcp: None,
            }),
            count: 1,
            first_ns: 0,
            repeats: 0,
            netfilter_hook: None,
            ct_state: None,
            head: Vec::new(),
            device,
        }
    }
}

/// A network with a fault, and how a packet dies of it, for each site that `check` expects.
fn faults() -> Vec<(Lab, Drop)> {
    vec![
        (
            nested(1500, 1450, 1450),
            Drop {
                function: "ip_forward",
                device: Some((2, "docker0")),
                route: Some(((2, "eth0"), None)),
                ..PACKET
            },
        ),
        (
            switched(1450, 0),
            Drop {
                function: "br_dev_queue_push_xmit",
                device: Some((3, "a")),
                came_in: Some((3, "b")),
                ..PACKET
            },
        ),
        (
            switched(1497, 1),
            Drop {
                function: "br_nf_dev_queue_xmit",
                device: Some((3, "a")),
                came_in: Some((3, "b")),
                ..PACKET
            },
        ),
        (
            switched(1497, 1),
            Drop {
                function: "ip6_fragment",
                device: Some((3, "a")),
                came_in: Some((3, "b")),
                ipv6: true,
                ..PACKET
            },
        ),
        (
            switched(1450, 0),
            Drop {
                function: "__dev_forward_skb2",
                device: Some((1, "eth0")),
                peer: Some((3, "a")),
                ..PACKET
            },
        ),
        (
            overlay(1500, 1500, 1500, true),
            Drop {
                function: "skb_tunnel_check_pmtu",
                device: Some((3, "vx0")),
                route: Some(((3, "eth0"), Some(1450))),
                ..PACKET
            },
        ),
        (
            uncut(),
            Drop {
                function: "ip_fragment",
                device: Some((3, "eth0")),
                route: Some(((3, "eth0"), None)),
                bytes: 1550,
                added_bytes: 50,
                ..PACKET
            },
        ),
        (
            uncut(),
            Drop {
                function: "ip6_fragment",
                device: Some((3, "vx0")),
                route: Some(((3, "vx0"), Some(1450))),
                ipv6: true,
                ..PACKET
            },
        ),
    ]
}

/// The same of routers that have more to say of lengths than a device's MTU, and of tunnels of the IP layer.
fn further_faults() -> Vec<(Lab, Drop)> {
    let forwarded = Drop {
        function: "ip6_forward",
        device: Some((2, "in")),
        route: Some(((2, "out"), None)),
        came_in: Some((2, "in")),
        input: Some("ip6_forward"),
        ipv6: true,
        ..PACKET
    };
    let sent_on = Drop {
        function: "ip6_fragment",
        device: Some((2, "out")),
        route: Some(((2, "out"), Some(1400))),
        ..forwarded
    };
    let wrapped = Drop {
        bytes: 1564,
        added_bytes: 64,
        ..forwarded
    };
    let mut found = vec![
        (unlocked(), sent_on),
        (encapsulated(EncapsulatedWhen::Received), wrapped),
    ];
    for (kind, function) in [
        ("gre", "ip_tunnel_xmit"),
        ("ip6tnl", "ip6_tnl_start_xmit"),
        ("ip6gre", "ip6gre_tunnel_xmit"),
        ("sit", "sit_tunnel_xmit"),
    ] {
        let drop = Drop {
            function,
            device: Some((3, "vx0")),
            route: Some(((3, "vx0"), None)),
            ..PACKET
        };
        found.push((tunnelled(kind, false), drop));
    }
    let bridged = Drop {
        function: "ip_tunnel_xmit",
        device: Some((3, "vx0")),
        ..PACKET
    };
    found.push((tunnelled("gretap", true), bridged));
    found
}

#[test]
fn check_foresees_what_a_trace_finds() {
    let mut expected = BTreeSet::new();
    for (lab, drop) in faults().into_iter().chain(further_faults()) {
        let live = oversized(&drop.packet(&lab), &lab.topology).expect("a drop for its size");
        let egress = live.egress.as_ref().and_then(|by| by.name.as_deref());
        let found = check(&lab);
        let foreseen = found
            .iter()
            .filter_map(|finding| finding.boundary.as_ref())
            .find(|boundary| {
                boundary.netns == NetnsRef::new(live.key.netns, &lab.topology)
                    && boundary.egress.as_deref() == egress
                    && boundary.function == drop.function
            });
        let foreseen =
            foreseen.unwrap_or_else(|| panic!("{} at {egress:?} is not foreseen", drop.function));
        assert_eq!(
            (
                foreseen.limit_bytes,
                foreseen.packet_bytes,
                foreseen.overhead_bytes,
                foreseen.silent,
            ),
            (
                live.limit_bytes,
                live.packet_bytes,
                live.overhead_bytes,
                live.site.is_silent(),
            ),
            "{:?}",
            live.site
        );
        expected.insert(live.site.name);
        // Of a drop at the output a trace knows that, and `check` that it was for a tunnel.
        expected.extend((drop.function == "ip6_fragment").then_some("routed-tunnel"));
    }
    // What is cut does not die, what a host sends itself is never too long for its own device, an end
    // announces what fits its own ipvlan, and what IPsec adds and the settings of switches and balancers
    // are not known.
    let unexpected = [
        &CUT,
        &OUTPUT,
        &IPSEC_INTERFACE,
        &IPVLAN,
        &DATAPATH_PORT,
        &BALANCER,
    ];
    let missing: Vec<&str> = SITES
        .iter()
        .filter(|site| !unexpected.contains(site))
        .map(|site| site.name)
        .filter(|name| !expected.contains(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}
