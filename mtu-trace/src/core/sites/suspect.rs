//! Which places of a way are too narrow for the packets that two ends exchange.
//!
//! TCP never sends more than either end's own MTU allows, since each announces its segment size when
//! a connection opens (RFC 9293, section 3.7.1). So only what is narrower *between* two ends than at
//! either of them is a mismatch. A peer beyond the host is taken to be no narrower.

use crate::core::graph::{Path, TopologyIndex};
use crate::core::sites::limit_point::{LimitPoint, limit_points};
use crate::core::sites::{CUT, FORWARD};
use crate::model::network::{Link, Topology};

/// A place that is too narrow for what comes there.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// From the sender to the receiver.
    pub path: Path,
    /// The place that is too narrow.
    pub place: LimitPoint,
    /// Length of the packets there, bytes of layer 3.
    pub packet_bytes: u32,
    /// What makes it harmless by itself.
    pub relief: Option<Relief>,
}

/// What makes a narrow place harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// The place is more generous than its MTU says.
    Slack,
    /// A route of one end has an MTU that fits, so TCP sends no more.
    RouteMtu,
    /// The sender leaves it to routers to cut packets: path MTU discovery is off.
    NoDf,
    /// The packets of a tunnel are cut into pieces.
    Fragments,
}

/// The narrow places on the way from one end to the other. `back` is the way back.
pub fn suspects(index: &TopologyIndex, path: &Path, back: &Path) -> Vec<Suspect> {
    let topology = &*index.topology;
    let (Some(sent), Some(received)) = (End::of(topology, path), End::of(topology, back)) else {
        return Vec::new();
    };
    let mut sent_bytes = sent.device_bytes;
    let mut routed_bytes = sent.route_bytes;
    if path.to.is_some() {
        sent_bytes = sent_bytes.min(received.device_bytes);
        routed_bytes = routed_bytes.min(received.route_bytes);
    }
    let cuts = sent.cuts && !path.ipv6;
    let mut found = Vec::new();
    // Longest packet of a tunnel after it has been cut.
    let mut pieces_bytes = u32::MAX;
    for place in limit_points(index, path) {
        if place.wrapped_bytes == 0 {
            pieces_bytes = u32::MAX;
        }
        let here = |bytes: u32| bytes.saturating_add(place.wrapped_bytes).min(pieces_bytes);
        let packet_bytes = here(sent_bytes);
        let limit = place.limit_bytes;
        if packet_bytes <= limit {
            continue;
        }
        let passes = limit.saturating_add(place.site.slack_bytes);
        let relief = if packet_bytes <= passes {
            Some(Relief::Slack)
        } else if *place.site == CUT {
            Some(Relief::Fragments)
        } else if cuts && *place.site == FORWARD && place.wrapped_bytes == 0 {
            Some(Relief::NoDf)
        } else {
            (here(routed_bytes) <= passes).then_some(Relief::RouteMtu)
        };
        match relief {
            Some(Relief::Slack) => {}
            Some(Relief::Fragments) => {
                let link = place.egress.link(topology);
                pieces_bytes = limit.saturating_add(link.map_or(0, Link::overhead_bytes));
            }
            _ => sent_bytes = place.fits_bytes(),
        }
        found.push(Suspect {
            path: path.clone(),
            place,
            packet_bytes,
            relief,
        });
    }
    found
}

/// What one end sends.
struct End {
    device_bytes: u32,
    route_bytes: u32,
    /// Whether it sends without DF.
    cuts: bool,
}

impl End {
    fn of(topology: &Topology, path: &Path) -> Option<Self> {
        let leg = path.legs.first()?;
        let device = leg.devices.first()?.link(topology)?;
        let device_bytes = if path.ipv6 {
            device.ipv6_mtu_bytes()
        } else {
            device.mtu_bytes
        };
        let inside = path.from.and_then(|from| topology.inside(from));
        let undiscovered = inside
            .and_then(|inside| inside.sysctls.ip_no_pmtu_disc)
            // 3 is for messages that are believed, the other two send without DF.
            .is_some_and(|set| matches!(set, 1 | 2));
        Some(Self {
            device_bytes,
            route_bytes: leg.route_mtu_bytes.unwrap_or(device_bytes),
            cuts: leg.mtu_locked || undiscovered,
        })
    }
}
