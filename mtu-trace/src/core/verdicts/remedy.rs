//! What can be done about a place that is too narrow: the knobs of what is really there, with the
//! commands that turn them.

use std::net::IpAddr;

use crate::base::text::quote;
use crate::core::verdicts::drop_reason::Knob;
use crate::model::finding::{BlockedAt, Fix, ReportedDrop};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{Link, NetnsId, Topology};

/// Lowers the MTU of an end: it then announces a segment size that fits, and its peer sends smaller
/// segments too (RFC 9293, section 3.7.1). `None` if its MTU is no larger already.
pub fn lower_mtu(topology: &Topology, netns: NetnsId, ifindex: u32, limit: u32) -> Option<Fix> {
    let link = topology.link(netns, ifindex)?;
    let (name, given) = (&link.name, link.mtu_bytes);
    if given <= limit {
        return None;
    }
    let place = NetnsRef::new(netns, topology);
    let label = place.label();
    if place.planned.is_some() {
        return Some(tell_engine(&label, given, limit));
    }
    let lasting = match &place.container {
        Some(container) if container.pod.is_some() => format!(
            "To make it last, set the MTU of the cluster's network plugin (CNI) to {limit} and \
             start the pods anew."
        ),
        Some(_) => format!(
            "To make it last, start the engine that runs this container {}.",
            engine_options(limit)
        ),
        None => format!(
            "To make it last, set it where the interface is created; for Docker that is \
             `dockerd --mtu {limit}` and `-o com.docker.network.driver.mtu={limit}` for each \
             network of its own."
        ),
    };
    Some(Fix {
        title: format!("Set the MTU of {name} in {label} to {limit}, it is {given}"),
        detail: format!(
            "Both ends then send packets that fit, because each announces its segment size when \
             the connection opens; connections open already stay stalled. {lasting} It helps UDP \
             and QUIC sent from there, not those sent to it."
        ),
        commands: set_mtu(&place, link, limit).into_iter().collect(),
    })
}

/// The same where the end is not there yet: it is for its engine to make it so.
fn tell_engine(planned: &str, given: u32, limit: u32) -> Fix {
    Fix {
        title: format!("Set the MTU of {planned} to {limit}, it would be {given}"),
        detail: format!(
            "Start its engine {}. Both ends then send packets that fit, because each announces its \
             segment size when the connection opens. It helps UDP and QUIC sent from there, not \
             those sent to it.",
            engine_options(limit)
        ),
        commands: Vec::new(),
    }
}

/// How an engine is told the MTU of what it starts, wherever it is set.
fn engine_options(limit: u32) -> String {
    format!(
        "with `--mtu {limit}` (\"mtu\": {limit} in its daemon.json; `mtu: {limit}` of Drone's docker \
         plugin; `command: [\"--mtu={limit}\"]` of a docker:dind service), and create its own \
         networks with `-o com.docker.network.driver.mtu={limit}`"
    )
}

/// The message that a packet is too big, in the words of people and of packet filters.
#[derive(Clone, Copy, Debug)]
pub struct TooBig {
    name: &'static str,
    nft: &'static str,
    iptables: &'static str,
}

/// The message about IPv4 packets (RFC 792).
pub const FRAG_NEEDED: TooBig = TooBig {
    name: "ICMP fragmentation-needed",
    nft: "icmp type destination-unreachable icmp code frag-needed accept",
    iptables: "icmp --icmp-type fragmentation-needed",
};
/// The message about IPv6 packets (RFC 4443).
pub const PACKET_TOO_BIG: TooBig = TooBig {
    name: "ICMPv6 packet-too-big",
    nft: "icmpv6 type packet-too-big accept",
    iptables: "icmpv6 --icmpv6-type packet-too-big",
};

/// Lets the message through where it is dropped. `insert` are commands for inside that namespace
/// that do it; without them the rules are listed. `None` where no netfilter hook dropped it.
pub fn unblock(blocked: &BlockedAt, message: TooBig, insert: &[String]) -> Option<Fix> {
    let hook = blocked.hook?;
    let list = ["nft --handle list ruleset".to_owned()];
    let run = if insert.is_empty() { &list } else { insert };
    let (enter, place) = (enter(&blocked.netns), blocked.netns.label());
    let commands = run
        .iter()
        .filter_map(|run| Some(format!("{} {run}", enter.as_ref()?)));
    Some(Fix {
        title: format!("Let {} through the {hook} rules of {place}", message.name),
        detail: if insert.is_empty() {
            format!(
                "The rule that drops it is in the list the command prints; put `{}` before it \
                 (with iptables: `-p {} -j ACCEPT`). {LEARNS}",
                message.nft, message.iptables
            )
        } else {
            format!("The command puts a rule before the one that drops it. {LEARNS}")
        },
        commands: commands.collect(),
    })
}

/// Lets packets through that the rules of a netfilter hook drop. They may be meant to: what the rules are
/// is for the user to see.
pub fn accept(drop: &ReportedDrop, hook: &str) -> Option<Fix> {
    let place = drop.netns.label();
    let lists = ["nft --handle list ruleset", "iptables-save -c"];
    Some(Fix {
        title: format!("Let these packets through the {hook} rules of {place}, if they should pass"),
        detail: "The commands list the rules: put one that accepts these packets before the one that \
                 drops them. Where that is for packets of no known connection (`ct state invalid`), find \
                 out first why they are. UDP and QUIC are helped alike."
            .to_owned(),
        commands: lists
            .iter()
            .map(|run| Some(format!("{} {run}", enter(&drop.netns)?)))
            .collect::<Option<_>>()?,
    })
}

/// Turns the knob that decides on drops.
pub fn turn(drop: &ReportedDrop, knob: &Knob) -> Option<Fix> {
    let place = drop.netns.label();
    let device = match drop.interface.as_deref() {
        Some(device) => device,
        None if knob.is_of_device() => return None,
        None => "",
    };
    let told = |words: &str| words.replace("{place}", &place).replace("{device}", device);
    let quoted = quote(device);
    let commands = knob.commands.iter();
    Some(Fix {
        title: told(knob.title),
        detail: told(knob.detail),
        commands: commands
            .filter_map(|run| {
                let run = run.replace("{device}", &quoted);
                Some(format!("{} {run}", enter(&drop.netns)?))
            })
            .collect(),
    })
}

/// Clamps the announced segment size at the router: for TCP, and for new connections.
pub fn clamp(topology: &Topology, netns: NetnsId) -> Option<Fix> {
    let place = NetnsRef::new(netns, topology);
    let (enter, place) = (enter(&place)?, place.label());
    let table = "inet mtu_clamp";
    Some(Fix {
        title: format!("Clamp the TCP segment size where {place} forwards"),
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

/// Makes the two sides of a layer-2 hole the same: raises a device, and the other end of a veth that
/// has the next say, to `bytes`.
pub fn raise_mtu(topology: &Topology, netns: NetnsId, ifindex: u32, bytes: u32) -> Option<Fix> {
    let link = topology.link(netns, ifindex)?;
    let place = NetnsRef::new(netns, topology);
    let (name, label) = (&link.name, place.label());
    let mut commands: Vec<String> = set_mtu(&place, link, bytes).into_iter().collect();
    if let Some(peer) = link.peer
        && let Some(netns) = peer.netns
        && let Some(other_end) = topology.link(netns, peer.ifindex)
        && other_end.mtu_bytes < bytes
    {
        commands.extend(set_mtu(&NetnsRef::new(netns, topology), other_end, bytes));
    }
    Some(Fix {
        title: format!("Or raise the MTU of {name} in {label} to {bytes}"),
        detail: format!(
            "The two sides of one layer-2 hop must agree, since nothing between them can tell a \
             sender. Only if everything behind {name} carries {bytes} bytes."
        ),
        commands,
    })
}

/// Lowers the MTU of a tunnel to what the link below carries. `None` if it is no larger already.
pub fn fit_tunnel(topology: &Topology, netns: NetnsId, ifindex: u32, fits: u32) -> Option<Fix> {
    let link = topology.link(netns, ifindex)?;
    let overhead = link.tunnel.as_ref()?.overhead_bytes;
    let (name, given) = (&link.name, link.mtu_bytes);
    if given <= fits {
        return None;
    }
    let place = NetnsRef::new(netns, topology);
    let label = place.label();
    Some(Fix {
        title: format!("Set the MTU of the tunnel {name} in {label} to {fits}, it is {given}"),
        detail: format!(
            "It adds {overhead} bytes to every packet. Bridges it is a port of, and the interfaces \
             of the containers behind it at both ends, need the same {fits}: set it in the overlay \
             network's own settings (the CNI's MTU, or `-o com.docker.network.driver.mtu={fits}`)."
        ),
        commands: set_mtu(&place, link, fits).into_iter().collect(),
    })
}

/// The stopgap on the sender: it looks for a size that passes (RFC 4821). `None` if it does already.
pub fn probing(topology: &Topology, netns: NetnsId) -> Option<Fix> {
    let inside = topology.namespaces.get(&netns)?.inside.as_ref();
    let set = inside.and_then(|inside| inside.sysctls.tcp_mtu_probing);
    if set.is_some_and(|set| set > 0) {
        return None;
    }
    let sender = NetnsRef::new(netns, topology);
    let (enter, sender) = (enter(&sender)?, sender.label());
    Some(Fix {
        title: format!("As a stopgap, let {sender} probe for the path MTU"),
        detail: "The sender then tries smaller segments by itself, after several timeouts (RFC \
                 4821): each connection still loses some seconds. TCP only."
            .to_owned(),
        commands: vec![format!("{enter} sysctl -w net.ipv4.tcp_mtu_probing=1")],
    })
}

/// Finds out what the way to a peer carries, from a namespace.
pub fn measure(topology: &Topology, netns: NetnsId, peer: IpAddr) -> Option<Fix> {
    let place = NetnsRef::new(netns, topology);
    let (enter, place) = (enter(&place)?, place.label());
    // Bytes of the IP and the ICMP header.
    let headers = if peer.is_ipv6() { 48 } else { 28 };
    Some(Fix {
        title: format!("Measure what the way from {place} to {peer} carries"),
        detail: format!(
            "If 1400 bytes come back and 1500 do not, a link beyond this host has a smaller MTU and \
             does not say so: lower the MTU of the interface in {place} to what passes. Some hosts \
             do not answer pings at all."
        ),
        commands: [1500, 1400]
            .map(|bytes| format!("{enter} ping -c 3 -M do -s {} {peer}", bytes - headers))
            .to_vec(),
    })
}

const LEARNS: &str = "The sender then learns the limit by itself, for TCP, UDP and QUIC alike.";

/// The command that sets the MTU of a link; `None` if there is no way to name its namespace.
fn set_mtu(place: &NetnsRef, link: &Link, bytes: u32) -> Option<String> {
    let (enter, interface) = (enter(place)?, quote(&link.name));
    Some(format!("{enter} ip link set dev {interface} mtu {bytes}"))
}

/// The command that runs another one in a namespace; none if there is no way to name it.
pub(crate) fn enter(netns: &NetnsRef) -> Option<String> {
    if let Some(name) = &netns.name {
        return Some(format!("ip netns exec {}", quote(name)));
    }
    if let Some(process) = &netns.process {
        return Some(format!("nsenter --target {} --net", process.pid));
    }
    netns.init.then(|| "nsenter --target 1 --net".to_owned())
}
