//! The table of hooks: what each is for, how it may be attached, and what is lost without it.

use crate::model::{event::hook, hook_status::HookStatus};

/// How a program hangs on its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Raw tracepoint.
    RawTracepoint,
    /// At a function's entry, by the kernel's own trampoline (Linux 5.5 and later).
    Fentry,
    /// The same at its return.
    Fexit,
    /// At a function's entry, by a breakpoint or what it was optimised into.
    Kprobe,
    /// The same at its return.
    Kretprobe,
    /// tc, as links that close by themselves (Linux 6.6 and later).
    Tcx,
    /// tc, as filters of a `clsact` qdisc.
    Clsact,
}

impl Mechanism {
    /// Its name in reports.
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

/// A way to listen at a hook.
#[derive(Debug)]
pub struct Way {
    /// How the programs are attached.
    pub mechanism: Mechanism,
    /// The programs, all of which it takes.
    pub programs: &'static [&'static str],
    /// What they are attached to; for tc nothing, since devices come and go.
    pub target: &'static str,
}

/// A place in the kernel we listen at.
#[derive(Debug)]
pub struct Hook {
    /// Its name, as the kernel has it.
    pub name: &'static str,
    /// How that may be done, best first; at least one.
    pub ways: &'static [Way],
    /// What it shows.
    pub shows: &'static str,
    /// What is lost without it.
    pub lost: &'static str,
    /// Whether it adds to the evidence only: verdicts are the same without.
    pub optional: bool,
}

impl Hook {
    /// The best mechanism.
    #[must_use]
    pub fn best(&self) -> Mechanism {
        self.ways[0].mechanism
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
            hook: self.name.to_owned(),
            mechanism: mechanism.name().to_owned(),
            attached: false,
            detail: Some(why),
            optional: self.optional,
            shows: None,
            lost: Some(self.lost.to_owned()),
        }
    }
}

const fn way(mechanism: Mechanism, programs: &'static [&'static str], target: &'static str) -> Way {
    Way {
        mechanism,
        programs,
        target,
    }
}

const fn tracepoint(program: &'static [&'static str], target: &'static str) -> Way {
    way(Mechanism::RawTracepoint, program, target)
}

const fn fentry(program: &'static [&'static str], target: &'static str) -> Way {
    way(Mechanism::Fentry, program, target)
}

const fn kprobe(program: &'static [&'static str], target: &'static str) -> Way {
    way(Mechanism::Kprobe, program, target)
}

const fn tcx(program: &'static [&'static str]) -> Way {
    way(Mechanism::Tcx, program, "")
}

const fn clsact(program: &'static [&'static str]) -> Way {
    way(Mechanism::Clsact, program, "")
}

/// Every hook, most important first. Of a function that others stand in for, the newest comes first:
/// it may have left its old name to a wrapper.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: hook::DROPS,
        ways: &[
            tracepoint(&["kfree_skb"], "kfree_skb"),
            kprobe(&["sk_skb_reason_drop_kprobe"], "sk_skb_reason_drop"),
            kprobe(&["kfree_skb_reason_kprobe"], "kfree_skb_reason"),
            kprobe(&["kfree_skb_kprobe"], "kfree_skb"),
        ],
        shows: "packets dropped, where and why; ICMP errors that are filtered",
        lost: "no drop is seen: black holes are known from ICMP and passing packets, never confirmed",
        optional: false,
    },
    Hook {
        name: hook::RETRANSMITS,
        ways: &[
            tracepoint(&["tcp_retransmit_skb"], "tcp_retransmit_skb"),
            fentry(&["tcp_retransmit_skb_fentry"], "__tcp_retransmit_skb"),
            kprobe(&["tcp_retransmit_skb_kprobe"], "__tcp_retransmit_skb"),
        ],
        shows: "segments sent again by sockets of this host",
        lost: "stalls of local senders are known from their drops and sock_diag only",
        optional: false,
    },
    Hook {
        name: hook::STATES,
        ways: &[
            tracepoint(&["inet_sock_set_state"], "inet_sock_set_state"),
            fentry(&["tcp_set_state_fentry"], "tcp_set_state"),
            kprobe(&["tcp_set_state_kprobe"], "tcp_set_state"),
        ],
        shows: "handshakes and ends of connections, with their initial sequence numbers",
        lost: "connections are joined by addresses only, not behind a NAT that changes ports",
        optional: false,
    },
    Hook {
        name: hook::ICMP,
        ways: &[
            tracepoint(&["icmp_send"], "icmp_send"),
            fentry(&["icmp_send_fentry"], "__icmp_send"),
            kprobe(&["icmp_send_kprobe"], "__icmp_send"),
        ],
        shows: "ICMP fragmentation needed generated by this host",
        lost: "whether a boundary told the sender is known from tc and filtered ICMP only",
        optional: false,
    },
    Hook {
        name: hook::INGRESS,
        ways: &[tcx(&["mtu_trace_in"]), clsact(&["mtu_trace_in"])],
        shows: "oversized packets and ICMP errors that come in by boundary devices",
        lost: "how far an ICMP error came is not seen",
        optional: false,
    },
    Hook {
        name: hook::EGRESS,
        ways: &[tcx(&["mtu_trace_out"]), clsact(&["mtu_trace_out"])],
        shows: "oversized packets and ICMP errors that leave by boundary devices",
        lost: "how far an ICMP error came is not seen",
        optional: false,
    },
    Hook {
        name: hook::ICMP6,
        ways: &[
            fentry(&["icmp6_send_fentry"], "icmp6_send"),
            kprobe(&["icmp6_send_kprobe"], "icmp6_send"),
        ],
        shows: "ICMPv6 packet too big generated by this host",
        lost: "that a boundary told an IPv6 sender is known from tc and filtered ICMPv6 only",
        optional: true,
    },
    Hook {
        name: hook::TUNNEL,
        ways: &[
            way(
                Mechanism::Fexit,
                &["tunnel_check_fexit"],
                "skb_tunnel_check_pmtu",
            ),
            way(
                Mechanism::Kretprobe,
                &["tunnel_check_kprobe", "tunnel_check_kretprobe"],
                "skb_tunnel_check_pmtu",
            ),
        ],
        shows: "packets that a bridged tunnel has no room for and turns into messages to their senders",
        lost: "such packets are known from the message alone, if that is seen",
        optional: true,
    },
    Hook {
        name: hook::TOLD,
        ways: &[
            fentry(&["tcp_v4_mtu_reduced_fentry"], "tcp_v4_mtu_reduced"),
            kprobe(&["tcp_v4_mtu_reduced_kprobe"], "tcp_v4_mtu_reduced"),
        ],
        shows: "IPv4 sockets that were told of a smaller path MTU",
        lost: "that a sender was told is known from its segment size alone",
        optional: true,
    },
    Hook {
        name: hook::TOLD6,
        ways: &[
            fentry(&["tcp_v6_mtu_reduced_fentry"], "tcp_v6_mtu_reduced"),
            kprobe(&["tcp_v6_mtu_reduced_kprobe"], "tcp_v6_mtu_reduced"),
        ],
        shows: "IPv6 sockets that were told of a smaller path MTU",
        lost: "that a sender was told is known from its segment size alone",
        optional: true,
    },
    Hook {
        name: hook::ROUTE,
        ways: &[
            fentry(&["ip_rt_update_pmtu_fentry"], "__ip_rt_update_pmtu"),
            kprobe(&["ip_rt_update_pmtu_kprobe"], "__ip_rt_update_pmtu"),
        ],
        shows: "IPv4 routes that keep a smaller path MTU",
        lost: "that a sender of datagrams was told is not seen",
        optional: true,
    },
    Hook {
        name: hook::ROUTE6,
        ways: &[
            fentry(&["ip6_rt_update_pmtu_fentry"], "__ip6_rt_update_pmtu"),
            kprobe(&["ip6_rt_update_pmtu_kprobe"], "__ip6_rt_update_pmtu"),
        ],
        shows: "IPv6 routes that keep a smaller path MTU",
        lost: "that a sender of datagrams was told is not seen",
        optional: true,
    },
    Hook {
        name: hook::TIMEOUT,
        ways: &[
            fentry(&["tcp_retransmit_timer_fentry"], "tcp_retransmit_timer"),
            kprobe(&["tcp_retransmit_timer_kprobe"], "tcp_retransmit_timer"),
        ],
        shows: "how often a sender's retransmission timer ran",
        lost: "timeouts are counted in a row only, as the socket does",
        optional: true,
    },
    Hook {
        name: hook::PROBE,
        ways: &[
            fentry(&["tcp_send_loss_probe_fentry"], "tcp_send_loss_probe"),
            kprobe(&["tcp_send_loss_probe_kprobe"], "tcp_send_loss_probe"),
        ],
        shows: "which segments sent again were tail loss probes",
        lost: "tail loss probes are not told from other segments sent again",
        optional: true,
    },
    Hook {
        name: hook::LOSS,
        ways: &[
            fentry(&["tcp_enter_loss_fentry"], "tcp_enter_loss"),
            kprobe(&["tcp_enter_loss_kprobe"], "tcp_enter_loss"),
        ],
        shows: "how often a sender took all that was outstanding for lost",
        lost: "that is known from the socket's state at each segment sent again",
        optional: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_a_way_and_a_name_of_its_own() {
        let mut names: Vec<_> = HOOKS.iter().map(|hook| hook.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), HOOKS.len());
        assert!(
            HOOKS
                .iter()
                .all(|hook| hook.ways.iter().all(|way| !way.programs.is_empty()))
        );
        assert!(HOOKS.iter().all(|hook| !hook.ways.is_empty()));
    }

    #[test]
    fn details_are_counted_apart() {
        let status = |at: usize, attached: bool| {
            let hook = &HOOKS[at];
            if attached {
                hook.attached(hook.best(), None)
            } else {
                hook.missing(hook.best(), "why".to_owned())
            }
        };
        assert!(!HOOKS[0].optional);
        let last = HOOKS.len() - 1;
        assert!(HOOKS[last].optional);
        assert_eq!(
            HookStatus::tally(&[status(0, true), status(1, false)]),
            "1 of 2 hooks"
        );
        assert_eq!(
            HookStatus::tally(&[status(0, true), status(last, false)]),
            "1 of 1 hooks, 0 of 1 details"
        );
        assert!(status(1, false).is_missed());
        assert!(!status(last, false).is_missed());
    }
}
