//! The table of hooks. A hook's own file has everything about it: its name, how programs are
//! attached to it, what it shows, what is lost without it, and how its records become events.
//!
//! To add one: a file here, its row in [`HOOKS`], and its programs in a file of `mtu-trace-ebpf`,
//! which has the kernel's prototypes. A record of a form of its own is one item more in
//! `mtu_trace_common::record`. What `use` brings here is there for the files of all hooks.

mod drop;
mod icmp_sent;
mod path_mtu;
mod retransmit;
mod sighting;
mod socket_state;
mod tunnel_reject;

use aya::programs::TcAttachType;
use mtu_trace_common::record::{self, PacketRecord, kind};

use crate::kernel::decode::{DecodeError, Decoded, Decoder, ToldCount, closed, flow, whole};
use crate::model::event::{
    EventKind, Isn, PacketKind, PathMtu, Retransmit, SendError, Socket, hook,
};
use crate::model::hook_status::HookStatus;
use crate::model::network::Topology;

/// Every hook, most important first.
pub const HOOKS: &[TraceHook] = &[
    drop::DROPS,
    retransmit::RETRANSMITS,
    socket_state::STATES,
    icmp_sent::ICMP,
    sighting::INGRESS,
    sighting::EGRESS,
    icmp_sent::ICMP6,
    tunnel_reject::TUNNEL,
    path_mtu::TOLD,
    path_mtu::TOLD6,
    path_mtu::ROUTE,
    path_mtu::ROUTE6,
    retransmit::TIMEOUT,
    retransmit::PROBE,
    retransmit::LOSS,
];

/// A place in the kernel that the trace listens at.
#[derive(Debug)]
pub struct TraceHook {
    /// Its name: a tracepoint's as the kernel has it, or the function's.
    pub name: &'static str,
    /// How programs may be attached, best first; at least one. Of a function that others stand in
    /// for, the newest comes first: it may have left its old name to a wrapper.
    pub attachments: &'static [Attachment],
    /// What it shows while it is attached, for `doctor`.
    pub shows: &'static str,
    /// What is lost without it, for `doctor` and the report.
    pub lost: &'static str,
    /// Whether it adds to the evidence only: verdicts are the same without.
    pub optional: bool,
    /// The kind of its records and how they become events; `None` where its programs only count, in a
    /// map that another hook's records tell of.
    pub record: Option<(u32, Decode)>,
}

/// Decodes the bytes of a record, with the names the topology has now.
pub type Decode = fn(&Decoder, &[u8], &Topology) -> Result<Decoded, DecodeError>;

/// One way to attach a hook's programs.
#[derive(Debug)]
pub struct Attachment {
    /// How the programs are attached.
    pub mechanism: Mechanism,
    /// Which programs, and where.
    pub point: AttachPoint,
    /// What of the hook is not seen by this attachment, for `doctor`; `None` where all of it is.
    pub misses: Option<&'static str>,
}

/// The programs of an attachment, by name, and what they are attached to.
#[derive(Clone, Copy, Debug)]
pub enum AttachPoint {
    /// Each is at a tracepoint or function, named second, once for the whole host; it takes all of them.
    Symbols(&'static [(&'static str, &'static str)]),
    /// One is at this direction of devices, which come and go.
    Devices(&'static str, TcAttachType),
}

/// How a program hangs on its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A raw tracepoint (Linux 4.17 and later).
    RawTracepoint,
    /// At a function's entry, by the kernel's own trampoline (Linux 5.5 and later).
    Fentry,
    /// By the same trampoline at the function's return.
    Fexit,
    /// At a function's entry, by a breakpoint or what it was optimised into.
    Kprobe,
    /// At a function's return, by an address put in place of its caller's.
    Kretprobe,
    /// tc, as links that close by themselves (Linux 6.6 and later).
    Tcx,
    /// tc, as filters of a `clsact` qdisc.
    Clsact,
}

impl Mechanism {
    /// The name that reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RawTracepoint => "raw_tracepoint",
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Kretprobe => "kretprobe",
            Self::Tcx => "tcx",
            Self::Clsact => "tc",
        }
    }

    /// What has to be in the kernel for it: entry and return go together.
    #[must_use]
    pub fn facility(self) -> Self {
        match self {
            Self::Fexit => Self::Fentry,
            Self::Kretprobe => Self::Kprobe,
            other => other,
        }
    }
}

impl TraceHook {
    /// The mechanism that is tried first.
    #[must_use]
    pub fn best(&self) -> Mechanism {
        self.attachments[0].mechanism
    }

    /// Status of this hook, attached by `mechanism`; `detail` says where, if it is to be said.
    #[must_use]
    pub fn attached(&self, mechanism: Mechanism, detail: Option<String>) -> HookStatus {
        HookStatus {
            hook: self.name.to_owned(),
            mechanism: mechanism.name().to_owned(),
            attached: true,
            detail,
            optional: self.optional,
            shows: Some(self.shows.to_owned()),
            lost: None,
        }
    }

    /// Status of this hook, not attached: how it was tried last, and why that failed.
    #[must_use]
    pub fn missing(&self, mechanism: Mechanism, why: String) -> HookStatus {
        HookStatus {
            attached: false,
            shows: None,
            lost: Some(self.lost.to_owned()),
            ..self.attached(mechanism, Some(why))
        }
    }
}

const fn at(mechanism: Mechanism, programs: &'static [(&'static str, &'static str)]) -> Attachment {
    Attachment {
        mechanism,
        point: AttachPoint::Symbols(programs),
        misses: None,
    }
}

/// The attachments at the entry of functions, by fentry and by kprobe, of the programs that the macro
/// of the same name makes for `mtu-trace-ebpf`; after the program at a tracepoint of its own name, if
/// there is one to prefer.
macro_rules! at_entry {
    ($(after $tracepoint:literal,)? $($program:literal at $function:expr),+) => {
        &[
            $(at(Mechanism::RawTracepoint, &[($tracepoint, $tracepoint)]),)?
            at(Mechanism::Fentry, &[$((concat!($program, "_fentry"), $function)),+]),
            at(Mechanism::Kprobe, &[$((concat!($program, "_kprobe"), $function)),+]),
        ]
    };
}
use at_entry;

/// Records of this kind, of the type that `$decode` takes.
macro_rules! records {
    ($kind:expr, $decode:path) => {
        Some(($kind, |decoder, bytes, topology| {
            Ok($decode(decoder, whole($kind, bytes)?, topology))
        }))
    };
}
use records;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_hook_has_a_name_of_its_own_and_an_attachment() {
        let names: BTreeSet<_> = HOOKS.iter().map(|hook| hook.name).collect();
        assert_eq!(names.len(), HOOKS.len());
        for hook in HOOKS {
            assert!(!hook.attachments.is_empty(), "{}", hook.name);
            let is_empty = |it: &Attachment| matches!(it.point, AttachPoint::Symbols([]));
            assert!(!hook.attachments.iter().any(is_empty), "{}", hook.name);
        }
    }

    #[test]
    fn records_of_one_kind_are_decoded_in_one_way() {
        for (kind, decode) in HOOKS.iter().filter_map(|hook| hook.record) {
            for other in HOOKS.iter().filter_map(|hook| hook.record) {
                let same = std::ptr::fn_addr_eq(decode, other.1);
                assert!(kind != other.0 || same, "kind {kind}");
            }
        }
    }

    #[test]
    fn details_are_counted_apart() {
        let on = |hook: &TraceHook| hook.attached(hook.best(), None);
        let off = |hook: &TraceHook| hook.missing(hook.best(), "why".to_owned());
        let (drops, sent, detail) = (&drop::DROPS, &retransmit::RETRANSMITS, &retransmit::LOSS);
        assert_eq!(HookStatus::tally(&[on(drops), off(sent)]), "1 of 2 hooks");
        assert_eq!(
            HookStatus::tally(&[on(drops), off(detail)]),
            "1 of 1 hooks, 0 of 1 details"
        );
        assert!(off(sent).is_missed());
        assert!(!off(detail).is_missed());
    }
}
