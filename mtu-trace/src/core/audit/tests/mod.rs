//! The audit of made-up networks: what is narrow is found where it is, and nothing else.

pub(crate) mod agreement;
pub(crate) mod forwarded;
mod frozen;
pub(crate) mod overlay;
pub(crate) mod planned;
pub(crate) mod random;
pub(crate) mod routes;

use crate::core::audit::*;
use crate::core::graph::fixture::{Lab, id};
use crate::model::finding::{Finding, Severity};

/// A container (1) in a container (2) on a host (3), and a server (4) beside the host; the MTUs of
/// the inner network, of the inner engine's uplink and of the host's end of that.
fn nested(inner: u32, uplink: u32, port: u32) -> Lab {
    let mut lab = Lab::default();
    lab.router(2).router(3);
    lab.veth((1, "eth0", inner), (2, "veth1", inner));
    lab.bridge(2, "docker0", inner, &["veth1"], false);
    lab.veth((2, "eth0", uplink), (3, "vethx", port));
    lab.bridge(3, "br0", port, &["vethx"], false);
    lab.veth((3, "ext0", 1500), (4, "eth0", 1500));
    lab.address(1, "eth0", "192.0.2.2/28")
        .route(1, "0.0.0.0/0", "192.0.2.1", "eth0")
        .address(2, "docker0", "192.0.2.1/28")
        .address(2, "eth0", "198.51.100.2/28")
        .route(2, "0.0.0.0/0", "198.51.100.1", "eth0")
        .address(3, "br0", "198.51.100.1/28")
        .address(3, "ext0", "203.0.113.1/28")
        .address(4, "eth0", "203.0.113.10/28")
        .route(4, "0.0.0.0/0", "203.0.113.1", "eth0");
    for (netns, name) in [(1, "in"), (2, "out"), (3, "host"), (4, "srv")] {
        lab.netns(netns).name = Some(name.to_owned());
    }
    lab
}

fn check(lab: &Lab) -> Vec<Finding> {
    check_with(lab, &[])
}

/// The same with engines that run.
fn check_with(lab: &Lab, engines: &[Dockerd]) -> Vec<Finding> {
    let firewalls = Firewalls::new();
    let planned = PlannedNetwork::new(&lab.topology, engines);
    Audit::new(&planned).findings(&Circumstances {
        firewalls: &firewalls,
        has_function: &|_| true,
        now_ns: 0,
    })
}

/// `severity netns ingress>egress limit packet function`.
fn brief(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let boundary = finding.boundary.as_ref().expect("a boundary");
            format!(
                "{:?} {} {}>{} {} {} {}",
                finding.severity,
                boundary.netns.label(),
                boundary.ingress.as_deref().unwrap_or(""),
                boundary.egress.as_deref().unwrap_or(""),
                boundary.limit(),
                boundary.packet_bytes,
                boundary.function,
            )
        })
        .collect()
}

#[test]
fn routers_that_can_tell_are_warned_of_both_ways() {
    assert_eq!(
        brief(&check(&nested(1500, 1450, 1450))),
        [
            "Warning out docker0>eth0 1450 1500 ip_forward",
            "Warning host ext0>br0 1450 1500 ip_forward",
        ]
    );
}

#[test]
fn nothing_is_wrong_where_the_ends_are_no_larger_than_the_way() {
    for lab in [nested(1500, 1500, 1500), nested(1450, 1450, 1450)] {
        assert_eq!(brief(&check(&lab)), [""; 0]);
    }
}

#[test]
fn the_other_end_of_a_veth_is_a_hole() {
    let found = check(&nested(1500, 1450, 1500));
    assert_eq!(
        brief(&found),
        [
            "Error host ext0>vethx 1450 1500 __dev_forward_skb2",
            "Warning out docker0>eth0 1450 1500 ip_forward",
        ]
    );
    // The inner container is the one to change, not the server.
    let titles: Vec<&str> = found[0]
        .fixes
        .iter()
        .map(|fix| fix.title.as_str())
        .collect();
    assert_eq!(titles[0], "Set the MTU of eth0 in in to 1450, it is 1500");
    assert_eq!(found[0].path.len(), 8);
}

#[test]
fn four_bytes_more_than_a_veth_says_are_harmless() {
    let found = check(&nested(1500, 1496, 1500));
    assert_eq!(
        brief(&found)[1],
        "Info host ext0>vethx 1496 1500 __dev_forward_skb2"
    );
    assert!(found[1].fixes.is_empty());
    assert_eq!(found[0].severity, Severity::Warning);
    let found = check(&nested(1500, 1495, 1500));
    assert_eq!(
        brief(&found)[0],
        "Error host ext0>vethx 1495 1500 __dev_forward_skb2"
    );
}

#[test]
fn a_bridge_that_is_larger_than_its_port_is_a_hole() {
    let mut lab = nested(1500, 1450, 1450);
    lab.link_mut(3, "br0").mtu_bytes = 1500;
    assert_eq!(
        brief(&check(&lab))[0],
        "Error host ext0>vethx 1450 1500 br_dev_queue_push_xmit"
    );
}

/// Two containers on one bridge, the port of the first with an MTU of its own.
fn switched(port: u32, netfilter: u32) -> Lab {
    let mut lab = Lab::default();
    lab.veth((1, "eth0", 1500), (3, "a", port));
    lab.veth((2, "eth0", 1500), (3, "b", 1500));
    lab.bridge(3, "br0", 1500, &["a", "b"], false);
    lab.address(1, "eth0", "192.0.2.2/24")
        .address(2, "eth0", "192.0.2.3/24")
        .address(1, "eth0", "2001:db8::2/64")
        .address(2, "eth0", "2001:db8::3/64");
    let sysctls = &mut lab.inside(3).sysctls;
    sysctls.bridge_nf_call_iptables = Some(netfilter);
    sysctls.bridge_nf_call_ip6tables = Some(netfilter);
    lab.netns(1).name = Some("in".to_owned());
    lab.netns(3).name = Some("sw".to_owned());
    lab
}

#[test]
fn a_port_that_is_smaller_than_the_other_is_a_hole() {
    // What the first container sends dies at its own veth, before the bridge.
    assert_eq!(
        brief(&check(&switched(1450, 0))),
        [
            "Error in >eth0 1450 1500 __dev_forward_skb2",
            "Error sw b>a 1450 1500 br_dev_queue_push_xmit",
        ]
    );
    let mut with_netfilter = brief(&check(&switched(1497, 1)));
    with_netfilter.sort();
    assert_eq!(
        with_netfilter,
        [
            "Error sw b>a 1497 1500 br_nf_dev_queue_xmit",
            "Error sw b>a 1497 1500 ip6_fragment",
            "Info in >eth0 1497 1500 __dev_forward_skb2",
        ]
    );
    assert_eq!(
        brief(&check(&switched(1497, 0))),
        [
            "Info in >eth0 1497 1500 __dev_forward_skb2",
            "Info sw b>a 1497 1500 br_dev_queue_push_xmit",
        ]
    );
}

#[test]
fn an_end_whose_route_is_smaller_is_harmless() {
    let mut lab = nested(1500, 1450, 1450);
    for route in &mut lab.inside(1).routes {
        route.mtu_bytes = Some(1450);
    }
    let found = check(&lab);
    assert!(
        found
            .iter()
            .all(|finding| finding.severity == Severity::Info)
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn a_sender_without_df_has_its_packets_cut() {
    let mut lab = nested(1500, 1450, 1450);
    lab.inside(4).sysctls.ip_no_pmtu_disc = Some(1);
    let found = brief(&check(&lab));
    assert_eq!(found[1], "Info host ext0>br0 1450 1500 ip_forward");
    // Layer 2 cuts nothing.
    let mut lab = nested(1500, 1450, 1500);
    lab.inside(4).sysctls.ip_no_pmtu_disc = Some(1);
    assert_eq!(check(&lab)[0].severity, Severity::Error);
}

#[test]
fn what_leaves_the_host_is_looked_at_too() {
    let mut lab = Lab::default();
    lab.router(3);
    lab.veth((1, "eth0", 1500), (3, "veth1", 1500));
    lab.bridge(3, "docker0", 1500, &["veth1"], false);
    lab.link(3, "ens18", "physical", 1400);
    lab.link(3, "wg0", "wireguard", 1420);
    lab.address(1, "eth0", "172.17.0.2/16")
        .route(1, "0.0.0.0/0", "172.17.0.1", "eth0")
        .address(3, "docker0", "172.17.0.1/16")
        .address(3, "ens18", "192.0.2.7/24")
        .address(3, "wg0", "10.9.0.1/24")
        .route(3, "0.0.0.0/0", "192.0.2.1", "ens18");
    lab.netns(3).name = Some("node".to_owned());
    assert_eq!(
        brief(&check(&lab)),
        [
            "Warning node docker0>ens18 1400 1500 ip_forward",
            "Warning node docker0>wg0 1420 1500 ip_forward",
        ]
    );
    lab.link_mut(3, "ens18").mtu_bytes = 1500;
    lab.link_mut(3, "wg0").up = false;
    assert_eq!(brief(&check(&lab)), [""; 0]);
}

#[test]
fn equal_networks_side_by_side_are_not_mixed_up() {
    let mut lab = nested(1500, 1450, 1450);
    let mut other = nested(1500, 1500, 1500);
    for netns in 1..=4u64 {
        let mut copy = other.netns(netns).clone();
        for link in copy.links.values_mut() {
            if let Some(peer) = &mut link.peer {
                peer.netns = peer.netns.map(|netns| id(netns.0 + 10));
            }
        }
        lab.topology.namespaces.insert(id(netns + 10), copy);
    }
    let found = check(&lab);
    assert_eq!(brief(&found).len(), 2);
    for finding in found {
        assert_eq!(finding.path.len(), 8);
    }
}

#[test]
fn a_namespace_that_is_gone_has_no_ways() {
    let mut lab = nested(1500, 1450, 1450);
    lab.netns(1).gone = true;
    assert_eq!(brief(&check(&lab)), [""; 0]);
}
