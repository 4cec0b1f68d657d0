//! What a case's own purpose says of its traffic, and so which findings can be true of it: a rule made
//! from what the kernel's test does, not from what the tracer prints.

use lab::report::Severity;

/// What holds for a case's traffic, and what may be found.
#[derive(Debug)]
pub struct Truth {
    /// Verdicts, each with the most that it may matter. A stall is an error, so where all that is sent
    /// arrives at last, no verdict may be one.
    may: &'static [(&'static str, Severity)],
    /// Whether a packet is dropped for its length, so that a tracer without any event has not looked.
    pub has_drops: bool,
}

impl Truth {
    /// Whether a finding can be true.
    pub fn allows(&self, verdict: &str, severity: Severity) -> bool {
        let allowed = self.may.iter().find(|(it, _)| *it == verdict);
        allowed.is_some_and(|(_, most)| severity <= *most)
    }
}

/// Echo requests or datagrams that are too large for a later link: whoever drops them tells the sender,
/// whose route gets an exception, and the test checks that exception. So path MTU discovery works.
pub const TOLD: Truth = Truth {
    may: &[("pmtud-working", Severity::Info)],
    has_drops: true,
};

/// TCP transfers that pass a smaller link on their way and are compared with what was sent: first cut by
/// the router, then told by it, so path MTU discovery works. The router's chain drops what conntrack
/// does not take for a part of a connection.
pub const TOLD_TRANSFERS: Truth = Truth {
    may: &[
        ("pmtud-working", Severity::Info),
        ("local-drop", Severity::Warning),
        ("packet-loss", Severity::Info),
        ("receiver-stalled", Severity::Info),
        ("connection-aborted", Severity::Info),
    ],
    has_drops: true,
};

/// Everything fits, and what is lost is dropped by a rule of the test, or belongs to a connection whose
/// namespace the test removes.
pub const FITS: Truth = Truth {
    may: &[
        ("local-drop", Severity::Warning),
        ("packet-loss", Severity::Info),
        ("receiver-stalled", Severity::Info),
        ("connection-aborted", Severity::Info),
    ],
    has_drops: false,
};

/// As [`FITS`]; besides, packets wait in queues of netfilter, some without a program behind them, which
/// drop what comes: also what opens a connection.
pub const QUEUED: Truth = Truth {
    may: &[
        ("local-drop", Severity::Warning),
        ("handshake-timeout", Severity::Warning),
        ("packet-loss", Severity::Info),
        ("receiver-stalled", Severity::Info),
        ("connection-aborted", Severity::Info),
    ],
    has_drops: false,
};

/// Echo requests in pieces that are too large for a bridge's tunnel, to a neighbour that is not there:
/// "Frames will be dropped so ping will not succeed. If it doesn't panic, it passes".
pub const DIES: Truth = Truth {
    may: &[
        ("mtu-black-hole", Severity::Error),
        ("local-drop", Severity::Warning),
        ("pmtud-working", Severity::Info),
    ],
    has_drops: true,
};

#[cfg(test)]
mod tests {
    use lab::report::Severity;

    use super::{FITS, TOLD};

    #[test]
    fn what_a_purpose_does_not_say_is_wrong() {
        assert!(TOLD.allows("pmtud-working", Severity::Info));
        assert!(!TOLD.allows("pmtud-working", Severity::Warning));
        assert!(!TOLD.allows("mtu-black-hole", Severity::Error));
        assert!(FITS.allows("local-drop", Severity::Info));
        assert!(!FITS.allows("local-drop", Severity::Error));
        assert!(!FITS.allows("pmtud-working", Severity::Info));
    }
}
