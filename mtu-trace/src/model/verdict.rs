//! The names of what a finding can conclude: verdict, severity and confidence.

use serde::Serialize;

/// Declares an enum whose variants have the names that reports, the command line and the docs use.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident [$count:literal] { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum $enum { $($(#[$doc])* #[serde(rename = $name)] $variant,)+ }

        impl $enum {
            /// Every one of them, in the order of their declaration.
            pub const ALL: [Self; $count] = [$(Self::$variant),+];

            /// The name in reports, which never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

named! {
    /// What a finding concludes, in the order in which `explain` lists them. All that there is to
    /// say about one stands in its file in `core::verdicts::table`.
    pub enum Verdict [10] {
        /// Oversized packets of a stalled connection are dropped at a known place.
        MtuBlackHole = "mtu-black-hole",
        /// Full-size segments get nowhere, small ones do, and nothing is dropped here.
        RemoteBlackHole = "remote-black-hole",
        /// Oversized packets were dropped, then the sender came down.
        PmtudWorking = "pmtud-working",
        /// The sender came down, but only after several timeouts.
        PmtudSlow = "pmtud-slow",
        /// Retransmits are explained by local drops for another reason than size.
        LocalDrop = "local-drop",
        /// Retransmits recover, and nothing is dropped here.
        PacketLoss = "packet-loss",
        /// SYNs are not answered.
        HandshakeTimeout = "handshake-timeout",
        /// The receiver has no room: its window is zero.
        ReceiverStalled = "receiver-stalled",
        /// The connection was reset or given up after retransmits.
        ConnectionAborted = "connection-aborted",
        /// A larger MTU leads into a smaller one, before any traffic (`check`).
        MtuMismatch = "mtu-mismatch",
    }
}

named! {
    /// How bad a finding is, worst last.
    pub enum Severity [3] {
        /// Nothing is broken, but it is worth knowing.
        Info = "info",
        /// Something hurts, or may hurt.
        Warning = "warning",
        /// Something does not work.
        Error = "error",
    }
}

named! {
    /// How sure a finding is, surest last.
    pub enum Confidence [3] {
        /// The evidence fits, but something else would fit too.
        Suspected = "suspected",
        /// Only a part of the evidence is missing.
        Likely = "likely",
        /// Every part of the evidence was seen.
        Confirmed = "confirmed",
    }
}

impl Confidence {
    /// The next lower confidence; the lowest stays as it is.
    #[must_use]
    pub fn lowered(self) -> Self {
        match self {
            Self::Confirmed => Self::Likely,
            Self::Likely | Self::Suspected => Self::Suspected,
        }
    }
}
