//! Where the message about a packet's size ended, where nothing was seen to drop it: what the network and
//! the places at which it was seen tell for certain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::graph::{Decision, Destination, lookup};
use crate::core::sites::DropSite;
use crate::core::track::Icmp;
use crate::core::verdicts::facts::TrackFacts;
use crate::model::event::Flow;
use crate::model::network::{Link, LinkId, NetnsId, Topology};

/// The end of a message that did not reach the socket it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageEnd {
    /// The namespace in which it ended.
    pub(crate) netns: NetnsId,
    /// Why it did, after "the ICMP that should say so".
    pub(crate) why: String,
}

impl MessageEnd {
    /// Where the message about packets that are dropped at a place ended; `None` where that is not known.
    pub(crate) fn of(facts: &TrackFacts<'_>, icmp: &Icmp, site: &DropSite) -> Option<Self> {
        let topology = &*facts.state.topology;
        let sender = facts.sender()?.socket.flow;
        let arrived = arrivals(icmp, topology);
        if arrived.is_empty() {
            return Self::without_route(facts, site);
        }
        let is_here = arrived.contains_key(&sender.netns);
        if is_here {
            return Self::unknown_quotation(&arrived[&sender.netns], &sender, topology);
        }
        Self::elsewhere(facts, &sender, arrived.keys(), topology)
    }

    /// It came to the sender, but is about a packet with other addresses than the socket's: whoever has
    /// translated the packet has not translated what the message quotes.
    fn unknown_quotation(quoted: &[Flow], sender: &Flow, topology: &Topology) -> Option<Self> {
        let own = |quoted: &&Flow| {
            (quoted.source, quoted.destination) == (sender.source, sender.destination)
        };
        let other = quoted
            .first()
            .filter(|_| !quoted.iter().any(|it| own(&it)))?;
        Some(Self {
            netns: sender.netns,
            why: format!(
                "arrives in {} but quotes a packet from {} to {}, which no socket there has sent",
                topology.label(sender.netns),
                other.source,
                other.destination,
            ),
        })
    }

    /// It came to another namespace that has the address it was sent to, and went no further.
    fn elsewhere<'a>(
        facts: &TrackFacts<'_>,
        sender: &Flow,
        arrived: impl Iterator<Item = &'a NetnsId>,
        topology: &Topology,
    ) -> Option<Self> {
        let seen_as = facts.connection.seen_as.iter();
        let seen_as = seen_as.map(|&flow| facts.side.outwards(flow).source.ip());
        let addresses: BTreeSet<IpAddr> = seen_as.chain([sender.source.ip()]).collect();
        let has_address = |netns: &&NetnsId| {
            let mut addresses = addresses.iter();
            addresses.any(|&address| topology.owner(**netns, address).is_some())
        };
        let mut ends = arrived.filter(has_address);
        let end = *ends.next().filter(|_| ends.next().is_none())?;
        Some(Self {
            netns: end,
            why: format!(
                "arrived in {}, while the socket is in {}",
                topology.label(end),
                topology.label(sender.netns),
            ),
        })
    }

    /// The router makes a message that it has no route for (`icmp_route_lookup`).
    fn without_route(facts: &TrackFacts<'_>, site: &DropSite) -> Option<Self> {
        let topology = &*facts.state.topology;
        let router = topology.namespaces.get(&site.key.netns)?;
        let inside = router.inside.as_ref()?;
        let is_whole =
            inside.routes_left_out == 0 && !inside.rules.iter().any(|rule| rule.conditional);
        let seen_as = facts.connection.seen_as.iter();
        let mut here = seen_as.filter(|flow| flow.netns == site.key.netns);
        let to = facts.side.outwards(*here.next()?).source.ip();
        let route = lookup(router, Destination::Address(to), None, None);
        (is_whole && route == Decision::Nowhere).then(|| Self {
            netns: site.key.netns,
            why: format!(
                "cannot be sent: {} has no route to {to}",
                topology.label(site.key.netns)
            ),
        })
    }
}

/// The namespaces in which the message arrived and from which it was not seen to go on, with what it
/// quoted there.
fn arrivals(icmp: &Icmp, topology: &Topology) -> BTreeMap<NetnsId, Vec<Flow>> {
    let mut arrived = BTreeMap::<NetnsId, Vec<Flow>>::new();
    let mut left = BTreeSet::new();
    for &(netns, ifindex, is_leaving) in icmp.seen.keys() {
        let quoted = icmp.quoted.get(&(netns, ifindex, is_leaving)).copied();
        let to = if is_leaving {
            left.insert(netns);
            let link = LinkId { netns, ifindex }.link(topology);
            let other_end = link.filter(|link| link.is_pair()).and_then(Link::peer_id);
            other_end.map(|other| other.netns)
        } else {
            Some(netns)
        };
        if let Some(to) = to {
            arrived.entry(to).or_default().extend(quoted);
        }
    }
    arrived.retain(|netns, _| !left.contains(netns));
    arrived
}
