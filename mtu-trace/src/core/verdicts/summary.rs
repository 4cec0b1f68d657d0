//! The one sentence of a finding.

use crate::{
    core::track::{OtherDrops, OtherKey},
    model::{
        finding::{Boundary, ConnectionRef, Direction, Finding, Verdict},
        netns_ref::NetnsRef,
        network::Topology,
    },
};

/// Says in one sentence what is wrong, where, and why the sender does not know.
pub fn summary(
    finding: &Finding,
    other: Option<(&OtherKey, &OtherDrops)>,
    topology: &Topology,
) -> String {
    let Some(connection) = &finding.connection else {
        return String::new();
    };
    let who = transfer(connection);
    let others = match finding.connections {
        0 | 1 => String::new(),
        2 => " (and one more connection)".to_owned(),
        more => format!(" (and {} more connections)", more - 1),
    };
    match (finding.verdict, &finding.boundary) {
        // No drop was seen, and no message.
        (Verdict::MtuBlackHole, Some(boundary)) if finding.pmtud.is_none() => format!(
            "{who}{others} is stalled: its {} do not fit through {} {} (limit {}), as the network \
             stands. None was seen to die there yet: the sender waits before it tries again.",
            packets(boundary),
            boundary.netns.label(),
            between(boundary),
            boundary.limit_bytes,
        ),
        (Verdict::MtuBlackHole, Some(boundary)) => format!(
            "{who}{others} is stalled: its {} die in {} {} (limit {}), and {}.",
            packets(boundary),
            boundary.netns.label(),
            between(boundary),
            boundary.limit_bytes,
            silence(finding, boundary),
        ),
        (Verdict::MtuBlackHole, None) => format!(
            "{who}{others} is stalled: something on the way says that its packets are too big, and \
             that message is dropped{}.",
            finding
                .pmtud
                .as_ref()
                .and_then(|pmtud| pmtud.blocked_at.as_ref())
                .map_or_else(String::new, |blocked| format!(
                    " in {}{}",
                    blocked.netns.label(),
                    blocked
                        .hook
                        .map_or_else(String::new, |hook| format!(", {hook}"))
                )),
        ),
        (Verdict::RemoteBlackHole, _) => format!(
            "{who}{others} is stalled: {} while small packets pass. Nothing is dropped on this host, \
             so there is no local evidence; a link beyond it may have a smaller MTU.",
            match finding.connection.as_ref().map(|it| it.direction) {
                Some(Direction::Download) if finding.evidence.retransmits == 0 => format!(
                    "a gap in its data has not been filled for {:.1} s",
                    seconds(finding)
                ),
                _ => "its full-size segments are never acknowledged".to_owned(),
            },
        ),
        (Verdict::ReceiverStalled, _) => format!(
            "{who}{others} waits for its receiver, which has had no room for {:.1} s (zero window). \
             The network is not at fault.",
            seconds(finding)
        ),
        (Verdict::ConnectionAborted, _) => format!(
            "{who}{others} was reset or given up after {} segments had been sent again.",
            finding.evidence.retransmits
        ),
        (Verdict::PmtudSlow, None) => format!(
            "{who}{others} lost {:.1} s beyond this host until the sender tried smaller packets.",
            seconds(finding)
        ),
        (Verdict::PmtudSlow, Some(boundary)) => format!(
            "{who}{others} lost {:.1} s: its {} died in {} {} (limit {}) until the sender tried \
             smaller ones.",
            seconds(finding),
            packets(boundary),
            boundary.netns.label(),
            between(boundary),
            boundary.limit_bytes,
        ),
        (Verdict::PmtudWorking, Some(boundary)) => format!(
            "{who}{others} sent packets of {} bytes into {} {} (limit {}) and came down: path MTU \
             discovery works.",
            boundary.packet_bytes,
            boundary.netns.label(),
            between(boundary),
            boundary.limit_bytes,
        ),
        (Verdict::HandshakeTimeout, _) => format!(
            "{who}{others} never came up: its SYN was sent again {} times without an answer{}. \
             This is not an MTU problem.",
            finding.evidence.retransmits,
            other.map_or_else(String::new, |(key, _)| format!(
                ", and was dropped {}",
                place(key, topology)
            )),
        ),
        (Verdict::LocalDrop, _) => format!(
            "{who}{others} loses segments on this host: {} packets were dropped {}.",
            finding.evidence.other_drops,
            other.map_or_else(|| "here".to_owned(), |(key, _)| place(key, topology)),
        ),
        (Verdict::PacketLoss, _) => format!(
            "{who}{others} lost segments {} and recovered: {} were sent again.",
            match &connection.remote.netns {
                Some(_) => "on the way, where this host does not see it,",
                None => "beyond this host",
            },
            finding.evidence.retransmits,
        ),
        _ => who,
    }
}

fn transfer(connection: &ConnectionRef) -> String {
    let local = connection
        .local
        .netns
        .as_ref()
        .map_or_else(|| connection.local.socket_address(), NetnsRef::label);
    let remote = connection.remote.socket_address();
    match connection.direction {
        Direction::Download => format!("{local}'s download from {remote}"),
        Direction::Upload => format!("{local}'s upload to {remote}"),
        Direction::Both => format!("{local}'s connection with {remote}"),
    }
}

/// `1500-byte packets`, with what a tunnel has made of them.
fn packets(boundary: &Boundary) -> String {
    let own = boundary
        .packet_bytes
        .saturating_sub(boundary.overhead_bytes);
    match boundary.overhead_bytes {
        0 => format!("{own}-byte packets"),
        more => format!("{own}-byte packets, {} with a tunnel's {more},", own + more),
    }
}

/// `between ens18 and cni0`, `at vethab12`.
fn between(boundary: &Boundary) -> String {
    let egress = boundary.egress.as_deref().unwrap_or("?");
    let far = boundary.peer.as_ref().map(|peer| {
        format!(
            "{} of {}",
            peer.interface.as_deref().unwrap_or("the other end"),
            peer.netns.label()
        )
    });
    match (&boundary.ingress, far) {
        (_, Some(far)) => format!("between {egress} and {far}"),
        (Some(ingress), None) => format!("between {ingress} and {egress}"),
        (None, None) => format!("at {egress}"),
    }
}

fn silence(finding: &Finding, boundary: &Boundary) -> String {
    if boundary.silent {
        return "nothing there can tell the sender".to_owned();
    }
    match finding.pmtud.as_ref() {
        Some(pmtud) => match &pmtud.blocked_at {
            Some(blocked) => format!(
                "the ICMP that should say so is dropped in {}{}",
                blocked.netns.label(),
                blocked.hook.map_or_else(
                    || format!(" by {}", blocked.function),
                    |hook| format!(", {hook}")
                ),
            ),
            None if pmtud.delivered == Some(true) => {
                "the sender was told and does not come down".to_owned()
            }
            None if pmtud.signalled => {
                "the ICMP that should say so was sent but had no effect; it is not lost where this \
                 host can see it"
                    .to_owned()
            }
            None => "no ICMP was seen that would tell the sender".to_owned(),
        },
        None => "the sender does not come down".to_owned(),
    }
}

/// `by netfilter in FORWARD of node-1 (NETFILTER_DROP)`.
fn place(key: &OtherKey, topology: &Topology) -> String {
    let netns = NetnsRef::new(key.netns, topology).label();
    let reason = key
        .reason
        .as_deref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    match key.hook {
        Some(hook) => format!("by netfilter in {hook} of {netns}{reason}"),
        None => format!("by {} in {netns}{reason}", key.function),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time to be read by people")]
fn seconds(finding: &Finding) -> f64 {
    finding.evidence.stalled_ms as f64 / 1000.0
}
