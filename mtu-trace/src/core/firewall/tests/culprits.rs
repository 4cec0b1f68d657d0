//! Which rules can have dropped a packet that was seen.

use crate::core::firewall::seen::SeenPacket;
use crate::core::firewall::tests::*;

/// Data to a port, of a connection in this state.
fn data(hook: NetfilterHook, port: u16, ct_state: Option<u64>) -> QueriedPacket {
    QueriedPacket {
        kind: Kind::Seen(SeenPacket {
            protocol: 6,
            ports: Some((40_000, port)),
            tcp_flags: Some(0x18),
            icmp: None,
            ttl: Some(63),
            length_bytes: 1500,
            ct_state,
        }),
        ..message(hook)
    }
}

const INVALID: Option<u64> = Some(1);
const NEW: Option<u64> = Some(8);

#[test]
fn the_rule_of_nftables_that_drops_a_packet_is_found() {
    let firewall = nft(include_str!("../fixtures/culprits.json"));
    let found = |port, state| firewall.culprits(&data(NetfilterHook::Forward, port, state));
    let rule =
        |handle: u32, text: &str| format!("table inet f, chain forw, handle {handle}: {text}");
    let by_chance = rule(6, "tcp dport 8080 numgen random mod 10 0 counter drop");
    // What is invalid is dropped before all others; a state that is not known may be.
    assert_eq!(found(8080, INVALID), [rule(5, "ct state invalid drop")]);
    assert_eq!(found(8080, NEW), std::slice::from_ref(&by_chance));
    assert_eq!(
        found(8080, None),
        [rule(5, "ct state invalid drop"), by_chance]
    );
    assert_eq!(found(8082, NEW), [rule(8, "tcp dport @blocked drop")]);
    // What a mark decides is not known; the policy is the other way to end.
    let policy = "table inet f, chain forw: policy drop".to_owned();
    assert_eq!(found(9000, NEW), std::slice::from_ref(&policy));
    assert_eq!(
        found(22, NEW),
        [rule(10, "tcp dport 22 meta mark 7 drop"), policy]
    );
    // In a chain that long packets are sent to.
    assert_eq!(
        found(8443, NEW),
        [
            "table inet f, chain long, handle 12: tcp dport 8443 reject with icmpx type port-unreachable"
        ]
    );
    // Nothing drops these.
    assert_eq!(found(80, NEW), [""; 0]);
}

#[test]
fn rules_that_see_frames_are_asked_at_their_hooks() {
    let firewall = nft(include_str!("../fixtures/culprits.json"));
    let at = |hook, iif: &str, oif: &str| {
        firewall.culprits(&QueriedPacket {
            iif: Some(iif.to_owned()),
            oif: Some(oif.to_owned()),
            ..data(hook, 8080, INVALID)
        })
    };
    let bridge = "table bridge b, chain forw, handle 2: iifname p1 oifname p2 tcp dport 8080 drop";
    assert_eq!(at(NetfilterHook::BridgeForward, "p1", "p2"), [bridge]);
    assert_eq!(at(NetfilterHook::BridgeForward, "p3", "p2"), [""; 0]);
    assert_eq!(at(NetfilterHook::BridgePrerouting, "p1", "p2"), [""; 0]);
    let device = "table netdev n, chain inn, handle 2: tcp dport 8080 drop";
    assert_eq!(at(NetfilterHook::Ingress, "lo", ""), [device]);
    assert_eq!(at(NetfilterHook::Egress, "", "lo"), [""; 0]);
}

#[test]
fn the_rule_of_iptables_that_drops_a_packet_is_found() {
    let firewall = saved(include_str!("../fixtures/culprits.rules"), false);
    let found = |port, state| firewall.culprits(&data(NetfilterHook::Forward, port, state));
    let rule = |number: u32, text: &str| {
        format!("iptables filter FORWARD, rule {number}: -A FORWARD {text}")
    };
    assert_eq!(found(8080, NEW), [""; 0]);
    let ports = rule(2, "-p tcp -m multiport --dports 8081,8090:8092 -j DROP");
    assert_eq!(found(8081, NEW), std::slice::from_ref(&ports));
    assert_eq!(found(8091, INVALID), [ports]);
    let invalid = rule(4, "-m conntrack --ctstate INVALID -j DROP");
    assert_eq!(found(443, INVALID), [invalid]);
    let policy = "iptables filter FORWARD: -P FORWARD DROP".to_owned();
    assert_eq!(found(443, NEW), std::slice::from_ref(&policy));
    let by_chance = rule(
        3,
        "-p tcp -m tcp --dport 8443 -m statistic --mode random --probability 0.10000000009 -j DROP",
    );
    assert_eq!(found(8443, NEW), [by_chance, policy]);
}

#[test]
fn without_all_rules_none_is_blamed() {
    let mut firewall = nft(include_str!("../fixtures/culprits.json"));
    firewall
        .unread
        .push("the rules of iptables-legacy could not be read".to_owned());
    assert_eq!(
        firewall.culprits(&data(NetfilterHook::Forward, 8082, NEW)),
        [""; 0]
    );
}
