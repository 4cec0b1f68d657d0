//! The narrow places that a trace has not seen, as the map has them: a tunnel that answers with a
//! message of its own drops nothing a hook would tell of, and a sender whose timeout has doubled many
//! times sends nothing for minutes. Pure.

use std::{net::IpAddr, sync::OnceLock};

use super::{
    VETH_FUNCTION, hops,
    mismatch::boundary,
    place::Place,
    route::Destination,
    segment::Segments,
    suspect::{Suspect, suspects},
    tunnel::Tunnels,
    walk::{Path, Walker},
};
use crate::{
    diagnose::{Boundary, Hop},
    topology::{NetnsId, Topology},
};

/// What is joined in a network, found when it is first asked for: whoever asks gives the same network.
#[derive(Debug, Default)]
pub struct Joints(OnceLock<(Tunnels, Segments)>);

impl Joints {
    fn of(&self, topology: &Topology) -> &(Tunnels, Segments) {
        self.0.get_or_init(|| {
            let tunnels = Tunnels::new(topology);
            let segments = Segments::new(topology, &tunnels.edges);
            (tunnels, segments)
        })
    }
}

/// Where the map says that packets die.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// The place.
    pub boundary: Boundary,
    /// Index of the device by which packets should leave there.
    pub egress: u32,
    /// The longest packet of the ends that passes, bytes.
    pub fits_bytes: u32,
    /// The way it is on, from the sender.
    pub path: Vec<Hop>,
}

/// The ways that data takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// From a namespace to an address.
    Sender(NetnsId, IpAddr),
    /// To a namespace from an address, which may be that of a router that translates.
    Receiver(NetnsId, IpAddr),
}

/// The place on the way from a namespace to an address that tells senders of this limit, in bytes of
/// layer 3. `None` if there is none on this host.
#[must_use]
pub fn telling(
    topology: &Topology,
    joints: &Joints,
    from: NetnsId,
    to: IpAddr,
    told_bytes: u32,
) -> Option<Foreseen> {
    let way = From::Sender(from, to);
    foreseen(topology, joints, way, |place, fits_bytes| {
        !place.kind.is_silent() && fits_bytes == told_bytes
    })
}

/// The first place on a way that is too narrow for packets of this length, in bytes of layer 3, whether
/// it tells the sender or not. `None` if there is none on this host.
#[must_use]
pub fn too_narrow(
    topology: &Topology,
    joints: &Joints,
    way: From,
    packet_bytes: u32,
) -> Option<Foreseen> {
    foreseen(topology, joints, way, |_, fits_bytes| {
        fits_bytes < packet_bytes
    })
}

fn foreseen(
    topology: &Topology,
    joints: &Joints,
    way: From,
    is_it: impl Fn(&Place, u32) -> bool,
) -> Option<Foreseen> {
    let (tunnels, segments) = joints.of(topology);
    let walker = Walker::new(topology, segments);
    let ways: Vec<(Path, Path)> = match way {
        From::Sender(netns, address) => {
            let paths = walker.paths(netns, Destination::Address(address));
            let both = |path: Path| (path.clone(), walker.back(&path));
            paths.into_iter().map(both).collect()
        }
        From::Receiver(netns, address) => {
            let paths = walker.paths(netns, Destination::Address(address));
            let both = |back: Path| (walker.back(&back), back);
            paths.into_iter().map(both).collect()
        }
    };
    let fits = |place: &Place| place.limit_bytes.saturating_sub(place.wrapped_bytes);
    let suspects = ways
        .iter()
        .flat_map(|(path, back)| suspects(topology, tunnels, path, back));
    let mut unrelieved = suspects.filter(|suspect| suspect.relief.is_none());
    let found: Suspect = unrelieved.find(|suspect| is_it(&suspect.place, fits(&suspect.place)))?;
    Some(Foreseen {
        boundary: boundary(topology, found.place.egress, &found, VETH_FUNCTION),
        egress: found.place.egress.ifindex,
        fits_bytes: fits(&found.place),
        path: hops(topology, tunnels, &found),
    })
}
