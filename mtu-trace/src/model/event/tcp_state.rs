//! The state of a TCP socket.

use serde::{Deserialize, Serialize};

/// TCP state, numbered as the kernel does (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TcpState(pub u32);

impl TcpState {
    /// Both directions are open.
    pub const ESTABLISHED: Self = Self(1);
    /// Waiting for the answer to its SYN.
    pub const SYN_SENT: Self = Self(2);
    /// Waiting for the last step of the handshake.
    pub const SYN_RECV: Self = Self(3);
    /// The socket waits for connections.
    pub const LISTEN: Self = Self(10);
    /// The connection is gone.
    pub const CLOSE: Self = Self(7);

    /// Whether the handshake is still going on.
    #[must_use]
    pub fn is_handshake(self) -> bool {
        matches!(self, Self::SYN_SENT | Self::SYN_RECV)
    }

    /// Whether a close from this state means that both FINs went through: FIN_WAIT2, TIME_WAIT,
    /// LAST_ACK and CLOSING (RFC 9293, section 3.3.2).
    #[must_use]
    pub fn is_orderly_close(self) -> bool {
        matches!(self.0, 5 | 6 | 9 | 11)
    }

    /// The kernel's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 13] = [
            "UNKNOWN",
            "ESTABLISHED",
            "SYN_SENT",
            "SYN_RECV",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "TIME_WAIT",
            "CLOSE",
            "CLOSE_WAIT",
            "LAST_ACK",
            "LISTEN",
            "CLOSING",
            "NEW_SYN_RECV",
        ];
        NAMES.get(self.0 as usize).copied().unwrap_or(NAMES[0])
    }
}
