//! What the screens show, taken out of what was seen: lists of what there is, cheap for each entry, and
//! single entries in full for the rows that are on the screen.
//!
//! All that the screens know of the analysis goes through here.

pub(crate) mod connections;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::graph::TopologyIndex;
use crate::core::verdicts::{Current, FindingHead, Key};
use crate::model::event::{Flow, TCP, UDP};
use crate::model::finding::{Endpoint, Finding};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkKind, NetnsId, Topology};
use crate::show::tui::tree::{Branch, tree};
use crate::show::watch::{JournalEntry, Watch};

/// By what findings are sorted, the worst or the latest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FindingOrder {
    #[default]
    Severity,
    Latest,
}

/// By what connections are sorted, the most of it first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionOrder {
    /// By how long they have stood still.
    #[default]
    Stalled,
    Retransmits,
    Drops,
    /// By when something happened to them last.
    Latest,
}

/// What a finding in the list is known by, also when it has moved.
pub type FindingKey = Arc<Key>;

/// What there is to watch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watched {
    pub namespaces: usize,
    pub containers: usize,
    pub links: usize,
    /// Devices at which a larger packet can meet a smaller limit.
    pub boundaries: usize,
}

/// How findings are sorted, and how connections are; `None` if they are not on the screen.
type ListOrders = (FindingOrder, Option<ConnectionOrder>);

/// The lists as they were made last.
#[derive(Debug, Default)]
pub struct View {
    /// The version of what was seen that they are of; without one, they are made anew also where only time
    /// has passed.
    pub(crate) made: Option<(u64, ListOrders)>,
    findings: Option<Current>,
    /// Numbers of the findings in the analysis' own list, in the order they are shown in.
    order: Vec<usize>,
    /// The connections that are selected, in the order they are shown in.
    pub(crate) connections: Vec<Flow>,
    /// The network the tree is of.
    pub(crate) topology: Arc<Topology>,
    /// The namespaces as a tree.
    pub(crate) tree: Vec<Branch>,
    pub(crate) watched: Watched,
}

impl View {
    /// Makes the lists anew where something is new.
    pub(crate) fn refresh(&mut self, watch: &Watch, wanted: ListOrders) {
        let (finding_order, connection_order) = wanted;
        let made = Some((watch.version, wanted));
        if std::mem::replace(&mut self.made, made) == made {
            return;
        }
        let findings = watch.analysis.current();
        self.order = (0..findings.heads.len()).collect();
        if finding_order == FindingOrder::Latest {
            let began = |&index: &usize| std::cmp::Reverse(findings.heads[index].first_ns);
            self.order.sort_by_key(began);
        }
        self.findings = Some(findings);
        self.connections =
            connection_order.map_or_else(Vec::new, |order| connections::sorted(watch, order));
        let state = watch.analysis.state();
        let topology = &state.topology;
        if !Arc::ptr_eq(topology, &self.topology) {
            self.topology = Arc::clone(topology);
            self.tree = tree(topology);
            self.watched = watched(&state.index);
        }
    }

    /// How many findings stand.
    pub(crate) fn count(&self) -> usize {
        self.order.len()
    }

    /// What a finding in the list is known by, also when it has moved.
    pub(crate) fn key(&self, number: usize) -> Option<FindingKey> {
        let index = *self.order.get(number)?;
        Some(Arc::clone(&self.heads().get(index)?.key))
    }

    /// The finding with this number in full.
    pub(crate) fn finding(&self, number: usize) -> Option<Finding> {
        self.findings.as_ref()?.finding(*self.order.get(number)?)
    }

    pub(crate) fn netns(&self, number: usize) -> Option<NetnsId> {
        self.tree.get(number).map(|branch| branch.netns)
    }

    pub(crate) fn flow(&self, number: usize) -> Option<Flow> {
        self.connections.get(number).copied()
    }

    /// What is known of each finding without putting it together, in the analysis' own order.
    pub(crate) fn heads(&self) -> &[FindingHead] {
        self.findings.as_ref().map_or(&[], |it| &it.heads)
    }
}

fn watched(index: &TopologyIndex) -> Watched {
    let living = || index.topology.living().map(|(_, netns)| netns);
    Watched {
        namespaces: living().count(),
        containers: living().filter(|it| it.container.is_some()).count(),
        links: living().map(|netns| netns.links.len()).sum(),
        boundaries: index.boundary_devices().count(),
    }
}

/// What a namespace is called.
pub(crate) fn label(netns: NetnsId, topology: &Topology) -> String {
    NetnsRef::new(netns, topology).label()
}

/// What happened to a finding's connection; `None` if that is not known.
pub(crate) fn entries(watch: &Watch, finding: &Finding) -> Option<Vec<JournalEntry>> {
    let shown = finding.connection.as_ref()?;
    let address = |end: &Endpoint| SocketAddr::new(end.address, end.port);
    let (local, remote) = (address(&shown.local), address(&shown.remote));
    let at_local = shown.local.netns.iter().map(|it| (it, local, remote));
    let at_remote = shown.remote.netns.iter().map(|it| (it, remote, local));
    let between = finding.boundary.iter().map(|boundary| &boundary.netns);
    let down = between.clone().map(|it| (it, local, remote));
    let up = between.map(|it| (it, remote, local));
    let flow = |(netns, source, destination): (&NetnsRef, _, _)| Flow {
        netns: netns.id(),
        protocol: if shown.protocol == "udp" { UDP } else { TCP },
        source,
        destination,
    };
    let mut flows = at_local.chain(at_remote).chain(down).chain(up).map(flow);
    let state = watch.analysis.state();
    let (connection, _) = flows.find_map(|flow| state.connection(&flow))?;
    Some(watch.journal.of(connection))
}

/// The least and the greatest MTU of a namespace's interfaces, loopback left out, bytes.
pub(crate) fn mtus(topology: &Topology, netns: NetnsId) -> Option<(u32, u32)> {
    let links = topology.namespaces.get(&netns)?.links.values();
    let links = links.filter(|link| link.kind != LinkKind::Loopback);
    let mtus = links.map(|link| link.mtu_bytes);
    Some((mtus.clone().min()?, mtus.max()?))
}
