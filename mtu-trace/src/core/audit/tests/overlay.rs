//! Overlays: tunnels, what they add, and what they are laid on.

use crate::core::audit::tests::{brief, check};
use crate::core::graph::fixture::{Lab, id};
use crate::model::network::{OuterDf, Tunnel};

/// Two nodes (3, 4) with an overlay between their containers (1, 2); the MTUs of the overlay, of
/// the underlay, and of the underlay's far end.
pub(crate) fn overlay(mtu: u32, underlay: u32, far: u32, bridged: bool) -> Lab {
    let mut lab = Lab::default();
    lab.router(3).router(4);
    lab.veth((3, "eth0", underlay), (4, "eth0", far));
    lab.address(3, "eth0", "198.51.100.1/28")
        .address(4, "eth0", "198.51.100.2/28");
    for (node, container) in [(3u64, 1u64), (4, 2)] {
        let (own, other) = (node - 2, 5 - node);
        lab.veth((container, "eth0", mtu), (node, "port", mtu));
        lab.link(node, "vx0", "vxlan", mtu);
        lab.link_mut(node, "vx0").tunnel = Some(Tunnel {
            netns: Some(id(node)),
            id: Some(42),
            remote: Some(format!("198.51.100.{other}").parse().expect("an address")),
            overhead_bytes: 50,
            ..Tunnel::default()
        });
        if bridged {
            lab.bridge(node, "br0", mtu, &["port", "vx0"], false);
            lab.address(container, "eth0", &format!("192.0.2.{own}/24"));
        } else {
            lab.address(container, "eth0", &format!("10.0.{own}.2/24"))
                .route(container, "0.0.0.0/0", &format!("10.0.{own}.1"), "eth0")
                .address(node, "port", &format!("10.0.{own}.1/24"))
                .address(node, "vx0", &format!("192.0.2.{own}/24"))
                .route(
                    node,
                    &format!("10.0.{other}.0/24"),
                    &format!("192.0.2.{other}"),
                    "vx0",
                );
        }
        lab.netns(node).name = Some(format!("node{own}"));
    }
    lab
}

#[test]
fn an_overlay_that_misses_its_overhead_is_named() {
    let found = check(&overlay(1500, 1500, 1500, true));
    assert_eq!(
        brief(&found),
        [
            "Warning node1 >vx0 1450 1500 skb_tunnel_check_pmtu",
            "Warning node2 >vx0 1450 1500 skb_tunnel_check_pmtu",
        ]
    );
    let fixes: Vec<&str> = found[0]
        .fixes
        .iter()
        .map(|fix| fix.title.as_str())
        .collect();
    assert!(fixes.contains(&"Set the MTU of the tunnel vx0 in node1 to 1450, it is 1500"));
    assert_eq!(brief(&check(&overlay(1450, 1500, 1500, true))), [""; 0]);
    // Routed, the outer packets are cut, unless they may not be.
    let mut lab = overlay(1500, 1500, 1500, false);
    assert_eq!(
        brief(&check(&lab)),
        [
            "Info node1 >vx0 1450 1500 ip_fragment",
            "Info node2 >vx0 1450 1500 ip_fragment",
        ]
    );
    for node in [3, 4] {
        let tunnel = lab.link_mut(node, "vx0").tunnel.as_mut().expect("a tunnel");
        tunnel.df = OuterDf::Set;
    }
    assert_eq!(
        brief(&check(&lab)),
        [
            "Error node1 >eth0 1500 1550 ip_fragment",
            "Error node2 >eth0 1500 1550 ip_fragment",
        ]
    );
}

#[test]
fn a_hole_in_the_underlay_is_one_for_the_overlay() {
    let found = check(&overlay(1450, 1500, 1400, true));
    assert_eq!(
        brief(&found),
        [
            "Error node1 >eth0 1400 1500 __dev_forward_skb2",
            "Warning node2 >vx0 1350 1450 skb_tunnel_check_pmtu",
        ]
    );
    assert!(
        found[0]
            .summary
            .contains("50 of them for the tunnel vx0 of node1")
    );
}

#[test]
fn tunnels_of_other_numbers_do_not_meet() {
    let mut lab = overlay(1500, 1500, 1500, true);
    lab.link_mut(4, "vx0").tunnel.as_mut().expect("a tunnel").id = Some(43);
    assert_eq!(brief(&check(&lab)), [""; 0]);
}

/// A routed overlay without room for its overhead, whose packets may not be cut, for both families.
pub(crate) fn uncut() -> Lab {
    let mut lab = overlay(1500, 1500, 1500, false);
    for (node, container) in [(3u64, 1u64), (4, 2)] {
        let (own, other) = (node - 2, 5 - node);
        lab.netns(node).forwards_ipv6 = true;
        lab.address(container, "eth0", &format!("2001:db8:{own}::2/64"))
            .route(container, "::/0", &format!("2001:db8:{own}::1"), "eth0")
            .address(node, "port", &format!("2001:db8:{own}::1/64"))
            .address(node, "vx0", &format!("2001:db8:9::{own}/64"))
            .route(
                node,
                &format!("2001:db8:{other}::/64"),
                &format!("2001:db8:9::{other}"),
                "vx0",
            );
        let tunnel = lab.link_mut(node, "vx0").tunnel.as_mut().expect("a tunnel");
        tunnel.df = OuterDf::Set;
    }
    lab
}

#[test]
fn a_tunnel_that_may_not_be_cut_tells_senders_of_ipv6() {
    let found = brief(&check(&uncut()));
    let of = |function: &str| found.iter().filter(|line| line.ends_with(function)).count();
    assert_eq!(
        (of(" ip_fragment"), of(" ip6_fragment")),
        (2, 2),
        "{found:?}"
    );
    for line in found {
        assert_eq!(
            line.starts_with("Error"),
            line.ends_with(" ip_fragment"),
            "{line}"
        );
    }
}
