//! What the sentences of findings have in common; each verdict has its own in its file.

use std::net::IpAddr;

use crate::core::track::Outage;
use crate::core::verdicts::drop_reason::DropReason;
use crate::core::verdicts::facts::loss::LostAt;
use crate::model::finding::{Boundary, ConnectionRef, Direction, Finding};
use crate::model::network::Topology;

/// A time in which nothing of a sender left its namespace.
pub(crate) struct HeldUp<'a> {
    pub(crate) outage: &'a Outage,
    /// The namespace of the sender, as a sentence has it.
    pub(crate) place: String,
    /// Where it sends to.
    pub(crate) to: IpAddr,
}

/// What a sentence is made from.
pub struct Telling<'a> {
    /// Whose trouble it is, with how many others: the beginning of every sentence.
    pub who: String,
    /// The finding without its sentence.
    pub finding: &'a Finding,
    pub connection: &'a ConnectionRef,
    /// Where packets of it are dropped for another reason than size, in words: `by netfilter in FORWARD
    /// of node-1 (NETFILTER_DROP)`; `None` if none are.
    pub(crate) dropped: Option<String>,
    /// A time in which nothing of its sender left its namespace; `None` if there was none.
    pub(crate) outage: Option<HeldUp<'a>>,
}

impl<'a> Telling<'a> {
    /// What there is to tell of a finding; `None` if it is about no connection.
    pub(crate) fn of(
        finding: &'a Finding,
        dropped: Option<String>,
        outage: Option<HeldUp<'a>>,
    ) -> Option<Self> {
        let connection = finding.connection.as_ref()?;
        let others = match finding.connections {
            0 | 1 => String::new(),
            2 => " (and one more connection)".to_owned(),
            more => format!(" (and {} more connections)", more - 1),
        };
        let (local, remote) = (connection.local.label(), connection.remote.socket_address());
        let who = match connection.direction {
            Direction::Download => format!("{local}'s download from {remote}{others}"),
            Direction::Upload => format!("{local}'s upload to {remote}{others}"),
            Direction::Both => format!("{local}'s connection with {remote}{others}"),
        };
        Some(Self {
            who,
            finding,
            connection,
            dropped,
            outage,
        })
    }

    /// How long the stall has lasted, seconds.
    #[expect(clippy::cast_precision_loss, reason = "a time to be read by people")]
    pub fn seconds(&self) -> f64 {
        self.finding.evidence.stalled_ms as f64 / 1000.0
    }
}

/// The packets by their length, with what a tunnel has made of them: `1500-byte packets`.
pub(crate) fn packets(boundary: &Boundary) -> String {
    let Boundary {
        packet_bytes,
        overhead_bytes,
        ..
    } = boundary;
    let own = packet_bytes.saturating_sub(*overhead_bytes);
    match boundary.overhead_bytes {
        0 => format!("{own}-byte packets"),
        more => format!("{own}-byte packets, {} with a tunnel's {more},", own + more),
    }
}

/// The place with its limit: `node-1 between ens18 and cni0 (limit 1450)`, `node-1 at vethab12 (limit 1450)`.
pub(crate) fn whereabouts(boundary: &Boundary) -> String {
    let egress = boundary.egress.as_deref().unwrap_or("?");
    let devices = match (&boundary.peer, &boundary.ingress) {
        (None, Some(ingress)) if boundary.egress.is_none() => format!("behind {ingress}"),
        (Some(peer), _) => format!(
            "between {egress} and {} of {}",
            peer.interface.as_deref().unwrap_or("the other end"),
            peer.netns.label()
        ),
        (None, Some(ingress)) => format!("between {ingress} and {egress}"),
        (None, None) => format!("at {egress}"),
    };
    let place = boundary.netns.label();
    format!("{place} {devices} (limit {})", boundary.limit())
}

/// By what and where packets are dropped: `by netfilter in FORWARD of node-1 (NETFILTER_DROP)`, `in node-1
/// by the queue (qdisc) of ext0 (QDISC_DROP)`; as the kernel names it where there are no words for it.
pub(crate) fn drop_place(lost: &LostAt<'_>, device: &str, topology: &Topology) -> String {
    let key = lost.key;
    let netns = topology.label(key.netns);
    let reason = key.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    match (key.hook, DropReason::of(key)) {
        (Some(hook), _) => format!("by netfilter in {hook} of {netns}{reason}"),
        (None, Some(known)) => {
            let words = known.words.replace("{device}", device);
            format!("in {netns} {words}{reason}")
        }
        (None, None) => format!("by {} in {netns}{reason}", key.function),
    }
}
