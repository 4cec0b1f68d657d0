//! Rules of iptables.

use crate::core::firewall::tests::*;

#[test]
fn a_rule_against_the_message_is_found() {
    let firewall = saved(include_str!("../fixtures/basic.rules"), false);
    let blocking = dropped(firewall.fate(&message(NetfilterHook::Input)));
    assert_eq!(
        blocking,
        Blocking {
            rule: "-A INPUT -p icmp -m icmp --icmp-type 3/4 -j DROP".to_owned(),
            place: "iptables filter INPUT".to_owned(),
            commands: vec![
                "iptables -I INPUT 1 -p icmp --icmp-type fragmentation-needed -j ACCEPT".to_owned()
            ],
        }
    );
    assert_eq!(
        firewall.fate(&message_v6(NetfilterHook::Input)),
        Fate::Passes
    );
    assert_eq!(
        firewall.fate(&message(NetfilterHook::Forward)),
        Fate::Passes
    );
}

#[test]
fn dockers_rules_let_the_message_pass() {
    let firewall = saved(include_str!("../fixtures/docker.rules"), false);
    let through = |iif: &str, oif: &str| QueriedPacket {
        iif: Some(iif.to_owned()),
        oif: Some(oif.to_owned()),
        ..message(NetfilterHook::Forward)
    };
    assert_eq!(firewall.fate(&through("eth0", "docker0")), Fate::Passes);
    assert_eq!(firewall.fate(&through("docker0", "eth0")), Fate::Passes);
    // Not docker's: its policy.
    let blocking = dropped(firewall.fate(&through("eth0", "eth1")));
    assert_eq!(blocking.rule, "-P FORWARD DROP");
    assert_eq!(
        blocking.commands,
        ["iptables -I FORWARD 1 -p icmp --icmp-type fragmentation-needed -j ACCEPT"]
    );
}

#[test]
fn ufws_rules_let_the_message_pass_and_guard_the_rest() {
    for (text, v6) in [
        (include_str!("../fixtures/ufw_iptables.rules"), false),
        (include_str!("../fixtures/ufw_ip6tables.rules"), true),
    ] {
        let firewall = saved(text, v6);
        let packet = if v6 { message_v6 } else { message }(NetfilterHook::Input);
        assert_eq!(firewall.fate(&packet), Fate::Passes);
        // Whether a SYN gets as far as the port's rule depends on its address; then on its port.
        let opening = QueriedPacket {
            kind: Kind::Syn,
            ..packet
        };
        assert!(unknown(firewall.fate(&opening)).contains("--dport 22"));
        // Without the rule for the message, all ways end in a drop.
        let bare: String = text
            .lines()
            .filter(|line| !line.contains("icmp"))
            .map(|line| format!("{line}\n"))
            .collect();
        let packet = QueriedPacket {
            kind: Kind::PacketTooBig,
            ..opening
        };
        dropped(saved(&bare, v6).fate(&packet));
    }
}

#[test]
fn rejecting_is_dropping_and_negation_is_heeded() {
    let firewall = saved(include_str!("../fixtures/v6.rules"), true);
    let blocking = dropped(firewall.fate(&message_v6(NetfilterHook::Output)));
    assert_eq!(blocking.place, "ip6tables filter OUTPUT");
    assert_eq!(
        blocking.commands,
        ["ip6tables -I OUTPUT 1 -p ipv6-icmp --icmpv6-type packet-too-big -j ACCEPT"]
    );
    assert_eq!(
        firewall.fate(&message_v6(NetfilterHook::Input)),
        Fate::Passes
    );
    let foreign = QueriedPacket {
        source: "2001:dead::1".parse().expect("an address"),
        ..message_v6(NetfilterHook::Input)
    };
    dropped(firewall.fate(&foreign));
}

#[test]
fn clamps_are_found() {
    let firewall = saved(include_str!("../fixtures/basic.rules"), false);
    assert_eq!(
        firewall.clamp(&syn("ppp0")).map(|clamp| clamp.mss),
        Some(None)
    );
    assert_eq!(
        firewall.clamp(&syn("eth1")).map(|clamp| clamp.mss),
        Some(Some(1360))
    );
}

#[test]
fn a_table_that_the_tool_cannot_print_is_known() {
    let text = "# Table `nat' is incompatible, use 'nft' tool.\n*filter\n:INPUT ACCEPT\nCOMMIT\n";
    let saved = iptables::parse(text, "iptables", "ip");
    assert_eq!(saved.incompatible, ["nat"]);
    assert_eq!(saved.tables.len(), 1);
}

/// What single rules do to the message at INPUT.
#[test]
fn conditions_are_judged() {
    let fate = |rule: &str| {
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n");
        match saved(&text, false).fate(&message(NetfilterHook::Input)) {
            Fate::Passes => "pass",
            Fate::Dropped(_) => "drop",
            Fate::Unknown(_) => "?",
        }
    };
    for (rule, expected) in [
        ("-j DROP", "drop"),
        ("-p icmp -m icmp --icmp-type 3 -j DROP", "drop"),
        ("-p icmp -m icmp --icmp-type any -j DROP", "drop"),
        ("-p icmp -m icmp ! --icmp-type 8 -j DROP", "drop"),
        ("-p icmp -m icmp --icmp-type 3/1 -j DROP", "pass"),
        ("-p icmp -m icmp --icmp-type 8 -j DROP", "pass"),
        ("! -p tcp -j DROP", "drop"),
        ("! -p icmp -j DROP", "pass"),
        ("-p tcp -m tcp --dport 22 -j DROP", "pass"),
        ("-p tcp -m multiport --dports 22,80 -j DROP", "pass"),
        ("-f -j DROP", "pass"),
        ("! -f -j DROP", "drop"),
        ("-s 10.0.0.0/8 -j DROP", "drop"),
        ("! -s 10.0.0.0/8 -j DROP", "pass"),
        ("-s 10.7.0.0/255.0.255.0 -j DROP", "drop"),
        ("-s 0.0.0.0/0 -d 10.0.0.2/32 -j DROP", "drop"),
        ("-i eth+ -j DROP", "drop"),
        ("-i eth1 -j DROP", "pass"),
        ("! -i eth0 -j DROP", "pass"),
        ("-m state --state RELATED -j DROP", "drop"),
        (
            "-m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP",
            "pass",
        ),
        ("-m conntrack --ctstate DNAT -j DROP", "?"),
        ("-m mark --mark 0x1 -j DROP", "?"),
        ("-m addrtype --dst-type LOCAL -j DROP", "?"),
        ("-m addrtype --dst-type LOCAL -p udp -j DROP", "pass"),
        ("-m socket -j DROP", "?"),
        ("-m comment --comment \"-j ACCEPT\" -j DROP", "drop"),
        ("-m comment --comment -x -j DROP", "drop"),
        ("-j LOG --log-prefix \"-j DROP\"", "pass"),
        ("-p icmp -j NFQUEUE --queue-num 1", "?"),
        ("-p icmp -j SOMETHING", "?"),
        ("-p vrrp -j DROP", "pass"),
        ("-p icmp", "pass"),
    ] {
        assert_eq!(fate(rule), expected, "{rule}");
    }
}

#[test]
fn clamps_that_may_not_be_reached_do_not_count() {
    let clamp = |rules: &str| {
        let text = format!("*mangle\n:FORWARD ACCEPT\n:sub -\n{rules}\n");
        saved(&text, false).clamp(&syn("ppp0")).is_some()
    };
    let set = "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu";
    assert!(clamp(&format!("-A FORWARD -j sub\n-A sub {set}")));
    assert!(clamp(&format!(
        "-A FORWARD -m mark --mark 1 -j DROP\n-A FORWARD {set}"
    )));
    for rules in [
        format!("-A FORWARD -m mark --mark 1 -j sub\n-A sub {set}"),
        format!("-A FORWARD -m mark --mark 1 -j ACCEPT\n-A FORWARD {set}"),
        format!("-A FORWARD -j sub\n-A sub -m mark --mark 1 -j RETURN\n-A sub {set}"),
        format!("-A FORWARD -j ACCEPT\n-A FORWARD {set}"),
    ] {
        assert!(!clamp(&rules), "{rules}");
    }
}

#[test]
fn a_chain_gone_to_may_return_to_the_policy() {
    let fate = |policy: &str| {
        let text = format!(
            "*filter\n:INPUT {policy}\n:sub -\n-A INPUT -g sub\n-A sub -m mark --mark 1 -j \
             RETURN\n-A sub -j DROP\n"
        );
        saved(&text, false).fate(&message(NetfilterHook::Input))
    };
    assert!(unknown(fate("ACCEPT")).ends_with("-j RETURN"));
    dropped(fate("DROP"));
}

#[test]
fn messages_are_not_translated() {
    let firewall = saved("*nat\n:INPUT ACCEPT\n-A INPUT -j DROP\n", false);
    assert_eq!(firewall.fate(&message(NetfilterHook::Input)), Fate::Passes);
    let opening = QueriedPacket {
        hook: NetfilterHook::Input,
        ..syn("eth1")
    };
    dropped(firewall.fate(&opening));
}
