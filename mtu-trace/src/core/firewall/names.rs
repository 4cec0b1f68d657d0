//! The names that `nft` and iptables have for numbers.

pub const ICMP: u64 = 1;
pub const TCP: u64 = 6;
pub const UDP: u64 = 17;
pub const ICMPV6: u64 = 58;
pub const RELATED: u64 = 4;
pub const NEW: u64 = 8;
pub const SYN: u64 = 0x02;
pub const IPV4: u64 = 2;
pub const IPV6: u64 = 10;

/// What the values of a number are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    None,
    Protocol,
    Family,
    EtherType,
    State,
    TcpFlags,
    IcmpType,
    IcmpCode,
    Icmpv6Type,
    Icmpv6Code,
}

impl Names {
    /// The number that a name stands for, or that is written out.
    pub fn number(self, name: &str) -> Option<u64> {
        let table: &[(&str, u64)] = match self {
            Self::None => &[],
            Self::Protocol => return protocol_number(name),
            Self::State => return state_bit(name),
            Self::TcpFlags => return tcp_flag(name),
            Self::Family => &[("ipv4", IPV4), ("ipv6", IPV6)],
            Self::EtherType => &[
                ("ip", 0x0800),
                ("arp", 0x0806),
                ("ip6", 0x86dd),
                ("vlan", 0x8100),
            ],
            Self::IcmpType => &[
                ("echo-reply", 0),
                ("destination-unreachable", 3),
                ("source-quench", 4),
                ("redirect", 5),
                ("echo-request", 8),
                ("router-advertisement", 9),
                ("router-solicitation", 10),
                ("time-exceeded", 11),
                ("parameter-problem", 12),
                ("timestamp-request", 13),
                ("timestamp-reply", 14),
                ("info-request", 15),
                ("info-reply", 16),
                ("address-mask-request", 17),
                ("address-mask-reply", 18),
            ],
            Self::IcmpCode => &[
                ("net-unreachable", 0),
                ("host-unreachable", 1),
                ("prot-unreachable", 2),
                ("port-unreachable", 3),
                ("frag-needed", 4),
                ("net-prohibited", 9),
                ("host-prohibited", 10),
                ("admin-prohibited", 13),
            ],
            Self::Icmpv6Type => &[
                ("destination-unreachable", 1),
                ("packet-too-big", 2),
                ("time-exceeded", 3),
                ("parameter-problem", 4),
                ("echo-request", 128),
                ("echo-reply", 129),
                ("mld-listener-query", 130),
                ("mld-listener-report", 131),
                ("mld-listener-done", 132),
                ("mld-listener-reduction", 132),
                ("nd-router-solicit", 133),
                ("nd-router-advert", 134),
                ("nd-neighbor-solicit", 135),
                ("nd-neighbor-advert", 136),
                ("nd-redirect", 137),
                ("router-renumbering", 138),
                ("ind-neighbor-solicit", 141),
                ("ind-neighbor-advert", 142),
                ("mld2-listener-report", 143),
            ],
            Self::Icmpv6Code => &[
                ("no-route", 0),
                ("admin-prohibited", 1),
                ("addr-unreachable", 3),
                ("port-unreachable", 4),
                ("policy-fail", 5),
                ("reject-route", 6),
            ],
        };
        let found = table.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| name.parse().ok(), |&(_, number)| Some(number))
    }
}

/// The number of a protocol by the names that `nft` and `iptables` give it.
pub fn protocol_number(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    Some(match name.as_str() {
        "hopopt" => 0,
        "icmp" => ICMP,
        "igmp" => 2,
        "ipencap" | "ipip" => 4,
        "tcp" => TCP,
        "udp" => 17,
        "dccp" => 33,
        "ipv6" => 41,
        "ipv6-route" => 43,
        "ipv6-frag" => 44,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => ICMPV6,
        "ipv6-nonxt" => 59,
        "ipv6-opts" => 60,
        "eigrp" => 88,
        "ospf" => 89,
        "pim" => 103,
        "comp" | "ipcomp" => 108,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "mh" | "mobility-header" => 135,
        "udplite" => 136,
        _ => return name.parse().ok(),
    })
}

/// Connection tracking's states, as the bits of `ct state`.
pub fn state_bit(name: &str) -> Option<u64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "invalid" => 1,
        "established" => 2,
        "related" => RELATED,
        "new" => NEW,
        "untracked" => 64,
        _ => return None,
    })
}

/// TCP's flags in its fourteenth byte.
pub fn tcp_flag(name: &str) -> Option<u64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "fin" => 0x01,
        "syn" => SYN,
        "rst" => 0x04,
        "psh" => 0x08,
        "ack" => 0x10,
        "urg" => 0x20,
        "ecn" => 0x40,
        "cwr" => 0x80,
        _ => return None,
    })
}
