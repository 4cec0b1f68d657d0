//! Puts findings together: one for each cause, told from the connection it hurts most.

use crate::{
    core::{
        graph::path,
        track::{ConnectionId, Side, SiteDrops, State, Track},
        verdicts::{
            analysis::Detected,
            boundary::{boundary, pmtud},
            evidence::evidence,
            fixes,
            fixes::Ailment,
            local::Local,
            rules::{Case, Cause, Match, lowered, worst_other},
            summary,
            verdict_index::{Group, Judged, Key},
        },
    },
    model::{
        finding::{Direction, Finding, ReportedHop},
        network::{NetnsId, Topology},
    },
};

/// One direction of a connection, and what a rule found.
pub struct Member<'a> {
    /// The direction.
    pub case: Case<'a>,
    /// What was found.
    pub found: &'a Match,
}

impl<'a> Member<'a> {
    /// A member of a group by its number.
    pub fn of(state: &'a State, judged: &'a Judged, id: ConnectionId, side: Side) -> Option<Self> {
        Some(Self {
            case: Case::of(state, judged.joints(), state.get(id)?, side)?,
            found: judged.found(id, side)?,
        })
    }
}

/// One finding; `detected` is how it was made, if it was before.
pub fn finding(
    state: &State,
    judged: &Judged,
    (verdict, cause): &Key,
    detected: Option<&Detected>,
) -> Option<Finding> {
    let topology = &state.topology;
    let group = judged.group(&(*verdict, cause.clone()))?;
    let (id, side) = group.worst()?;
    let worst = Member::of(state, judged, id, side)?;
    let Case {
        connection, track, ..
    } = worst.case;
    let local = Local::of(connection, topology)?;
    let direction = if group.has_both(id) {
        Direction::Both
    } else {
        local.direction(side)
    };
    let site = match cause {
        Cause::Site(key) => {
            let passing = track.passing.as_ref();
            let unseen = passing.filter(|passing| passing.site.key == *key);
            track.oversized.get(key).or(unseen)
        }
        _ => None,
    };
    let shown = local.show(connection, direction, topology);
    let foreseen = worst.found.foreseen.as_deref();
    let seen = site.map(|drops| boundary(&drops.site, topology));
    let boundary = seen.or_else(|| Some(foreseen?.boundary.clone()));
    let fits_bytes = match (site, cause) {
        (Some(drops), _) => Some(drops.site.fits_bytes()),
        (None, Cause::Message(..)) => track.icmp.mtu_bytes.filter(|&told| told > 0),
        (None, Cause::Site(_)) => foreseen.map(|foreseen| foreseen.fits_bytes),
        _ => None,
    };
    let is_about_size = site.is_some() || matches!(cause, Cause::Message(..));
    // One message may speak for many connections: that of any member tells of the cause.
    let told = std::iter::once(track)
        .chain(tracks(state, group))
        .find(|track| !track.icmp.blocked.is_empty())
        .unwrap_or(track);
    let silent = site.is_some_and(|drops| drops.site.kind.is_silent());
    let pmtud = is_about_size.then(|| pmtud(told, fits_bytes.unwrap_or(0), silent, topology));
    let mut path = match (site, foreseen) {
        (Some(drops), _) => hops(&local, drops, topology),
        (None, Some(foreseen)) => {
            let mut path = foreseen.path.clone();
            // From the local end, as others are.
            if local.direction(side) == Direction::Download {
                path.reverse();
            }
            path
        }
        (None, None) => Vec::new(),
    };
    let ends = group.members().filter_map(|(id, side)| {
        let found = judged.found(id, side)?;
        Some(found.last_ns.unwrap_or(state.now_ns))
    });
    let last_seen_ns = ends.max()?;
    let evidence = evidence(state, &worst);
    let ailment = Ailment {
        verdict: *verdict,
        local: &local,
        other_end: connection.sender(side),
        site: site.map(|drops| &drops.site),
        fits_bytes,
        pmtud: pmtud.as_ref(),
        topology,
    };
    let mut fixes = fixes::fixes(&ailment);
    if let Some(detected) = detected {
        if detected.path.len() > path.len() {
            path.clone_from(&detected.path);
        }
        if detected.fixes.len() > fixes.len() {
            fixes.clone_from(&detected.fixes);
        }
    }
    let mut finding = Finding {
        id: String::new(),
        verdict: *verdict,
        severity: worst.found.severity,
        confidence: lowered(state, worst.found.confidence),
        summary: String::new(),
        ongoing: worst.found.ongoing,
        first_seen_ns: group.first_ns(),
        detected_at_ns: detected.map_or(state.now_ns, |detected| detected.at_ns),
        last_seen_ns,
        connections: group.connections(),
        connection: Some(shown),
        boundary,
        pmtud,
        evidence,
        path,
        fixes,
    };
    finding.summary = summary::summary(&finding, worst_other(track), topology);
    Some(finding)
}

fn tracks<'a>(state: &'a State, group: &Group) -> impl Iterator<Item = &'a Track> {
    let members = group.members();
    members.filter_map(|(id, side)| Some(state.get(id)?.track(side)))
}

/// The way from the local end to the place where packets die, and one step past it.
fn hops(local: &Local<'_>, drops: &SiteDrops, topology: &Topology) -> Vec<ReportedHop> {
    let site = &drops.site;
    let egress = (site.egress.netns, site.egress.ifindex);
    let ingress = site
        .ingress
        .as_ref()
        .map(|device| (device.netns, device.ifindex));
    let peer = site
        .peer
        .as_ref()
        .map(|device| (device.netns, device.ifindex));
    let start = local.end.and_then(|end| {
        let netns = end.socket.flow.netns;
        let (ifindex, _) = topology.owner(netns, local.flow.source.ip())?;
        Some((netns, ifindex))
    });
    let mut way = match start {
        Some(start) => {
            let way = |to| -> Vec<(NetnsId, u32)> {
                path::path(topology, start, &[to])
                    .into_iter()
                    .map(|hop| (hop.netns, hop.ifindex))
                    .collect()
            };
            // The far side of the place is whichever of its devices is further away.
            let near = way(egress);
            let far = ingress.map(way);
            match far {
                Some(far) if far.len() > near.len() => far,
                _ => near,
            }
        }
        None => Vec::new(),
    };
    if way.is_empty() {
        way.extend(ingress);
        way.push(egress);
        way.extend(peer);
    }
    way.into_iter()
        .filter_map(|(netns, ifindex)| ReportedHop::new(netns, ifindex, topology))
        .collect()
}
