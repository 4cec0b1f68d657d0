//! What the map foretells of the place of a stall, where no drop was seen.

use crate::{
    core::{
        sites::{Foreseen, KnownEnd, SiteKey, telling, too_narrow},
        verdicts::rules::Case,
    },
    model::event::Sample,
};

/// The place that tells what a message has told.
pub fn by_message(case: &Case<'_>) -> Option<Foreseen> {
    let told_bytes = case.track.icmp.mtu_bytes?;
    let flow = case.connection.sender(case.side)?.socket.flow;
    let (topology, to) = (&case.state.topology, flow.destination.ip());
    telling(topology, case.joints, flow.netns, to, told_bytes)
}

/// The place on the way from a sender of this host that is too narrow for its packets.
pub fn by_socket(case: &Case<'_>) -> Option<Foreseen> {
    let sender = case.connection.sender(case.side)?;
    let bytes = packet_bytes(sender.sample.as_ref()?);
    let topology = &case.state.topology;
    let narrow = |way| too_narrow(topology, case.joints, way, bytes);
    let sent = sender.socket.flow;
    let forwards = KnownEnd::Sender(sent.netns, sent.destination.ip());
    // Where addresses are translated on the way, an end knows it as far as that.
    narrow(forwards).or_else(|| {
        let received = case.connection.receiver(case.side)?.socket.flow;
        narrow(KnownEnd::Receiver(
            received.netns,
            received.destination.ip(),
        ))
    })
}

/// The length of a sender's full packets, bytes of layer 3: without options that are not in every one.
pub fn packet_bytes(sample: &Sample) -> u32 {
    let headers_bytes = if sample.flow.source.is_ipv6() { 60 } else { 40 };
    let full_bytes = sample.mss.saturating_add(headers_bytes);
    sample.pmtu_bytes.min(full_bytes)
}

/// How a drop there would be known.
pub fn key(foreseen: &Foreseen) -> SiteKey {
    SiteKey {
        netns: foreseen.boundary.netns.id(),
        egress: foreseen.egress,
        function: foreseen.boundary.function.as_str().into(),
    }
}
