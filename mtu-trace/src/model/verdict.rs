//! The names of what a finding can conclude: verdict, severity and confidence.

use serde::Serialize;

/// Declares an enum whose variants have the names that reports, the command line and the docs use.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum $enum { $($(#[$doc])* #[serde(rename = $name)] $variant,)+ }

        impl $enum {
            /// Every one of them, in the order of their declaration.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The name in reports, which never changes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

/// The table of the verdicts, in the order in which `explain` lists them and a trace tries them: the
/// file in `core::verdicts::table` that says all about one, and its name here and in reports. What is
/// made of the rows is for the macro that is named.
macro_rules! verdicts {
    ($make:ident) => {
        $make! {
            mtu_black_hole: MtuBlackHole = "mtu-black-hole",
            no_route: NoRoute = "no-route",
            remote_black_hole: RemoteBlackHole = "remote-black-hole",
            pmtud_working: PmtudWorking = "pmtud-working",
            pmtud_slow: PmtudSlow = "pmtud-slow",
            local_drop: LocalDrop = "local-drop",
            packet_loss: PacketLoss = "packet-loss",
            handshake_timeout: HandshakeTimeout = "handshake-timeout",
            receiver_stalled: ReceiverStalled = "receiver-stalled",
            connection_aborted: ConnectionAborted = "connection-aborted",
            mtu_mismatch: MtuMismatch = "mtu-mismatch",
        }
    };
}
pub(crate) use verdicts;

macro_rules! verdict_enum {
    ($($file:ident: $variant:ident = $name:literal,)+) => {
        named! {
            /// What a finding concludes.
            pub enum Verdict { $(#[doc = concat!("As `mtu-trace explain ", $name, "` says.")] $variant = $name,)+ }
        }
    };
}
verdicts!(verdict_enum);

named! {
    /// How bad a finding is, worst last.
    pub enum Severity {
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
    pub enum Confidence {
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
    pub fn lowered(self) -> Self {
        match self {
            Self::Confirmed => Self::Likely,
            Self::Likely | Self::Suspected => Self::Suspected,
        }
    }
}
