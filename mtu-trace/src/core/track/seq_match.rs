//! Which connection a packet belongs to, across namespaces and NAT.
//!
//! NAT changes addresses and ports but not sequence numbers: a packet towards a socket has a
//! sequence number not far above the socket's IRS and an acknowledgement number not far above its
//! ISS, wherever it is seen.

use crate::core::track::connection::Side;
use crate::model::event::{Flow, Socket};

/// How far above the initial sequence numbers a packet may be to belong to a socket whose
/// addresses have nothing in common with the packet's, bytes. A choice: 1 MiB both ways, so that an
/// unrelated packet fits by chance once in 2^24 times.
pub(crate) const WINDOW_STRANGER: u32 = 1 << 20;
/// How far above one initial sequence number a packet may be where one end's address and port agree, as
/// all downloads from one registry do, bytes. A choice: most of a long transfer one way, while the other
/// way carries requests ([`WINDOW_REQUESTS`]); an unrelated packet fits once in 2^17 times, and hardly
/// ever better than the right one.
pub(crate) const WINDOW_DATA: u32 = 1 << 30;
/// How far above the other initial sequence number it may then be, bytes. A choice: see [`WINDOW_DATA`].
pub(crate) const WINDOW_REQUESTS: u32 = 1 << 16;

/// Whether a packet with this flow and these numbers belongs to the socket, in which direction,
/// and how badly it fits: the smallest misfit of several candidates wins.
#[must_use]
pub fn belongs(socket: &Socket, flow: &Flow, seq: u32, ack: Option<u32>) -> Option<(Side, u64)> {
    if socket.flow.protocol != flow.protocol {
        return None;
    }
    let misfit_in = |side: Side| {
        let own = side.outwards(socket.flow);
        if own == *flow {
            return Some(0);
        }
        let Some(isn) = socket.isn else {
            return alike(&own, flow);
        };
        let (sent, acknowledged) = match side {
            Side::Out => (isn.iss, isn.irs),
            Side::In => (isn.irs, isn.iss),
        };
        match ack {
            Some(ack) => {
                let (seq, ack) = (seq.wrapping_sub(sent), ack.wrapping_sub(acknowledged));
                misfit(&own, flow, seq, ack)
            }
            // A SYN, whose sequence number is the initial one itself.
            None => (seq == sent).then_some(1),
        }
    };
    let fitting = Side::BOTH.into_iter();
    let fitting = fitting.filter_map(|side| Some((side, misfit_in(side)?)));
    fitting.min_by_key(|&(_, misfit)| misfit)
}

/// Misfits from here on rest on addresses alone: another connection may have the same. A choice: above
/// every distance in sequence numbers, of which there are 2^33 at most.
pub const BY_ADDRESSES: u64 = 1 << 40;

/// Misfits up to here, in bytes from both initial sequence numbers, are too small for chance, even where
/// nothing leads from the packet's network to the socket's, unless both were opened within 70 ms: networks
/// that have nothing to do with each other have the same addresses, then the kernel gives their connections
/// the same ports, and initial sequence numbers that differ by the time alone (`secure_tcp_seq`).
pub const CLOSE: u64 = 2 + 2 * WINDOW_STRANGER as u64;

/// How badly two flows in the same direction fit, as far as addresses tell: they are the same, or one
/// end is and the other has the same port, as most NAT leaves it.
pub(crate) fn alike(a: &Flow, b: &Flow) -> Option<u64> {
    match (a.source == b.source, a.destination == b.destination) {
        _ if a.protocol != b.protocol => None,
        (true, true) => Some(BY_ADDRESSES),
        (true, false) if a.destination.port() == b.destination.port() => Some(BY_ADDRESSES + 1),
        (false, true) if a.source.port() == b.source.port() => Some(BY_ADDRESSES + 1),
        _ => None,
    }
}

fn misfit(socket: &Flow, packet: &Flow, sent: u32, acknowledged: u32) -> Option<u64> {
    // The first one is the SYN itself: an established connection is past it. But the answer to the SYN
    // may be lost, and be the first that is known of the connection.
    if acknowledged == 0 || (sent == 0 && acknowledged != 1) {
        return None;
    }
    let same_source = socket.source == packet.source;
    let window = match (same_source, socket.destination == packet.destination) {
        // The whole tuple, only seen in another namespace: numbers must merely lie ahead. The nearest
        // wins here too: containers of several engines have the same addresses, and the kernel
        // gives connections between the same addresses the same ports (`secure_ipv4_port_ephemeral`).
        (true, true) => u32::MAX >> 1,
        (true, false) | (false, true) if sent.min(acknowledged) <= WINDOW_REQUESTS => WINDOW_DATA,
        _ => WINDOW_STRANGER,
    };
    (sent.max(acknowledged) <= window).then(|| 2 + u64::from(sent) + u64::from(acknowledged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Isn, TCP};
    use crate::model::network::NetnsId;

    fn flow(netns: u64, source: &str, destination: &str) -> Flow {
        Flow {
            netns: NetnsId(netns),
            protocol: TCP,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn socket() -> Socket {
        Socket {
            flow: flow(1, "192.0.2.2:40000", "198.51.100.9:80"),
            opened_ns: 0,
            isn: Some(Isn {
                iss: u32::MAX - 5,
                irs: 7000,
            }),
            active: Some(true),
        }
    }

    fn side(flow: &Flow, seq: u32, ack: Option<u32>) -> Option<Side> {
        belongs(&socket(), flow, seq, ack).map(|(side, _)| side)
    }

    #[test]
    fn same_tuple_in_its_namespace_fits_exactly() {
        let own = flow(1, "198.51.100.9:80", "192.0.2.2:40000");
        assert_eq!(belongs(&socket(), &own, 1, Some(1)), Some((Side::In, 0)));
    }

    #[test]
    fn sequence_numbers_survive_double_nat() {
        // Both addresses translated, both ports changed, and the ISS wraps on the way.
        let elsewhere = flow(3, "203.0.113.1:30080", "203.0.113.77:61000");
        assert_eq!(side(&elsewhere, 7001, Some(100)), Some(Side::In));
        let back = elsewhere.reversed();
        assert_eq!(side(&back, 100, Some(7001)), Some(Side::Out));
    }

    #[test]
    fn of_two_with_the_same_addresses_the_nearer_fits_better() {
        let elsewhere = flow(3, "198.51.100.9:80", "192.0.2.2:40000");
        let fit = |irs: u32, iss: u32| {
            let other = Socket {
                isn: Some(Isn { iss, irs }),
                ..socket()
            };
            belongs(&other, &elsewhere, 7001, Some(100)).map(|(_, misfit)| misfit)
        };
        let right = fit(7000, u32::MAX - 5);
        let wrong = fit(
            7000_u32.wrapping_sub(1 << 29),
            100_u32.wrapping_sub(1 << 30),
        );
        assert!(right < wrong && wrong.is_some(), "{right:?} {wrong:?}");
    }

    #[test]
    fn a_syn_has_the_initial_number_itself() {
        let elsewhere = flow(3, "203.0.113.77:61000", "203.0.113.1:30080");
        assert_eq!(side(&elsewhere, u32::MAX - 5, None), Some(Side::Out));
        assert_eq!(side(&elsewhere, 7000, None), Some(Side::In));
        assert_eq!(side(&elsewhere, 7001, None), None);
    }

    #[test]
    fn the_answer_to_a_syn_is_the_connections() {
        let elsewhere = flow(3, "203.0.113.77:61000", "203.0.113.1:30080");
        let answer = |ack| side(&elsewhere.reversed(), 7000, Some(ack));
        let answered = u32::MAX - 4;
        assert_eq!(answer(answered), Some(Side::In));
        assert_eq!(answer(answered + 1), None);
        assert_eq!(answer(answered - 1), None);
    }

    #[test]
    fn another_connection_does_not_fit() {
        let elsewhere = flow(3, "203.0.113.1:30080", "203.0.113.77:61000");
        assert_eq!(side(&elsewhere, 7001, Some(3_000_000_000)), None);
        assert_eq!(side(&elsewhere, 7001, None), None);
    }

    #[test]
    fn far_into_a_transfer_one_address_must_agree() {
        let far = 7000 + (500 << 20);
        let stranger = flow(3, "203.0.113.1:30080", "203.0.113.77:61000");
        assert_eq!(side(&stranger, far, Some(100)), None);
        let related = flow(3, "198.51.100.9:80", "203.0.113.77:61000");
        assert!(side(&related, far, Some(100)).is_some());
        // Far both ways is somebody else's transfer from the same server.
        assert_eq!(side(&related, far, Some(400 << 20)), None);
    }
}
