//! Narrow places to findings: how bad each is, why, and what to do.

use crate::core::audit::planned_container::planned_ends;
use crate::core::audit::signal::{Firewalls, Signal, clamped, signal};
use crate::core::audit::{Audit, Group, Judged, Key, messages, planned_container};
use crate::core::sites::boundary::{boundary, hops, name};
use crate::core::sites::{Limit, Remedy, Suspect};
use crate::core::verdicts::remedy;
use crate::model::finding::{
    BlockedAt, Confidence, Evidence, Finding, Fix, Pmtud, Severity, Verdict,
};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkId, Topology};

/// What the audit is told besides.
pub struct Circumstances<'a> {
    /// The rules of the namespaces it has asked for.
    pub firewalls: &'a Firewalls,
    /// Tells whether this kernel has a function of a name.
    pub has_function: &'a dyn Fn(&str) -> bool,
    /// The time of the audit, ns of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
}

impl Audit<'_> {
    /// What was found, worst first.
    pub fn findings(&self, circumstances: &Circumstances<'_>) -> Vec<Finding> {
        let mut findings: Vec<(usize, Finding)> = self
            .groups
            .iter()
            .filter_map(|(key, group)| Some((group.ways, self.finding(key, group, circumstances)?)))
            .collect();
        findings.sort_by(|(more, a), (fewer, b)| {
            (b.severity, b.confidence, fewer).cmp(&(a.severity, a.confidence, more))
        });
        let numbered = findings.into_iter().enumerate();
        numbered
            .map(|(number, (_, finding))| Finding {
                id: format!("F{}", number + 1),
                ..finding
            })
            .collect()
    }

    fn finding(
        &self,
        key: &Key,
        group: &Group,
        circumstances: &Circumstances<'_>,
    ) -> Option<Finding> {
        let (topology, firewalls) = (&*self.index.topology, circumstances.firewalls);
        let suspects = group.senders.values();
        let judged: Vec<Judged<'_>> = suspects
            .map(|suspect| judge(topology, firewalls, suspect))
            .collect();
        let worst = judged.iter().max_by_key(|judged| {
            let path = &judged.suspect.path;
            let ends = (path.from.is_some(), path.to.is_some());
            (judged.severity, ends, path.legs.len())
        })?;
        let boundary = boundary(topology, worst.suspect, circumstances.has_function);
        let pmtud = pmtud(topology, worst);
        let mut notes = messages::notes(topology, firewalls, worst, &judged);
        notes.extend(
            planned_ends(topology, &worst.suspect.path)
                .filter_map(|end| planned_container::note(topology, end, self.engines.get(&end)?)),
        );
        let mut confidence = confidence(worst);
        if key.planned {
            // Nobody has seen it, and it may be started with an MTU of its own.
            confidence = confidence.min(Confidence::Likely);
        }
        Some(Finding {
            id: String::new(),
            verdict: Verdict::MtuMismatch,
            severity: worst.severity,
            confidence,
            summary: messages::summary(topology, worst, &boundary),
            ongoing: false,
            first_seen_ns: circumstances.now_ns,
            detected_at_ns: circumstances.now_ns,
            last_seen_ns: circumstances.now_ns,
            connections: 0,
            connection: None,
            boundary: Some(boundary),
            evidence: Evidence {
                ways: group.ways,
                notes,
                ..Evidence::default()
            },
            path: hops(&self.index, worst.suspect),
            fixes: fixes(topology, worst, pmtud.blocked_at.as_ref()),
            pmtud: Some(pmtud),
            drop: None,
        })
    }
}

fn judge<'a>(topology: &Topology, firewalls: &Firewalls, suspect: &'a Suspect) -> Judged<'a> {
    let place = &suspect.place;
    let signal = signal(topology, firewalls, suspect);
    let fits = place.fits_bytes().saturating_add(place.site.slack_bytes);
    let relief = suspect.relief.is_some();
    let clamp = clamped(topology, firewalls, &suspect.path, fits).filter(|_| !relief);
    let sender = suspect.path.from.and_then(|from| topology.inside(from));
    let probes = sender
        .and_then(|inside| inside.sysctls.tcp_mtu_probing)
        .is_some_and(|set| set > 0);
    let hole = place.site.is_silent() || matches!(signal, Signal::Blocked { .. });
    let severity = if relief || clamp.is_some() {
        Severity::Info
    } else if hole && !probes {
        Severity::Error
    } else {
        Severity::Warning
    };
    Judged {
        suspect,
        severity,
        signal,
        clamp,
        probes,
    }
}

fn confidence(judged: &Judged<'_>) -> Confidence {
    match (&judged.signal, judged.severity) {
        (Signal::Doubtful { .. }, Severity::Warning) => Confidence::Suspected,
        (Signal::Passes | Signal::Leaves, Severity::Warning) => Confidence::Likely,
        _ => Confidence::Confirmed,
    }
}

fn pmtud(topology: &Topology, judged: &Judged<'_>) -> Pmtud {
    let blocked_at = match &judged.signal {
        Signal::Blocked {
            netns,
            hook,
            device,
            blocking,
        } => Some(BlockedAt {
            netns: NetnsRef::new(*netns, topology),
            hook: Some(hook.name()),
            interface: device.map(|at| name(topology, at)),
            function: blocking.place.clone(),
            reason: Some(blocking.rule.clone()),
            rule: None,
            why: None,
        }),
        _ => None,
    };
    Pmtud {
        signalled: !judged.suspect.place.site.is_silent(),
        // What will become of it is known only where it is dropped.
        delivered: blocked_at.as_ref().map(|_| false),
        blocked_at,
    }
}

/// What to do, best first; nothing where it does no harm.
fn fixes(topology: &Topology, judged: &Judged<'_>, blocked: Option<&BlockedAt>) -> Vec<Fix> {
    let suspect = judged.suspect;
    let place = &suspect.place;
    if judged.severity == Severity::Info {
        return Vec::new();
    }
    let fits = place.fits_bytes();
    let mut fixes: Vec<Fix> = messages::inner_end(topology, suspect)
        .and_then(|end| remedy::lower_mtu(topology, end.netns, end.ifindex, fits))
        .into_iter()
        .collect();
    let tunnel = match place.site.limit {
        Limit::TunnelRoute => Some(place.egress),
        _ => place.tunnel,
    };
    fixes.extend(tunnel.and_then(|at| remedy::fit_tunnel(topology, at.netns, at.ifindex, fits)));
    if let (Signal::Blocked { blocking, .. }, Some(blocked)) = (&judged.signal, blocked) {
        let message = if suspect.path.ipv6 {
            remedy::PACKET_TOO_BIG
        } else {
            remedy::FRAG_NEEDED
        };
        fixes.extend(remedy::unblock(blocked, message, &blocking.commands));
    }
    match place.site.remedy {
        Remedy::ClampSegments => fixes.extend(remedy::clamp(topology, place.egress.netns)),
        Remedy::RaiseMtu => {
            let LinkId { netns, ifindex } = place.peer.unwrap_or(place.egress);
            let wanted = suspect.packet_bytes;
            fixes.extend(remedy::raise_mtu(topology, netns, ifindex, wanted));
        }
        Remedy::Nothing => {}
    }
    if judged.severity == Severity::Error {
        let sender = suspect.path.from;
        fixes.extend(sender.and_then(|sender| remedy::probing(topology, sender)));
    }
    fixes
}
