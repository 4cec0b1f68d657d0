//! What a scenario is, and what it expects.

use std::{any::Any, sync::Arc};

use anyhow::Result;
use lab::{Lab, kinds::Kind};

/// A fault, or none, with traffic that meets it.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Short and unique.
    pub id: &'static str,
    /// In a few words.
    pub what: &'static str,
    /// What should be said of it.
    pub expect: Expect,
    /// Builds it and lets the traffic meet it.
    pub play: Play,
    /// The kind of interface that not every kernel has.
    pub needs: Option<Kind>,
}

impl Scenario {
    /// The same where the kernel has interfaces of `kind`, else skipped.
    pub const fn needs(self, kind: Kind) -> Self {
        Self {
            needs: Some(kind),
            ..self
        }
    }
}

/// How much of a scenario the tracer sees.
#[derive(Clone, Copy)]
pub enum Play {
    /// All of it.
    Whole(fn() -> Result<Act>),
    /// What is left when this has returned, which is older than the trace.
    Rest(fn() -> Result<Rest>),
}

/// What is left of a scenario.
pub type Rest = Box<dyn FnOnce() -> Result<Act> + Send>;

/// What is to be found.
#[derive(Clone, Copy)]
pub enum Expect {
    /// Nothing of more weight than info.
    Nothing,
    /// One finding, and nothing else of more weight than info.
    Finding(Want),
    /// That if the transfer hung, else nothing: the kernel or chance decides.
    IfHung(Want),
}

impl Expect {
    /// What is to be found, once it is known whether the transfer hung.
    pub fn settled(self, hung: bool) -> Self {
        match self {
            Self::IfHung(want) if hung => Self::Finding(want),
            Self::IfHung(_) => Self::Nothing,
            settled => settled,
        }
    }

    /// The verdict that is to be found.
    pub fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Finding(want) => Some(want.verdict),
            Self::Nothing | Self::IfHung(_) => None,
        }
    }
}

/// A finding; what is `None` is left open.
#[derive(Clone, Copy)]
pub struct Want {
    pub verdict: &'static str,
    /// Several with `|` between them, where chance decides.
    pub severity: &'static str,
    pub place: Option<Place>,
    /// Role of the namespace and netfilter hook where the message is dropped.
    pub blocked: Option<(&'static str, &'static str)>,
    pub silent: Option<bool>,
    /// Role of the namespace of the connection's own end.
    pub local: Option<&'static str>,
    /// The hook without which that end cannot be found, since the addresses have nothing in common: the
    /// connection is then told from its other end.
    pub local_needs: Option<&'static str>,
    pub direction: Option<&'static str>,
    pub protocol: &'static str,
    /// Whether the top fix, applied, lets the transfer complete.
    pub fixed: bool,
}

/// Where packets die.
#[derive(Clone, Copy)]
pub struct Place {
    /// Role of the namespace.
    pub role: &'static str,
    pub egress: &'static str,
    pub function: &'static str,
    pub limit_bytes: u32,
    pub packet_bytes: u32,
}

impl Want {
    /// Any finding with this verdict.
    pub const fn new(verdict: &'static str, severity: &'static str) -> Self {
        Self {
            verdict,
            severity,
            place: None,
            blocked: None,
            silent: None,
            local: None,
            local_needs: None,
            direction: None,
            protocol: "tcp",
            fixed: false,
        }
    }

    /// An `mtu-black-hole` whose top fix works.
    pub const fn hole(place: Place) -> Self {
        Self {
            place: Some(place),
            local: Some("in"),
            fixed: true,
            ..Self::new("mtu-black-hole", "error")
        }
    }

    pub const fn silent(self) -> Self {
        Self {
            silent: Some(true),
            ..self
        }
    }

    pub const fn blocked(self, role: &'static str, hook: &'static str) -> Self {
        Self {
            blocked: Some((role, hook)),
            silent: Some(false),
            ..self
        }
    }

    pub const fn direction(self, direction: &'static str) -> Self {
        Self {
            direction: Some(direction),
            ..self
        }
    }

    /// The same where the transfer cannot be made again.
    pub const fn unfixed(self) -> Self {
        Self {
            fixed: false,
            ..self
        }
    }
}

/// Makes the transfer again and says whether it completed.
pub type Again = Box<dyn Fn() -> Result<bool> + Send>;

/// A scenario under way: its traffic has met what there is to meet, and its sockets are still open.
pub struct Act {
    // Dropped in this order: sockets and wires keep namespaces alive.
    #[expect(dead_code, reason = "kept open, not looked at")]
    pub kept: Vec<Box<dyn Any + Send>>,
    pub again: Option<Again>,
    /// Whether it may have hung and did.
    pub hung: bool,
    pub lab: Arc<dyn HasLab + Send + Sync>,
}

/// A topology that was built.
pub trait HasLab {
    fn lab(&self) -> &Lab;
}

macro_rules! has_lab {
    ($($topology:ty),*) => {
        $(impl HasLab for $topology {
            fn lab(&self) -> &Lab {
                &self.lab
            }
        })*
    };
}

has_lab!(
    lab::topology::NestedLab,
    lab::topology::SwitchedLab,
    lab::topology::OverlayLab,
    lab::topology::WiredLab,
    lab::topology::DeepLab,
    lab::topology::AsymmetricLab,
    lab::topology::MacvlanLab,
    lab::topology::TrunkLab
);
