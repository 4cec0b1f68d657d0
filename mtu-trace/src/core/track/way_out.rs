//! Whether what a sender hands to IP leaves its namespace, and what its way out lacks if it does not: an
//! interface, an address or a route, by the network as it stands and by what was seen to go.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::core::graph::{Decision, Destination, contains, lookup};
use crate::core::track::direction::{Track, raise};
use crate::model::event::{Flow, Name, Sample, SendError};
use crate::model::network::{
    Address, Inside, Link, Netns, NetnsId, NextHop, Route, RouteKind, Topology,
};

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// What has gone from the network that is remembered at most. A choice: what a node loses when some
/// hundred containers end at once; each takes about a hundred bytes.
const MOST_DEPARTED: usize = 1024;

/// A time in which nothing of a sender could leave its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first attempt failed, ns.
    pub first_ns: u64,
    /// When the latest one failed, ns.
    pub last_ns: u64,
    /// When something left again, ns; `None` while nothing does.
    pub ended_ns: Option<u64>,
    /// How many failed, as far as they were seen.
    pub attempts: u32,
    /// What the kernel answered; `None` where only the socket shows that it tries in vain.
    pub error: Option<SendError>,
    /// What the way out lacks; `None` where the network as it is known has one.
    pub lack: Option<Lack>,
}

/// What a way out lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The interface is gone.
    Interface(Name),
    /// The interface is down; with the route by it that led there, if it is one that somebody has added.
    Up {
        ifindex: u32,
        name: Name,
        route: Option<Box<Route>>,
    },
    /// The sender's address is not there; with the interface that had it, where that was seen.
    Address(IpAddr, Option<(u32, Name, u8)>),
    /// The route that led there was removed; with the name of its interface.
    Route(Box<Route>, Name),
    /// No route leads there, and none was seen to go.
    AnyRoute,
    /// A route refuses what is sent there.
    Refused,
}

/// Something that was in a namespace, and is not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Departed {
    Interface(u32, Link),
    Address(u32, Name, Address),
    Route(Box<Route>),
}

/// What was seen to go, the latest last.
#[derive(Clone, Debug, Default)]
pub struct Departures {
    seen: Arc<VecDeque<(NetnsId, Departed)>>,
}

impl Departures {
    /// Takes in that the network is another one from now on.
    pub fn learn(&mut self, before: &Topology, now: &Topology) {
        for (id, was) in &before.namespaces {
            let is = now.namespaces.get(id).filter(|is| !is.gone && *is != was);
            let Some(is) = is else {
                continue;
            };
            for departed in departed(was, is) {
                let seen = Arc::make_mut(&mut self.seen);
                if seen.len() >= MOST_DEPARTED {
                    seen.pop_front();
                }
                seen.push_back((*id, departed));
            }
        }
    }

    /// What went from a namespace, the latest first.
    fn of(&self, netns: NetnsId) -> impl Iterator<Item = &Departed> {
        let seen = self.seen.iter().rev();
        seen.filter(move |(of, _)| *of == netns).map(|(_, it)| it)
    }

    /// The interface with an index that has gone.
    fn interface(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        self.of(netns).find_map(|it| match it {
            Departed::Interface(index, link) if *index == ifindex => Some(link),
            _ => None,
        })
    }
}

fn departed(was: &Netns, is: &Netns) -> Vec<Departed> {
    let mut gone = Vec::new();
    for (&ifindex, link) in &was.links {
        let Some(now) = is.links.get(&ifindex) else {
            gone.push(Departed::Interface(ifindex, link.clone()));
            continue;
        };
        let lost = link
            .addresses
            .iter()
            .filter(|it| !now.addresses.contains(it));
        gone.extend(lost.map(|it| Departed::Address(ifindex, Name::from(&link.name), *it)));
    }
    if let (Some(was), Some(is)) = (&was.inside, &is.inside)
        && !Arc::ptr_eq(was, is)
    {
        let left: HashSet<&Route> = is.routes.iter().collect();
        let lost = was.routes.iter().filter(|route| !left.contains(route));
        gone.extend(lost.map(|route| Departed::Route(Box::new(route.clone()))));
    }
    gone
}

/// What the way out of a sender lacks in the network as it stands; `None` if it has one, and where not
/// enough is known of its namespace to say that it has none.
pub fn lack(topology: &Topology, departures: &Departures, sent: &Flow) -> Option<Lack> {
    let netns = topology.namespaces.get(&sent.netns).filter(|it| !it.gone)?;
    let (source, destination) = (sent.source.ip(), sent.destination.ip());
    let owner = netns.owner(source);
    if owner.is_none()
        && let Some(lack) = lack_of_address(netns, departures, sent.netns, source)
    {
        return Some(lack);
    }
    let inside = netns.inside.as_deref()?;
    let is_conditional = |ipv6: bool| {
        inside
            .rules
            .iter()
            .any(|it| it.ipv6 == ipv6 && it.conditional)
    };
    if inside.routes_left_out > 0 || is_conditional(destination.is_ipv6()) {
        return None;
    }
    let by = owner.map(|(ifindex, _)| ifindex);
    match lookup(netns, Destination::Address(destination), Some(source), by) {
        Decision::Local => None,
        Decision::Send(ways) if !ways.is_empty() => None,
        Decision::Send(_) | Decision::Nowhere => {
            Some(lack_of_route(netns, inside, departures, sent))
        }
    }
}

/// Why an address that no interface has is not there; `None` where it may be its own all the same, as with
/// a local route to a whole network.
fn lack_of_address(
    netns: &Netns,
    departures: &Departures,
    id: NetnsId,
    source: IpAddr,
) -> Option<Lack> {
    let seen = departures.of(id).find_map(|it| match it {
        Departed::Interface(_, link) if link.addresses.iter().any(|it| it.address == source) => {
            Some(Lack::Interface(Name::from(&link.name)))
        }
        Departed::Address(ifindex, name, it) if it.address == source => {
            Some(match netns.links.get(ifindex) {
                // One that is down loses its IPv6 addresses.
                Some(link) if !link.up => up(*ifindex, link, None),
                Some(_) => Lack::Address(source, Some((*ifindex, name.clone(), it.prefix_len))),
                None => Lack::Interface(name.clone()),
            })
        }
        _ => None,
    });
    seen.or_else(|| {
        netns.inside.as_ref()?;
        let is_own = lookup(netns, Destination::Address(source), None, None) == Decision::Local;
        (!is_own).then_some(Lack::Address(source, None))
    })
}

/// Why no route leads to where a sender sends.
fn lack_of_route(netns: &Netns, inside: &Inside, departures: &Departures, sent: &Flow) -> Lack {
    let destination = sent.destination.ip();
    let leads = |route: &&Route| contains(route.destination, destination);
    let best = |route: &&Route| (Reverse(route.destination.prefix_len), route.metric);
    let there = inside.routes.iter().filter(leads);
    if let Some(route) = there.min_by_key(best) {
        if route.kind == RouteKind::Reject {
            return Lack::Refused;
        }
        // It is there, but leads to nothing.
        for ifindex in route.hops.iter().filter_map(|hop| hop.ifindex) {
            if let Some(link) = netns.links.get(&ifindex).filter(|link| !link.up) {
                return up(ifindex, link, Some(route));
            }
            if let Some(link) = departures.interface(sent.netns, ifindex) {
                return Lack::Interface(Name::from(&link.name));
            }
        }
    }
    let gone = departures.of(sent.netns).filter_map(|it| match it {
        Departed::Route(route) if leads(&&**route) => Some(&**route),
        _ => None,
    });
    let Some(route) = gone.min_by_key(best) else {
        // An interface takes its routes with it when it is set down.
        let down = netns.owner(sent.source.ip()).and_then(|(ifindex, _)| {
            let link = netns.links.get(&ifindex).filter(|link| !link.up)?;
            Some(up(ifindex, link, None))
        });
        return down.unwrap_or(Lack::AnyRoute);
    };
    let by = |hop: &NextHop| {
        let ifindex = hop.ifindex?;
        Some((ifindex, netns.links.get(&ifindex)))
    };
    match route.hops.first().and_then(by) {
        Some((ifindex, Some(link))) if !link.up => up(ifindex, link, Some(route)),
        Some((_, Some(link))) => Lack::Route(Box::new(route.clone()), Name::from(&link.name)),
        Some((ifindex, None)) => match departures.interface(sent.netns, ifindex) {
            Some(link) => Lack::Interface(Name::from(&link.name)),
            None => Lack::AnyRoute,
        },
        None => Lack::AnyRoute,
    }
}

fn up(ifindex: u32, link: &Link, route: Option<&Route>) -> Lack {
    let is_added = |route: &&Route| route.hops.iter().any(|hop| hop.gateway.is_some());
    Lack::Up {
        ifindex,
        name: Name::from(&link.name),
        route: route.filter(is_added).cloned().map(Box::new),
    }
}

impl Lack {
    /// What tells it from what others lack: the name of the interface, the address, the network.
    pub fn key(&self) -> Name {
        match self {
            Self::Interface(name) | Self::Up { name, .. } => name.clone(),
            Self::Address(address, _) => address.to_string().into(),
            Self::Route(route, _) => route.network().into(),
            Self::AnyRoute | Self::Refused => Name::default(),
        }
    }
}

impl Outage {
    /// Takes in that one attempt more has failed.
    pub(crate) fn extend(&mut self, time_ns: u64, error: Option<SendError>, lack: Option<Lack>) {
        self.last_ns = self.last_ns.max(time_ns);
        self.error = error.or(self.error);
        self.lack = lack.or_else(|| self.lack.take());
    }

    pub(crate) fn new(time_ns: u64) -> Self {
        Self {
            first_ns: time_ns,
            last_ns: time_ns,
            ended_ns: None,
            attempts: 0,
            error: None,
            lack: None,
        }
    }

    /// How long it lasted as far as was seen, ns.
    pub fn lasted_ns(&self) -> u64 {
        let until_ns = self.ended_ns.unwrap_or(self.last_ns);
        until_ns.saturating_sub(self.first_ns)
    }
}

impl Track {
    /// Takes in that an attempt to send has failed at this time, ns, with what its way out lacks.
    pub(crate) fn hold_up(
        &mut self,
        time_ns: u64,
        error: Option<SendError>,
        lack: Option<Lack>,
    ) -> &mut Outage {
        let is_over = self.outage.as_ref().is_some_and(|it| it.ended_ns.is_some());
        if is_over {
            self.outage = None;
        }
        let fresh = || Box::new(Outage::new(time_ns));
        let outage = self.outage.get_or_insert_with(fresh);
        outage.extend(time_ns, error, lack);
        outage
    }

    /// Since when its sender waits that is seen to wait now, ns: where it had timed out before that was seen,
    /// its socket tells.
    pub(crate) fn waiting_since(&self, time_ns: u64, sample: &Sample) -> u64 {
        let sent = self.retransmits.as_ref();
        let began_before = sent.is_none_or(|sent| sent.first_backoff > 0);
        let waited_ms = sample.waited_ms.filter(|_| began_before).unwrap_or(0);
        time_ns.saturating_sub(u64::from(waited_ms) * NS_PER_MS)
    }

    /// Takes in how the socket of its sender stands, of which nothing was acknowledged meanwhile. That it
    /// tries in vain may have other reasons than its way out, such as a packet filter: it is that if the way
    /// lacks something, or the kernel has said so before.
    pub(crate) fn see_held_up(&mut self, time_ns: u64, sample: &Sample, lack: Option<Lack>) {
        if sample.is_held_up && (lack.is_some() || self.is_held_up()) {
            let outage = self.hold_up(time_ns, None, lack);
            // The first try is counted as no doubling yet.
            raise(&mut outage.attempts, sample.backoff.saturating_add(1));
        } else if !sample.is_held_up && sample.unacked == 0 {
            self.let_go(time_ns);
        }
    }

    /// Takes in that something of its sender leaves its namespace, or that it has nothing to send.
    pub(crate) fn let_go(&mut self, time_ns: u64) {
        if let Some(outage) = &mut self.outage {
            outage.ended_ns.get_or_insert(time_ns);
        }
    }

    /// Whether nothing of its sender leaves its namespace now.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.outage.as_ref().is_some_and(|it| it.ended_ns.is_none())
    }
}
