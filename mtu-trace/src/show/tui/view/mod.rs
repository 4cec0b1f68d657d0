//! What the screens show, taken out of what was seen: lists of what there is, cheap for each entry, and
//! single entries in full for the rows that are on the screen.
//!
//! All that the screens know of the analysis goes through here.

pub(crate) mod connections;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::graph::TopologyIndex;
use crate::core::track::Connection;
use crate::core::verdicts::{Current, FindingHead, Key};
use crate::model::event::{Flow, TCP, UDP};
use crate::model::finding::{Endpoint, Finding, Severity};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkKind, NetnsId, Topology};
use crate::show::tui::tree::{Branch, tree};
use crate::show::tui::view::connections::lines;
pub use crate::show::tui::view::connections::{ConnectionLine, ConnectionRow, connection_row};
use crate::show::watch::{JournalEntry, Watch};

/// By what findings are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FindingOrder {
    /// The most severe come first.
    #[default]
    Severity,
    /// The most recent come first.
    Latest,
}

/// By what connections are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionOrder {
    /// Those that stand still for longest first.
    #[default]
    Stalled,
    /// Those with most retransmits first.
    Retransmits,
    /// Those with most packets dropped first.
    Drops,
    /// The latest that something happened to first.
    Latest,
}

/// What a finding in the list is known by, also when it has moved.
pub type FindingKey = Arc<Key>;

/// What there is to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Namespaces that are there.
    pub namespaces: usize,
    /// Number of containers among them.
    pub containers: usize,
    /// Number of interfaces in them.
    pub links: usize,
    /// Devices at which a larger packet can meet a smaller limit.
    pub boundaries: usize,
}

/// What is wanted of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOrders {
    /// Order in which findings are listed.
    pub findings: FindingOrder,
    /// Order of connections; `None` if they are not on the screen.
    pub connections: Option<ConnectionOrder>,
}

/// When lists are made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// When there is something new.
    #[default]
    News,
    /// Also where only time has passed.
    Always,
}

/// The lists as they were made last.
#[derive(Debug, Default)]
pub struct View {
    made: Option<(u64, ListOrders)>,
    findings: Option<Current>,
    /// Numbers of the findings in the analysis' own list, in the order they are shown in.
    order: Vec<usize>,
    connections: Vec<ConnectionLine>,
    topology: Arc<Topology>,
    tree: Vec<Branch>,
    watched: Watched,
}

impl View {
    /// Makes the lists anew, as `refresh` asks.
    pub fn refresh(&mut self, watch: &Watch, wanted: ListOrders, refresh: Refresh) {
        let made = Some((watch.version(), wanted));
        if self.made == made && refresh == Refresh::News {
            return;
        }
        self.made = made;
        let findings = watch.analysis().current();
        self.order = (0..findings.heads.len()).collect();
        if wanted.findings == FindingOrder::Latest {
            let began = |&index: &usize| std::cmp::Reverse(findings.heads[index].first_ns);
            self.order.sort_by_key(began);
        }
        self.findings = Some(findings);
        self.connections = wanted
            .connections
            .map_or_else(Vec::new, |order| lines(watch, order));
        let state = watch.analysis().state();
        let topology = &state.topology;
        if !Arc::ptr_eq(topology, &self.topology) {
            self.topology = Arc::clone(topology);
            self.tree = tree(topology);
            self.watched = watched(&state.index);
        }
    }

    /// How many findings stand.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// What the finding with this number is known by.
    #[must_use]
    pub fn key(&self, number: usize) -> Option<FindingKey> {
        let index = *self.order.get(number)?;
        Some(Arc::clone(&self.heads().get(index)?.key))
    }

    /// The finding with this number in full.
    #[must_use]
    pub fn finding(&self, number: usize) -> Option<Finding> {
        self.findings.as_ref()?.finding(*self.order.get(number)?)
    }

    /// How many findings there are of each severity: errors, warnings, infos.
    #[must_use]
    pub fn severities(&self) -> [usize; 3] {
        let of = |severity| {
            let all = self.heads().iter();
            all.filter(|head| head.severity == severity).count()
        };
        [Severity::Error, Severity::Warning, Severity::Info].map(of)
    }

    fn heads(&self) -> &[FindingHead] {
        self.findings
            .as_ref()
            .map_or(&[], |findings| &findings.heads)
    }

    /// The namespaces as a tree.
    #[must_use]
    pub fn tree(&self) -> &[Branch] {
        &self.tree
    }

    /// The network the tree is of.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What there is to watch.
    #[must_use]
    pub fn watched(&self) -> Watched {
        self.watched
    }

    /// The connections, in their order.
    #[must_use]
    pub fn connections(&self) -> &[ConnectionLine] {
        &self.connections
    }
}

fn watched(index: &TopologyIndex) -> Watched {
    let mut watched = Watched {
        boundaries: index.boundary_devices().count(),
        ..Watched::default()
    };
    for (_, netns) in index.topology.living() {
        watched.namespaces += 1;
        watched.containers += usize::from(netns.container.is_some());
        watched.links += netns.links.len();
    }
    watched
}

/// What a namespace is called.
#[must_use]
pub fn label(netns: NetnsId, topology: &Topology) -> String {
    NetnsRef::new(netns, topology).label()
}

/// What happened to a finding's connection.
#[must_use]
pub fn entries(watch: &Watch, finding: &Finding) -> Vec<JournalEntry> {
    match connection_of(watch, finding) {
        Some(connection) => watch.journal().of(connection),
        None => Vec::new(),
    }
}

fn connection_of<'a>(watch: &'a Watch, finding: &Finding) -> Option<&'a Connection> {
    let shown = finding.connection.as_ref()?;
    let address = |end: &Endpoint| SocketAddr::new(end.address, end.port);
    let (local, remote) = (address(&shown.local), address(&shown.remote));
    let flow = |netns: &NetnsRef, source, destination| Flow {
        netns: netns.id(),
        protocol: if shown.protocol == "udp" { UDP } else { TCP },
        source,
        destination,
    };
    let at_local = shown.local.netns.iter();
    let at_remote = shown.remote.netns.iter();
    let between = finding.boundary.iter().map(|boundary| &boundary.netns);
    let tries = at_local
        .map(|netns| flow(netns, local, remote))
        .chain(at_remote.map(|netns| flow(netns, remote, local)))
        .chain(between.clone().map(|netns| flow(netns, local, remote)))
        .chain(between.map(|netns| flow(netns, remote, local)));
    let state = watch.analysis().state();
    tries
        .filter_map(|flow| state.connection(&flow))
        .map(|(connection, _)| connection)
        .next()
}

/// The MTUs of a namespace's interfaces, loopback left out: each with how many have it.
#[must_use]
pub fn mtus(topology: &Topology, netns: NetnsId) -> BTreeMap<u32, usize> {
    let mut mtus = BTreeMap::new();
    let links = topology.namespaces.get(&netns).into_iter();
    for link in links.flat_map(|netns| netns.links.values()) {
        if link.kind != LinkKind::Loopback {
            *mtus.entry(link.mtu_bytes).or_default() += 1;
        }
    }
    mtus
}
