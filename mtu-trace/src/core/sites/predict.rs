//! The narrow places that a trace has not seen, as the map has them: a tunnel that answers with a
//! message of its own drops nothing a hook would tell of, and a sender whose timeout has doubled many
//! times sends nothing for minutes.

use std::net::IpAddr;

use crate::core::graph::{Destination, Path, TopologyIndex};
use crate::core::sites::boundary::{boundary, hops};
use crate::core::sites::limit_point::LimitPoint;
use crate::core::sites::suspect::{Suspect, suspects};
use crate::model::event::NO_REASON;
use crate::model::finding::{Boundary, ReportedHop};
use crate::model::network::NetnsId;

/// Where the map says that packets die.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
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
pub fn telling(
    index: &TopologyIndex,
    from: NetnsId,
    to: IpAddr,
    told_bytes: u32,
) -> Option<Predicted> {
    let tells = |place: &LimitPoint| !place.site.is_silent() && place.fits_bytes() == told_bytes;
    let ways = ways(index, KnownEnd::Sender(from, to)).into_iter();
    let mut found = ways.filter_map(|way| first(index, &way, tells));
    Some(Predicted::new(index, &found.next()?))
}

/// The first place that is too narrow for packets of this length, in bytes of layer 3, whether it tells the
/// sender or not. `None` if there is none on this host, or a way that they may take without one. None was seen
/// to die: no reason is given.
pub fn too_narrow(index: &TopologyIndex, end: KnownEnd, packet_bytes: u32) -> Option<Predicted> {
    let narrow = |place: &LimitPoint| place.fits_bytes() < packet_bytes;
    let ways = ways(index, end).into_iter();
    let found: Option<Vec<Suspect>> = ways.map(|way| first(index, &way, narrow)).collect();
    let mut predicted = Predicted::new(index, found?.first()?);
    predicted.boundary.reason = Some(NO_REASON.to_owned());
    Some(predicted)
}

/// The ways between two ends, from the sender's side, each with the way back.
fn ways(index: &TopologyIndex, end: KnownEnd) -> Vec<(Path, Path)> {
    let (KnownEnd::Sender(netns, address) | KnownEnd::Receiver(netns, address)) = end;
    let paths = index
        .paths(netns, Destination::Address(address))
        .into_iter();
    let ways = paths.map(|path| {
        let back = path.back(&index.topology);
        match end {
            KnownEnd::Sender(..) => (path, back),
            KnownEnd::Receiver(..) => (back, path),
        }
    });
    ways.collect()
}

/// The first narrow place of a way that nothing makes harmless and that is wanted.
fn first(
    index: &TopologyIndex,
    (path, back): &(Path, Path),
    is_wanted: impl Fn(&LimitPoint) -> bool,
) -> Option<Suspect> {
    let mut suspects = suspects(index, path, back).into_iter();
    suspects.find(|suspect| suspect.relief.is_none() && is_wanted(&suspect.place))
}

impl Predicted {
    fn new(index: &TopologyIndex, suspect: &Suspect) -> Self {
        Self {
            boundary: boundary(&index.topology, suspect, &|_| true),
            egress: suspect.place.egress.ifindex,
            fits_bytes: suspect.place.fits_bytes(),
            path: hops(index, suspect),
        }
    }
}
