//! Which links of a topology are next to which, and the one walk over them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter;

use crate::model::network::{LinkId, Topology};

/// What one link is to another that is next to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjacency {
    /// The other end of a cable; told by the end that comes first.
    Cable,
    /// The switch that a port is of.
    Switch,
    /// A port of a switch.
    Port,
    /// The device that another one is stacked on.
    Lower,
    /// A device that is stacked on another one.
    Upper,
    /// The device that carries the packets of a tunnel, wrapped.
    Underlay,
    /// A tunnel, to the device that carries its packets.
    Overlay,
}

/// Which links a walk may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passable {
    /// Those that are up, in namespaces that are not gone.
    Up,
    /// All that are known: what is left of a namespace that is gone may be all there is.
    Any,
}

impl Passable {
    /// Whether a link may be passed.
    pub fn allows(self, topology: &Topology, at: LinkId) -> bool {
        let place = at.place(topology);
        place.is_some_and(|(netns, link)| self == Self::Any || link.up && !netns.gone)
    }
}

/// What is next to each link, in the order of the links that tell so.
#[derive(Debug)]
pub struct Neighbours(BTreeMap<LinkId, Vec<(Adjacency, LinkId)>>);

impl Neighbours {
    /// Those of all links of a topology, whatever state they are in.
    pub fn new(topology: &Topology) -> Self {
        let mut all: BTreeMap<LinkId, Vec<_>> = BTreeMap::new();
        let mut join = |(one_is, one), (other_is, other)| {
            all.entry(one).or_default().push((other_is, other));
            all.entry(other).or_default().push((one_is, one));
        };
        for (&id, netns) in &topology.namespaces {
            for (&ifindex, link) in &netns.links {
                let at = LinkId { netns: id, ifindex };
                if let Some(ifindex) = netns.switch_of(link) {
                    let switch = LinkId { netns: id, ifindex };
                    join((Adjacency::Port, at), (Adjacency::Switch, switch));
                }
                match link.peer_id() {
                    Some(end) if link.is_pair() && at < end => {
                        join((Adjacency::Cable, at), (Adjacency::Cable, end));
                    }
                    Some(under) if link.is_tunnel() => {
                        join((Adjacency::Overlay, at), (Adjacency::Underlay, under));
                    }
                    Some(lower) if !link.is_pair() => {
                        join((Adjacency::Upper, at), (Adjacency::Lower, lower));
                    }
                    _ => {}
                }
            }
        }
        Self(all)
    }

    /// The links that are one of these to a link.
    pub fn of(&self, at: LinkId, wanted: &[Adjacency]) -> impl Iterator<Item = LinkId> {
        let all = self.0.get(&at).into_iter().flatten();
        all.filter(|(is, _)| wanted.contains(is)).map(|(_, at)| *at)
    }
}

/// Whatever can be reached, nearest first, each once with what it was reached from; the start from
/// itself. Equally near ones come in the order in which `next` gives them.
pub fn breadth_first<T: Copy + Ord>(
    start: T,
    mut next: impl FnMut(T) -> Vec<T>,
) -> impl Iterator<Item = (T, T)> {
    let mut known = BTreeSet::from([start]);
    let mut queue = VecDeque::from([(start, start)]);
    iter::from_fn(move || {
        let (at, before) = queue.pop_front()?;
        let new = next(at).into_iter().filter(|to| known.insert(*to));
        queue.extend(new.map(|to| (to, at)));
        Some((at, before))
    })
}
