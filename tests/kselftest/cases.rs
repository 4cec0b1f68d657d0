//! The cases, each with what its purpose says.

use std::time::Duration;

use super::case::Case;
use super::truth::{DIES, FITS, QUEUED, TOLD, TOLD_TRANSFERS, Truth};

const MINUTE: Duration = Duration::from_secs(60);

/// All of them. The parts of `pmtu.sh` are those that send something: two of four with GUE, which is FOU
/// with a header, and none with Open vSwitch, whose daemon they want started before. The netfilter
/// tests are those about MTUs, tunnels, bridges, NAT and queues.
const CASES: &[Case] = &[
    pmtu(&["pmtu_ipv4_exception"]),
    pmtu(&["pmtu_ipv6_exception"]),
    pmtu(&["pmtu_ipv4_dscp_icmp_exception"]),
    pmtu(&["pmtu_ipv4_dscp_udp_exception"]),
    pmtu(&["pmtu_ipv4_vxlan4_exception"]),
    pmtu(&["pmtu_ipv6_vxlan4_exception"]),
    pmtu(&["pmtu_ipv4_vxlan6_exception"]),
    pmtu(&["pmtu_ipv6_vxlan6_exception"]),
    pmtu(&["pmtu_ipv4_geneve4_exception"]),
    pmtu(&["pmtu_ipv6_geneve4_exception"]),
    pmtu(&["pmtu_ipv4_geneve6_exception"]),
    pmtu(&["pmtu_ipv6_geneve6_exception"]),
    pmtu(&["pmtu_ipv4_br_vxlan4_exception"]),
    pmtu(&["pmtu_ipv6_br_vxlan4_exception"]),
    pmtu(&["pmtu_ipv4_br_vxlan6_exception"]),
    pmtu(&["pmtu_ipv6_br_vxlan6_exception"]),
    pmtu(&["pmtu_ipv4_br_geneve4_exception"]),
    pmtu(&["pmtu_ipv6_br_geneve4_exception"]),
    pmtu(&["pmtu_ipv4_br_geneve6_exception"]),
    pmtu(&["pmtu_ipv6_br_geneve6_exception"]),
    pmtu(&["pmtu_ipv4_fou4_exception"]),
    pmtu(&["pmtu_ipv6_fou4_exception"]),
    pmtu(&["pmtu_ipv4_fou6_exception"]),
    pmtu(&["pmtu_ipv6_fou6_exception"]),
    pmtu(&["pmtu_ipv4_gue4_exception"]),
    pmtu(&["pmtu_ipv6_gue6_exception"]),
    pmtu(&["pmtu_ipv4_ipv4_exception"]),
    pmtu(&["pmtu_ipv6_ipv4_exception"]),
    pmtu(&["pmtu_ipv4_ipv6_exception"]),
    pmtu(&["pmtu_ipv6_ipv6_exception"]),
    pmtu(&["pmtu_vti4_exception"]),
    pmtu(&["pmtu_vti6_exception"]),
    pmtu(&["pmtu_vti4_udp_exception"]),
    pmtu(&["pmtu_vti6_udp_exception"]),
    pmtu(&["pmtu_vti4_udp_routed_exception"]),
    pmtu(&["pmtu_vti6_udp_routed_exception"]),
    pmtu(&["cleanup_ipv4_exception"]),
    pmtu(&["cleanup_ipv6_exception"]),
    pmtu(&["list_flush_ipv4_exception"]),
    pmtu(&["list_flush_ipv6_exception"]),
    pmtu(&["pmtu_ipv4_route_change"]),
    pmtu(&["pmtu_ipv6_route_change"]),
    pmtu(&["pmtu_ipv4_mp_exceptions"]),
    netfilter("br_netfilter", "br_netfilter.sh", 10, &FITS),
    netfilter(
        "conntrack_icmp_related",
        "conntrack_icmp_related.sh",
        2,
        &TOLD,
    ),
    netfilter("conntrack_ipip_mtu", "conntrack_ipip_mtu.sh", 2, &TOLD),
    netfilter("ipvs", "ipvs.sh", 2, &FITS),
    netfilter("nft_flowtable", "nft_flowtable.sh", 10, &TOLD_TRANSFERS),
    netfilter("nft_nat", "nft_nat.sh", 10, &FITS),
    netfilter("nft_queue", "nft_queue.sh", 6, &QUEUED),
    netfilter("vxlan_mtu_frag", "vxlan_mtu_frag.sh", 2, &DIES),
];

/// A part of `pmtu.sh`, by the one name that it goes by.
const fn pmtu(name: &'static [&'static str; 1]) -> Case {
    Case {
        name: name[0],
        directory: "net",
        script: "pmtu.sh",
        arguments: name,
        limit: MINUTE.saturating_mul(4),
        truth: &TOLD,
    }
}

/// A test of netfilter, which takes less than so many minutes.
const fn netfilter(
    name: &'static str,
    script: &'static str,
    minutes: u32,
    truth: &'static Truth,
) -> Case {
    Case {
        name,
        directory: "net/netfilter",
        script,
        arguments: &[],
        limit: MINUTE.saturating_mul(minutes),
        truth,
    }
}

/// Those whose name contains one of `words`; all without any.
pub fn chosen(words: &[String]) -> Vec<&'static Case> {
    let is_chosen = |case: &&Case| {
        words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()))
    };
    CASES.iter().filter(is_chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::{CASES, chosen};

    #[test]
    fn a_whole_name_is_of_one_case() {
        for case in CASES {
            assert_eq!(chosen(&[case.name.to_owned()]).len(), 1, "{}", case.name);
        }
    }

    #[test]
    fn a_part_of_a_name_will_do() {
        assert_eq!(chosen(&[]).len(), CASES.len());
        let some: Vec<&str> = chosen(&["flowtable".to_owned(), "nft_nat".to_owned()])
            .iter()
            .map(|case| case.name)
            .collect();
        assert_eq!(some, ["nft_flowtable", "nft_nat"]);
        assert!(chosen(&["nothing".to_owned()]).is_empty());
    }
}
