//! The narrow place that a trace cannot see: a tunnel that answers with a message of its own drops
//! nothing a hook would tell of. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Audit, Figures, mismatch::boundary, route::Destination, segment::Segments, suspect::suspects,
    tunnel::Tunnels, walk::Walker,
};
use crate::{
    diagnose::{Boundary, Hop},
    topology::{NetnsId, Topology},
};

/// Where the map says that packets die, and tell so.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// The place.
    pub boundary: Boundary,
    /// The way it is on, from the sender.
    pub path: Vec<Hop>,
}

/// The place on the way from a namespace to an address that tells senders of this limit, in bytes of
/// layer 3. `None` if there is none on this host.
#[must_use]
pub fn foresee(
    topology: &Topology,
    from: NetnsId,
    to: IpAddr,
    told_bytes: u32,
) -> Option<Foreseen> {
    let audit = Audit {
        topology,
        engines: BTreeMap::new(),
        tunnels: Tunnels::new(topology),
        groups: BTreeMap::new(),
        figures: Figures::default(),
    };
    let segments = Segments::new(topology, &audit.tunnels.edges);
    let walker = Walker::new(topology, &segments);
    walker
        .paths(from, Destination::Address(to))
        .iter()
        .flat_map(|path| suspects(topology, &audit.tunnels, path, &walker.back(path)))
        .find(|suspect| {
            let place = &suspect.place;
            let fits = place.limit_bytes.saturating_sub(place.wrapped_bytes);
            suspect.relief.is_none() && !place.kind.is_silent() && fits == told_bytes
        })
        .map(|suspect| Foreseen {
            // Veths tell nobody: this is none.
            boundary: boundary(topology, suspect.place.egress, &suspect, ""),
            path: audit.hops(&suspect),
        })
}
