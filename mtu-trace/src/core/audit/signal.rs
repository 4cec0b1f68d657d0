//! Whether the message about a packet that is too big comes back to its sender, as far as the rules
//! on the way can be read; and whether a router clamps segment sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::core::firewall::{
    Blocking, Clamp, Fate, Firewall, Kind as What, NetfilterHook, QueriedPacket,
};
use crate::core::graph::Path;
use crate::core::sites::{Suspect, Tells};
use crate::model::network::{Link, LinkId, NetnsId, Topology};

/// The rules that were read, by namespace.
pub type Firewalls = BTreeMap<NetnsId, Firewall>;

/// What becomes of the message.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Nobody sends such a message.
    None,
    /// A rule drops it.
    Blocked {
        netns: NetnsId,
        hook: NetfilterHook,
        device: Option<LinkId>,
        blocking: Blocking,
    },
    /// A rule may drop it.
    Doubtful { netns: NetnsId, rule: String },
    /// Nothing that can be read keeps it from the sender.
    Passes,
    /// It leaves this host, whose rules let it go.
    Leaves,
}

/// A hook of a namespace that the message passes.
struct Station {
    netns: NetnsId,
    hook: NetfilterHook,
    iif: Option<LinkId>,
    oif: Option<LinkId>,
}

/// The namespaces whose rules the message passes and by which the sizes on this way may be clamped.
pub fn concerned(suspect: &Suspect) -> BTreeSet<NetnsId> {
    let stations = stations(suspect).into_iter().map(|station| station.netns);
    let routers = suspect.path.legs.iter().skip(1).map(|leg| leg.netns);
    stations.chain(routers).collect()
}

/// The hooks in the order in which the message passes them.
fn stations(suspect: &Suspect) -> Vec<Station> {
    let path = &suspect.path;
    let mut stations = Vec::new();
    let mut pass = |netns, hook, iif, oif| {
        stations.push(Station {
            netns,
            hook,
            iif,
            oif,
        });
    };
    let place = suspect.place.leg;
    if suspect.place.site.is_silent() {
        return stations;
    }
    let legs = &path.legs;
    // Towards the sender it leaves a router by the device the packet came in by.
    let came_in = |leg: usize| -> Option<LinkId> {
        let before = legs.get(leg.checked_sub(1)?)?;
        before.devices.last().copied()
    };
    let leaves_by = |leg: usize| legs.get(leg).and_then(|leg| leg.devices.first()).copied();
    // Who makes it: the router, but for a tunnel that answers in the far end's name.
    let first = if suspect.place.site.tells == Tells::SenderForReceiver {
        place + 1
    } else {
        if let Some(leg) = legs.get(place) {
            pass(leg.netns, NetfilterHook::Output, None, came_in(place));
            pass(leg.netns, NetfilterHook::Postrouting, None, came_in(place));
        }
        place
    };
    for number in (1..first).rev() {
        let Some(leg) = legs.get(number) else {
            continue;
        };
        let (iif, oif) = (leaves_by(number), came_in(number));
        pass(leg.netns, NetfilterHook::Prerouting, iif, None);
        pass(leg.netns, NetfilterHook::Forward, iif, oif);
        pass(leg.netns, NetfilterHook::Postrouting, None, oif);
    }
    // A sender that makes it itself need not be told.
    if let Some(from) = path.from.filter(|_| first > 0) {
        pass(from, NetfilterHook::Prerouting, leaves_by(0), None);
        pass(from, NetfilterHook::Input, leaves_by(0), None);
    }
    stations
}

/// What becomes of the message about a packet.
pub fn signal(topology: &Topology, firewalls: &Firewalls, suspect: &Suspect) -> Signal {
    if suspect.place.site.is_silent() {
        return Signal::None;
    }
    let path = &suspect.path;
    let maker = path
        .legs
        .get(suspect.place.leg)
        .map_or(suspect.place.egress.netns, |leg| leg.netns);
    let source = address_of(topology, maker, path.ipv6);
    let destination = path.source.unwrap_or_else(|| anywhere(path.ipv6));
    let mut doubtful = None;
    for station in stations(suspect) {
        let Some(firewall) = firewalls.get(&station.netns) else {
            continue;
        };
        let packet = QueriedPacket {
            hook: station.hook,
            kind: What::PacketTooBig,
            source,
            destination,
            iif: station.iif.and_then(|at| name(topology, at)),
            oif: station.oif.and_then(|at| name(topology, at)),
        };
        match firewall.fate(&packet) {
            Fate::Passes => {}
            Fate::Dropped(blocking) => {
                return Signal::Blocked {
                    netns: station.netns,
                    hook: station.hook,
                    device: station.iif.or(station.oif),
                    blocking,
                };
            }
            Fate::Unknown(rule) => {
                doubtful.get_or_insert(Signal::Doubtful {
                    netns: station.netns,
                    rule,
                });
            }
        }
    }
    doubtful.unwrap_or(if path.from.is_none() {
        Signal::Leaves
    } else {
        Signal::Passes
    })
}

/// A router that lowers the segment size, so that TCP sends less than `limit_bytes` on this way.
pub fn clamped(
    topology: &Topology,
    firewalls: &Firewalls,
    path: &Path,
    limit_bytes: u32,
) -> Option<(NetnsId, Clamp)> {
    let headers = if path.ipv6 { 60 } else { 40 };
    let mut crossings = path.legs.windows(2);
    crossings.find_map(|legs| {
        let [before, leg] = legs else { return None };
        let firewall = firewalls.get(&leg.netns)?;
        let near = before.devices.last()?.link(topology);
        let far = leg.devices.first()?.link(topology);
        let name = |link: Option<&Link>| Some(link?.name.clone());
        // What limits the sender is the segment size the receiver announces, on its way here.
        let mut hooks = [
            NetfilterHook::Forward,
            NetfilterHook::Postrouting,
            NetfilterHook::Prerouting,
        ]
        .into_iter();
        hooks.find_map(|hook| {
            let packet = QueriedPacket {
                hook,
                kind: What::Syn,
                source: path.destination.unwrap_or_else(|| anywhere(path.ipv6)),
                destination: path.source.unwrap_or_else(|| anywhere(path.ipv6)),
                iif: name(far).filter(|_| hook != NetfilterHook::Postrouting),
                oif: name(near).filter(|_| hook != NetfilterHook::Prerouting),
            };
            let clamp = firewall.clamp(&packet)?;
            let bytes = match clamp.mss {
                Some(mss) => u32::from(mss) + headers,
                // Both nft's `rt mtu` and TCPMSS look at the routes both ways.
                None => near?
                    .mtu_bytes
                    .min(leg.route_mtu_bytes.unwrap_or(far?.mtu_bytes)),
            };
            (bytes <= limit_bytes).then_some((leg.netns, clamp))
        })
    })
}

fn name(topology: &Topology, at: LinkId) -> Option<String> {
    Some(at.link(topology)?.name.clone())
}

fn address_of(topology: &Topology, netns: NetnsId, ipv6: bool) -> IpAddr {
    let netns = topology.namespaces.get(&netns).into_iter();
    let links = netns.flat_map(|netns| netns.links.values());
    let mut addresses = links
        .flat_map(|link| &link.addresses)
        .map(|own| own.address);
    let usable = |address: &IpAddr| address.is_ipv6() == ipv6 && !address.is_loopback();
    addresses.find(usable).unwrap_or_else(|| anywhere(ipv6))
}

/// An address that no rule is about.
fn anywhere(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(192, 0, 2, 254).into()
    }
}
