//! Segments sent again by sockets of this host, and why: the timers of a socket are counted in a map,
//! and a record of its retransmit tells the counts.

use mtu_trace_common::map::{TimerCounts, flag};

use super::*;
use crate::model::event::{TcpState, Timers};

/// `tcp:tcp_retransmit_skb`, or the functions that lead to it.
pub const RETRANSMITS: TraceHook = TraceHook {
    name: hook::RETRANSMITS,
    attachments: &[
        at(
            Mechanism::RawTracepoint,
            &[("tcp_retransmit_result", TRACEPOINT)],
        ),
        at(
            Mechanism::Fexit,
            &[
                ("tcp_retransmit_skb_fexit", TRACEPOINT),
                ("tcp_retransmit_inner_fexit", INNER),
            ],
        ),
        at(
            Mechanism::Kretprobe,
            &[
                ("tcp_retransmit_skb_kprobe", TRACEPOINT),
                ("tcp_retransmit_skb_kretprobe", TRACEPOINT),
                ("tcp_retransmit_inner_kprobe", INNER),
                ("tcp_retransmit_inner_kretprobe", INNER),
            ],
        ),
        Attachment {
            misses: Some("segments that could not be sent again are not told"),
            ..at(
                Mechanism::RawTracepoint,
                &[("tcp_retransmit_skb", TRACEPOINT)],
            )
        },
    ],
    shows: "segments sent again by sockets of this host, and those that could not be",
    lost: "stalls of local senders are known from their drops and sock_diag only",
    optional: false,
    record: records!(kind::RETRANSMIT, decode),
};

/// `tcp_retransmit_timer`, a run of the retransmission timer.
pub const TIMEOUT: TraceHook = TraceHook {
    name: hook::TIMEOUT,
    attachments: at_entry!("tcp_retransmit_timer" at hook::TIMEOUT),
    shows: "how often a sender's retransmission timer ran",
    lost: "timeouts are counted in a row only, as the socket does",
    optional: true,
    record: None,
};

/// `tcp_send_loss_probe`, a tail loss probe.
pub const PROBE: TraceHook = TraceHook {
    name: hook::PROBE,
    attachments: at_entry!("tcp_send_loss_probe" at hook::PROBE),
    shows: "which segments sent again were tail loss probes",
    lost: "tail loss probes are not told from other segments sent again",
    ..TIMEOUT
};

/// `tcp_enter_loss`, all that is outstanding taken for lost.
pub const LOSS: TraceHook = TraceHook {
    name: hook::LOSS,
    attachments: at_entry!("tcp_enter_loss" at hook::LOSS),
    shows: "how often a sender took all that was outstanding for lost",
    lost: "that is known from the socket's state at each segment sent again",
    ..TIMEOUT
};

/// The tracepoint, and the function of the same name.
const TRACEPOINT: &str = "tcp_retransmit_skb";
/// The function that does the work, and has the tracepoint in it.
const INNER: &str = "__tcp_retransmit_skb";

/// Why a segment was not sent, as events have it; `None` where it was.
fn error(result: i32) -> Option<SendError> {
    (result < 0).then(|| SendError(result.unsigned_abs()))
}

fn decode(_: &Decoder, record: &record::RetransmitRecord, _: &Topology) -> Decoded {
    let known = record.flags & flag::KNOWN != 0;
    let counts = record.timers;
    let retransmit = Retransmit {
        socket: Socket {
            flow: flow(&record.key),
            opened_ns: 0,
            isn: known.then_some(Isn {
                iss: record.iss,
                irs: record.irs,
            }),
            active: known.then_some(record.flags & flag::ACTIVE != 0),
        },
        seq: record.seq,
        end_seq: record.end_seq,
        snd_una: record.snd_una,
        state: TcpState(record.state),
        ca_state: record.ca_state,
        timeouts: record.retransmits,
        backoff: record.backoff,
        mss_cache: record.mss_cache,
        pmtu_bytes: record.pmtu,
        packets_out: record.packets_out,
        sacked_out: record.sacked_out,
        bytes_acked: record.bytes_acked,
        count: record.count,
        unsent: record.unsent,
        error: error(record.error),
        // All zero where no program counts them.
        timers: (counts != TimerCounts::default()).then_some(Timers {
            timeouts: counts.timeouts,
            probes: counts.probes,
            losses: counts.losses,
        }),
    };
    Decoded {
        count: Some(ToldCount::Retransmit(record.key, record.count)),
        ..EventKind::Retransmit(Box::new(retransmit)).into()
    }
}
