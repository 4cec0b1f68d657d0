//! What is known of one direction of a connection.

use std::collections::BTreeMap;

use crate::core::sites::{DropSite, NetfilterHookName, SiteKey};
use crate::core::track::packets::Tally;
use crate::core::track::repeats::{Repeats, RetransmittedDrops};
use crate::core::track::way_out::Outage;
use crate::model::event::{Device, DropRule, Flow, Name, SendError, Timers};
use crate::model::network::NetnsId;

/// Data going one way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Drops for their size, by place.
    pub oversized: BTreeMap<SiteKey, Box<SiteDrops>>,
    /// Sequence numbers that died for their size.
    pub holes: Repeats,
    /// Drops for other reasons, by place.
    pub other: BTreeMap<OtherKey, OtherDrops>,
    /// The latest drop: where its data begins (`None` for a datagram), its length in bytes, and when, ns.
    pub last_drop: Option<(Option<u32>, u32, u64)>,
    /// What became of the message to the sender.
    pub icmp: Icmp,
    /// What the sender sent again, if it is on this host.
    pub retransmits: Option<Box<Retransmits>>,
    /// Oversized packets seen by the tc programs, by flow and device, exact.
    pub seen: BTreeMap<SeenAt, u64>,
    /// Segment size of the sender at the last look, payload bytes.
    pub sender_mss: Option<u32>,
    /// Path MTU the sender works with at the last look, bytes.
    pub sender_pmtu_bytes: Option<u32>,
    /// Timeouts of its sender, as its socket tells of them.
    pub waits: Option<Waits>,
    /// Segments that reached their receiver twice, as it tells the sender.
    pub duplicates: Duplicates,
    /// The latest time in which nothing of its sender could leave its namespace.
    pub outage: Option<Box<Outage>>,
    /// Oversized packets that only pass by, with the place they should not pass.
    pub passing: Option<Box<SiteDrops>>,
    /// Sequence numbers that pass by too long, again and again.
    pub passed: Repeats,
}

/// Where packets were seen: a namespace, the index of a device, and whether they were leaving by it.
pub type SeenAt = (NetnsId, u32, bool);

/// Segments that came twice, as the receiver tells of them (RFC 2883): what was sent again then had not been
/// lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// How many before the trace, where the connection is older; `None` before the first look at the
    /// socket.
    before: Option<u32>,
    /// How many over the connection's life.
    told: u32,
}

impl Duplicates {
    /// Takes in what the socket of the sender tells, which was opened at this time, ns; 0 where it is older
    /// than the trace.
    pub(crate) fn tell(&mut self, told: u32, opened_ns: u64) {
        let before = if opened_ns == 0 { told } else { 0 };
        self.before.get_or_insert(before);
        self.told = told;
    }

    /// How many since the trace began.
    #[must_use]
    pub fn told(self) -> u64 {
        self.told.saturating_sub(self.before.unwrap_or(0)).into()
    }
}

/// A sender that waits for an acknowledgement, as its socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Since when that is known, ns.
    pub first_ns: u64,
    /// Until when that is known, ns.
    pub last_ns: u64,
    /// Doublings of the retransmission timeout.
    pub backoff: u32,
    /// Doublings of the retransmission timeout when it was first known to wait.
    pub first_backoff: u32,
}

/// Packets that were dropped for their size at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteDrops {
    /// The place, as the latest drop showed it.
    pub site: DropSite,
    /// How many were dropped, exact.
    pub count: u64,
    /// How many there were before, of a connection with the same addresses.
    pub(crate) before: u64,
    /// When the first was dropped, ns.
    pub first_ns: u64,
    /// When the latest was dropped, ns.
    pub last_ns: u64,
}

/// A place of drops for other reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherKey {
    /// The namespace in which it happened.
    pub netns: NetnsId,
    /// The kernel function that dropped them.
    pub function: Name,
    /// The kernel's drop reason; `None` where the kernel gives none.
    pub reason: Option<Name>,
    /// The netfilter hook; `None` if something else dropped it.
    pub hook: Option<NetfilterHookName>,
}

/// Drops for another reason at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherDrops {
    /// How many were dropped, exact.
    pub count: u64,
    /// When the first was dropped, ns.
    pub first_ns: u64,
    /// When the latest was dropped, ns.
    pub last_ns: u64,
    /// The device at which the first was dropped; `None` before it had one.
    pub device: Option<Device>,
    /// Whether any of them carried a SYN.
    pub syn: bool,
    /// Those of them that were sent again.
    pub retransmitted: RetransmittedDrops,
    /// The packet filter rules that may have done it.
    pub rules: DropRules,
}

/// What became of the ICMP message that should tell the sender.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Icmp {
    /// Generated by this host, exact.
    pub generated: u64,
    /// The packet that the latest one generated here is about, and when that was, ns.
    pub about: Option<(PacketIdentity, u64)>,
    /// Where it was dropped.
    pub blocked: Vec<Blocked>,
    /// Where it was seen on its way, by device and whether it was leaving, with counts.
    pub seen: BTreeMap<SeenAt, u64>,
    /// The flow that the latest one seen there was about.
    pub quoted: BTreeMap<SeenAt, Flow>,
    /// The MTU it told last, bytes.
    pub mtu_bytes: Option<u32>,
    /// The MTU that the sender has taken over from it; `None` where that is not seen.
    pub pmtu_accepted: Option<Box<PmtuAccepted>>,
}

/// What tells a packet from others: its namespace, where its data begins (`None` for a datagram), and its
/// length, bytes.
pub type PacketIdentity = (NetnsId, Option<u32>, u32);

impl Icmp {
    /// Takes in that messages were dropped at a place, so many so far.
    pub(crate) fn block(&mut self, blocked: Blocked) {
        let is_same = |known: &&mut Blocked| {
            known.netns == blocked.netns
                && known.hook == blocked.hook
                && known.function == blocked.function
        };
        match self.blocked.iter_mut().find(is_same) {
            Some(known) => known.count = known.count.max(blocked.count),
            None => self.blocked.push(blocked),
        }
    }

    /// Whether a message has arrived that tells of so narrow a place: one of a wider place before it
    /// says nothing of this one.
    #[must_use]
    pub fn is_pmtu_accepted(&self, fits_bytes: u32) -> bool {
        let accepted = self.pmtu_accepted.as_ref();
        accepted.is_some_and(|accepted| accepted.mtu_bytes <= fits_bytes)
    }
}

/// The message has arrived, and its MTU was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PmtuAccepted {
    /// The smallest MTU taken over, bytes.
    pub mtu_bytes: u32,
    /// How often by the socket, exact.
    pub by_socket: u64,
    /// How often by its route, exact.
    pub by_route: u64,
}

impl PmtuAccepted {
    /// Takes in what was known elsewhere of the same data.
    pub(crate) fn add(&mut self, other: &Self) {
        self.mtu_bytes = self.mtu_bytes.min(other.mtu_bytes);
        self.by_socket = self.by_socket.max(other.by_socket);
        self.by_route = self.by_route.max(other.by_route);
    }
}

/// A place where the message was dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// The namespace in which it was dropped.
    pub netns: NetnsId,
    /// The netfilter hook; `None` if something else dropped it.
    pub hook: Option<NetfilterHookName>,
    /// The device it was at; `None` before it had one.
    pub device: Option<Device>,
    /// The kernel function that dropped it.
    pub function: Name,
    /// The kernel's drop reason; `None` where the kernel gives none.
    pub reason: Option<Name>,
    /// How many were dropped there, exact.
    pub count: u64,
    /// The packet filter rules that may have done it.
    pub rules: DropRules,
}

/// Rules that are told of one place at most. A choice: more are no help to find the one.
const MOST_RULES: usize = 3;

/// The packet filter rules that may have dropped packets at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropRules {
    rules: Vec<String>,
    /// Whether there are more of them.
    more: bool,
}

impl DropRules {
    fn learn(&mut self, rules: &[String]) {
        for rule in rules {
            if self.rules.contains(rule) {
                continue;
            }
            self.more |= self.rules.len() >= MOST_RULES;
            if !self.more {
                self.rules.push(rule.clone());
            }
        }
    }

    /// The rule in a line, or the few that may be it; `None` where none is known, or too many are.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self.rules.as_slice() {
            _ if self.more => None,
            [] => None,
            [rule] => Some(rule.clone()),
            rules => Some(format!("one of: {}", rules.join("; "))),
        }
    }
}

/// What a sender sent again, or was to and could not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retransmits {
    /// How many segments were sent again, exact.
    pub count: u64,
    /// How many could not be sent again, exact.
    pub unsent: u64,
    /// Why the latest of those could not; `None` while there is none.
    pub error: Option<SendError>,
    /// When that was tried first, ns.
    pub first_ns: u64,
    /// When it was tried last, ns.
    pub last_ns: u64,
    /// Most doublings of the retransmission timeout.
    pub max_backoff: u32,
    /// Sequence numbers sent again, or tried to.
    pub repeats: Repeats,
    /// How many of them were SYNs.
    pub handshake: u64,
    /// Doublings of the retransmission timeout when that was tried first.
    pub first_backoff: u32,
    /// Segment size when the first was sent again, payload bytes.
    pub first_mss: u32,
    /// Bytes acknowledged, over the connection's life.
    pub bytes_acked: u64,
    /// Why they were sent again, where that is seen.
    pub timers: Option<Timers>,
}

impl Retransmits {
    /// How often a segment was to be sent again, exact.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.count.saturating_add(self.unsent)
    }
}

impl SiteDrops {
    pub(crate) fn new(site: DropSite, tally: &Tally) -> Self {
        Self {
            site,
            count: 0,
            before: tally.before,
            first_ns: tally.first_ns,
            last_ns: tally.first_ns,
        }
    }

    /// Takes in how many the kernel has counted there, and when the latest was.
    pub(crate) fn raise(&mut self, count: u64, last_ns: u64) {
        raise(&mut self.count, count.saturating_sub(self.before));
        raise(&mut self.last_ns, last_ns);
    }
}

/// Takes over what is higher: counts come from several CPUs, and out of order.
pub(crate) fn raise<T: Ord + Copy>(known: &mut T, to: T) {
    *known = to.max(*known);
}

impl Track {
    /// Whether anything was lost in this direction, or is waited for.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        let dropped = !self.oversized.is_empty() || !self.other.is_empty();
        let waits = self.waits.is_some() || self.outage.is_some();
        dropped || self.retransmits.is_some() || waits
    }

    /// Packets dropped for their size, exact.
    #[must_use]
    pub fn oversized_drops(&self) -> u64 {
        self.oversized.values().map(|drops| drops.count).sum()
    }

    /// The place where most packets die for their size; while one does not get through, where it
    /// died last: what was dropped elsewhere before was heeded.
    #[must_use]
    pub fn worst_site(&self) -> Option<&SiteDrops> {
        let is_open = self.holes.open.is_some();
        let drops = self.oversized.values().map(|drops| &**drops);
        drops.max_by_key(|drops| {
            let latest_ns = if is_open { drops.last_ns } else { 0 };
            (latest_ns, drops.count, drops.last_ns)
        })
    }

    /// Takes in what was known of the same data under other addresses, where no socket was known.
    pub(crate) fn merge(&mut self, other: Self) {
        self.oversized.extend(other.oversized);
        self.holes.merge(&other.holes);
        self.other.extend(other.other);
        self.icmp.generated = self.icmp.generated.max(other.icmp.generated);
        self.icmp.blocked.extend(other.icmp.blocked);
        self.icmp.seen.extend(other.icmp.seen);
        self.icmp.quoted.extend(other.icmp.quoted);
        if let Some(other) = other.icmp.pmtu_accepted {
            let accepted = self.icmp.pmtu_accepted.get_or_insert(other.clone());
            accepted.add(&other);
        }
        self.icmp.mtu_bytes = other.icmp.mtu_bytes.or(self.icmp.mtu_bytes);
        self.seen.extend(other.seen);
        self.passing = self.passing.take().or(other.passing);
        self.passed.merge(&other.passed);
        self.outage = self.outage.take().or(other.outage);
        if self.duplicates == Duplicates::default() {
            self.duplicates = other.duplicates;
        }
    }

    /// Data up to `seq` is known to have got through.
    pub(crate) fn through(&mut self, seq: u32, time_ns: u64) {
        for repeats in self.repeats() {
            repeats.through(seq, time_ns);
        }
    }

    /// Takes in which rules drop its packets, or the messages about them, at a place.
    pub(crate) fn learn_rules(&mut self, rule: &DropRule) {
        let (netns, told) = (rule.flow.netns, Some(rule.hook.as_str()));
        for (key, drops) in &mut self.other {
            if key.netns == netns && key.function == rule.function && key.hook == told {
                drops.rules.learn(&rule.rules);
            }
        }
        for blocked in &mut self.icmp.blocked {
            if blocked.netns == netns && blocked.function == rule.function && blocked.hook == told {
                blocked.rules.learn(&rule.rules);
            }
        }
    }

    /// All data is known to have got through.
    pub(crate) fn complete(&mut self, time_ns: u64) {
        for repeats in self.repeats() {
            repeats.recovered(time_ns);
        }
    }

    fn repeats(&mut self) -> impl Iterator<Item = &mut Repeats> {
        let sent = self.retransmits.as_deref_mut();
        let sent = sent.map(|sent| &mut sent.repeats);
        [&mut self.holes, &mut self.passed].into_iter().chain(sent)
    }
}
