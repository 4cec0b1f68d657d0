//! Which remedies are for which ailment, best first.

use crate::{
    core::{
        sites::{Site, SiteKind},
        track::End,
        verdicts::{local::Local, remedy},
    },
    model::{
        finding::{Fix, Pmtud, Verdict},
        network::Topology,
    },
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
    /// The longest packet that passes, bytes, where that is known.
    pub fits_bytes: Option<u32>,
    /// What became of the message to the sender.
    pub pmtud: Option<&'a Pmtud>,
    /// The network.
    pub topology: &'a Topology,
}

/// Fixes for an ailment, best first.
pub fn fixes(ailment: &Ailment<'_>) -> Vec<Fix> {
    match ailment.verdict {
        Verdict::MtuBlackHole | Verdict::PmtudSlow => [
            lower_local_mtu(ailment),
            unblock(ailment),
            clamp(ailment),
            align(ailment),
            probing(ailment),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Verdict::PmtudWorking => lower_local_mtu(ailment).into_iter().collect(),
        Verdict::RemoteBlackHole => [measure(ailment), probing(ailment)]
            .into_iter()
            .flatten()
            .collect(),
        _ => Vec::new(),
    }
}

/// The user's end announces a segment size that fits its own interface: with a smaller MTU there,
/// the peer sends smaller segments too (RFC 9293, section 3.7.1).
fn lower_local_mtu(ailment: &Ailment<'_>) -> Option<Fix> {
    let fits_bytes = ailment.fits_bytes?;
    let end = ailment.local.end?;
    let netns = end.socket.flow.netns;
    let (ifindex, _) = ailment.topology.owner(netns, end.socket.flow.source.ip())?;
    remedy::lower_mtu(ailment.topology, netns, ifindex, fits_bytes)
}

/// Lets the message through where it was seen to be dropped.
fn unblock(ailment: &Ailment<'_>) -> Option<Fix> {
    let blocked = ailment.pmtud?.blocked_at.as_ref()?;
    remedy::unblock(blocked, ailment.local.flow.source.is_ipv6(), &[])
}

/// Clamps the announced segment size at the router.
fn clamp(ailment: &Ailment<'_>) -> Option<Fix> {
    let site = ailment.site?;
    if site.kind != SiteKind::Forward {
        return None;
    }
    remedy::clamp(ailment.topology, site.key.netns)
}

/// Makes the two sides of a layer-2 hole the same.
fn align(ailment: &Ailment<'_>) -> Option<Fix> {
    let site = ailment.site?;
    let (ifindex, netns) = match (site.kind, &site.peer) {
        (SiteKind::Veth, Some(peer)) => (peer.ifindex, peer.netns),
        (SiteKind::Bridge, _) => (site.egress.ifindex, site.key.netns),
        _ => return None,
    };
    remedy::raise_mtu(ailment.topology, netns, ifindex, site.packet_bytes)
}

/// The stopgap on the sender.
fn probing(ailment: &Ailment<'_>) -> Option<Fix> {
    remedy::probing(ailment.topology, ailment.other_end?.socket.flow.netns)
}

/// What is beyond this host can only be measured.
fn measure(ailment: &Ailment<'_>) -> Option<Fix> {
    let end = ailment.local.end?;
    remedy::measure(
        ailment.topology,
        end.socket.flow.netns,
        end.socket.flow.destination.ip(),
    )
}
