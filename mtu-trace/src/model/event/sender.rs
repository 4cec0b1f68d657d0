//! What senders on this host tell: segments sent again or not, and how their sockets stand.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use crate::model::event::{Flow, Socket, TcpState, hook};
use crate::model::is_default;

/// A segment sent again by a socket of this host, or that was to be and could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retransmit {
    /// The socket that sent the segment again.
    pub socket: Socket,
    /// The first sequence number of the segment.
    pub seq: u32,
    /// The sequence number behind the segment.
    pub end_seq: u32,
    /// The first byte that is not acknowledged.
    pub snd_una: u32,
    /// The socket's TCP state then.
    pub state: TcpState,
    /// The congestion control state (`icsk_ca_state`); 4 is `TCP_CA_Loss`.
    pub ca_state: u32,
    /// How many timeouts there were in a row without progress.
    pub timeouts: u32,
    /// How often the retransmission timeout was doubled.
    pub backoff: u32,
    /// The segment size in use, payload bytes.
    pub mss_cache: u32,
    /// The path MTU that the sender works with, bytes.
    pub pmtu_bytes: u32,
    /// How many segments are in flight.
    pub packets_out: u32,
    /// Segments the peer holds out of order.
    pub sacked_out: u32,
    /// Bytes acknowledged over the connection's life.
    pub bytes_acked: u64,
    /// Segments that the socket has sent again so far, exact.
    pub count: u64,
    /// Why it sent again so far, where that is seen.
    // Captures of before it was known do not have it.
    #[serde(default)]
    pub timers: Option<Timers>,
    /// Why this one could not be sent; `None` where it was, and where that is not seen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: Option<SendError>,
    /// Segments that the socket could not send again so far, exact.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unsent: u64,
}

/// Why a segment could not be sent: an errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendError(pub u32);

impl SendError {
    /// EACCES, ENODEV, EINVAL, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH, EHOSTUNREACH: what the kernel answers
    /// without a route, for one that leads nowhere (`fib_props`), for an address that is not there, and for a
    /// device that is down or gone.
    const NOWHERE: [u32; 7] = [13, 19, 22, 99, 100, 101, 113];
    /// EAGAIN, ENOMEM, EBUSY, ENOBUFS: the window has shrunk, there is no memory, or the segment sent before
    /// still waits in a queue of this host (`skb_still_in_host_queue`).
    const LATER: [u32; 4] = [11, 12, 16, 105];

    /// Whether there is no way out for it.
    #[must_use]
    pub fn is_nowhere(self) -> bool {
        Self::NOWHERE.contains(&self.0)
    }

    /// Whether the kernel has put it off, and nothing was lost.
    #[must_use]
    pub fn is_put_off(self) -> bool {
        Self::LATER.contains(&self.0)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0.cast_signed()).fmt(f)
    }
}

/// Why a socket sent again, so far. What none of these tells was asked for by the peer's
/// acknowledgements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// Runs of the retransmission timer (RFC 6298).
    pub timeouts: u32,
    /// Tail loss probes (RFC 8985, section 7).
    pub probes: u32,
    /// How often all that was outstanding was taken for lost, for a timeout.
    pub losses: u32,
}

impl Timers {
    /// What was counted of them: how often, by which hook, and what. What never was may not be seen at
    /// all, and is left out.
    pub fn counted(&self) -> impl Iterator<Item = (u32, &'static str, &'static str)> + use<> {
        [
            (self.timeouts, hook::TIMEOUT, "timeouts"),
            (self.probes, hook::PROBE, "tail loss probes"),
            (
                self.losses,
                hook::LOSS,
                "times all outstanding taken for lost",
            ),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
    }
}

/// How a socket stands (`INET_DIAG_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The socket's addresses: source is local.
    pub flow: Flow,
    /// The socket's TCP state then.
    pub state: TcpState,
    /// How many timeouts there were in a row without progress.
    pub timeouts: u32,
    /// How often the retransmission timeout was doubled.
    pub backoff: u32,
    /// The segment size in use, payload bytes.
    pub mss: u32,
    /// The path MTU that the socket works with, bytes.
    pub pmtu_bytes: u32,
    /// How many segments are in flight.
    pub unacked: u32,
    /// Of those, segments the peer holds behind a gap.
    pub sacked: u32,
    /// Bytes acknowledged over the connection's life.
    pub bytes_acked: u64,
    /// Bytes received in order over the connection's life.
    pub bytes_received: u64,
    /// Bytes of memory for data received behind a gap.
    pub held_bytes: u32,
    /// Bytes that wait to be sent.
    pub unsent_bytes: u32,
    /// Whether the peer's window has no room for a segment, and it asks again and again for room
    /// (zero-window probes, RFC 9293, section 3.8.6.1).
    pub window_closed: bool,
    /// Bytes sent that are not acknowledged.
    #[serde(default)]
    pub outstanding_bytes: u32,
    /// Whether it tries again and again to send although the peer has room: what it hands to IP does
    /// not go out. The kernel uses the timer of zero-window probes for that, too (`tcp_check_probe_timer`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_held_up: bool,
    /// For how long it has waited for an acknowledgement at most, ms; `None` while its timer has not run
    /// out, and where that is not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub waited_ms: Option<u32>,
    /// Segments that the peer says have reached it twice (RFC 2883), over the connection's life.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplicates: u32,
}

impl Sample {
    /// Whether the socket waits for something it should have had by now: the acknowledgement of
    /// what it sent again, room at the peer, a way out, or what fills a gap.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let times_out = self.unacked > 0 && self.backoff > 0;
        self.window_closed || self.is_held_up || self.held_bytes > 0 || times_out
    }
}
