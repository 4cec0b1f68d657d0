//! Puts findings together: one for each cause, told from the connection it hurts most.

use crate::core::graph::TopologyIndex;
use crate::core::sites::DropSite;
use crate::core::track::{State, Track};
use crate::core::verdicts::boundary::boundary;
use crate::core::verdicts::evidence::evidence;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::facts::loss::worst_other;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::sentence::Telling;
use crate::core::verdicts::table::entry;
use crate::core::verdicts::trouble::Match;
use crate::core::verdicts::verdict_index::{Key, VerdictIndex};
use crate::core::verdicts::worst::Worst;
use crate::model::event::Device;
use crate::model::finding::{Boundary, Confidence, Direction, Finding, ReportedHop};
use crate::model::network::LinkId;

/// The finding of one cause; `detected` is the finding as it was made, if it was before. `None` where
/// nothing that is selected has this cause.
pub(crate) fn finding(
    state: &State,
    index: &VerdictIndex,
    key: &Key,
    detected: Option<&Finding>,
) -> Option<Finding> {
    let group = index.group(key)?;
    let (id, side) = group.worst()?;
    let connection = state.get(id)?;
    let topology = &state.topology;
    let found = index.found(id, side)?;
    let trouble = &found.trouble;
    let own = connection.track(side);
    let tracks = group
        .members()
        .filter_map(|(id, side)| Some(state.get(id)?.track(side)));
    let is_blocked = |track: &&Track| !track.icmp.blocked.is_empty();
    let worst = Worst {
        facts: TrackFacts::of(state, connection, side)?,
        trouble,
        local: LocalEnd::of(connection, topology)?,
        told: std::iter::once(own)
            .chain(tracks)
            .find(is_blocked)
            .unwrap_or(own),
    };
    let seen = group.members().filter_map(|(id, side)| {
        let found = index.found(id, side)?;
        Some(found.trouble.last_ns.unwrap_or(state.now_ns))
    });
    let direction = if group.has_both(id) {
        Direction::Both
    } else {
        worst.local.direction(side)
    };
    let entry = entry(key.0);
    let mut finding = Finding {
        id: String::new(),
        verdict: key.0,
        severity: found.severity,
        confidence: sureness(state, found),
        summary: String::new(),
        ongoing: trouble.ongoing,
        first_seen_ns: group.first_ns(),
        detected_at_ns: detected.map_or(state.now_ns, |detected| detected.detected_at_ns),
        last_seen_ns: seen.max()?,
        connections: group.connections(),
        connection: Some(worst.local.show(connection, direction, topology)),
        boundary: place(&worst),
        pmtud: worst.pmtud(),
        evidence: evidence(&worst.facts, trouble),
        path: way(&worst),
        fixes: (entry.fixes)(&worst),
    };
    // A container may be gone by now, with its links.
    if let Some(detected) = detected {
        if detected.path.len() > finding.path.len() {
            finding.path.clone_from(&detected.path);
        }
        if detected.fixes.len() > finding.fixes.len() {
            finding.fixes.clone_from(&detected.fixes);
        }
    }
    let other = worst_other(own).map(|(other, _)| other);
    finding.summary = (entry.sentence)(&Telling::of(&finding, other, topology)?);
    Some(finding)
}

/// How sure a conclusion is by now: less so where records of our own were lost, because something
/// may have been missed.
pub(crate) fn sureness(state: &State, found: &Match) -> Confidence {
    match state.lost {
        0 => found.confidence,
        _ => found.confidence.lowered(),
    }
}

fn place(worst: &Worst<'_>) -> Option<Boundary> {
    match worst.site() {
        Some(site) => Some(boundary(site, worst.topology())),
        None => Some(worst.predicted()?.boundary.clone()),
    }
}

/// The way from the local end to the place and one step past it; empty where there is no place.
fn way(worst: &Worst<'_>) -> Vec<ReportedHop> {
    if let Some(site) = worst.site() {
        return hops(&worst.local, site, &worst.facts.state.index);
    }
    let mut way = worst
        .predicted()
        .map_or_else(Vec::new, |it| it.path.clone());
    if worst.local.direction(worst.facts.side) == Direction::Download {
        way.reverse();
    }
    way
}

/// The way from the local end to the place where packets are dropped, and one step past it.
fn hops(local: &LocalEnd<'_>, site: &DropSite, index: &TopologyIndex) -> Vec<ReportedHop> {
    let id = |&Device { netns, ifindex, .. }: &Device| LinkId { netns, ifindex };
    let (ingress, egress) = (site.ingress.as_ref().map(id), id(&site.egress));
    let start = local.end.and_then(|end| {
        let netns = end.socket.flow.netns;
        let (ifindex, _) = index.topology.owner(netns, local.flow.source.ip())?;
        Some(LinkId { netns, ifindex })
    });
    let way = |to| start.map_or_else(Vec::new, |start| index.path(start, &[to]));
    // The far side of the place is whichever of its devices is further away.
    let (near, far) = (way(egress), ingress.map_or_else(Vec::new, way));
    let mut way = if far.len() > near.len() { far } else { near };
    if way.is_empty() {
        way.extend(ingress);
        way.push(egress);
        way.extend(site.peer.as_ref().map(id));
    }
    way.into_iter()
        .filter_map(|at| ReportedHop::new(at.netns, at.ifindex, &index.topology))
        .collect()
}
