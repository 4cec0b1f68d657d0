//! Routers of IPv6, and what their routes and devices say of lengths; tunnels of the IP layer.

use super::overlay::overlay;
use super::{brief, check};
use crate::core::graph::fixture::Lab;
use crate::model::network::{
    EncapsulatedWhen, LearnedPathMtu, OuterDf, Route, RouteEncapsulation, Sysctls,
};

/// A client (1), a router (2) and a server (3), all of 1500 bytes and both families.
pub(crate) fn forwarded() -> Lab {
    let mut lab = Lab::default();
    lab.router(2).netns(2).forwards_ipv6 = true;
    lab.netns(2).name = Some("router".to_owned());
    lab.veth((1, "eth0", 1500), (2, "in", 1500));
    lab.veth((3, "eth0", 1500), (2, "out", 1500));
    lab.address(1, "eth0", "2001:db8:1::2/64")
        .route(1, "::/0", "2001:db8:1::1", "eth0")
        .address(2, "in", "2001:db8:1::1/64")
        .address(2, "out", "2001:db8::2/64")
        .address(3, "eth0", "2001:db8::3/64")
        .route(3, "::/0", "2001:db8::2", "eth0");
    lab.address(1, "eth0", "192.0.2.2/28")
        .route(1, "0.0.0.0/0", "192.0.2.1", "eth0")
        .address(2, "in", "192.0.2.1/28")
        .address(2, "out", "198.51.100.1/28")
        .address(3, "eth0", "198.51.100.3/28")
        .route(3, "0.0.0.0/0", "198.51.100.1", "eth0");
    lab
}

/// The same with an edit of the router's routes to the server's networks.
pub(crate) fn routed(edit: impl Fn(&mut Route)) -> Lab {
    let mut lab = forwarded();
    let out = lab.index(2, "out");
    let routes = lab.inside(2).routes.iter_mut();
    routes
        .filter(|route| route.hops.iter().any(|hop| hop.ifindex == Some(out)))
        .for_each(edit);
    lab
}

/// A route of IPv6 that has an MTU of its own, which is not locked.
pub(crate) fn unlocked() -> Lab {
    routed(|route| route.mtu_bytes = Some(1400))
}

/// A route that puts 64 bytes before each packet.
pub(crate) fn encapsulated(when: EncapsulatedWhen) -> Lab {
    let encapsulation = Some(RouteEncapsulation { bytes: 64, when });
    routed(|route| route.encapsulation = encapsulation)
}

/// An overlay without room for its 50 bytes, of tunnels of another kind.
pub(crate) fn tunnelled(kind: &str, bridged: bool) -> Lab {
    let mut lab = overlay(1500, 1500, 1500, bridged);
    for node in [3, 4] {
        let link = lab.link_mut(node, "vx0");
        link.kind = kind.into();
        link.tunnel.as_mut().expect("a tunnel").df = OuterDf::Set;
    }
    lab
}

#[test]
fn a_device_has_an_mtu_of_its_own_for_ipv6() {
    let mut lab = forwarded();
    lab.link_mut(2, "out").ipv6_mtu_bytes = Some(1400);
    assert_eq!(
        brief(&check(&lab)),
        ["Warning router in>out 1400 1500 ip6_forward"]
    );
    // The sender's own is heeded by what it announces.
    lab.link_mut(1, "eth0").ipv6_mtu_bytes = Some(1400);
    assert_eq!(brief(&check(&lab)), [""; 0]);
}

#[test]
fn a_route_of_ipv6_counts_where_its_mtu_is_locked_and_a_step_later_where_not() {
    let of = |lab: &Lab| brief(&check(lab));
    assert_eq!(
        of(&unlocked()),
        [
            "Warning router in>out 1400 1500 ip_forward",
            "Warning router in>out 1400 1500 ip6_fragment",
        ]
    );
    let locked = routed(|route| (route.mtu_bytes, route.mtu_locked) = (Some(1400), true));
    let found = of(&locked);
    assert!(
        found.contains(&"Warning router in>out 1400 1500 ip6_forward".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_route_makes_room_for_what_it_puts_before_packets() {
    let found = brief(&check(&encapsulated(EncapsulatedWhen::Sent)));
    assert_eq!(
        found,
        [
            "Warning router in>out 1436 1500 ip_forward",
            "Warning router in>out 1436 1500 ip6_forward",
        ]
    );
    // What is wrapped before it is measured is the router's own, and so is the message.
    let found = brief(&check(&encapsulated(EncapsulatedWhen::Received)));
    assert_eq!(
        found,
        [
            "Error router in>out 1500 1564 ip_forward",
            "Error router in>out 1500 1564 ip6_forward",
        ]
    );
}

#[test]
fn a_router_minds_what_it_has_learned_if_it_is_told_to() {
    let mut lab = forwarded();
    lab.inside(2).path_mtus = vec![LearnedPathMtu {
        destination: [198, 51, 100, 3].into(),
        mtu_bytes: 1400,
    }];
    assert_eq!(brief(&check(&lab)), [""; 0]);
    lab.inside(2).sysctls = Sysctls {
        ip_forward_use_pmtu: Some(1),
        ..Sysctls::default()
    };
    assert_eq!(
        brief(&check(&lab)),
        ["Warning router in>out 1400 1500 ip_forward"]
    );
}

#[test]
fn each_tunnel_has_its_own_function() {
    let function = |kind: &str, bridged| {
        let found = brief(&check(&tunnelled(kind, bridged)));
        assert_eq!(found.len(), 2, "{found:?}");
        found[0].clone()
    };
    assert_eq!(
        function("gre", false),
        "Warning node1 >vx0 1450 1500 ip_tunnel_xmit"
    );
    assert_eq!(
        function("ip6tnl", false),
        "Warning node1 >vx0 1450 1500 ip6_tnl_start_xmit"
    );
    // Nobody is told: a frame has no route.
    assert_eq!(
        function("gretap", true),
        "Error node1 >vx0 1450 1500 ip_tunnel_xmit"
    );
}
