//! Asks for the links and addresses of one namespace, from outside.
//!
//! Attributes are picked one by one rather than by netlink-packet-route's `LinkMessage`: that
//! refuses a whole link for one attribute it cannot read, and names that are not UTF-8 are among
//! those, so that any container could hide its devices by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use netlink_packet_core::{parse_i32, parse_u32};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeader, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkMessage,
};

use crate::base::netlink::{attribute, attributes, ip_address, string};
use crate::base::text::printable;
use crate::host::watcher::hub::{Hub, Nsid};
use crate::host::watcher::linkinfo::LinkInfo;
use crate::host::watcher::notice::What;
use crate::model::network::{Address, Link, LinkKind};

/// Size of `struct ifinfomsg` (`linux/rtnetlink.h`), bytes.
const LINK_HEADER_BYTES: usize = 16;
/// Size of `struct ifaddrmsg` (`linux/if_addr.h`), bytes.
const ADDRESS_HEADER_BYTES: usize = 8;

/// `IFLA_INET_CONF`, and `IPV4_DEVCONF_FORWARDING` in it, which `linux/ip.h` counts from 1.
const IFLA_INET_CONF: u16 = 1;
const IPV4_FORWARDING: usize = 0;
/// `IFLA_INET6_CONF`, and `DEVCONF_FORWARDING` in it (`linux/ipv6.h`).
const IFLA_INET6_CONF: u16 = 2;
const IPV6_FORWARDING: usize = 0;
/// `DEVCONF_MTU6`.
const IPV6_MTU: usize = 2;
const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

/// A link as its namespace was asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedLink {
    /// Everything but its peer and the namespace of its outer packets.
    pub link: Link,
    /// Number of the peer's namespace, `None` for the own one, and the peer's interface index.
    pub peer: Option<(Option<Nsid>, u32)>,
    /// Number of the namespace that a tunnel's outer packets are sent in, `None` for the own one.
    pub outer: Option<Nsid>,
    /// Whether IPv4 packets that come in by it are forwarded.
    pub forwards_ipv4: bool,
    /// Whether it forwards as far as IPv6 says by device.
    pub forwards_ipv6: bool,
}

impl AskedLink {
    /// Number of the other namespace that its peer or its underlay is in.
    pub fn leads(&self) -> Option<Nsid> {
        let peers = self.peer.and_then(|(nsid, _)| nsid);
        peers.or(self.outer).filter(|&nsid| nsid >= 0)
    }
}

/// The devices of a namespace, by interface index.
pub(crate) type Devices = BTreeMap<u32, AskedLink>;

/// What is to be asked of a namespace.
pub(crate) type Due = BTreeSet<What>;

/// With more single questions than this, one for everything is quicker.
const MAX_SINGLE: usize = 16;

/// The devices that are not as they were known, as they are now: `None` if there is none any more.
pub(crate) type Different = BTreeMap<u32, Option<AskedLink>>;

/// Asks a namespace for what is due and says what is different from the known devices: `EINVAL` if the
/// namespace is gone, among other reasons, `EPERM` if it may not be asked.
pub(crate) fn ask(hub: &Hub, nsid: Nsid, due: &Due, known: &Devices) -> io::Result<Different> {
    let (asked, mut devices): (BTreeSet<u32>, Devices);
    if due.contains(&What::All) || due.len() > MAX_SINGLE {
        devices = take(hub, nsid)?;
        asked = known.keys().chain(devices.keys()).copied().collect();
    } else {
        let ifindexes = due.iter().filter_map(|what| match what {
            What::Link(ifindex) | What::Addresses(ifindex) => Some(*ifindex),
            What::All => None,
        });
        asked = ifindexes.collect();
        devices = asked
            .iter()
            .filter_map(|ifindex| Some((*ifindex, known.get(ifindex)?.clone())))
            .collect();
        // Links come first.
        for what in due {
            match *what {
                What::Link(ifindex) => match take_one(hub, nsid, ifindex)? {
                    None => drop(devices.remove(&ifindex)),
                    Some(mut new) => {
                        let entry = devices.entry(ifindex).or_default();
                        new.link.addresses = std::mem::take(&mut entry.link.addresses);
                        *entry = new;
                    }
                },
                What::Addresses(ifindex) => take_addresses(hub, nsid, ifindex, &mut devices)?,
                What::All => {}
            }
        }
    }
    Ok(asked
        .into_iter()
        .map(|ifindex| (ifindex, devices.remove(&ifindex)))
        .filter(|(ifindex, device)| known.get(ifindex) != device.as_ref())
        .collect())
}

/// Asks for all devices.
fn take(hub: &Hub, nsid: Nsid) -> io::Result<Devices> {
    let request = RouteNetlinkMessage::GetLink(link_request(nsid, 0));
    let each = |devices: &mut Devices, payload: &[u8]| devices.extend(device(payload));
    let mut devices = hub.requests.dump(&request, each)?;
    match take_addresses(hub, nsid, 0, &mut devices) {
        // It had some until it died just now, and those are known.
        Err(error) if !hub.is_alive(nsid) => return Err(error),
        // Otherwise links without addresses are better than none.
        Err(error) => log::debug!("no addresses of nsid {nsid}: {error}"),
        Ok(()) => {}
    }
    Ok(devices)
}

/// Asks for one device, without its addresses.
fn take_one(hub: &Hub, nsid: Nsid, ifindex: u32) -> io::Result<Option<AskedLink>> {
    let request = RouteNetlinkMessage::GetLink(link_request(nsid, ifindex));
    let mut found = None;
    let each = |payload: &[u8]| found = device(payload);
    match hub.requests.ask_raw(request, 0, each) {
        Ok(()) => Ok(found.map(|(_, device)| device)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for the addresses of one device, or of all with index 0.
fn take_addresses(hub: &Hub, nsid: Nsid, ifindex: u32, devices: &mut Devices) -> io::Result<()> {
    let mut message = AddressMessage::default();
    message.header.index = ifindex;
    message.attributes = vec![AddressAttribute::TargetNetNsId(nsid)];
    let request = RouteNetlinkMessage::GetAddress(message);
    let dumped = hub
        .requests
        .dump(&request, |addresses: &mut Vec<_>, payload| {
            addresses.extend(address(payload));
        });
    let addresses = match dumped {
        // The device asked for is gone; that is told separately.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
        addresses => addresses?,
    };
    if let Some(device) = devices.get_mut(&ifindex) {
        device.link.addresses.clear();
    }
    for (index, address) in addresses {
        // Not every kernel minds the index.
        if (ifindex == 0 || index == ifindex)
            && let Some(device) = devices.get_mut(&index)
        {
            device.link.addresses.push(address);
        }
    }
    Ok(())
}

fn link_request(nsid: Nsid, ifindex: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message.attributes = vec![
        LinkAttribute::IfNetnsId(nsid), // today's name of it is IFLA_TARGET_NETNSID
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    message
}

/// Whether a namespace with these devices forwards, by IPv4 and by IPv6.
///
/// `ip_forward` decides on IPv4 by the device a packet comes in by (`IN_DEV_FORWARD`); the sysctl
/// `ip_forward` merely sets that for all of them. `ip6_forward` decides by `all.forwarding`, which
/// route netlink does not tell for another namespace; but setting it sets all devices, and hardly
/// anybody sets the loopback device's alone.
pub(crate) fn forwards(devices: &Devices) -> (bool, bool) {
    let mut all = devices.values();
    let ipv4 = all.clone().any(|device| device.forwards_ipv4);
    let is_loopback = |device: &AskedLink| device.link.kind == LinkKind::Loopback;
    let ipv6 = all.any(|device| is_loopback(device) && device.forwards_ipv6);
    (ipv4, ipv6)
}

/// Reads an `RTM_NEWLINK` message.
fn device(payload: &[u8]) -> Option<(u32, AskedLink)> {
    let header = LinkHeader::parse(payload).ok()?;
    let mut device = AskedLink::default();
    let mut info = LinkInfo::default();
    let mut ipv6_mtu_bytes = None;
    let mut lower = None;
    let mut lower_nsid = None;
    for nla in attributes(payload.get(LINK_HEADER_BYTES..)?) {
        let value = nla.value();
        match nla.kind() {
            libc::IFLA_IFNAME => device.link.name = printable(string(value)),
            libc::IFLA_MTU => device.link.mtu_bytes = parse_u32(value).ok()?,
            libc::IFLA_MASTER => device.link.master = parse_u32(value).ok(),
            libc::IFLA_LINK => lower = parse_u32(value).ok().filter(|&ifindex| ifindex != 0),
            libc::IFLA_LINK_NETNSID => lower_nsid = parse_i32(value).ok(),
            libc::IFLA_LINKINFO => info = LinkInfo::read(value),
            libc::IFLA_IFALIAS => device.link.alias = Some(printable(string(value))),
            libc::IFLA_AF_SPEC => {
                device.forwards_ipv4 = is_set(value, AF_INET, IFLA_INET_CONF, IPV4_FORWARDING);
                device.forwards_ipv6 = is_set(value, AF_INET6, IFLA_INET6_CONF, IPV6_FORWARDING);
                ipv6_mtu_bytes = setting(value, AF_INET6, IFLA_INET6_CONF, IPV6_MTU);
            }
            _ => {}
        }
    }
    device.link.ipv6_mtu_bytes = ipv6_mtu_bytes.filter(|&bytes| bytes != device.link.mtu_bytes);
    device.link.up = header.flags.contains(LinkFlags::Up);
    device.link.carrier = header.flags.contains(LinkFlags::LowerUp);
    device.link.kind = if header.flags.contains(LinkFlags::Loopback) {
        LinkKind::Loopback
    } else {
        info.kind.unwrap_or(LinkKind::Physical)
    };
    if let Some(tunnel) = &info.tunnel {
        device.outer = lower_nsid;
        // A tunnel that was moved to another namespace is said to have an `IFLA_LINK` even if it is
        // on no device: its own index then (`dev_get_iflink` of VXLAN).
        if lower_nsid.is_some() && tunnel.ifindex.is_none() {
            lower = None;
        }
    }
    device.link.tunnel = info.tunnel;
    device.link.vlan = info.vlan;
    device.link.vrf_table = info.vrf_table;
    device.peer = lower.map(|ifindex| (lower_nsid, ifindex));
    Some((header.index, device))
}

/// Reads an `RTM_NEWADDR` message.
fn address(payload: &[u8]) -> Option<(u32, Address)> {
    let header = AddressHeader::parse(payload).ok()?;
    let attributes = payload.get(ADDRESS_HEADER_BYTES..)?;
    // On a point-to-point link `IFA_ADDRESS` is the other end's.
    let local = attribute(attributes, libc::IFA_LOCAL);
    let address = Address {
        address: ip_address(local.or_else(|| attribute(attributes, libc::IFA_ADDRESS))?)?,
        prefix_len: header.prefix_len,
    };
    Some((header.index, address))
}

/// A value of a family's per-device configuration, which is an array of `u32`.
fn setting(af_spec: &[u8], family: u16, conf: u16, index: usize) -> Option<u32> {
    let values = attribute(attribute(af_spec, family)?, conf)?;
    parse_u32(values.get(index * 4..index * 4 + 4)?).ok()
}

/// Whether it is anything but 0.
fn is_set(af_spec: &[u8], family: u16, conf: u16, index: usize) -> bool {
    setting(af_spec, family, conf, index).is_some_and(|set| set != 0)
}
