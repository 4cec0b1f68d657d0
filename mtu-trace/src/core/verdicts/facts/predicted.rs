//! What the network as it stands tells of the place of a stall, where no drop was seen.

use crate::core::sites::{KnownEnd, Predicted, SiteKey, telling, too_narrow};
use crate::core::verdicts::facts::TrackFacts;
use crate::model::event::{Sample, hook};

/// The headers of a TCP segment without options over IPv4, bytes (RFC 791, RFC 9293).
const HEADERS_BYTES: u32 = 40;
/// The headers of a TCP segment without options over IPv6, bytes (RFC 8200, RFC 9293).
const HEADERS6_BYTES: u32 = 60;

/// Whether nothing was dropped here, and nothing was sent since that would have shown whether it is:
/// the sender waits for seconds or minutes between one try and the next.
pub(crate) fn nothing_was_tried(facts: &TrackFacts<'_>) -> bool {
    let track = facts.track;
    let Some(waits) = track.waits else {
        return false;
    };
    let tried = track.retransmits.is_some() || waits.backoff > waits.first_backoff;
    let seen = tried && !facts.state.blind.contains(hook::DROPS);
    !seen && track.oversized.is_empty() && track.other.is_empty()
}

/// Whether more than one segment waits to be acknowledged, full ones but for the last, and before
/// them none that was full got through.
pub(crate) fn full_size_is_waiting(facts: &TrackFacts<'_>) -> bool {
    let sample = facts.sender().and_then(|sender| sender.sample.as_ref());
    sample.is_some_and(|sample| {
        let full_bytes = sample.unacked.saturating_sub(1).saturating_mul(sample.mss);
        sample.unacked > 1
            && sample.outstanding_bytes > full_bytes
            && sample.bytes_acked < u64::from(sample.mss)
    })
}

/// The place whose limit is what a message told; `None` if the network as it stands has none.
pub fn by_message(facts: &TrackFacts<'_>) -> Option<Predicted> {
    let told_bytes = facts.track.icmp.mtu_bytes?;
    let flow = facts.sender()?.socket.flow;
    let to = flow.destination.ip();
    telling(&facts.state.index, flow.netns, to, told_bytes)
}

/// The place on the way from a sender of this host that is too narrow for its packets; `None` if
/// there is none.
pub fn by_socket(facts: &TrackFacts<'_>) -> Option<Predicted> {
    let sender = facts.sender()?;
    let bytes = packet_bytes(sender.sample.as_ref()?);
    let narrow = |way| too_narrow(&facts.state.index, way, bytes);
    let sent = sender.socket.flow;
    let forwards = KnownEnd::Sender(sent.netns, sent.destination.ip());
    // Where addresses are translated on the way, an end knows it as far as that.
    narrow(forwards).or_else(|| {
        let received = facts.connection.receiver(facts.side)?.socket.flow;
        narrow(KnownEnd::Receiver(
            received.netns,
            received.destination.ip(),
        ))
    })
}

/// The length of a sender's full packets, bytes of layer 3: without options that are not in every one.
pub fn packet_bytes(sample: &Sample) -> u32 {
    let headers_bytes = if sample.flow.source.is_ipv6() {
        HEADERS6_BYTES
    } else {
        HEADERS_BYTES
    };
    let full_bytes = sample.mss.saturating_add(headers_bytes);
    sample.pmtu_bytes.min(full_bytes)
}

/// The key that a drop at a predicted place would have.
pub fn key(predicted: &Predicted) -> SiteKey {
    SiteKey {
        netns: predicted.boundary.netns.id(),
        egress: predicted.egress,
        function: predicted.boundary.function.as_str().into(),
    }
}
