//! Tests on rules that real tools printed (`fixtures`: nft 1.0.6, iptables 1.8.9), and on real
//! namespaces.

pub(crate) mod culprits;
pub(crate) mod hostile;
pub(crate) mod iptables_rules;
pub(crate) mod nft_rules;
pub(crate) use crate::core::firewall::packet::{Kind, NetfilterHook, QueriedPacket};
pub(crate) use crate::core::firewall::{Blocking, Fate, Firewall, iptables, nft};

/// A message about a packet to 203.0.113.9 that was too big, from a router to 10.0.0.2.
pub(crate) fn message(hook: NetfilterHook) -> QueriedPacket {
    QueriedPacket {
        hook,
        kind: Kind::PacketTooBig,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        iif: Some("eth0".to_owned()),
        oif: Some("eth1".to_owned()),
    }
}

pub(crate) fn message_v6(hook: NetfilterHook) -> QueriedPacket {
    QueriedPacket {
        source: "2001:db8::1".parse().expect("an address"),
        destination: "2001:db8::2".parse().expect("an address"),
        ..message(hook)
    }
}

fn syn(oif: &str) -> QueriedPacket {
    QueriedPacket {
        kind: Kind::Syn,
        oif: Some(oif.to_owned()),
        ..message(NetfilterHook::Forward)
    }
}

pub(crate) fn nft(json: &str) -> Firewall {
    Firewall {
        tables: nft::parse(json.as_bytes()).expect("a ruleset"),
        ..Firewall::default()
    }
}

pub(crate) fn saved(text: &str, v6: bool) -> Firewall {
    let family = if v6 { "ip6" } else { "ip" };
    Firewall {
        tables: iptables::parse(text, &format!("{family}tables"), family).tables,
        ..Firewall::default()
    }
}

pub(crate) fn dropped(fate: Fate) -> Blocking {
    match fate {
        Fate::Dropped(blocking) => blocking,
        other => panic!("not dropped: {other:?}"),
    }
}

fn unknown(fate: Fate) -> String {
    match fate {
        Fate::Unknown(why) => why,
        other => panic!("not unknown: {other:?}"),
    }
}

#[test]
fn nothing_at_all_blocks_nothing() {
    assert_eq!(
        Firewall::default().fate(&message(NetfilterHook::Input)),
        Fate::Passes
    );
    assert_eq!(Firewall::default().clamp(&syn("ppp0")), None);
}

#[test]
fn rules_that_could_not_be_read_may_do_anything() {
    let firewall = Firewall {
        unread: vec!["nft is not installed".to_owned()],
        ..Firewall::default()
    };
    assert_eq!(
        unknown(firewall.fate(&message(NetfilterHook::Input))),
        "nft is not installed"
    );
}
