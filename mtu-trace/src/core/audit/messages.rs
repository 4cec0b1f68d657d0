//! What is said of a narrow place.

use crate::core::audit::Judged;
use crate::core::audit::signal::{Firewalls, Signal, concerned};
use crate::core::graph::{Decision, Destination, lookup};
use crate::core::sites::{Limit, Relief, Suspect, Tells, netns_label};
use crate::model::finding::Boundary;
use crate::model::network::{Link, LinkId, NetnsId, Topology};

/// Names listed before the rest is counted.
const MOST_NAMES: usize = 6;

/// One sentence: who sends what to whom, where it does not fit, and whether anybody is told.
pub fn summary(topology: &Topology, judged: &Judged<'_>, boundary: &Boundary) -> String {
    let suspect = judged.suspect;
    let path = &suspect.path;
    let first = path.legs.first().and_then(|leg| leg.devices.first());
    let last = path.legs.last().and_then(|leg| leg.devices.last());
    let sender = end(topology, path.from, first);
    let receiver = end(topology, path.to, last);
    let tunnel = suspect.place.tunnel.map(|at| device(topology, at));
    let wrapped = match (suspect.place.wrapped_bytes, tunnel) {
        (0, _) => String::new(),
        (bytes, Some(tunnel)) => format!(" ({bytes} of them for the tunnel {tunnel})"),
        (bytes, None) => format!(" ({bytes} of them for the tunnel)"),
    };
    format!(
        "{} may send {} packets of {} bytes{wrapped}, but they do not fit {} (limit {}){}: {}.",
        sender.as_deref().unwrap_or("whoever is beyond this host"),
        receiver.as_deref().unwrap_or("hosts beyond this one"),
        suspect.packet_bytes,
        whereabouts(topology, suspect, boundary),
        boundary.limit(),
        stretch(topology, suspect),
        outcome(topology, judged),
    )
}

/// `eth0 of build`, the end of a way on this host.
fn end(topology: &Topology, netns: Option<NetnsId>, at: Option<&LinkId>) -> Option<String> {
    let label = netns_label(netns?, topology);
    Some(match at.and_then(|at| at.link(topology)) {
        Some(link) => format!("{label} ({}, MTU {})", link.name, link.mtu_bytes),
        None => label,
    })
}

fn device(topology: &Topology, at: LinkId) -> String {
    let label = netns_label(at.netns, topology);
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
            let overhead = link.map_or(0, Link::overhead_bytes);
            format!(
                "through the tunnel {egress} of {label}, which adds {overhead} bytes to each on a \
                 link of {}",
                suspect.place.limit_bytes.saturating_add(overhead)
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
    if let Some(relief) = suspect.relief {
        let why = match relief {
            Relief::Slack => "they pass all the same, in the room layer 2 leaves for a VLAN tag",
            Relief::RouteMtu => "a route with a smaller MTU keeps TCP below that",
            Relief::NoDf => {
                "they are cut into pieces there, since the sender has path MTU discovery off"
            }
            Relief::Fragments => {
                "the tunnel's packets are cut into pieces, which is slow but works"
            }
        };
        return why.to_owned();
    }
    if let Some((netns, clamp)) = &judged.clamp {
        return format!(
            "TCP is safe because {} lowers the segment size ({}); UDP and QUIC depend on ICMP",
            netns_label(*netns, topology),
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
            netns_label(*netns, topology),
            hook.name()
        ),
        Signal::Doubtful { netns, .. } => format!(
            "a rule in {} may drop the ICMP that says so",
            netns_label(*netns, topology)
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
    let mut notes = vec![senders(topology, all)];
    let rules = |netns, say: &str| format!("rules of {}: {say}", netns_label(netns, topology));
    match &worst.signal {
        Signal::Blocked {
            netns, blocking, ..
        } => notes.push(rules(
            *netns,
            &format!("{}: {}", blocking.place, blocking.rule),
        )),
        Signal::Doubtful { netns, rule } => {
            notes.push(rules(*netns, &format!("not understood: {rule}")));
        }
        Signal::Passes => notes.push("no rule that was read drops the ICMP on its way".to_owned()),
        Signal::Leaves => notes
            .push("no rule of this host drops the ICMP; those beyond it are not known".to_owned()),
        Signal::None => {}
    }
    if let Signal::Passes | Signal::Leaves = &worst.signal {
        for netns in concerned(worst.suspect) {
            let unread = firewalls
                .get(&netns)
                .map_or(&[][..], |rules| rules.unread());
            notes.extend(unread.iter().map(|what| rules(netns, what)));
        }
    }
    notes.extend(learned(topology, worst.suspect));
    notes
}

/// Where the packets come from.
fn senders(topology: &Topology, all: &[Judged<'_>]) -> String {
    let senders = all.iter().map(|judged| judged.suspect.path.from);
    let (known, beyond): (Vec<_>, Vec<_>) = senders.partition(Option::is_some);
    let mut names: Vec<String> = known
        .iter()
        .flatten()
        .map(|netns| netns_label(*netns, topology))
        .collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let mut text = format!("packets come here from {}", names.join(", "));
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    match (names.is_empty(), beyond.is_empty()) {
        (true, _) => text.push_str("beyond this host"),
        (false, true) => {}
        (false, false) => text.push_str(" and from beyond this host"),
    }
    text
}

/// What the sender has learned about the way; it forgets after some minutes.
fn learned(topology: &Topology, suspect: &Suspect) -> Option<String> {
    let from = suspect.path.from?;
    let inside = topology.inside(from)?;
    let destination = suspect.path.destination?;
    let mut known = inside.path_mtus.iter();
    let known = known.find(|known| known.destination == destination)?;
    Some(format!(
        "{} has learned a path MTU of {} to {destination}, for some minutes",
        netns_label(from, topology),
        known.mtu_bytes
    ))
}

/// The devices around a place that are too narrow for its packets, in the order of the way.
fn narrow(topology: &Topology, suspect: &Suspect) -> Vec<LinkId> {
    let place = &suspect.place;
    if place.wrapped_bytes > 0 {
        return Vec::new();
    }
    let legs = suspect.path.legs.iter();
    let devices: Vec<LinkId> = legs.flat_map(|leg| leg.devices.iter().copied()).collect();
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
    let leads_in = |&LinkId { netns, .. }: &LinkId| {
        let outside = Destination::Outside { ipv6: path.ipv6 };
        let known = topology.namespaces.get(&netns);
        let decision = known.map(|known| lookup(known, outside, None, None));
        let Some(Decision::Send(ways)) = decision else {
            return false;
        };
        let mut ways = ways.into_iter().map(|way| way.ifindex);
        ways.any(|ifindex| narrow.contains(&LinkId { netns, ifindex }))
    };
    // The routers at either side of it, where it begins or ends with their own device.
    let begins = |at: &&LinkId| path.legs.iter().any(|leg| leg.devices.first() == Some(*at));
    let ends = |at: &&LinkId| path.legs.iter().any(|leg| leg.devices.last() == Some(*at));
    if narrow.first().filter(begins).is_some_and(leads_in) {
        return Some(near);
    }
    if narrow.last().filter(ends).is_some_and(leads_in) {
        return Some(far);
    }
    let is_container = |at: LinkId| {
        let netns = topology.namespaces.get(&at.netns);
        netns.is_some_and(|netns| netns.container.is_some() || netns.planned.is_some())
    };
    Some(match (is_container(near), is_container(far)) {
        (true, false) => near,
        (false, true) => far,
        _ if suspect.place.leg < path.legs.len().saturating_sub(suspect.place.leg + 1) => near,
        _ => far,
    })
}
