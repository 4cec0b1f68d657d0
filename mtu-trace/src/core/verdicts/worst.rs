//! The connection that a cause hurts most: where its packets die, and which remedies fit.

use crate::core::sites::{DropSite, Limit, Predicted, Remedy};
use crate::core::track::Track;
use crate::core::verdicts::boundary::pmtud;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::remedy;
use crate::core::verdicts::trouble::Trouble;
use crate::model::finding::{Fix, Pmtud};
use crate::model::network::Topology;

/// The connection that a cause hurts most. Each of its fixes is `None` where it does not fit or is in
/// place.
pub(crate) struct Worst<'a> {
    pub(crate) facts: TrackFacts<'a>,
    pub(crate) trouble: &'a Trouble,
    /// The user's own end.
    pub(crate) local: LocalEnd<'a>,
    /// The data of which the message to the sender is known: one may speak for many connections.
    pub(crate) told: &'a Track,
}

impl<'a> Worst<'a> {
    pub(crate) fn topology(&self) -> &'a Topology {
        &self.facts.state.topology
    }

    /// The place where packets are dropped for their size; `None` where none was seen.
    pub(crate) fn site(&self) -> Option<&'a DropSite> {
        let drops = self.trouble.cause.site(self.facts.track)?;
        Some(&drops.site)
    }

    pub(crate) fn predicted(&self) -> Option<&'a Predicted> {
        self.trouble.predicted.as_deref()
    }

    /// The longest packet that passes, bytes; `None` where that is not known.
    fn fits_bytes(&self) -> Option<u32> {
        let cause = &self.trouble.cause;
        cause.fits_bytes(self.facts.track, self.predicted())
    }

    /// What became of the message; `None` where it is not about size.
    pub(crate) fn pmtud(&self) -> Option<Pmtud> {
        let fits_bytes = self.fits_bytes().unwrap_or(0);
        let concerned = self.trouble.cause.concerns_pmtud(self.facts.track);
        concerned.then(|| pmtud(self.told, fits_bytes, self.site(), self.topology()))
    }

    /// What helps where a place is too narrow, best first.
    pub(crate) fn for_narrow_place(&self) -> Vec<Fix> {
        let fixes = [
            self.lower_local_mtu(),
            self.unblock(),
            self.clamp(),
            self.align(),
            self.probe(),
        ];
        fixes.into_iter().flatten().collect()
    }

    /// The user's end announces a segment size that fits its own interface.
    pub(crate) fn lower_local_mtu(&self) -> Option<Fix> {
        let fits_bytes = self.fits_bytes()?;
        let own = self.local.end?.socket.flow;
        let (ifindex, _) = self.topology().owner(own.netns, own.source.ip())?;
        remedy::lower_mtu(self.topology(), own.netns, ifindex, fits_bytes)
    }

    /// Lets the message through where it was seen to be dropped.
    fn unblock(&self) -> Option<Fix> {
        let blocked = self.pmtud()?.blocked_at?;
        let message = if self.local.flow.source.is_ipv6() {
            remedy::PACKET_TOO_BIG
        } else {
            remedy::FRAG_NEEDED
        };
        remedy::unblock(&blocked, message, &[])
    }

    /// Clamps the announced segment size at the router.
    fn clamp(&self) -> Option<Fix> {
        let site = self.site()?;
        let can_clamp = site.site.remedy == Remedy::ClampSegments;
        remedy::clamp(self.topology(), site.key.netns).filter(|_| can_clamp)
    }

    /// Makes the two sides of a layer-2 hole the same.
    fn align(&self) -> Option<Fix> {
        let site = self.site()?;
        let (ifindex, netns) = match (site.site.limit, &site.peer) {
            (Limit::Peer, Some(peer)) => (peer.ifindex, peer.netns),
            (Limit::Egress, _) => (site.egress.ifindex, site.key.netns),
            _ => return None,
        };
        remedy::raise_mtu(self.topology(), netns, ifindex, site.packet_bytes)
    }

    /// The stopgap on the sender.
    pub(crate) fn probe(&self) -> Option<Fix> {
        remedy::probing(self.topology(), self.facts.sender()?.socket.flow.netns)
    }

    /// What is beyond this host can only be measured.
    pub(crate) fn measure(&self) -> Option<Fix> {
        let own = self.local.end?.socket.flow;
        remedy::measure(self.topology(), own.netns, own.destination.ip())
    }
}
