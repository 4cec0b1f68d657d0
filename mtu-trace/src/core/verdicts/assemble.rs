//! Puts findings together: one for each cause, told from the connection it hurts most.

use crate::core::graph::TopologyIndex;
use crate::core::sites::Predicted;
use crate::core::track::{SiteDrops, State, Track};
use crate::core::verdicts::analysis::Detected;
use crate::core::verdicts::boundary::{boundary, pmtud};
use crate::core::verdicts::evidence::evidence;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::facts::loss::worst_other;
use crate::core::verdicts::fixes::FixContext;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::sentence::Telling;
use crate::core::verdicts::table::{Match, VerdictEntry, entry};
use crate::core::verdicts::verdict_index::{Group, Key, VerdictIndex};
use crate::model::event::Device;
use crate::model::finding::{Boundary, Confidence, Direction, Finding, Fix, Pmtud, ReportedHop};
use crate::model::network::{LinkId, Topology};

/// The connection that a cause hurts most, and what is needed to tell of it.
struct Worst<'a> {
    facts: TrackFacts<'a>,
    found: &'a Match,
    local: LocalEnd<'a>,
    group: &'a Group,
    index: &'a VerdictIndex,
}

/// The finding of one cause; `detected` is how it was made, if it was before. `None` where nothing
/// that is selected has this cause.
pub fn finding(
    state: &State,
    index: &VerdictIndex,
    key: &Key,
    detected: Option<&Detected>,
) -> Option<Finding> {
    let group = index.group(key)?;
    let (id, side) = group.worst()?;
    let connection = state.get(id)?;
    let worst = Worst {
        facts: TrackFacts::of(state, connection, side)?,
        found: index.found(id, side)?,
        local: LocalEnd::of(connection, &state.topology)?,
        group,
        index,
    };
    let VerdictEntry {
        sentence, fixes, ..
    } = entry(key.0);
    let direction = if group.has_both(id) {
        Direction::Both
    } else {
        worst.local.direction(side)
    };
    let topology = &state.topology;
    let trouble = &worst.found.trouble;
    let pmtud = worst.pmtud();
    let fixes = worst.fixes(*fixes, pmtud.as_ref());
    let mut finding = Finding {
        id: String::new(),
        verdict: key.0,
        severity: worst.found.severity,
        confidence: sureness(state, worst.found),
        summary: String::new(),
        ongoing: trouble.ongoing,
        first_seen_ns: group.first_ns(),
        detected_at_ns: detected.map_or(state.now_ns, |detected| detected.at_ns),
        last_seen_ns: worst.last_seen_ns()?,
        connections: group.connections(),
        connection: Some(worst.local.show(connection, direction, topology)),
        boundary: worst.boundary(),
        pmtud,
        evidence: evidence(&worst.facts, trouble),
        path: worst.path(),
        fixes,
    };
    if let Some(detected) = detected {
        if detected.path.len() > finding.path.len() {
            finding.path.clone_from(&detected.path);
        }
        if detected.fixes.len() > finding.fixes.len() {
            finding.fixes.clone_from(&detected.fixes);
        }
    }
    let other = worst_other(worst.facts.track).map(|(other, _)| other);
    finding.summary = sentence(&Telling::of(&finding, other, topology)?);
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

impl Worst<'_> {
    fn topology(&self) -> &Topology {
        &self.facts.state.topology
    }

    fn site(&self) -> Option<&SiteDrops> {
        self.found.trouble.cause.site(self.facts.track)
    }

    fn predicted(&self) -> Option<&Predicted> {
        self.found.trouble.predicted.as_deref()
    }

    fn fits_bytes(&self) -> Option<u32> {
        let cause = &self.found.trouble.cause;
        cause.fits_bytes(self.facts.track, self.predicted())
    }

    fn boundary(&self) -> Option<Boundary> {
        match self.site() {
            Some(drops) => Some(boundary(&drops.site, self.topology())),
            None => Some(self.predicted()?.boundary.clone()),
        }
    }

    /// What became of the message. One may speak for many connections: that of any member tells of
    /// the cause.
    fn pmtud(&self) -> Option<Pmtud> {
        let own = self.facts.track;
        if !self.found.trouble.cause.concerns_pmtud(own) {
            return None;
        }
        let told = std::iter::once(own)
            .chain(self.tracks())
            .find(|track| !track.icmp.blocked.is_empty())
            .unwrap_or(own);
        let site = self.site().map(|drops| &drops.site);
        let fits_bytes = self.fits_bytes().unwrap_or(0);
        Some(pmtud(told, fits_bytes, site, self.topology()))
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        let state = self.facts.state;
        let members = self.group.members();
        members.filter_map(|(id, side)| Some(state.get(id)?.track(side)))
    }

    fn last_seen_ns(&self) -> Option<u64> {
        let seen = self.group.members().filter_map(|(id, side)| {
            let found = self.index.found(id, side)?;
            Some(found.trouble.last_ns.unwrap_or(self.facts.state.now_ns))
        });
        seen.max()
    }

    /// The way from the local end to the place and one step past it; empty where there is no place.
    fn path(&self) -> Vec<ReportedHop> {
        if let Some(drops) = self.site() {
            return hops(&self.local, drops, &self.facts.state.index);
        }
        let mut path = self.predicted().map_or_else(Vec::new, |it| it.path.clone());
        if self.local.direction(self.facts.side) == Direction::Download {
            path.reverse();
        }
        path
    }

    fn fixes(&self, fixes: fn(&FixContext<'_>) -> Vec<Fix>, pmtud: Option<&Pmtud>) -> Vec<Fix> {
        fixes(&FixContext {
            local: &self.local,
            sender: self.facts.sender(),
            site: self.site().map(|drops| &drops.site),
            fits_bytes: self.fits_bytes(),
            pmtud,
            topology: self.topology(),
        })
    }
}

/// The way from the local end to the place where packets are dropped, and one step past it.
fn hops(local: &LocalEnd<'_>, drops: &SiteDrops, index: &TopologyIndex) -> Vec<ReportedHop> {
    let topology = &index.topology;
    let site = &drops.site;
    let id = |device: &Device| LinkId {
        netns: device.netns,
        ifindex: device.ifindex,
    };
    let egress = id(&site.egress);
    let ingress = site.ingress.as_ref().map(id);
    let peer = site.peer.as_ref().map(id);
    let start = local.end.and_then(|end| {
        let netns = end.socket.flow.netns;
        let (ifindex, _) = topology.owner(netns, local.flow.source.ip())?;
        Some(LinkId { netns, ifindex })
    });
    let mut way = match start {
        Some(start) => {
            let way = |to| index.path(start, &[to]);
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
        .filter_map(|at| ReportedHop::new(at.netns, at.ifindex, topology))
        .collect()
}
