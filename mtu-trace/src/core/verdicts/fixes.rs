//! Which remedies fit what was seen.

use std::net::SocketAddr;

use crate::core::sites::{DropSite, Limit, Remedy};
use crate::core::track::TrackedSocket;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::remedy;
use crate::model::finding::{Fix, Pmtud};
use crate::model::network::Topology;

/// What a fix is chosen by. Each method is a remedy, `None` where it does not fit or is in place.
pub struct FixContext<'a> {
    /// The user's own end.
    pub local: &'a LocalEnd<'a>,
    /// The end that sends the packets; `None` if it is not on this host.
    pub sender: Option<&'a TrackedSocket>,
    /// The place where packets are dropped for their size; `None` where none was seen.
    pub site: Option<&'a DropSite>,
    /// The longest packet that passes, bytes; `None` where that is not known.
    pub fits_bytes: Option<u32>,
    /// What became of the message to the sender; `None` where it is not about size.
    pub pmtud: Option<&'a Pmtud>,
    /// The network as it is now.
    pub topology: &'a Topology,
}

impl FixContext<'_> {
    /// What helps where a place is too narrow, best first.
    pub fn for_narrow_place(&self) -> Vec<Fix> {
        let fixes = [
            self.lower_local_mtu(),
            self.unblock(),
            self.clamp(),
            self.align(),
            self.probe(),
        ];
        fixes.into_iter().flatten().collect()
    }

    /// The user's end announces a segment size that fits its own interface: with a smaller MTU there,
    /// the peer sends smaller segments too (RFC 9293, section 3.7.1).
    pub(crate) fn lower_local_mtu(&self) -> Option<Fix> {
        let fits_bytes = self.fits_bytes?;
        let end = self.local.end?;
        let netns = end.socket.flow.netns;
        let (ifindex, _) = self.topology.owner(netns, end.socket.flow.source.ip())?;
        remedy::lower_mtu(self.topology, netns, ifindex, fits_bytes)
    }

    /// Lets the message through where it was seen to be dropped.
    fn unblock(&self) -> Option<Fix> {
        let blocked = self.pmtud?.blocked_at.as_ref()?;
        let message = match self.local.flow.source {
            SocketAddr::V4(_) => remedy::FRAG_NEEDED,
            SocketAddr::V6(_) => remedy::PACKET_TOO_BIG,
        };
        remedy::unblock(blocked, message, &[])
    }

    /// Clamps the announced segment size at the router.
    fn clamp(&self) -> Option<Fix> {
        let site = self.site?;
        if site.site.remedy != Remedy::ClampSegments {
            return None;
        }
        remedy::clamp(self.topology, site.key.netns)
    }

    /// Makes the two sides of a layer-2 hole the same.
    fn align(&self) -> Option<Fix> {
        let site = self.site?;
        let (ifindex, netns) = match (site.site.limit, &site.peer) {
            (Limit::Peer, Some(peer)) => (peer.ifindex, peer.netns),
            (Limit::Egress, _) => (site.egress.ifindex, site.key.netns),
            _ => return None,
        };
        remedy::raise_mtu(self.topology, netns, ifindex, site.packet_bytes)
    }

    /// The stopgap on the sender.
    pub(crate) fn probe(&self) -> Option<Fix> {
        remedy::probing(self.topology, self.sender?.socket.flow.netns)
    }

    /// What is beyond this host can only be measured.
    pub(crate) fn measure(&self) -> Option<Fix> {
        let end = self.local.end?;
        remedy::measure(
            self.topology,
            end.socket.flow.netns,
            end.socket.flow.destination.ip(),
        )
    }
}
