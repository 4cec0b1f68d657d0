//! Rules of nftables.

use crate::core::firewall::table::RuleBody;
use crate::core::firewall::tests::*;

macro_rules! fixture {
    ($name:literal) => {
        nft(include_str!(concat!("../fixtures/", $name, ".json")))
    };
}

#[test]
fn a_rule_against_the_message_is_found_at_its_hook_only() {
    for (firewall, hook, handle) in [
        (fixture!("drop_output"), NetfilterHook::Output, 2),
        (fixture!("drop_input"), NetfilterHook::Input, 2),
        (fixture!("drop_forward"), NetfilterHook::Forward, 2),
    ] {
        let blocking = dropped(firewall.fate(&message(hook)));
        let chain = hook.name().to_lowercase();
        assert_eq!(
            blocking,
            Blocking {
                rule: "icmp type destination-unreachable icmp code frag-needed counter drop".into(),
                place: format!("table inet filter, chain {chain}"),
                commands: vec![format!(
                    "nft insert rule inet filter {chain} position {handle} icmp type \
                     destination-unreachable icmp code frag-needed accept"
                )],
            }
        );
        let blocking = dropped(firewall.fate(&message_v6(hook)));
        assert_eq!(blocking.rule, "icmpv6 type packet-too-big counter drop");
        assert_eq!(
            blocking.commands,
            [format!(
                "nft insert rule inet filter {chain} position 3 icmpv6 type packet-too-big accept"
            )]
        );
        for other in [
            NetfilterHook::Input,
            NetfilterHook::Output,
            NetfilterHook::Forward,
            NetfilterHook::Prerouting,
        ] {
            if other != hook {
                assert_eq!(firewall.fate(&message(other)), Fate::Passes);
            }
        }
        let opening = QueriedPacket {
            hook,
            ..syn("eth1")
        };
        assert_eq!(firewall.fate(&opening), Fate::Passes);
    }
}

#[test]
fn what_drops_more_than_the_message_drops_it_too() {
    let both = [
        message(NetfilterHook::Input),
        message_v6(NetfilterHook::Input),
    ];
    for firewall in [
        fixture!("not_echo"),
        fixture!("l4proto"),
        fixture!("ip_protocol"),
    ] {
        for packet in &both {
            dropped(firewall.fate(packet));
        }
        let opening = QueriedPacket {
            hook: NetfilterHook::Input,
            ..syn("eth1")
        };
        assert_eq!(firewall.fate(&opening), Fate::Passes);
    }
}

#[test]
fn the_message_is_related_to_its_connection() {
    for packet in [
        message(NetfilterHook::Input),
        message_v6(NetfilterHook::Input),
    ] {
        for firewall in [
            fixture!("related"),
            fixture!("invalid"),
            fixture!("vmap"),
            fixture!("vmap_named"),
        ] {
            assert_eq!(firewall.fate(&packet), Fate::Passes);
        }
        for firewall in [fixture!("established"), fixture!("vmap_without")] {
            let blocking = dropped(firewall.fate(&packet));
            assert_eq!(blocking.rule, "policy drop");
            let what = if packet.source.is_ipv4() {
                "icmp type destination-unreachable icmp code frag-needed"
            } else {
                "icmpv6 type packet-too-big"
            };
            assert_eq!(
                blocking.commands,
                [format!("nft insert rule inet filter input {what} accept")]
            );
        }
    }
    let opening = QueriedPacket {
        hook: NetfilterHook::Input,
        ..syn("eth1")
    };
    dropped(fixture!("related").fate(&opening));
}

#[test]
fn without_tracking_the_state_is_not_known() {
    let firewall = fixture!("notrack");
    assert_eq!(
        unknown(firewall.fate(&message(NetfilterHook::Input))),
        "ct state related accept"
    );
}

#[test]
fn named_sets_are_looked_into() {
    let among = |destination: [u8; 4]| QueriedPacket {
        destination: destination.into(),
        ..message(NetfilterHook::Input)
    };
    let firewall = fixture!("set_hit");
    dropped(firewall.fate(&among([10, 9, 1, 1])));
    dropped(firewall.fate(&among([192, 0, 2, 1])));
    assert_eq!(firewall.fate(&among([192, 0, 2, 2])), Fate::Passes);
    assert_eq!(
        firewall.fate(&message_v6(NetfilterHook::Input)),
        Fate::Passes
    );
    assert_eq!(
        fixture!("set_miss").fate(&among([10, 9, 1, 1])),
        Fate::Passes
    );
}

#[test]
fn chains_return_and_go_on() {
    // `jump`: related ones return and are accepted by the next rule.
    assert_eq!(
        fixture!("return").fate(&message(NetfilterHook::Input)),
        Fate::Passes
    );
    // `goto`: the rule after it is never reached, the policy decides.
    let blocking = dropped(fixture!("goto").fate(&message(NetfilterHook::Input)));
    assert_eq!(blocking.rule, "policy drop");
}

#[test]
fn what_depends_on_the_unknown_is_unknown() {
    let packet = message(NetfilterHook::Input);
    let why = |firewall: Firewall| unknown(firewall.fate(&packet));
    assert_eq!(why(fixture!("unknown_drop")), "meta mark 1 drop");
    assert_eq!(why(fixture!("unknown_accept")), "meta mark 1 accept");
    assert!(why(fixture!("limit")).contains("accept"));
    // It may return from the chain that drops everything else.
    assert_eq!(
        why(fixture!("unknown_return")),
        "ip daddr 10.0.0.0/8 meta mark 1 return"
    );
}

#[test]
fn what_does_not_depend_on_the_unknown_is_certain() {
    // Dropped by the rule or by the policy.
    dropped(fixture!("unknown_late").fate(&message(NetfilterHook::Input)));
    let elsewhere = QueriedPacket {
        destination: [192, 0, 2, 7].into(),
        ..message(NetfilterHook::Input)
    };
    let blocking = dropped(fixture!("unknown_return").fate(&elsewhere));
    assert_eq!(blocking.place, "table inet filter, chain strict");
}

#[test]
fn devices_are_compared_by_name_and_prefix() {
    let firewall = fixture!("devices");
    let from = |device: Option<&str>| QueriedPacket {
        iif: device.map(str::to_owned),
        ..message(NetfilterHook::Input)
    };
    dropped(firewall.fate(&from(Some("eth7"))));
    assert_eq!(firewall.fate(&from(Some("veth0"))), Fate::Passes);
    unknown(firewall.fate(&from(None)));
}

#[test]
fn one_table_accepting_does_not_save_from_another() {
    let blocking = dropped(fixture!("two_tables").fate(&message(NetfilterHook::Input)));
    assert_eq!(blocking.place, "table ip b, chain input");
    assert_eq!(
        fixture!("two_tables").fate(&message_v6(NetfilterHook::Input)),
        Fate::Passes
    );
}

#[test]
fn clamps_are_found() {
    let firewall = fixture!("clamp");
    let to_path = firewall.clamp(&syn("ppp0")).expect("a clamp");
    assert_eq!(to_path.mss, None);
    assert!(to_path.rule.ends_with("set rt mtu"), "{}", to_path.rule);
    // The one for a mark is not sure.
    let fixed = firewall.clamp(&syn("eth1")).expect("a clamp");
    assert_eq!(fixed.mss, Some(1400));
    // A SYN over IPv6 announces less than that rule asks for.
    let v6 = QueriedPacket {
        kind: Kind::Syn,
        ..message_v6(NetfilterHook::Forward)
    };
    assert_eq!(firewall.clamp(&v6), None);
    assert_eq!(firewall.clamp(&message(NetfilterHook::Forward)), None);
    let at_input = QueriedPacket {
        hook: NetfilterHook::Input,
        ..syn("ppp0")
    };
    assert_eq!(firewall.clamp(&at_input), None);
}

/// Every rule by itself, in a chain that accepts: what it does to the message.
#[test]
fn each_of_many_kinds_of_rules_is_judged() {
    let text = include_str!("../fixtures/everything.json");
    let all: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let mut judged = String::new();
    for rule in all["nftables"].as_array().expect("a list") {
        let Some(rule) = rule.get("rule").filter(|rule| rule["chain"] == "input") else {
            continue;
        };
        let others = all["nftables"].as_array().expect("a list").iter();
        let mut alone: Vec<serde_json::Value> = others
            .filter(|object| {
                object
                    .get("rule")
                    .is_none_or(|rule| rule["chain"] == "other")
            })
            .cloned()
            .collect();
        alone.push(serde_json::json!({ "rule": rule }));
        let mut firewall = nft(&serde_json::json!({ "nftables": alone }).to_string());
        let mut outcome = |drops: bool| {
            for table in &mut firewall.tables {
                for chain in table.chains.values_mut() {
                    chain.base.iter_mut().for_each(|base| base.drops = drops);
                }
            }
            let short = |packet| match firewall.fate(&packet) {
                Fate::Passes => "pass",
                Fate::Dropped(_) => "drop",
                Fate::Unknown(_) => "?",
            };
            let opening = QueriedPacket {
                hook: NetfilterHook::Input,
                ..syn("eth1")
            };
            [
                short(message(NetfilterHook::Input)),
                short(message_v6(NetfilterHook::Input)),
                short(opening),
            ]
        };
        let verdict = |left, right| match (left, right) {
            ("pass", "drop") => "-",
            ("drop", "drop") => "drop",
            ("pass", "pass") => "accept",
            _ => "?",
        };
        let (accepting, dropping) = (outcome(false), outcome(true));
        let verdicts: Vec<&str> = (0..3)
            .map(|at| verdict(accepting[at], dropping[at]))
            .collect();
        let RuleBody::Nft {
            statements,
            comment,
        } = &firewall.tables[0].chains["input"].rules[0].body
        else {
            panic!("not of nftables");
        };
        let text = nft::text::rule_text(statements, comment.as_deref());
        judged.push_str(&format!("{:22} {text}\n", verdicts.join(" ")));
    }
    insta::assert_snapshot!(judged);
}

#[test]
fn chains_go_by_priority_and_maps_to_their_rest_last() {
    let firewall = fixture!("order");
    let clamp = firewall.clamp(&syn("eth1")).expect("a clamp");
    assert_eq!(clamp.mss, Some(1200));
    // Only what opens a connection meets the rules about translation.
    assert_eq!(
        firewall.fate(&message(NetfilterHook::Prerouting)),
        Fate::Passes
    );
    let opening = QueriedPacket {
        hook: NetfilterHook::Prerouting,
        ..syn("eth1")
    };
    dropped(firewall.fate(&opening));
    let to = |last: u8| {
        let packet = QueriedPacket {
            destination: [10, 0, 0, last].into(),
            ..message(NetfilterHook::Input)
        };
        firewall.fate(&packet)
    };
    assert_eq!(to(2), Fate::Passes);
    assert_eq!(dropped(to(3)).rule, "ip daddr 10.0.0.3 drop");
    assert!(dropped(to(4)).rule.contains("vmap"));
}
