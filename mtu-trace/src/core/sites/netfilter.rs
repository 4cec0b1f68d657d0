//! At which netfilter hook a packet was dropped.
//!
//! The functions that were being run tell it for certain: each hook is called from one place of a
//! packet's way. Where they are not known, as in older captures, what the packet's buffer shows there
//! tells most of it.

use crate::core::firewall::NetfilterHook;
use crate::model::event::{Packet, PacketKind};

/// A netfilter hook, by its name in rules.
pub type NetfilterHookName = &'static str;

/// Index of the loopback device in every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK_IFINDEX: u32 = 1;

/// The functions that call the rules of a hook (`NF_HOOK`, `NF_HOOK_COND`, `nf_hook`).
const CALLERS: &[(NetfilterHook, &[&str])] = &[
    (
        NetfilterHook::Prerouting,
        &[
            "ip_rcv",
            "ip_list_rcv",
            "ip_sublist_rcv",
            "ipv6_rcv",
            "ipv6_list_rcv",
            "ip6_sublist_rcv",
            "br_nf_pre_routing",
            "br_nf_pre_routing_ipv6",
        ],
    ),
    (
        NetfilterHook::Input,
        &[
            "ip_local_deliver",
            "ip6_input",
            "ip6_mc_input",
            "br_nf_local_in",
        ],
    ),
    (
        NetfilterHook::Forward,
        &[
            "ip_forward",
            "ip6_forward",
            "br_nf_forward",
            "br_nf_forward_ip",
        ],
    ),
    (
        NetfilterHook::Output,
        &[
            "__ip_local_out",
            "__ip6_local_out",
            "ip6_xmit",
            "raw_send_hdrinc",
            "rawv6_send_hdrinc",
            "ndisc_send_skb",
            "mld_sendpack",
            "igmp6_send",
        ],
    ),
    (
        NetfilterHook::Postrouting,
        &[
            "ip_output",
            "ip_mc_output",
            "ip6_output",
            "xfrm4_output",
            "xfrm6_output",
            "xfrm_output_resume",
            "br_nf_post_routing",
        ],
    ),
    (
        NetfilterHook::BridgePrerouting,
        &["br_handle_frame", "nf_hook_bridge_pre"],
    ),
    (
        NetfilterHook::BridgeInput,
        &["br_pass_frame_up", "br_netif_receive_skb"],
    ),
    (NetfilterHook::BridgeForward, &["__br_forward"]),
    (NetfilterHook::BridgePostrouting, &["br_forward_finish"]),
    (
        NetfilterHook::Ingress,
        &["nf_ingress", "__netif_receive_skb_core"],
    ),
    (
        NetfilterHook::Egress,
        &["nf_hook_egress", "__dev_queue_xmit"],
    ),
];

/// Through which a bridge sends what its own host has made: `__br_forward` is then OUTPUT
/// (`NF_BR_LOCAL_OUT`).
const BRIDGE_SENDS: &str = "br_dev_xmit";

/// The hook whose rules functions were running, the innermost first; `None` if none of them calls
/// any.
pub fn hook_of_callers<'a>(
    callers: impl Iterator<Item = &'a str> + Clone,
) -> Option<NetfilterHook> {
    let called = |name: &str| {
        let mut rows = CALLERS.iter();
        let (hook, _) = rows.find(|(_, functions)| functions.contains(&name))?;
        Some(*hook)
    };
    let hook = callers.clone().find_map(called)?;
    let mut outer = callers.skip_while(|&name| called(name).is_none()).skip(1);
    let is_sent = hook == NetfilterHook::BridgeForward
        && outer.find(|&name| name == BRIDGE_SENDS || called(name).is_some()) == Some(BRIDGE_SENDS);
    Some(if is_sent {
        NetfilterHook::BridgeOutput
    } else {
        hook
    })
}

/// Whether a function and reason are those of netfilter.
pub fn is_netfilter(function: &str, reason: Option<&str>) -> bool {
    reason == Some("NETFILTER_DROP")
        || matches!(
            function,
            "nft_do_chain" | "ipt_do_table" | "ip6t_do_table" | "nf_hook_slow"
        )
}

/// The netfilter hook a packet was dropped at; `None` if it was not netfilter.
pub fn netfilter_hook(packet: &Packet) -> Option<NetfilterHookName> {
    let PacketKind::Dropped { function, reason } = &packet.what else {
        return None;
    };
    if !is_netfilter(function, reason.as_deref()) {
        return None;
    }
    let told = packet.netfilter_hook.as_deref();
    let told = told.and_then(NetfilterHook::named);
    Some(told.map_or_else(|| shown(packet), NetfilterHook::name))
}

/// The hook that a packet's buffer shows.
///
/// A locally made packet has no device before `ip_output` sets it, or the loopback device where a rule
/// rejects it (`nf_send_unreach6`), from which nothing is forwarded; a received one is routed to
/// `ip_local_deliver` or `ip_forward` before INPUT and FORWARD, and not routed in PREROUTING.
fn shown(packet: &Packet) -> NetfilterHookName {
    let Some(route) = &packet.route else {
        return "PREROUTING";
    };
    if !packet.has_device {
        return "OUTPUT";
    }
    match packet.route_input.as_deref() {
        Some("ip_local_deliver" | "ip6_input") => "INPUT",
        Some("ip_forward" | "ip6_forward") if packet.device.ifindex == LOOPBACK_IFINDEX => "OUTPUT",
        Some("ip_forward" | "ip6_forward") if packet.device.ifindex != route.ifindex => "FORWARD",
        _ => "POSTROUTING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(callers: &str) -> Option<NetfilterHook> {
        hook_of_callers(callers.split_whitespace())
    }

    #[test]
    fn the_innermost_function_that_calls_rules_tells_the_hook() {
        let output = "nft_do_chain nft_do_chain_ipv4 nf_hook_slow ip_output ip_forward ip_rcv";
        assert_eq!(hook(output), Some(NetfilterHook::Postrouting));
        let ingress = "nft_do_chain nft_do_chain_netdev nf_hook_slow __netif_receive_skb_core";
        assert_eq!(hook(ingress), Some(NetfilterHook::Ingress));
        assert_eq!(hook("kfree_skb_list __qdisc_run"), None);
    }

    #[test]
    fn a_bridge_forwards_what_came_in_and_outputs_what_was_made_here() {
        let forwarded = "nf_hook_slow __br_forward br_handle_frame_finish br_handle_frame";
        assert_eq!(hook(forwarded), Some(NetfilterHook::BridgeForward));
        let made_here = "nf_hook_slow __br_forward br_dev_xmit dev_hard_start_xmit ip_forward";
        assert_eq!(hook(made_here), Some(NetfilterHook::BridgeOutput));
    }

    #[test]
    fn each_function_calls_one_hook() {
        let mut all: Vec<_> = CALLERS
            .iter()
            .flat_map(|(_, functions)| *functions)
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
