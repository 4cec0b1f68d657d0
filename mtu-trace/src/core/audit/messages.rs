//! What is said of a narrow place. Pure.

use crate::core::audit::mismatch::Judged;
use crate::core::audit::signal::{Firewalls, Signal};
use crate::core::graph::{Decision, Destination, lookup};
use crate::core::sites::{Limit, Relief, Suspect, Tells};
use crate::model::finding::Boundary;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkId, NetnsId, Topology};

/// Names listed before the rest is counted.
const MOST_NAMES: usize = 6;

/// One sentence: who sends what to whom, where it does not fit, and whether anybody is told.
pub fn summary(topology: &Topology, judged: &Judged<'_>, boundary: &Boundary) -> String {
    let suspect = judged.suspect;
    let path = &suspect.path;
    let first = path.legs.first().and_then(|leg| leg.devices.first());
    let last = path.legs.last().and_then(|leg| leg.devices.last());
    let sender = match end(topology, path.from, first) {
        Some(sender) => sender,
        None => "whoever is beyond this host".to_owned(),
    };
    let receiver = match end(topology, path.to, last) {
        Some(receiver) => receiver,
        None => "hosts beyond this one".to_owned(),
    };
    let packets = match suspect.place.wrapped_bytes {
        0 => format!("packets of {} bytes", suspect.packet_bytes),
        wrapped => format!(
            "packets of {} bytes ({wrapped} of them for the tunnel{})",
            suspect.packet_bytes,
            suspect
                .place
                .tunnel
                .map_or_else(String::new, |at| format!(" {}", device(topology, at))),
        ),
    };
    format!(
        "{sender} may send {receiver} {packets}, but they do not fit {} (limit {}){}: {}.",
        whereabouts(topology, suspect, boundary),
        boundary.limit_bytes,
        stretch(topology, suspect),
        outcome(topology, judged),
    )
}

/// `eth0 of build`, the end of a way on this host.
fn end(topology: &Topology, netns: Option<NetnsId>, at: Option<&LinkId>) -> Option<String> {
    let netns = netns?;
    let label = NetnsRef::new(netns, topology).label();
    Some(match at.and_then(|at| at.link(topology)) {
        Some(link) => format!("{label} ({}, MTU {})", link.name, link.mtu_bytes),
        None => label,
    })
}

fn device(topology: &Topology, at: LinkId) -> String {
    let label = NetnsRef::new(at.netns, topology).label();
    match at.link(topology) {
        Some(link) => format!("{} of {label}", link.name),
        None => label,
    }
}

fn whereabouts(topology: &Topology, suspect: &Suspect, boundary: &Boundary) -> String {
    let label = boundary.netns.label();
    let egress = boundary.egress.as_deref().unwrap_or("?");
    match (suspect.place.site.limit, suspect.place.peer) {
        (Limit::Route, _) if boundary.ingress.is_some() => format!(
            "where {label} forwards them from {} to {egress}",
            boundary.ingress.as_deref().unwrap_or("?")
        ),
        (Limit::Egress, _) => format!("through {egress}, a bridge port in {label}"),
        (Limit::Peer, Some(peer)) => format!(
            "through {egress} of {label} into its other end, {}",
            device(topology, peer)
        ),
        (Limit::TunnelRoute, _) => {
            let link = suspect.place.egress.link(topology);
            let overhead = link
                .and_then(|link| link.tunnel.as_ref())
                .map_or(0, |tunnel| tunnel.overhead_bytes);
            format!(
                "through the tunnel {egress} of {label}, which adds {overhead} bytes to each on a \
                 link of {}",
                boundary.limit_bytes.saturating_add(overhead)
            )
        }
        _ => format!("through {egress} of {label}"),
    }
}

/// From where to where the way is narrow, if that is more than one device.
fn stretch(topology: &Topology, suspect: &Suspect) -> String {
    let narrow = narrow(topology, suspect);
    match (narrow.first(), narrow.last()) {
        (Some(first), Some(last)) if first != last => format!(
            "; the way is that narrow from {} to {}",
            device(topology, *first),
            device(topology, *last)
        ),
        _ => String::new(),
    }
}

fn outcome(topology: &Topology, judged: &Judged<'_>) -> String {
    let suspect = judged.suspect;
    match suspect.relief {
        Some(Relief::Slack) => {
            return "they pass all the same, in the room layer 2 leaves for a VLAN tag".to_owned();
        }
        Some(Relief::RouteMtu) => {
            return "a route with a smaller MTU keeps TCP below that".to_owned();
        }
        Some(Relief::NoDf) => {
            return "they are cut into pieces there, since the sender has path MTU discovery off"
                .to_owned();
        }
        Some(Relief::Fragments) => {
            return "the tunnel's packets are cut into pieces, which is slow but works".to_owned();
        }
        None => {}
    }
    if let Some((netns, clamp)) = &judged.clamp {
        return format!(
            "TCP is safe because {} lowers the segment size ({}); UDP and QUIC depend on ICMP",
            NetnsRef::new(*netns, topology).label(),
            clamp.rule
        );
    }
    let told = match &judged.signal {
        Signal::None if suspect.place.site.tells == Tells::Tunnel => {
            "only the tunnel itself is told, never the sender".to_owned()
        }
        Signal::None => "they die there and nothing can tell the sender".to_owned(),
        Signal::Blocked { netns, hook, .. } => format!(
            "they die there, and the ICMP that should say so is dropped in {}, {}",
            NetnsRef::new(*netns, topology).label(),
            hook.name()
        ),
        Signal::Doubtful { netns, .. } => format!(
            "a rule in {} may drop the ICMP that says so",
            NetnsRef::new(*netns, topology).label()
        ),
        Signal::Passes | Signal::Leaves => {
            "it works only as long as the ICMP that says so gets to the sender".to_owned()
        }
    };
    if judged.probes {
        format!("{told}; TCP recovers after some timeouts, because the sender probes")
    } else {
        told
    }
}

/// What the judgement rests on.
pub fn notes(
    topology: &Topology,
    firewalls: &Firewalls,
    worst: &Judged<'_>,
    all: &[Judged<'_>],
) -> Vec<String> {
    let mut notes = Vec::new();
    let senders = all.iter().filter_map(|judged| judged.suspect.path.from);
    let names: Vec<String> = senders
        .map(|netns| NetnsRef::new(netns, topology).label())
        .collect();
    let shown = names.get(..MOST_NAMES).unwrap_or(&names).join(", ");
    let rest = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let beyond = all.iter().any(|judged| judged.suspect.path.from.is_none());
    notes.push(match (shown.is_empty(), beyond) {
        (true, _) => "packets come here from beyond this host".to_owned(),
        (false, false) => format!("packets come here from {shown}{rest}"),
        (false, true) => format!("packets come here from {shown}{rest} and from beyond this host"),
    });
    match &worst.signal {
        Signal::Blocked {
            netns, blocking, ..
        } => notes.push(format!(
            "rules of {}: {}: {}",
            NetnsRef::new(*netns, topology).label(),
            blocking.place,
            blocking.rule
        )),
        Signal::Doubtful { netns, rule } => notes.push(format!(
            "rules of {}: not understood: {rule}",
            NetnsRef::new(*netns, topology).label()
        )),
        Signal::Passes => notes.push("no rule that was read drops the ICMP on its way".to_owned()),
        Signal::Leaves => notes
            .push("no rule of this host drops the ICMP; those beyond it are not known".to_owned()),
        Signal::None => {}
    }
    if let (Signal::Passes | Signal::Leaves, concerned) = (
        &worst.signal,
        crate::core::audit::signal::concerned(worst.suspect),
    ) {
        for netns in concerned {
            let unread = firewalls
                .get(&netns)
                .map_or(&[][..], |rules| rules.unread());
            notes.extend(unread.iter().map(|what| {
                format!(
                    "rules of {}: {what}",
                    NetnsRef::new(netns, topology).label()
                )
            }));
        }
    }
    notes.extend(learned(topology, worst.suspect));
    notes
}

/// What the sender has learned about the way; it forgets after some minutes.
fn learned(topology: &Topology, suspect: &Suspect) -> Option<String> {
    let from = suspect.path.from?;
    let inside = topology.inside(from)?;
    let destination = suspect.path.destination?;
    let known = inside
        .path_mtus
        .iter()
        .find(|known| known.destination == destination)?;
    Some(format!(
        "{} has learned a path MTU of {} to {destination}, for some minutes",
        NetnsRef::new(from, topology).label(),
        known.mtu_bytes
    ))
}

/// The devices around a place that are too narrow for its packets, in the order of the way.
fn narrow(topology: &Topology, suspect: &Suspect) -> Vec<LinkId> {
    let place = &suspect.place;
    if place.wrapped_bytes > 0 {
        return Vec::new();
    }
    let devices: Vec<LinkId> = suspect
        .path
        .legs
        .iter()
        .flat_map(|leg| leg.devices.iter().copied())
        .collect();
    let fits = |at: &LinkId| {
        at.link(topology)
            .is_none_or(|link| link.mtu_bytes >= suspect.packet_bytes)
    };
    let centre = place.peer.unwrap_or(place.egress);
    let Some(index) = devices.iter().position(|at| *at == centre) else {
        return Vec::new();
    };
    let (before, after) = devices.split_at(index);
    let first = before.iter().rposition(fits).map_or(0, |index| index + 1);
    let last = after
        .iter()
        .position(fits)
        .map_or(devices.len(), |more| index + more);
    devices.get(first..last).unwrap_or_default().to_vec()
}

/// The end of the way that should be brought down: the one whose own way out leads through the
/// narrow place, which is the inner one of two containers. Else a container, else the nearer one.
pub fn inner_end(topology: &Topology, suspect: &Suspect) -> Option<LinkId> {
    let path = &suspect.path;
    let near = path.from.and(path.legs.first()?.devices.first()).copied();
    let far = path.to.and(path.legs.last()?.devices.last()).copied();
    let (Some(near), Some(far)) = (near, far) else {
        return near.or(far);
    };
    let narrow = narrow(topology, suspect);
    let leads_in = |router: NetnsId| {
        let netns = topology.namespaces.get(&router)?;
        let outside = Destination::Outside { ipv6: path.ipv6 };
        let Decision::Send(ways) = lookup(netns, outside, None, None) else {
            return None;
        };
        ways.iter()
            .any(|way| {
                narrow.contains(&LinkId {
                    netns: router,
                    ifindex: way.ifindex,
                })
            })
            .then_some(())
    };
    // The routers at either side of it, where it begins or ends with their own device.
    let begins = |at: &&LinkId| path.legs.iter().any(|leg| leg.devices.first() == Some(*at));
    let ends = |at: &&LinkId| path.legs.iter().any(|leg| leg.devices.last() == Some(*at));
    let into = |at: &LinkId| leads_in(at.netns).is_some();
    if narrow.first().filter(begins).is_some_and(into) {
        return Some(near);
    }
    if narrow.last().filter(ends).is_some_and(into) {
        return Some(far);
    }
    let is_container = |at: &LinkId| {
        topology
            .namespaces
            .get(&at.netns)
            .is_some_and(|netns| netns.container.is_some() || netns.guest.is_some())
    };
    match (is_container(&near), is_container(&far)) {
        (true, false) => return Some(near),
        (false, true) => return Some(far),
        _ => {}
    }
    let before = suspect.place.leg;
    let after = path.legs.len().saturating_sub(suspect.place.leg + 1);
    Some(if before < after { near } else { far })
}
