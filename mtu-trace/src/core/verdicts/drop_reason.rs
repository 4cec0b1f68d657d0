//! Why the kernel drops packets, other than for their size, in words: one row for each reason that a
//! user meets, with the knob that decides on it. What has no row is said as the kernel names it.

use crate::core::track::OtherKey;
use crate::model::event::NO_REASON;

/// What is known of a reason for which the kernel drops packets. `{device}` in any of the words stands
/// for the device at which it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DropReason {
    /// The kernel's names for it, without `SKB_DROP_REASON_`.
    names: &'static [&'static str],
    /// The functions that drop for nothing else, where the kernel gives no reason.
    functions: &'static [&'static str],
    /// What it is, after "packets were dropped".
    pub(crate) words: &'static str,
    /// What decides on it; `None` where there is no knob.
    pub(crate) knob: Option<Knob>,
}

/// A setting that decides on drops. `{device}` stands for the device, in commands as a word of the
/// shell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Knob {
    /// What to do, in a few words; `{place}` stands for the namespace.
    pub(crate) title: &'static str,
    /// Why that helps, and what it does not help.
    pub(crate) detail: &'static str,
    /// Commands that are run inside of the namespace.
    pub(crate) commands: &'static [&'static str],
}

impl Knob {
    /// Whether it cannot be told of without the name of a device.
    pub(crate) fn is_of_device(&self) -> bool {
        let words = [self.title, self.detail].into_iter();
        let mut words = words.chain(self.commands.iter().copied());
        words.any(|words| words.contains("{device}"))
    }
}

impl DropReason {
    /// What is known of the drops at a place; `None` where the kernel has only a name for them.
    pub(crate) fn of(key: &OtherKey) -> Option<&'static Self> {
        match key.reason.as_deref().filter(|it| *it != NO_REASON) {
            Some(reason) => Self::named(reason),
            None => REASONS
                .iter()
                .find(|row| row.functions.contains(&key.function.as_str())),
        }
    }

    /// What is known of a reason by its name; `None` of one that explains no loss: it comes after one
    /// (segments received twice, queues of closed sockets), or has no row.
    pub(crate) fn named(reason: &str) -> Option<&'static Self> {
        REASONS.iter().find(|row| row.names.contains(&reason))
    }
}

const fn row(names: &'static [&'static str], words: &'static str) -> DropReason {
    DropReason {
        names,
        functions: &[],
        words,
        knob: None,
    }
}

impl DropReason {
    const fn by(self, functions: &'static [&'static str]) -> Self {
        Self { functions, ..self }
    }

    const fn knob(
        self,
        title: &'static str,
        detail: &'static str,
        commands: &'static [&'static str],
    ) -> Self {
        let knob = Knob {
            title,
            detail,
            commands,
        };
        Self {
            knob: Some(knob),
            ..self
        }
    }
}

/// Reasons that explain a loss (`enum skb_drop_reason`, include/net/dropreason-core.h).
const REASONS: &[DropReason] = &[
    row(&["NETFILTER_DROP"], "by netfilter"),
    row(
        &["IP_RPFILTER"],
        "by the reverse path filter (rp_filter) of {device}",
    )
    .knob(
        "Let {place} accept packets by {device} that it would answer by another device",
        "The route back to the source of these packets does not lead by {device}. Strict filtering (1) wants the way back to be the way in; loose filtering (2) wants any way \
         back. It is better still to route the answers back by {device}. The larger of the device's \
         setting and `all` counts.",
        &["sysctl -w net.ipv4.conf.{device}.rp_filter=2"],
    ),
    row(
        &["IP_LOCAL_SOURCE"],
        "as martians, with a source address of the receiver's own, on {device}",
    )
    .knob(
        "Let {place} accept its own addresses as sources on {device}",
        "Only where packets are meant to come back to the host that has sent them, as with some load \
         balancers. Otherwise two hosts have the same address.",
        &["sysctl -w net.ipv4.conf.{device}.accept_local=1"],
    ),
    row(
        &["IP_INVALID_SOURCE"],
        "as martians, with a source address that no packet may have, on {device}",
    ),
    row(
        &["IP_INVALID_DEST"],
        "as martians, with a destination address that no packet may have, on {device}",
    ),
    row(
        &["IP_LOCALNET"],
        "as martians, with a loopback address (127.0.0.0/8), on {device}",
    )
    .knob(
        "Let {place} route loopback addresses on {device}",
        "It exposes services that listen on 127.0.0.1 to that network.",
        &["sysctl -w net.ipv4.conf.{device}.route_localnet=1"],
    ),
    row(
        &["TCP_CSUM"],
        "for a wrong TCP checksum",
    )
    .knob(
        "Let the sender compute its checksums, where {device} hands packets on without",
        "A checksum that was left to hardware that does not compute it arrives wrong: virtual devices \
         and tunnels do that, and so do programs that rewrite packets. To be set on the device that \
         sends; if the packets come from another host, they were damaged on the way.",
        &["ethtool -K {device} tx off"],
    ),
    row(&["IP_CSUM"], "for a wrong IP header checksum"),
    row(&["UDP_CSUM", "SKB_CSUM"], "for a wrong checksum"),
    row(
        &["NEIGH_FAILED"],
        "because the next hop on {device} does not answer (ARP, neighbour discovery)",
    )
    .by(&["neigh_invalidate", "arp_error_report", "ndisc_error_report"])
    .knob(
        "See why the next hop does not answer on {device}",
        "It is down, has another address, or is not on that network. An entry in state FAILED or \
         INCOMPLETE names it.",
        &["ip neigh show dev {device}"],
    ),
    row(
        &["NEIGH_QUEUEFULL"],
        "because too many wait for the next hop on {device} to answer (ARP, neighbour discovery)",
    )
    .by(&["__neigh_event_send"])
    .knob(
        "See why the next hop is slow to answer on {device}",
        "Packets wait for its address, up to `unres_qlen_bytes`; more of them are dropped.",
        &[
            "ip neigh show dev {device}",
            "sysctl net.ipv4.neigh.{device}.unres_qlen_bytes",
        ],
    ),
    row(
        &["NEIGH_DEAD", "NEIGH_HH_FILLFAIL"],
        "because the entry for the next hop on {device} was just being removed",
    ),
    row(
        &["NEIGH_CREATEFAIL"],
        "because the neighbour table is full",
    )
    .knob(
        "Make room in the neighbour table of {place}",
        "The setting is for the whole host.",
        &["sysctl -w net.ipv4.neigh.default.gc_thresh3=8192"],
    ),
    row(
        &[
            "QDISC_DROP",
            "QDISC_OVERLIMIT",
            "QDISC_CONGESTED",
            "FQ_FLOW_LIMIT",
            "FQ_BAND_LIMIT",
            "FQ_HORIZON_LIMIT",
            "CAKE_FLOOD",
            "DUALPI2_STEP_DROP",
        ],
        "by the queue (qdisc) of {device}",
    )
    .knob(
        "Give the queue of {device} more room or rate, or one that slows senders down early",
        "A few drops there are what a shaper is for. The first command shows its kind, limits and \
         drops; if nobody meant to shape, `fq_codel` is a good queue.",
        &["tc -s qdisc show dev {device}"],
    ),
    row(&["TC_INGRESS"], "by a tc filter on the ingress of {device}").knob(
        "See which tc filter on {device} drops them",
        "Traffic control, or a BPF program of a network plugin (CNI).",
        &["tc -s filter show dev {device} ingress"],
    ),
    row(&["TC_EGRESS"], "by a tc filter on the egress of {device}").knob(
        "See which tc filter on {device} drops them",
        "Traffic control, or a BPF program of a network plugin (CNI).",
        &["tc -s filter show dev {device} egress"],
    ),
    row(&["XDP"], "by an XDP program on {device}").knob(
        "See which XDP program is on {device}",
        "The program decides; it belongs to whoever attached it.",
        &["ip -d link show dev {device}"],
    ),
    row(
        &["BPF_CGROUP_EGRESS"],
        "by a BPF program of the sender's cgroup",
    ),
    row(&["SOCKET_FILTER"], "by a filter on the receiver's socket"),
    row(&["SECURITY_HOOK"], "by a security module (LSM)"),
    row(
        &["SOCKET_RCVBUFF"],
        "because the receiver's socket buffer was full",
    )
    .knob(
        "Let the receiver read faster, or give its sockets larger buffers",
        "The third number is the most that a socket grows to by itself, bytes.",
        &["sysctl net.ipv4.tcp_rmem"],
    ),
    row(
        &["SOCKET_BACKLOG"],
        "because the backlog of the receiver's socket was full",
    )
    .knob(
        "Let the receiver read faster, or give its sockets larger buffers",
        "Segments wait in the backlog while the socket is in use; its limit grows with the buffers.",
        &["sysctl net.ipv4.tcp_rmem"],
    ),
    row(&["PROTO_MEM"], "because TCP has used up its memory").knob(
        "Give TCP more memory",
        "The three numbers are pages, for all sockets of the host; the second column of the first \
         command's line `TCP:` after `mem` is what is in use.",
        &["cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem"],
    ),
    row(
        &["CPU_BACKLOG"],
        "because a CPU had too many packets to take in (netdev_max_backlog)",
    )
    .knob(
        "Let more packets wait for a CPU",
        "It helps against bursts; if a CPU is always busy, spread the load (RPS, more queues).",
        &["sysctl -w net.core.netdev_max_backlog=5000"],
    ),
    row(&["FULL_RING"], "because the ring of {device} was full").knob(
        "Let the reader of {device} keep up, or give it a longer ring",
        "The length is what `txqueuelen` says for a tun device.",
        &["ip -s link show dev {device}"],
    ),
    row(&["NOMEM"], "because the kernel had no memory for them"),
    row(
        &["IP_OUTNOROUTES", "IP_INNOROUTES"],
        "because there is no route to their destination",
    )
    .knob(
        "Give {place} a route to the destination",
        "A network that has no route, or one of the kinds unreachable, blackhole or prohibit, does \
         not let anything through.",
        &["ip route show table all"],
    ),
    row(&["DEV_READY"], "because {device} is down").knob(
        "Set {device} up",
        "A device that is down sends nothing.",
        &["ip link set dev {device} up"],
    ),
    row(
        &["BRIDGE_INGRESS_STP_STATE"],
        "because the bridge port {device} is not forwarding (spanning tree)",
    )
    .knob(
        "See why the port {device} does not forward",
        "Spanning tree blocks a port that would make a loop, and every port for a while after it \
         came up.",
        &["bridge -d link show dev {device}"],
    ),
    row(&["XFRM_POLICY"], "by an IPsec policy").knob(
        "See which IPsec policy wants these packets encrypted",
        "Plain packets that a policy wants to come encrypted are dropped, and so are those without a \
         state to encrypt them.",
        &["ip xfrm policy"],
    ),
    row(
        &["TCP_LISTEN_OVERFLOW"],
        "because the listener's queue was full",
    )
    .knob(
        "Give the listener a longer queue, or let it accept faster",
        "The queue is as long as the smaller of this setting and what the program asks for \
         (`listen`).",
        &["sysctl -w net.core.somaxconn=4096"],
    ),
    row(
        &["TCP_MD5UNEXPECTED", "TCP_MD5FAILURE", "TCP_MD5NOTFOUND"],
        "for their TCP MD5 signature",
    ),
    row(
        &[
            "TCP_AOFAILURE",
            "TCP_AOKEYNOTFOUND",
            "TCP_AONOTFOUND",
            "TCP_AOUNEXPECTED",
        ],
        "for their TCP authentication (TCP-AO)",
    ),
    row(
        &["TCP_ZEROWINDOW"],
        "because the receiver had no room (zero window)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_and_function_has_one_row() {
        let names = REASONS.iter().flat_map(|row| row.names);
        let functions = REASONS.iter().flat_map(|row| row.functions);
        let mut all: Vec<&str> = names.chain(functions).copied().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn each_page_that_names_a_reason_speaks_of_all() {
        let page = include_str!("../../../../docs/verdicts/local-drop.md");
        for name in REASONS.iter().flat_map(|row| row.names) {
            assert!(page.contains(name), "{name} is not in local-drop.md");
        }
    }
}
