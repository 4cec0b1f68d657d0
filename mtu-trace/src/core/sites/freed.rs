//! Packets that are freed and yet no loss of their own.

use crate::model::event::{Packet, PacketKind};

/// Functions that cut a packet for a device that cannot, and free it: its pieces go on.
const CUT_FIRST: [&str; 1] = ["xfrm_output_gso"];

/// Functions that send a packet in pieces. When a piece could not be sent they free the rest of it, which
/// still has the whole length and the headers of the first piece.
const IN_PIECES: [&str; 2] = ["ip_do_fragment", "ip6_fragment"];

/// Whether it was only cut: all of it goes on in pieces.
pub fn is_cut(packet: &Packet) -> bool {
    packet.gso && is_freed_in(packet, &CUT_FIRST)
}

/// Whether it may be the rest of a packet of which a piece has just died.
pub fn may_be_rest(packet: &Packet) -> bool {
    is_freed_in(packet, &IN_PIECES)
}

fn is_freed_in(packet: &Packet, functions: &[&str]) -> bool {
    matches!(&packet.what, PacketKind::Dropped { function, .. } if functions.contains(&function.as_str()))
}
