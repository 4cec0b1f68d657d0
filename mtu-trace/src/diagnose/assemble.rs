//! Puts findings together: one for each cause, told from the connection it hurts most.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    boundary::{boundary, pmtud},
    finding::{Direction, Evidence, Finding, Hop, NetnsRef, Verdict},
    fixes::{self, Ailment},
    ledger::Detected,
    local::Local,
    rules::{Case, Cause, Match, RULES, worst_other},
    summary,
};
use crate::{
    audit::{Foreseen, foresee},
    correlate::{Connection, ConnectionId, End, OtherKey, Side, SiteDrops, SiteKey, State},
    select::{Scope, Subject},
    topology::{NetnsId, Topology, path},
};

const NS_PER_MS: u64 = 1_000_000;

/// Directions of connections that share a cause.
pub struct Group<'a> {
    /// What they suffer from.
    pub verdict: Verdict,
    /// What they share.
    pub cause: Cause,
    members: Vec<Member<'a>>,
}

impl Group<'_> {
    /// The first sign of it, ns.
    pub fn first_ns(&self) -> u64 {
        let signs = self.members.iter().map(|member| member.found.first_ns);
        signs.min().unwrap_or(0)
    }
}

struct Member<'a> {
    id: ConnectionId,
    case: Case<'a>,
    found: Match,
}

impl Member<'_> {
    /// What makes one worse than another.
    fn rank(&self) -> (bool, u64, u64) {
        (
            self.found.ongoing,
            self.found.last_ns.saturating_sub(self.found.first_ns),
            self.case.track.oversized_drops(),
        )
    }
}

/// Applies the rules to every connection, and keeps what is selected.
pub fn groups<'a>(state: &'a State, scope: &Scope) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(Verdict, Cause), Vec<Member<'_>>> = BTreeMap::new();
    for (id, connection) in state.connections() {
        for side in [Side::Out, Side::In] {
            let track = connection.track(side);
            let waits = connection.ends.iter().any(End::waits);
            if track.first_loss_ns().is_none() && !waits {
                continue;
            }
            let case = Case {
                state,
                connection,
                side,
                track,
            };
            let found = RULES
                .iter()
                .find_map(|rule| Some((rule.verdict, (rule.fits)(&case)?)));
            if let Some((verdict, found)) = found
                && is_selected(&case, &found, scope)
            {
                groups
                    .entry((verdict, found.cause.clone()))
                    .or_default()
                    .push(Member { id, case, found });
            }
        }
    }
    groups
        .into_iter()
        .map(|((verdict, cause), members)| Group {
            verdict,
            cause,
            members,
        })
        .collect()
}

/// Whether a direction of a connection is selected: by the connection, or by the place that its
/// finding names besides.
fn is_selected(case: &Case<'_>, found: &Match, scope: &Scope) -> bool {
    if scope.is_everything() {
        return true;
    }
    let mut subject = Subject::connection(case.connection, case.side);
    match &found.cause {
        Cause::Site(SiteKey { netns, .. }) | Cause::Other(OtherKey { netns, .. }) => {
            subject.also_in(*netns);
        }
        Cause::Message(netns, ..) => {
            subject.also_in(*netns);
            if let Some(foreseen) = foreseen(case, &found.cause) {
                subject.also_in(foreseen.boundary.netns.id());
            }
        }
        // A whole network is no place.
        Cause::Peer(..) => {}
    }
    scope.includes(&subject)
}

/// The place where packets must die, where a message tells of it and no drop.
fn foreseen(case: &Case<'_>, cause: &Cause) -> Option<Foreseen> {
    let (Cause::Message(..), Some(told_bytes)) = (cause, case.track.icmp.mtu_bytes) else {
        return None;
    };
    let flow = case.connection.sender(case.side)?.socket.flow;
    let topology = &case.state.topology;
    foresee(topology, flow.netns, flow.destination.ip(), told_bytes)
}

/// The findings that stand, worst first. `detected` tells how each was made.
pub fn findings<'a>(
    state: &State,
    scope: &Scope,
    detected: impl Fn(Verdict, &Cause) -> Option<&'a Detected>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = groups(state, scope)
        .iter()
        .filter_map(|group| finding(state, group, detected(group.verdict, &group.cause)))
        .collect();
    findings.sort_by(|a, b| {
        (b.severity, b.confidence, b.ongoing, b.connections)
            .cmp(&(a.severity, a.confidence, a.ongoing, a.connections))
            .then(a.first_seen_ns.cmp(&b.first_seen_ns))
    });
    for (number, finding) in findings.iter_mut().enumerate() {
        finding.id = format!("F{}", number + 1);
    }
    findings
}

/// One finding; `detected` is how it was made, if it was before.
pub fn finding(state: &State, group: &Group<'_>, detected: Option<&Detected>) -> Option<Finding> {
    let topology = &state.topology;
    let worst = group.members.iter().max_by_key(|member| member.rank())?;
    let Case {
        connection,
        side,
        track,
        ..
    } = worst.case;
    let local = Local::of(connection, topology)?;
    let both = group
        .members
        .iter()
        .any(|member| member.id == worst.id && member.case.side != side);
    let direction = if both {
        Direction::Both
    } else {
        local.direction(side)
    };
    let site = match &group.cause {
        Cause::Site(key) => {
            let passing = track.passing.as_ref();
            let unseen = passing.filter(|passing| passing.site.key == *key);
            track.oversized.get(key).or(unseen)
        }
        _ => None,
    };
    let shown = local.show(connection, direction, topology);
    let foreseen = foreseen(&worst.case, &group.cause);
    let seen = site.map(|drops| boundary(&drops.site, topology));
    let boundary = seen.or_else(|| Some(foreseen.as_ref()?.boundary.clone()));
    let fits_bytes = match (site, &group.cause) {
        (Some(drops), _) => Some(drops.site.fits_bytes()),
        (None, Cause::Message(..)) => track.icmp.mtu_bytes.filter(|&told| told > 0),
        _ => None,
    };
    let is_about_size = site.is_some() || matches!(group.cause, Cause::Message(..));
    // One message may speak for many connections: that of any member tells of the cause.
    let tracks = group.members.iter().map(|member| member.case.track);
    let told = std::iter::once(track)
        .chain(tracks)
        .find(|track| !track.icmp.blocked.is_empty())
        .unwrap_or(track);
    let pmtud = is_about_size.then(|| pmtud(told, fits_bytes.unwrap_or(0), topology));
    let mut path = match (site, foreseen) {
        (Some(drops), _) => hops(&local, drops, topology),
        (None, Some(foreseen)) => foreseen.path,
        (None, None) => Vec::new(),
    };
    let last_seen_ns = group
        .members
        .iter()
        .map(|member| member.found.last_ns)
        .max()?;
    let ongoing = group.members.iter().any(|member| member.found.ongoing);
    let evidence = evidence(state, worst);
    let ailment = Ailment {
        verdict: group.verdict,
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
        verdict: group.verdict,
        severity: worst.found.severity,
        confidence: worst.found.confidence,
        summary: String::new(),
        ongoing,
        first_seen_ns: group.first_ns(),
        detected_at_ns: detected.map_or(state.now_ns, |detected| detected.at_ns),
        last_seen_ns,
        connections: group
            .members
            .iter()
            .map(|member| member.id)
            .collect::<BTreeSet<_>>()
            .len(),
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

fn evidence(state: &State, member: &Member<'_>) -> Evidence {
    let track = member.case.track;
    let sent = track.retransmits.as_ref();
    let until = if member.found.ongoing {
        state.now_ns
    } else {
        member.found.last_ns
    };
    Evidence {
        oversized_drops: track.oversized_drops(),
        other_drops: track.other.values().map(|drops| drops.count).sum(),
        retransmits: sent.map_or(0, |sent| sent.count),
        max_backoff: sent.map_or(0, |sent| sent.max_backoff),
        stalled_ms: until.saturating_sub(member.found.first_ns) / NS_PER_MS,
        attempts: member.found.attempts,
        seq: member.found.seq,
        icmp_generated: track.icmp.generated,
        icmp_dropped: track.icmp.blocked.iter().map(|blocked| blocked.count).sum(),
        oversized_seen: track.seen.values().sum(),
        sender_mss: track.sender_mss,
        lost_events: state.lost,
        ways: 0,
        notes: notes(state, member.case.connection, member.case.side),
    }
}

/// What was seen by which hook, in words, for the reader who doubts.
fn notes(state: &State, connection: &Connection, side: Side) -> Vec<String> {
    let topology = &state.topology;
    let label = |netns: NetnsId| NetnsRef::new(netns, topology).label();
    let track = connection.track(side);
    let mut notes = Vec::new();
    for drops in track.oversized.values() {
        notes.push(format!(
            "skb:kfree_skb: {} packets of up to {} bytes dropped by {} in {}",
            drops.count,
            drops.site.packet_bytes,
            drops.site.key.function,
            label(drops.site.key.netns),
        ));
    }
    if track.icmp.generated > 0 {
        notes.push(format!(
            "icmp:icmp_send: {} messages generated",
            track.icmp.generated
        ));
    }
    for blocked in &track.icmp.blocked {
        notes.push(format!(
            "skb:kfree_skb: {} of the ICMP messages dropped by {} in {}",
            blocked.count,
            blocked.function,
            label(blocked.netns),
        ));
    }
    for (&(netns, ifindex, egress), count) in &track.icmp.seen {
        let link = topology.link(netns, ifindex);
        notes.push(format!(
            "tc: {count} ICMP messages {} {} in {}",
            if egress { "left by" } else { "came in by" },
            link.map_or("a device since gone", |link| link.name.as_str()),
            label(netns),
        ));
    }
    if let Some(sent) = &track.retransmits {
        notes.push(format!(
            "tcp:tcp_retransmit_skb: {} segments sent again, timeout doubled {} times",
            sent.count, sent.max_backoff
        ));
    }
    for end in &connection.ends {
        if let Some(sample) = &end.sample {
            notes.push(format!(
                "sock_diag: the socket in {} is {}, {} bytes received, {} acknowledged",
                label(end.socket.flow.netns),
                sample.state.name(),
                sample.bytes_received,
                sample.bytes_acked,
            ));
        }
    }
    for (key, drops) in &track.other {
        notes.push(format!(
            "skb:kfree_skb: {} other packets dropped by {}{} in {}",
            drops.count,
            key.function,
            key.reason
                .as_deref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default(),
            label(key.netns),
        ));
    }
    for end in &connection.ends {
        if let Some(closed) = end.closed.filter(|closed| closed.error != 0) {
            notes.push(format!(
                "sock:inet_sock_set_state: the socket in {} ended with {}",
                label(end.socket.flow.netns),
                io::Error::from_raw_os_error(closed.error.cast_signed()),
            ));
        }
    }
    if state.lost > 0 {
        notes.push(format!("{} records of our own were lost", state.lost));
    }
    notes
}

/// The way from the local end to the place where packets die, and one step past it.
fn hops(local: &Local<'_>, drops: &SiteDrops, topology: &Topology) -> Vec<Hop> {
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
        .filter_map(|(netns, ifindex)| Hop::new(netns, ifindex, topology))
        .collect()
}
