//! The places in the kernel at which a packet that is too big is dropped.
//!
//! What is known of a site stands in one row ([`Site`]) in the file of its datapath. `check` expects
//! sites on the ways that packets can take (`limit_point`, `suspect`); a live trace finds the site
//! of a drop (`drop_site`). Both read the same row, so they cannot disagree.
//!
//! To add a site, write its row in the file of its datapath, or a new one, and name it in [`SITES`].

mod balancer;
mod bridge;
mod forward;
mod freed;
mod ip_tunnel;
mod ipvlan;
mod onward;
mod output;
mod site;
mod switch;
mod tunnel;
mod veth;

pub(crate) mod boundary;
pub(crate) mod describe;
pub(crate) mod drop_site;
pub(crate) mod limit_point;
pub(crate) mod netfilter;
pub(crate) mod predict;
pub(crate) mod suspect;

pub use balancer::BALANCER;
pub use bridge::{BRIDGE_NETFILTER, BRIDGE_PORT};
pub use describe::{describe_briefly, describe_in_place, describe_packet, netns_label};
pub use drop_site::{DropSite, SiteKey, oversized, sighted, signalled, told};
pub use forward::{FORWARD, FORWARD_ROUTE, FORWARD_WRAPPED};
pub use freed::{is_cut, may_be_rest};
pub use ip_tunnel::{BRIDGED_IP_TUNNEL, IP_TUNNEL, IP6_GRE, IP6_TUNNEL, IPSEC_INTERFACE, SIT};
pub use ipvlan::IPVLAN;
pub use netfilter::{NetfilterHookName, hook_of_callers, is_netfilter, netfilter_hook};
pub use output::{OUTPUT, UNLISTED};
pub use predict::{KnownEnd, Predicted, telling, too_narrow};
pub use site::{Limit, Remedy, Site, Tells, names};
pub use suspect::{Relief, Suspect, suspects};
pub use switch::DATAPATH_PORT;
pub use tunnel::{BRIDGED_TUNNEL, CUT, ROUTED_TUNNEL, TUNNEL_UNDERLAY};
pub use veth::VETH;

/// All sites. The first that fits a drop is the one it happened at: those that share their functions
/// with others come before those that do not.
pub static SITES: [&Site; 20] = [
    &FORWARD_WRAPPED,
    &FORWARD,
    &BRIDGE_PORT,
    &BRIDGE_NETFILTER,
    &DATAPATH_PORT,
    &IPVLAN,
    &VETH,
    &BRIDGED_TUNNEL,
    &BRIDGED_IP_TUNNEL,
    &IP_TUNNEL,
    &IP6_TUNNEL,
    &IP6_GRE,
    &SIT,
    &IPSEC_INTERFACE,
    &TUNNEL_UNDERLAY,
    &FORWARD_ROUTE,
    &OUTPUT,
    &ROUTED_TUNNEL,
    &CUT,
    &BALANCER,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::site::PacketFamily;
    use super::*;

    #[test]
    fn no_two_sites_have_the_same_name() {
        let names: BTreeSet<&str> = SITES.iter().map(|site| site.name).collect();
        assert_eq!(names.len(), SITES.len());
    }

    #[test]
    fn every_site_has_a_function_for_both_families() {
        for site in SITES {
            let functions = [PacketFamily::Ipv4, PacketFamily::Ipv6]
                .map(|family| site.function(family, |_| true));
            assert!(!functions.contains(&""), "{site:?}: {functions:?}");
        }
    }

    #[test]
    fn a_function_has_the_name_that_the_kernel_knows() {
        assert_eq!(
            VETH.function(PacketFamily::Ipv4, |_| true),
            "__dev_forward_skb2"
        );
        let older = |name: &str| name == "__dev_forward_skb";
        assert_eq!(
            VETH.function(PacketFamily::Ipv6, older),
            "__dev_forward_skb"
        );
        // Where symbols are hidden the newest is as good as any.
        assert_eq!(
            VETH.function(PacketFamily::Ipv6, |_| false),
            "__dev_forward_skb2"
        );
        assert_eq!(
            names("__dev_forward_skb").first(),
            Some(&"__dev_forward_skb2")
        );
        assert_eq!(names("tcp_v4_rcv"), [""; 0]);
    }
}
