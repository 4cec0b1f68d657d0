//! The JSON report, `mtu-trace/report/1`, as tests read it.
//!
//! The types are strict where the contract is: a key that may be `null` must still be there. Keys that
//! the contract does not know are ignored, since a report may have more.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// The schema these types read.
pub const SCHEMA: &str = "mtu-trace/report/1";

/// A whole report.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Which schema it follows.
    pub schema: String,
    /// How it came about.
    pub capture: Capture,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// How a report came about.
#[derive(Debug, Clone, Deserialize)]
pub struct Capture {
    /// When the recording began.
    pub started: Timestamp,
    /// How long it took.
    pub duration_s: f64,
    /// The running kernel's release.
    pub kernel: String,
    /// The machine's name.
    pub hostname: String,
    /// The tracer's version.
    pub tool_version: String,
    /// What was attached where.
    pub hooks: Vec<HookState>,
    /// How many events the kernel programs sent.
    pub events: u64,
    /// How many they could not send.
    pub lost_events: u64,
}

/// One hook of the kernel.
#[derive(Debug, Clone, Deserialize)]
pub struct HookState {
    /// Its name, such as `skb:kfree_skb`.
    pub hook: String,
    /// How it is attached, such as `tp_btf`.
    pub mechanism: String,
    /// Whether it is.
    pub attached: bool,
    /// Whether it adds to the evidence only.
    #[serde(default)]
    pub optional: bool,
    /// Why not, or what is worth knowing.
    #[serde(deserialize_with = "nullable")]
    pub detail: Option<String>,
}

/// How much a finding matters, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth looking at.
    Warning,
    /// A connection is stalled.
    Error,
}

/// How sure the tracer is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It may be so.
    Suspected,
    /// It probably is.
    Likely,
    /// It is.
    Confirmed,
}

/// One thing that was found.
#[derive(Debug, Clone, Deserialize)]
pub struct Finding {
    /// Its number in the report.
    pub id: String,
    /// What it is, such as `mtu-black-hole`.
    pub verdict: String,
    /// How much it matters.
    pub severity: Severity,
    /// How sure the tracer is.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// Whether it still went on at the end.
    pub ongoing: bool,
    /// The first drop or retransmission.
    pub first_seen: Timestamp,
    /// When the finding was made.
    pub detected_at: Timestamp,
    /// The last drop or retransmission.
    pub last_seen: Timestamp,
    /// How many connections share the cause.
    pub connections: u64,
    /// The worst of them.
    #[serde(deserialize_with = "nullable")]
    pub connection: Option<Connection>,
    /// Where packets die.
    #[serde(deserialize_with = "nullable")]
    pub boundary: Option<Boundary>,
    /// What became of path MTU discovery.
    #[serde(deserialize_with = "nullable")]
    pub pmtud: Option<Pmtud>,
    /// Where packets die for another reason than their length.
    #[serde(deserialize_with = "nullable")]
    pub drop: Option<Dropped>,
    /// What was counted.
    pub evidence: Evidence,
    /// The interfaces on the way.
    pub path: Vec<Hop>,
    /// What to do about it.
    pub fixes: Vec<Fix>,
}

impl Finding {
    /// Where the message to the sender is dropped.
    pub fn blocked_at(&self) -> Option<&Blocked> {
        self.pmtud.as_ref()?.blocked_at.as_ref()
    }

    /// Every namespace that the finding's connection, boundary and blocked ICMP name.
    pub fn namespaces(&self) -> impl Iterator<Item = &NetnsId> {
        let ends = self
            .connection
            .iter()
            .flat_map(|it| [&it.local, &it.remote]);
        let blocked = self.blocked_at().into_iter();
        ends.filter_map(|end| end.netns.as_ref())
            .chain(self.boundary.iter().map(|it| &it.netns))
            .chain(blocked.map(|it| &it.netns))
    }
}

/// The connection of a finding.
#[derive(Debug, Clone, Deserialize)]
pub struct Connection {
    /// `tcp`.
    pub protocol: String,
    /// The end of interest: the container's.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Which way the stalled payload goes, seen from `local`: `download`, `upload` or `both`.
    pub direction: String,
    /// The tuple as it is elsewhere, after NAT.
    pub translated: Vec<String>,
}

/// One end of a connection.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Where it is, if that is on this machine.
    #[serde(deserialize_with = "nullable")]
    pub netns: Option<NetnsId>,
}

/// A network namespace.
#[derive(Debug, Clone, Deserialize)]
pub struct NetnsId {
    /// Its inode number.
    pub inode: u64,
    /// Its cookie.
    #[serde(deserialize_with = "nullable")]
    pub cookie: Option<u64>,
    /// What it is called.
    #[serde(deserialize_with = "nullable")]
    pub name: Option<String>,
    /// What it is if it is only thought of; only then is the key there.
    #[serde(default)]
    pub guest: Option<Guest>,
}

/// A container that nobody has started yet.
#[derive(Debug, Clone, Deserialize)]
pub struct Guest {
    /// The bridge that it would be on.
    pub bridge: String,
    /// Where that is.
    pub parent: Box<NetnsId>,
}

/// Where packets die.
#[derive(Debug, Clone, Deserialize)]
pub struct Boundary {
    /// In which namespace.
    pub netns: NetnsId,
    /// Where they came in.
    #[serde(deserialize_with = "nullable")]
    pub ingress: Option<String>,
    /// Where they would have gone out.
    #[serde(deserialize_with = "nullable")]
    pub egress: Option<String>,
    /// The MTU that they exceed; 0 where that is not told.
    #[serde(deserialize_with = "or_zero")]
    pub limit_bytes: u32,
    /// Their length.
    pub packet_bytes: u32,
    /// The kernel function that drops them.
    pub function: String,
    /// The kernel's reason.
    pub reason: String,
    /// Whether nothing tells the sender.
    pub silent: bool,
}

/// What became of path MTU discovery.
#[derive(Debug, Clone, Deserialize)]
pub struct Pmtud {
    /// Whether the kernel made an ICMP.
    pub signalled: bool,
    /// Whether it reached the sender; `null` when nobody can tell.
    #[serde(deserialize_with = "nullable")]
    pub delivered: Option<bool>,
    /// Where it was dropped.
    #[serde(deserialize_with = "nullable")]
    pub blocked_at: Option<Blocked>,
}

/// Where an ICMP was dropped.
#[derive(Debug, Clone, Deserialize)]
pub struct Blocked {
    /// In which namespace.
    pub netns: NetnsId,
    /// At which hook of netfilter.
    pub hook: String,
}

/// Where packets die for another reason than their length.
#[derive(Debug, Clone, Deserialize)]
pub struct Dropped {
    /// In which namespace.
    pub netns: NetnsId,
    /// The kernel's reason.
    pub reason: String,
    /// At which hook of netfilter.
    #[serde(deserialize_with = "nullable")]
    pub hook: Option<String>,
    /// The rule that does it.
    #[serde(deserialize_with = "nullable")]
    pub rule: Option<String>,
    /// How many.
    pub packets: u64,
    /// What they carried: `data`, `syn` or `syn-ack`.
    pub carried: String,
}

/// What was counted for a finding.
#[derive(Debug, Clone, Deserialize)]
pub struct Evidence {
    /// Packets dropped for their length.
    pub oversized_drops: u64,
    /// Packets above a limit that tc saw on their way.
    pub oversized_seen: u64,
    /// Retransmitted segments.
    pub retransmits: u64,
    /// The highest backoff of the retransmission timer.
    pub max_backoff: u64,
    /// How long nothing moved.
    pub stalled_ms: u64,
    /// What was seen, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An interface on the way.
#[derive(Debug, Clone, Deserialize)]
pub struct Hop {
    /// Where it is.
    pub netns: NetnsId,
    /// What it is called.
    pub interface: String,
    /// Its MTU.
    pub mtu_bytes: u32,
    /// What it is, such as `veth`.
    pub kind: String,
}

/// What to do about a finding.
#[derive(Debug, Clone, Deserialize)]
pub struct Fix {
    /// In a few words.
    pub title: String,
    /// In full.
    pub detail: String,
    /// As commands.
    pub commands: Vec<String>,
}

/// A number that may be `null`, which stands for 0 here.
fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    nullable(deserializer).map(Option::unwrap_or_default)
}

/// A value or `null`; serde takes a missing key for neither, as it would for a plain `Option`.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Finding, Severity};

    fn example() -> Value {
        let netns =
            json!({ "inode": 4026532207_u64, "cookie": 7, "name": "host", "container": null });
        json!({
            "id": "F1", "verdict": "mtu-black-hole", "severity": "error", "confidence": "confirmed",
            "summary": "…", "ongoing": true, "connections": 1,
            "first_seen": "2026-01-01T00:00:00.1Z", "detected_at": "2026-01-01T00:00:01Z",
            "last_seen": "2026-01-01T00:00:03+00:00",
            "connection": {
                "protocol": "tcp", "direction": "download", "translated": [],
                "local": { "address": "192.0.2.2", "port": 40000, "netns": netns },
                "remote": { "address": "203.0.113.10", "port": 8080, "netns": null },
            },
            "boundary": {
                "netns": netns, "ingress": "ext0", "egress": null, "limit_bytes": 1450,
                "packet_bytes": 1500, "function": "ip_forward", "reason": "PKT_TOO_BIG", "silent": false,
            },
            "pmtud": {
                "signalled": true, "delivered": null,
                "blocked_at": { "netns": netns, "hook": "OUTPUT" },
            },
            "drop": null,
            "evidence": { "oversized_drops": 4, "oversized_seen": 0, "retransmits": 3, "max_backoff": 2, "stalled_ms": 1500 },
            "path": [{ "netns": netns, "interface": "br0", "mtu_bytes": 1450, "kind": "bridge" }],
            "fixes": [{ "title": "…", "detail": "…", "commands": [] }],
            "a key of a later version": 1,
        })
    }

    #[test]
    fn a_finding_of_the_contract_is_read() {
        let finding: Finding = serde_json::from_value(example()).unwrap();
        assert!(finding.severity == Severity::Error && finding.severity > Severity::Warning);
        // The remote end is outside; the local one, the boundary and the blocked ICMP are not.
        assert_eq!(finding.namespaces().count(), 3);
        assert!(finding.first_seen < finding.detected_at);
    }

    #[test]
    fn a_key_that_may_be_null_may_not_be_missing() {
        for pointer in [
            "/connection",
            "/boundary",
            "/pmtud",
            "/drop",
            "/boundary/egress",
            "/pmtud/delivered",
        ] {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let mut null = example();
            *null.pointer_mut(pointer).unwrap() = Value::Null;
            assert!(
                serde_json::from_value::<Finding>(null).is_ok(),
                "{pointer} may be null"
            );
            let mut missing = example();
            missing
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(key);
            assert!(
                serde_json::from_value::<Finding>(missing).is_err(),
                "{pointer} is missing"
            );
        }
    }
}
