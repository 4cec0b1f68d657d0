//! Whether it may be said that nothing is dropped on this host. What is not known is said, never denied:
//! every hook that would have shown a drop must have been at work, nothing of what they showed may be
//! missing, and nothing in the state may speak against it.

use std::net::IpAddr;

use crate::core::graph::Destination;
use crate::core::track::{OtherDrops, OtherKey, after};
use crate::core::verdicts::facts::TrackFacts;
use crate::model::event::hook;
use crate::model::network::{Link, LinkKind, NetnsId};

/// Whether nothing of this direction's data is dropped on this host, as far as anybody can say that.
pub(crate) fn nothing_is_dropped(facts: &TrackFacts<'_>) -> bool {
    drops_would_be_seen(facts)
        && nothing_is_missing(facts)
        && no_drop_is_known(facts)
        && no_message_is_known(facts)
        && no_sighting_is_known(facts)
}

/// Whether every hook is at work that a datapath on the way needs: that of drops everywhere, and where a
/// tunnel may be on the way, that of tunnels which drop without freeing.
fn drops_would_be_seen(facts: &TrackFacts<'_>) -> bool {
    let blind = &facts.state.blind;
    !blind.contains(hook::DROPS) && (!blind.contains(hook::TUNNEL) || !may_be_tunnelled(facts))
}

/// Whether nothing was lost by the tracer, and nothing of the connection forgotten for want of room.
fn nothing_is_missing(facts: &TrackFacts<'_>) -> bool {
    facts.state.lost == 0 && !facts.state.may_lack_state(facts.connection)
}

/// Whether no packet of data that is not acknowledged was dropped, in whatever function and for whatever
/// reason, and none failed to be sent.
fn no_drop_is_known(facts: &TrackFacts<'_>) -> bool {
    let track = facts.track;
    let is_unacked = |(_, drops): (&OtherKey, &OtherDrops)| match snd_una(facts) {
        Some(snd_una) => drops.retransmitted.any(|seq| !after(snd_una, seq)),
        None => true,
    };
    let sent = track.retransmits.as_ref();
    track.oversized.is_empty()
        && !track.other.iter().any(is_unacked)
        && sent.is_none_or(|sent| sent.error.is_none())
        && track.outage.is_none()
}

/// Whether no ICMP "too big" about it was made, dropped, seen or heeded.
fn no_message_is_known(facts: &TrackFacts<'_>) -> bool {
    let icmp = &facts.track.icmp;
    icmp.generated == 0
        && icmp.blocked.is_empty()
        && icmp.seen.is_empty()
        && icmp.mtu_bytes.is_none()
        && icmp.pmtu_accepted.is_none()
}

/// Whether no packet of it was seen that is too long for what lies ahead.
fn no_sighting_is_known(facts: &TrackFacts<'_>) -> bool {
    facts.track.seen.is_empty() && facts.track.passing.is_none()
}

/// The first byte of this direction that is not acknowledged; `None` where no end tells.
fn snd_una(facts: &TrackFacts<'_>) -> Option<u32> {
    if let Some(sender) = facts.sender() {
        let sample = sender.sample.as_ref();
        let by_sample =
            sample.and_then(|it| sender.snd_una_rcv_nxt(it.bytes_acked, it.bytes_received));
        let by_resend = sender.retransmit.as_ref().map(|it| it.snd_una);
        return match (by_sample, by_resend) {
            (Some((a, _)), Some(b)) => Some(if after(b, a) { b } else { a }),
            (a, b) => a.map(|(snd_una, _)| snd_una).or(b),
        };
    }
    let receiver = facts.connection.receiver(facts.side)?;
    let sample = receiver.sample.as_ref()?;
    let upto = receiver.snd_una_rcv_nxt(sample.bytes_acked, sample.bytes_received)?;
    Some(upto.1)
}

/// Whether a tunnel may carry it on this host: one is on the way that the network shows from either end,
/// or no way is known and there is a tunnel in a namespace that packets may get to from there.
fn may_be_tunnelled(facts: &TrackFacts<'_>) -> bool {
    let mut ends = facts.connection.ends.iter();
    ends.any(|end| {
        let flow = end.socket.flow;
        has_tunnel(facts, flow.netns, flow.destination.ip())
    })
}

fn has_tunnel(facts: &TrackFacts<'_>, from: NetnsId, to: IpAddr) -> bool {
    let index = &facts.state.index;
    let paths = index.paths(from, Destination::Address(to));
    if paths.is_empty() {
        let near = |id| !index.networks().are_apart(from, id);
        let mut living = index.topology.living();
        return living.any(|(id, netns)| near(id) && netns.links.values().any(rejects));
    }
    let mut devices = paths
        .iter()
        .flat_map(|path| path.legs.iter().flat_map(|leg| &leg.devices));
    devices.any(|device| device.link(&index.topology).is_some_and(rejects))
}

/// Whether a device is of a kind that turns a packet into a message instead of freeing it
/// (`skb_tunnel_check_pmtu`).
fn rejects(link: &Link) -> bool {
    matches!(
        link.kind,
        LinkKind::Vxlan | LinkKind::Geneve | LinkKind::Bareudp
    )
}
