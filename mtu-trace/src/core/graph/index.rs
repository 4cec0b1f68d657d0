//! The index of one topology. What is derived from it is found once, when it is first asked for.

use std::sync::{Arc, OnceLock};

use crate::core::graph::walk::paths;
use crate::core::graph::{Destination, Neighbours, Networks, Path, Segments, Tunnels};
use crate::model::network::{NetnsId, Topology};

/// The graph of one topology.
#[derive(Debug, Default)]
pub struct TopologyIndex {
    /// The network that it is of.
    pub topology: Arc<Topology>,
    neighbours: OnceLock<Neighbours>,
    networks: OnceLock<Networks>,
    tunnels: OnceLock<Tunnels>,
    segments: OnceLock<Segments>,
}

impl TopologyIndex {
    /// The index of a network.
    pub fn new(topology: Arc<Topology>) -> Self {
        Self {
            topology,
            ..Self::default()
        }
    }

    /// Which links are next to which.
    pub fn neighbours(&self) -> &Neighbours {
        let neighbours = || Neighbours::new(&self.topology);
        self.neighbours.get_or_init(neighbours)
    }

    /// Which namespaces packets can go between at all.
    pub fn networks(&self) -> &Networks {
        let networks = || Networks::new(&self.topology);
        self.networks.get_or_init(networks)
    }

    /// Which ends of tunnels meet, and the ways of their packets.
    pub fn tunnels(&self) -> &Tunnels {
        let tunnels = || Tunnels::new(&self.topology, self.neighbours());
        self.tunnels.get_or_init(tunnels)
    }

    /// What is joined at layer 2, tunnels included.
    pub fn segments(&self) -> &Segments {
        let tunnels = &self.tunnels().edges;
        let segments = || Segments::new(&self.topology, self.neighbours(), tunnels);
        self.segments.get_or_init(segments)
    }

    /// The ways from a namespace to a destination; none to the namespace itself.
    pub fn paths(&self, from: NetnsId, destination: Destination) -> Vec<Path> {
        paths(&self.topology, self.segments(), from, destination)
    }
}
