//! The state that events add up to.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use crate::core::graph::TopologyIndex;
use crate::core::track::connection::{Connection, Side, Worth, insert_flows};
use crate::core::track::index::{Index, SeqPair};
use crate::core::track::progress::RoutePmtus;
use crate::core::track::way_out::Departures;
use crate::core::track::wireguard_match::WireguardMatch;
use crate::model::event::{Event, EventKind, Flow, Isn, TCP, TcpState};
use crate::model::network::Topology;
use crate::model::store::{Consequence, Evictions, Store};

/// Copies share what does not change.
pub(crate) type HashMap<K, V> = GenericHashMap<K, V, RandomState, DefaultSharedPtr>;

/// Sentences about what cannot be seen that are kept at most. A choice: there is one a hook.
const MOST_LIMITS: usize = 16;
/// Characters of such a sentence that are kept at most. A choice: three lines of a terminal.
const MOST_LIMIT_CHARS: usize = 256;

/// Changes after which they are counted, even if nobody asks what has changed. A choice: the list of them
/// then takes half a megabyte.
const MANY_CHANGES: usize = 1 << 16;

/// A connection's number in the order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// A direction of a connection.
pub(crate) type DirectionId = (ConnectionId, Side);

impl ConnectionId {
    pub(crate) const FIRST: Self = Self(0);
    pub(crate) const LAST: Self = Self(u64::MAX);
}

/// Everything known so far. A copy shares what does not change after it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The network as it is now, with the namespaces that are gone and that connections which lost
    /// something still tell of.
    pub topology: Arc<Topology>,
    /// Time of the latest event, ns.
    pub now_ns: u64,
    /// Events so far, ticks and topology left out.
    pub events: u64,
    /// Records of our own that were lost.
    pub lost: u64,
    /// Hooks that are not at work, so that what only they show is not seen.
    pub(crate) blind: BTreeSet<String>,
    /// What else cannot be seen, in sentences.
    pub limits: Arc<[String]>,
    /// The graph of that network.
    pub(crate) index: Arc<TopologyIndex>,
    /// What has gone from it.
    pub(crate) departures: Departures,
    connections: OrdMap<ConnectionId, Arc<Connection>>,
    pub(crate) sockets: HashMap<Flow, DirectionId>,
    pub(crate) flows: HashMap<Flow, DirectionId>,
    pub(crate) isns: HashMap<Isn, ConnectionId>,
    /// Connections with a socket here.
    pub(crate) ends: Index,
    /// Connections of which only packets are known.
    pub(crate) strays: Index,
    /// Connections that may have changed since that was last asked.
    touched: Vec<ConnectionId>,
    /// How many of them were named once already.
    settled: usize,
    /// Connections of which more is known than that they are there, as of when that was last asked,
    /// with what they are worth: to look at ten thousand of them in their own places takes longer.
    troubled: OrdMap<ConnectionId, Worth>,
    /// Path MTUs of routes, by namespace and destination, that are yet to be taken in.
    pub(crate) route_pmtus: RoutePmtus,
    /// What may be in datagrams that cannot be read.
    pub(crate) wireguard: WireguardMatch,
    /// How the stores of the tracer stand: those of the source as it tells, and the ones here.
    pub evictions: Evictions,
    next: u64,
}

impl State {
    /// Connections in the order of first sight.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().map(|(id, found)| (*id, &**found))
    }

    /// A connection by its number; `None` once it is forgotten or a part of another one.
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id).map(|found| &**found)
    }

    /// The connection that a flow was found to belong to, and the direction of the flow in it.
    #[must_use]
    pub fn connection(&self, flow: &Flow) -> Option<(&Connection, Side)> {
        let of_socket = self.sockets.get(flow);
        let &(id, side) = of_socket.or_else(|| self.flows.get(flow))?;
        Some((self.get(id)?, side))
    }

    /// The connections that may have changed since this was last asked, or are gone, each once.
    pub fn take_touched(&mut self) -> Vec<ConnectionId> {
        self.settle();
        self.settled = 0;
        std::mem::take(&mut self.touched)
    }

    /// Names each touched connection once, and bounds how many are troubled: they take ten times the memory
    /// of others. Those go first that lost nothing for its size, of them the closed ones, and of those the
    /// ones of which nothing was heard for longest.
    fn settle(&mut self) {
        self.name_once();
        for id in &self.touched {
            let found = self.connections.get(id);
            if let Some(found) = found.filter(|found| found.is_troubled()) {
                self.troubled.insert(*id, found.worth());
            }
        }
        let most = self.evictions.bound(Store::Troubled);
        if self.troubled.len() <= most {
            return;
        }
        let ranked = self.troubled.iter().map(|(id, worth)| (*worth, *id));
        let mut ranked: Vec<(Worth, ConnectionId)> = ranked.collect();
        let many = ranked.len() - most.saturating_mul(9) / 10;
        ranked.select_nth_unstable(many - 1);
        for (_, id) in &ranked[..many] {
            self.forget(*id);
        }
        self.name_once();
    }

    fn name_once(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        self.settled = self.touched.len();
    }

    /// The connections of which more is known than that they are there.
    pub(crate) fn ailing(&self) -> BTreeSet<ConnectionId> {
        let known = self.troubled.keys().chain(&self.touched);
        let is_one = |id: &&ConnectionId| self.get(**id).is_some_and(Connection::is_troubled);
        known.filter(is_one).copied().collect()
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        self.now_ns = self.now_ns.max(event.time_ns);
        // Twice as many as there were, so that each change is looked at a few times at most.
        if self.touched.len() >= MANY_CHANGES.max(self.settled * 2) {
            self.settle();
        }
        if !matches!(
            event.kind,
            EventKind::Tick
                | EventKind::Topology(_)
                | EventKind::Blind(_)
                | EventKind::Limited(_)
                | EventKind::Evicted(_)
        ) {
            self.events += 1;
        }
        match &event.kind {
            EventKind::Topology(topology) => {
                let topology = self.with_gone(topology);
                self.departures.learn(&self.topology, &topology);
                self.index = Arc::new(TopologyIndex::new(Arc::clone(&topology)));
                self.wireguard.look(&topology);
                self.topology = topology;
            }
            EventKind::Connection(socket) => {
                self.socket(*socket, TcpState::ESTABLISHED);
            }
            EventKind::Packet(packet) => self.packet(event.time_ns, packet),
            EventKind::Retransmit(retransmit) => self.retransmit(event.time_ns, retransmit),
            EventKind::Sample(sample) => self.sample(event.time_ns, sample),
            EventKind::Closed(closed) => self.closed(event.time_ns, closed),
            EventKind::PathMtu(told) => self.path_mtu(event.time_ns, told),
            EventKind::Rule(rule) => self.rule(rule),
            EventKind::Count(count) => self.count(count),
            EventKind::Lost(lost) => self.lost = *lost,
            EventKind::Blind(hooks) => self.blind = hooks.iter().cloned().collect(),
            EventKind::Evicted(told) => self.evictions.learn(*told),
            EventKind::Limited(limits) => {
                // A capture may say anything, at any length.
                let cut = |limit: &String| limit.chars().take(MOST_LIMIT_CHARS).collect();
                self.limits = limits.iter().take(MOST_LIMITS).map(cut).collect();
            }
            EventKind::Tick => self.accept_route_pmtus(event.time_ns),
        }
    }

    pub(crate) fn insert(&mut self, mut connection: Connection) -> ConnectionId {
        if self.connections.len() >= self.evictions.bound(Store::Connections) {
            self.make_room();
        }
        connection.after_forgetting = self.evictions.have(Consequence::State);
        let id = ConnectionId(self.next);
        self.next += 1;
        self.connections.insert(id, Arc::new(connection));
        self.touched.push(id);
        self.file(id, Index::insert);
        id
    }

    /// A connection that is about to change, but not in what it is found by.
    pub(crate) fn edit(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let found = self.connections.get_mut(&id)?;
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        Some(Arc::make_mut(found))
    }

    /// Changes what a connection is found by: its ends, or the packet that stands for them.
    pub(crate) fn rearrange(&mut self, id: ConnectionId, change: impl FnOnce(&mut Connection)) {
        self.file(id, Index::remove);
        if let Some(connection) = self.edit(id) {
            change(connection);
        }
        self.file(id, Index::insert);
    }

    /// Has the indexes take in or forget what a connection is found by.
    fn file(
        &mut self,
        id: ConnectionId,
        change: fn(&mut Index, ConnectionId, &Flow, Option<SeqPair>),
    ) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        for end in &connection.ends {
            change(&mut self.ends, id, &end.socket.flow, end.socket.numbers());
        }
        if let Some((flow, numbers)) = connection.stray() {
            change(&mut self.strays, id, &flow, Some(numbers));
        }
    }

    /// Forgets a connection, but not the flows that lead to it.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.file(id, Index::remove);
        let removed = self.connections.remove(&id)?;
        self.troubled.remove(&id);
        self.touched.push(id);
        Some(Arc::unwrap_or_clone(removed))
    }

    /// Makes a flow lead to a connection.
    pub(crate) fn lead(&mut self, flow: Flow, (id, side): DirectionId) {
        let before = self.flows.insert(flow, (id, side));
        if before.is_none_or(|(known, _)| known != id)
            && let Some(found) = self.connections.get_mut(&id)
        {
            insert_flows(&mut Arc::make_mut(found).flows, [flow]);
        }
    }

    /// Forgets the flows that lead to a connection.
    pub(crate) fn forget_flows(&mut self, id: ConnectionId, flows: &[Flow]) {
        for flow in flows {
            // To look first takes as long as to remove it; hardly ever does it lead elsewhere by now.
            if let Some(known) = self.flows.remove(flow)
                && known.0 != id
            {
                self.flows.insert(*flow, known);
            }
        }
    }

    /// Whether something of a connection was forgotten, or may have been, by the kernel programs or
    /// here: that something is not known of it proves nothing then.
    #[must_use]
    pub fn may_lack_state(&self, connection: &Connection) -> bool {
        let is_tcp = connection
            .seen_as
            .first()
            .is_some_and(|flow| flow.protocol == TCP);
        let may_lack_end = is_tcp && connection.ends.len() < 2;
        connection.after_forgetting || may_lack_end && self.evictions.have(Consequence::Ends)
    }

    /// Forgets connections that nothing ails, the oldest first.
    fn make_room(&mut self) {
        let many = self.evictions.bound(Store::Connections).div_ceil(10);
        let age = |(id, it): (ConnectionId, &Connection)| (it.last_ns, id);
        let quiet = self.connections().filter(|(_, it)| !it.lost_for_size());
        let mut oldest: Vec<_> = quiet.map(age).collect();
        if oldest.len() < many {
            // Nothing but troubled ones: the oldest of them go.
            oldest = self.connections().map(age).collect();
        }
        oldest.sort_unstable();
        for (_, id) in oldest.into_iter().take(many) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(gone) = self.remove(id) else {
            return;
        };
        let store = match gone.is_troubled() {
            true => Store::Troubled,
            false => Store::Connections,
        };
        self.evictions.add(store, 1);
        self.forget_flows(id, &gone.flows);
        for end in gone.ends {
            let flow = &end.socket.flow;
            if self.sockets.get(flow).is_some_and(|known| known.0 == id) {
                self.sockets.remove(flow);
            }
            if let Some(isn) = end.socket.isn
                && self.isns.get(&isn) == Some(&id)
            {
                self.isns.remove(&isn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::NetnsId;

    /// A tunnel's packets have one flow on the outside, whichever connection they are of.
    #[test]
    fn a_flow_that_leads_to_and_fro_is_kept_once() {
        let flow = |port: u16| Flow {
            netns: NetnsId(1),
            protocol: TCP,
            source: ([192, 0, 2, 1], port).into(),
            destination: ([192, 0, 2, 2], 80).into(),
        };
        let mut state = State::default();
        let both = [1, 2].map(|_| state.insert(Connection::default()));
        for nth in 0..100 {
            state.lead(flow(4789), (both[nth % 2], Side::Out));
        }
        for id in both {
            assert_eq!(state.get(id).map(|it| it.flows.len()), Some(1));
        }
        assert_eq!(state.flows.get(&flow(4789)), Some(&(both[1], Side::Out)));
    }
}
