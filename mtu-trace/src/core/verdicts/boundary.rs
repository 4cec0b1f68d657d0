//! Correlated drops and ICMP messages as the report shows them.

use crate::core::sites::DropSite;
use crate::core::track::Track;
use crate::model::event::{Device, NO_REASON};
use crate::model::finding::{BlockedAt, Boundary, BoundaryPeer, Pmtud};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::Topology;

/// The place of a drop, with the names that its devices have.
pub fn boundary(site: &DropSite, topology: &Topology) -> Boundary {
    Boundary {
        netns: NetnsRef::new(site.key.netns, topology),
        ingress: site.ingress.as_ref().map(|device| name(device, topology)),
        egress: Some(name(&site.egress, topology)),
        limit_bytes: site.limit_bytes,
        packet_bytes: site.packet_bytes,
        overhead_bytes: site.overhead_bytes,
        function: site.key.function.to_string(),
        reason: Some(site.reason.as_deref().unwrap_or(NO_REASON).to_owned()),
        silent: site.site.is_silent(),
        peer: site.peer.as_ref().map(|peer| BoundaryPeer {
            netns: NetnsRef::new(peer.netns, topology),
            interface: Some(name(peer, topology)),
            mtu_bytes: peer.mtu_bytes,
        }),
    }
}

/// A device by its name; one that was too new to be known at the event may be known now. By its
/// number where it has gone unnamed.
pub fn name(device: &Device, topology: &Topology) -> String {
    match (&device.name, topology.link(device.netns, device.ifindex)) {
        (Some(name), _) => name.to_string(),
        (None, Some(link)) => link.name.clone(),
        (None, None) => format!("if{}", device.ifindex),
    }
}

/// What became of the message to the sender, which tells that packets up to `fits_bytes` pass.
///
/// Where the place is a silent one, what was to be sent for it did not go: bridge netfilter asks for a
/// message that then finds no route (`icmp6_send`).
pub fn pmtud(
    track: &Track,
    fits_bytes: u32,
    site: Option<&DropSite>,
    topology: &Topology,
) -> Pmtud {
    let icmp = &track.icmp;
    let silent = site.is_some_and(|site| site.site.is_silent());
    let blocked = icmp.blocked.iter().max_by_key(|blocked| blocked.count);
    // The path MTU of a socket changes by such a message alone: probing lowers its segment size
    // only (`tcp_mtu_probing`).
    let came_down = |pmtu| pmtu > 0 && pmtu <= fits_bytes;
    let heard = icmp.is_pmtu_accepted(fits_bytes) || track.sender_pmtu_bytes.is_some_and(came_down);
    Pmtud {
        // A message that is heeded, dropped or seen must have been generated, also where that could
        // not be observed.
        signalled: heard
            || (icmp.generated > 0 && !silent)
            || blocked.is_some()
            || !icmp.seen.is_empty(),
        delivered: (heard || blocked.is_some()).then_some(heard),
        blocked_at: blocked.filter(|_| !heard).map(|blocked| BlockedAt {
            netns: NetnsRef::new(blocked.netns, topology),
            hook: blocked.hook,
            interface: blocked.device.as_ref().map(|device| name(device, topology)),
            function: blocked.function.to_string(),
            reason: blocked.reason.as_ref().map(ToString::to_string),
        }),
    }
}
