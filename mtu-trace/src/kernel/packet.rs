//! Records of packets, which several hooks make, to packets of events.

use mtu_trace_common::record::{DeviceRecord, PacketRecord};

use crate::kernel::decode::{Decoder, flow};
use crate::kernel::headers;
use crate::model::event::{Device, Event, EventKind, Packet, PacketKind, Tcp};
use crate::model::network::{NetnsId, Topology};

/// Protocols of frames that begin with a VLAN tag (`linux/if_ether.h`).
const ETH_P_8021Q: u32 = 0x8100;
/// The protocol of an outer tag, see [`ETH_P_8021Q`].
const ETH_P_8021AD: u32 = 0x88a8;
/// The length of a tag, bytes.
const VLAN_HLEN: u32 = 4;

impl Decoder {
    /// The packet of a record, of which `what` has become.
    pub fn packet(&self, record: &PacketRecord, what: PacketKind, topology: &Topology) -> Packet {
        let netns = NetnsId(record.key.flow.netns);
        let head = record
            .head
            .get(..record.head_len as usize)
            .unwrap_or(&record.head);
        let headers = headers::parse(netns, head);
        let gso = record.gso_size > 0;
        Packet {
            what,
            flow: flow(&record.key.flow),
            device: device(&record.device, topology)
                .unwrap_or_else(|| named(netns, 0, 0, &Topology::default())),
            has_device: record.has_device != 0,
            route: device(&record.route, topology),
            peer: device(&record.peer, topology),
            came_in: (record.iif != 0).then(|| named(netns, record.iif, 0, topology)),
            route_input: (record.route_input != 0).then(|| self.function(record.route_input)),
            route_mtu_bytes: (record.route_mtu != 0).then_some(record.route_mtu),
            length_bytes: if gso {
                record.gso_size.saturating_add(record.headers_len)
            } else {
                record.l3_len
            },
            buffer_bytes: record.l3_len,
            tag_bytes: match record.ethertype {
                ETH_P_8021Q | ETH_P_8021AD => VLAN_HLEN,
                _ => 0,
            },
            gso,
            tcp: headers.tcp.map(|tcp| Tcp {
                payload_bytes: record.l3_len.saturating_sub(record.headers_len),
                ..tcp
            }),
            icmp_error: headers.icmp_error,
            inner: headers.inner,
            count: record.count,
            first_ns: record.first_ns,
            repeats: record.repeats,
            head: head.get(..headers.length).unwrap_or(head).to_vec(),
        }
    }
}

fn device(record: &DeviceRecord, topology: &Topology) -> Option<Device> {
    if record.ifindex == 0 {
        return None;
    }
    let netns = NetnsId(match record.netns_cookie {
        0 => u64::from(record.netns_inode),
        cookie => cookie,
    });
    Some(named(netns, record.ifindex, record.mtu, topology))
}

fn named(netns: NetnsId, ifindex: u32, mtu_bytes: u32, topology: &Topology) -> Device {
    let mut device = Device {
        netns,
        ifindex,
        name: None,
        mtu_bytes,
    };
    name(&mut device, topology);
    device
}

/// Takes over a device's name, and its MTU where the record has not told that.
fn name(device: &mut Device, topology: &Topology) {
    if let Some(link) = topology.link(device.netns, device.ifindex) {
        device.name = Some(link.name.as_str().into());
        if device.mtu_bytes == 0 {
            device.mtu_bytes = link.mtu_bytes;
        }
    }
}

/// Names the devices of an event that were not known when it was decoded.
pub fn name_devices(event: &mut Event, topology: &Topology) {
    let EventKind::Packet(packet) = &mut event.kind else {
        return;
    };
    let others = [&mut packet.route, &mut packet.peer, &mut packet.came_in];
    let devices = others.into_iter().flatten().chain([&mut packet.device]);
    for device in devices.filter(|device| device.name.is_none()) {
        name(device, topology);
    }
}
