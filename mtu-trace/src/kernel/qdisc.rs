//! Questions about the `clsact` qdisc of a device and its filters, in the namespace of the calling
//! thread.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::base::netlink::Netlink;

/// `TC_H_CLSACT`, also the handle's parent.
const CLSACT: TcHandle = TcHandle {
    major: 0xffff,
    minor: 0xfff1,
};
/// `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS`.
const INGRESS: u16 = 0xfff2;
const EGRESS: u16 = 0xfff3;

/// The devices with a `clsact` qdisc, anyone's.
pub fn with_clsact() -> BTreeSet<u32> {
    let message = RouteNetlinkMessage::GetQueueDiscipline(message(0, TcHandle::default()));
    let answer = ask(message, NLM_F_DUMP).unwrap_or_else(|error| {
        log::warn!("cannot list queueing disciplines: {error}");
        Vec::new()
    });
    let devices = answer.into_iter().filter_map(|entry| match entry {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) if qdisc.attributes.contains(&kind()) => {
            u32::try_from(qdisc.header.index).ok()
        }
        _ => None,
    });
    devices.collect()
}

fn kind() -> TcAttribute {
    TcAttribute::Kind("clsact".to_owned())
}

/// Whether any of its filters has the given priority.
pub fn has_priority(ifindex: u32, priority: u16) -> bool {
    // The priority is the upper half of `tcm_info`.
    filters(ifindex)
        .iter()
        .any(|filter| filter.header.info >> 16 == u32::from(priority))
}

/// Removes the device's `clsact` qdisc, which must be there, if no filter is left on it.
pub fn remove_if_empty(ifindex: u32) {
    if !filters(ifindex).is_empty() {
        return;
    }
    let mut message = message(ifindex, CLSACT);
    message.header.handle = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    message.attributes.push(kind());
    let message = RouteNetlinkMessage::DelQueueDiscipline(message);
    if let Err(error) = ask(message, NLM_F_ACK) {
        log::warn!("cannot remove our clsact qdisc from device {ifindex}: {error}");
    }
}

fn filters(ifindex: u32) -> Vec<TcMessage> {
    let ask = |minor| {
        let parent = TcHandle {
            major: CLSACT.major,
            minor,
        };
        let message = RouteNetlinkMessage::GetTrafficFilter(message(ifindex, parent));
        ask(message, NLM_F_DUMP).unwrap_or_default()
    };
    let entries = [INGRESS, EGRESS].into_iter().flat_map(ask);
    let filters = entries.filter_map(|entry| match entry {
        RouteNetlinkMessage::NewTrafficFilter(filter) => Some(filter),
        _ => None,
    });
    filters.collect()
}

fn message(ifindex: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(i32::try_from(ifindex).unwrap_or(i32::MAX));
    message.header.family = AddressFamily::Unspec;
    message.header.parent = parent;
    message
}

fn ask(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    Netlink::open(NETLINK_ROUTE)?.ask(message, flags)
}
