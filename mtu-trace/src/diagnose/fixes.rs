//! What to do about it: the knobs of what is really there, best first.

use super::{
    boundary::name,
    finding::{Fix, NetnsRef, Pmtud, Verdict},
    local::Local,
};
use crate::{
    correlate::{End, Site, SiteKind},
    topology::{NetnsId, Topology},
};

/// What there is to know for a fix.
pub struct Ailment<'a> {
    /// What it is.
    pub verdict: Verdict,
    /// The user's own end.
    pub local: &'a Local<'a>,
    /// The end that sends too-big packets, if it is on this host.
    pub other_end: Option<&'a End>,
    /// Where packets die.
    pub site: Option<&'a Site>,
    /// What became of the message to the sender.
    pub pmtud: Option<&'a Pmtud>,
    /// The network.
    pub topology: &'a Topology,
}

/// Fixes for an ailment, best first.
pub fn fixes(ailment: &Ailment<'_>) -> Vec<Fix> {
    let Some(site) = ailment.site else {
        return Vec::new();
    };
    match ailment.verdict {
        Verdict::MtuBlackHole | Verdict::PmtudSlow => [
            lower_local_mtu(ailment, site),
            unblock(ailment),
            clamp(ailment, site),
            align(ailment, site),
            probing(ailment),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Verdict::PmtudWorking => lower_local_mtu(ailment, site).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The user's end announces a segment size that fits its own interface: with a smaller MTU there,
/// the peer sends smaller segments too (RFC 9293, section 3.7.1).
fn lower_local_mtu(ailment: &Ailment<'_>, site: &Site) -> Option<Fix> {
    let end = ailment.local.end?;
    let netns = end.socket.flow.netns;
    let (_, link) = ailment.topology.owner(netns, end.socket.flow.source.ip())?;
    let limit = site.limit_bytes;
    if link.mtu_bytes <= limit {
        return None;
    }
    let place = NetnsRef::new(netns, ailment.topology);
    let mut commands = Vec::new();
    if let Some(enter) = enter(netns, ailment.topology) {
        commands.push(format!(
            "{enter} ip link set dev {} mtu {limit}",
            quote(&link.name)
        ));
    }
    let lasting = match &place.container {
        Some(container) if container.pod.is_some() => format!(
            "To make it last, set the MTU of the cluster's network plugin (CNI) to {limit} and \
             start the pods anew."
        ),
        Some(_) => format!(
            "To make it last, start the engine that runs this container with `--mtu {limit}` \
             (\"mtu\": {limit} in its daemon.json; `mtu: {limit}` of Drone's docker plugin; \
             `command: [\"--mtu={limit}\"]` of a docker:dind service), and create its own networks \
             with `-o com.docker.network.driver.mtu={limit}`."
        ),
        None => format!(
            "To make it last, set it where the interface is created; for Docker that is \
             `dockerd --mtu {limit}` and `-o com.docker.network.driver.mtu={limit}` for each \
             network of its own."
        ),
    };
    Some(Fix {
        title: format!(
            "Set the MTU of {} in {} to {limit}, it is {}",
            link.name,
            place.label(),
            link.mtu_bytes
        ),
        detail: format!(
            "Both ends then send packets that fit, because each announces its segment size when \
             the connection opens; connections open already stay stalled. {lasting} It helps UDP \
             and QUIC sent from there, not those sent to it."
        ),
        commands,
    })
}

/// Lets the message through where it was seen to be dropped.
fn unblock(ailment: &Ailment<'_>) -> Option<Fix> {
    let blocked = ailment.pmtud?.blocked_at.as_ref()?;
    let hook = blocked.hook?;
    let ipv6 = ailment.local.flow.source.is_ipv6();
    let message = if ipv6 {
        "ICMPv6 packet-too-big"
    } else {
        "ICMP fragmentation-needed"
    };
    let rule = if ipv6 {
        "icmpv6 type packet-too-big accept"
    } else {
        "icmp type destination-unreachable icmp code frag-needed accept"
    };
    let enter = enter_ref(&blocked.netns);
    let commands = enter
        .map(|enter| vec![format!("{enter} nft --handle list ruleset")])
        .unwrap_or_default();
    Some(Fix {
        title: format!(
            "Let {message} through the {hook} rules of {}",
            blocked.netns.label()
        ),
        detail: format!(
            "The rule that drops it is in the list the command prints; put `{rule}` before it \
             (with iptables: `-p {} -j ACCEPT`). The sender then learns the limit by itself, for \
             TCP, UDP and QUIC alike.",
            if ipv6 {
                "icmpv6 --icmpv6-type packet-too-big"
            } else {
                "icmp --icmp-type fragmentation-needed"
            }
        ),
        commands,
    })
}

/// Clamps the announced segment size at the router: for TCP, and for new connections.
fn clamp(ailment: &Ailment<'_>, site: &Site) -> Option<Fix> {
    if site.kind != SiteKind::Forward {
        return None;
    }
    let place = NetnsRef::new(site.key.netns, ailment.topology);
    let enter = enter(site.key.netns, ailment.topology)?;
    let table = "inet mtu_clamp";
    Some(Fix {
        title: format!(
            "Clamp the TCP segment size where {} forwards",
            place.label()
        ),
        detail: "The router lowers the segment size that both ends announce to what its own \
                 routes carry. It works although ICMP is filtered; it does not help UDP and QUIC, \
                 nor connections that are open already."
            .to_owned(),
        commands: vec![
            format!("{enter} nft add table {table}"),
            format!(
                "{enter} nft 'add chain {table} forward {{ type filter hook forward priority \
                 mangle; }}'"
            ),
            format!(
                "{enter} nft add rule {table} forward tcp flags syn tcp option maxseg size set rt \
                 mtu"
            ),
        ],
    })
}

/// Makes the two sides of a layer-2 hole the same.
fn align(ailment: &Ailment<'_>, site: &Site) -> Option<Fix> {
    let (device, netns) = match (site.kind, &site.peer) {
        (SiteKind::Veth, Some(peer)) => (peer, peer.netns),
        (SiteKind::Bridge, _) => (&site.egress, site.key.netns),
        _ => return None,
    };
    let place = NetnsRef::new(netns, ailment.topology);
    let raise = |netns: NetnsId, interface: &str| {
        let enter = enter(netns, ailment.topology)?;
        let interface = quote(interface);
        Some(format!(
            "{enter} ip link set dev {interface} mtu {}",
            site.packet_bytes
        ))
    };
    let mut commands: Vec<String> = raise(netns, &name(device, ailment.topology))
        .into_iter()
        .collect();
    // A veth's other end has the next say.
    let other_end = ailment
        .topology
        .link(netns, device.ifindex)
        .and_then(|link| link.peer)
        .and_then(|peer| Some((peer.netns?, peer.ifindex)));
    if let Some((netns, ifindex)) = other_end
        && let Some(link) = ailment.topology.link(netns, ifindex)
        && link.mtu_bytes < site.packet_bytes
    {
        commands.extend(raise(netns, &link.name));
    }
    Some(Fix {
        title: format!(
            "Or raise the MTU of {} in {} to {}",
            name(device, ailment.topology),
            place.label(),
            site.packet_bytes
        ),
        detail: format!(
            "The two sides of one layer-2 hop must agree, since nothing between them can tell a \
             sender. Only if everything behind {} carries {} bytes.",
            name(device, ailment.topology),
            site.packet_bytes
        ),
        commands,
    })
}

/// The stopgap on the sender.
fn probing(ailment: &Ailment<'_>) -> Option<Fix> {
    let sender = ailment.other_end?;
    let netns = sender.socket.flow.netns;
    let enter = enter(netns, ailment.topology)?;
    Some(Fix {
        title: format!(
            "As a stopgap, let {} probe for the path MTU",
            NetnsRef::new(netns, ailment.topology).label()
        ),
        detail: "The sender then tries smaller segments by itself, after several timeouts (RFC \
                 4821): each connection still loses some seconds. TCP only."
            .to_owned(),
        commands: vec![format!("{enter} sysctl -w net.ipv4.tcp_mtu_probing=1")],
    })
}

/// The command that runs another one in a namespace; none if there is no way to name it.
fn enter(netns: NetnsId, topology: &Topology) -> Option<String> {
    enter_ref(&NetnsRef::new(netns, topology))
}

fn enter_ref(netns: &NetnsRef) -> Option<String> {
    if let Some(name) = &netns.name {
        return Some(format!("ip netns exec {}", quote(name)));
    }
    if let Some(process) = &netns.process {
        return Some(format!("nsenter --target {} --net", process.pid));
    }
    netns.init.then(|| "nsenter --target 1 --net".to_owned())
}

/// A word for a shell, quoted where it needs to be: names come from containers.
pub(crate) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn hostile_names_stay_one_word() {
        assert_eq!(quote("eth0"), "eth0");
        assert_eq!(quote("a b; rm -rf /"), "'a b; rm -rf /'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
