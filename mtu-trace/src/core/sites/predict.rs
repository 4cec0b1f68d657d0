//! The narrow places that a trace has not seen, as the map has them: a tunnel that answers with a
//! message of its own drops nothing a hook would tell of, and a sender whose timeout has doubled many
//! times sends nothing for minutes. Pure.

use std::net::IpAddr;
use std::sync::OnceLock;

use crate::core::graph::{Destination, Path, Segments, Tunnels, Walker};
use crate::core::sites::boundary::{boundary, hops};
use crate::core::sites::limit_point::LimitPoint;
use crate::core::sites::suspect::{Suspect, suspects};
use crate::model::event::NO_REASON;
use crate::model::finding::{Boundary, ReportedHop};
use crate::model::network::{NetnsId, Topology};

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
    /// The place as reports show it.
    pub boundary: Boundary,
    /// Index of the device by which packets should leave there.
    pub egress: u32,
    /// The longest packet of the ends that passes, bytes.
    pub fits_bytes: u32,
    /// The way it is on, from the sender.
    pub path: Vec<ReportedHop>,
}

/// The end from which the way of data is followed, and the address of the other one as it knows it: that
/// may be a router's that translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownEnd {
    /// The one that sends.
    Sender(NetnsId, IpAddr),
    /// The one that receives.
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
    let ways = ways(topology, joints, KnownEnd::Sender(from, to));
    let tells = |place: &LimitPoint| !place.site.is_silent() && place.fits_bytes() == told_bytes;
    let mut found = ways
        .iter()
        .filter_map(|way| first(topology, joints, way, tells));
    Some(Foreseen::new(topology, joints, &found.next()?))
}

/// The first place that is too narrow for packets of this length, in bytes of layer 3, whether it tells the
/// sender or not. `None` if there is none on this host, or a way that they may take without one. None was seen
/// to die: no reason is given.
#[must_use]
pub fn too_narrow(
    topology: &Topology,
    joints: &Joints,
    end: KnownEnd,
    packet_bytes: u32,
) -> Option<Foreseen> {
    let ways = ways(topology, joints, end);
    let narrow = |place: &LimitPoint| place.fits_bytes() < packet_bytes;
    let found: Option<Vec<Suspect>> = ways
        .iter()
        .map(|way| first(topology, joints, way, narrow))
        .collect();
    let mut foreseen = Foreseen::new(topology, joints, found?.first()?);
    foreseen.boundary.reason = Some(NO_REASON.to_owned());
    Some(foreseen)
}

/// The ways between two ends, from the sender's side, each with the way back.
fn ways(topology: &Topology, joints: &Joints, end: KnownEnd) -> Vec<(Path, Path)> {
    let (_, segments) = joints.of(topology);
    let walker = Walker::new(topology, segments);
    let (KnownEnd::Sender(netns, address) | KnownEnd::Receiver(netns, address)) = end;
    let paths = walker.paths(netns, Destination::Address(address));
    paths
        .into_iter()
        .map(|path| {
            let back = walker.back(&path);
            match end {
                KnownEnd::Sender(..) => (path, back),
                KnownEnd::Receiver(..) => (back, path),
            }
        })
        .collect()
}

/// The first narrow place of a way that nothing makes harmless and that is wanted.
fn first(
    topology: &Topology,
    joints: &Joints,
    (path, back): &(Path, Path),
    is_wanted: impl Fn(&LimitPoint) -> bool,
) -> Option<Suspect> {
    let (tunnels, _) = joints.of(topology);
    let suspects = suspects(topology, tunnels, path, back).into_iter();
    suspects
        .filter(|suspect| suspect.relief.is_none())
        .find(|suspect| is_wanted(&suspect.place))
}

impl Foreseen {
    fn new(topology: &Topology, joints: &Joints, suspect: &Suspect) -> Self {
        let (tunnels, _) = joints.of(topology);
        let egress = suspect.place.egress;
        Self {
            boundary: boundary(topology, suspect, &|_| true),
            egress: egress.ifindex,
            fits_bytes: suspect.place.fits_bytes(),
            path: hops(topology, tunnels, suspect),
        }
    }
}
