//! What the map foretells of the place of a finding, where no drop was seen.

use super::rules::{Case, Cause};
use crate::{
    audit::{self, Foreseen, telling, too_narrow},
    correlate::SiteKey,
};

/// The place where packets must die that no drop was seen of: a message tells of it, or a socket.
pub fn foreseen(case: &Case<'_>, cause: &Cause) -> Option<Foreseen> {
    match cause {
        Cause::Message(..) => {
            let told_bytes = case.track.icmp.mtu_bytes?;
            let flow = case.connection.sender(case.side)?.socket.flow;
            let (topology, to) = (&case.state.topology, flow.destination.ip());
            telling(topology, case.joints, flow.netns, to, told_bytes)
        }
        Cause::Site(key) if !case.track.oversized.contains_key(key) => by_socket(case),
        _ => None,
    }
}

/// The place on the way from a sender of this host that is too narrow for its packets.
pub fn by_socket(case: &Case<'_>) -> Option<Foreseen> {
    let sender = case.connection.sender(case.side)?;
    let sample = sender.sample.as_ref()?;
    // Where addresses are translated on the way, only the receiver knows the other end's.
    let way = match case.connection.receiver(case.side) {
        Some(receiver) => {
            let flow = receiver.socket.flow;
            audit::From::Receiver(flow.netns, flow.destination.ip())
        }
        None => {
            let flow = sender.socket.flow;
            audit::From::Sender(flow.netns, flow.destination.ip())
        }
    };
    too_narrow(&case.state.topology, case.joints, way, sample.pmtu_bytes)
}

/// How a drop there would be known.
pub fn key(foreseen: &Foreseen) -> SiteKey {
    SiteKey {
        netns: foreseen.boundary.netns.id(),
        egress: foreseen.egress,
        function: foreseen.boundary.function.as_str().into(),
    }
}
