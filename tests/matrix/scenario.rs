//! What a scenario is, and what it expects.

use std::any::Any;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::kinds::Kind;
use lab::report::Confidence;
use lab::topology::{
    AsymmetricLab, DeepLab, MacvlanLab, NestedLab, OverlayLab, SiteToSiteLab, SwitchedLab,
    TrunkLab, WiredLab,
};
use lab::traffic::{Outcome, Transfer};

use crate::count::Count;
use crate::foreseen::Foreseen;

/// A fault, or none, with traffic that meets it.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Short and unique.
    pub id: &'static str,
    /// In a few words.
    pub what: &'static str,
    /// What should be said of it.
    pub expect: Expect,
    /// Builds its network, and returns the traffic that is to meet it.
    pub build: fn() -> Result<Traffic>,
    /// When that is done.
    pub begins: Begins,
    /// What `check` says of the network before the traffic.
    pub foreseen: Foreseen,
    /// What the kernel itself counts.
    pub counts: &'static [Count],
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

    /// The same where `check` says this before the traffic.
    pub const fn foreseen(self, foreseen: Foreseen) -> Self {
        Self { foreseen, ..self }
    }

    /// The same where `check` cannot know what the traffic will meet.
    pub const fn unforeseen(self, because: &'static str) -> Self {
        self.foreseen(Foreseen::Open { because })
    }

    /// The same where the kernel counts this.
    pub const fn counts(self, counts: &'static [Count]) -> Self {
        Self { counts, ..self }
    }
}

/// When a scenario's network is built: the traffic itself always runs under the trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// Under the trace, which has to notice the new namespaces.
    UnderTrace,
    /// Before it, so that its connections are older than the trace.
    BeforeTrace,
}

/// The traffic of a network that was built.
pub type Traffic = Box<dyn FnOnce() -> Result<Act> + Send>;

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
    /// Whether it still goes on at the end.
    pub ongoing: Option<bool>,
    /// What it must be based on.
    pub least: Least,
    pub place: Option<Place>,
    /// Where packets die for another reason than their length.
    pub drop: Option<DropPlace>,
    /// Role of the namespace and netfilter hook where the message is dropped.
    pub blocked: Option<(&'static str, &'static str)>,
    pub silent: Option<bool>,
    /// Role of the namespace of the connection's own end.
    pub local: Option<&'static str>,
    /// The hook without which that end cannot be found, since the addresses have nothing in common: the
    /// connection is then told from its other end.
    pub local_needs: Option<&'static str>,
    /// Address of the other end, where that is none of a connection that was opened.
    pub remote: Option<&'static str>,
    /// An address that the connection has elsewhere.
    pub translated: Option<&'static str>,
    pub direction: Option<&'static str>,
    pub protocol: &'static str,
    /// The first interface of this name on the way: its MTU in bytes, and its kind.
    pub hop: Option<(&'static str, u32, &'static str)>,
    /// Whether the top fix, applied, lets the transfer complete.
    pub fixed: bool,
}

/// What a finding must be based on at least, where every hook is at work.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    pub confidence: Confidence,
    /// Packets dropped for their length.
    pub drops: u64,
    pub retransmits: u64,
}

/// Where packets die.
#[derive(Clone, Copy)]
pub struct Place {
    /// Role of the namespace.
    pub role: &'static str,
    /// `None` leaves it open, for what has no one ingress.
    pub ingress: Option<&'static str>,
    pub egress: &'static str,
    pub function: &'static str,
    pub limit_bytes: u32,
    pub packet_bytes: u32,
}

/// Where packets die for another reason than their length.
#[derive(Clone, Copy)]
pub struct DropPlace {
    /// Role of the namespace.
    pub role: &'static str,
    /// The kernel's reason, where it has any.
    pub reason: &'static str,
    /// The hook of netfilter.
    pub hook: Option<&'static str>,
    /// What is in the rule that does it, and nothing of another one.
    pub rule: Option<&'static str>,
    /// What the packets carried.
    pub carried: &'static str,
}

impl DropPlace {
    /// Data that a rule drops at a hook.
    pub const fn by_rule(role: &'static str, hook: &'static str, rule: &'static str) -> Self {
        Self {
            role,
            reason: "NETFILTER_DROP",
            hook: Some(hook),
            rule: Some(rule),
            carried: "data",
        }
    }

    /// Data that is dropped for a reason of the kernel's.
    pub const fn for_reason(role: &'static str, reason: &'static str) -> Self {
        Self {
            role,
            reason,
            hook: None,
            rule: None,
            carried: "data",
        }
    }

    /// The same of what carries something else.
    pub const fn carrying(self, carried: &'static str) -> Self {
        Self { carried, ..self }
    }
}

impl Want {
    /// The same with packets dropped there for another reason than their length.
    pub const fn dropped(self, place: DropPlace) -> Self {
        Self {
            drop: Some(place),
            ..self
        }
    }

    /// Any finding with this verdict.
    pub const fn new(verdict: &'static str, severity: &'static str) -> Self {
        Self {
            verdict,
            severity,
            ongoing: None,
            least: Least {
                confidence: Confidence::Suspected,
                drops: 0,
                retransmits: 0,
            },
            place: None,
            drop: None,
            blocked: None,
            silent: None,
            local: None,
            local_needs: None,
            remote: None,
            translated: None,
            direction: None,
            protocol: "tcp",
            hop: None,
            fixed: false,
        }
    }

    /// An `mtu-black-hole` whose top fix works. It is known from the first packet and its
    /// retransmissions at 0.2 and 0.6 s at least.
    pub const fn hole(place: Place) -> Self {
        Self {
            place: Some(place),
            local: Some("in"),
            ongoing: Some(true),
            least: Least {
                confidence: Confidence::Likely,
                drops: 3,
                retransmits: 2,
            },
            fixed: true,
            ..Self::new("mtu-black-hole", "error")
        }
    }

    /// A `pmtud-working`: the packet was dropped once, and the sender came down.
    pub const fn working(place: Place) -> Self {
        Self {
            place: Some(place),
            local: Some("in"),
            silent: Some(false),
            ongoing: Some(false),
            least: Least {
                confidence: Confidence::Suspected,
                drops: 1,
                retransmits: 0,
            },
            ..Self::new("pmtud-working", "info")
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

    /// The same from less, where fewer packets meet the fault under the trace.
    pub const fn after_at_least(self, drops: u64, retransmits: u64) -> Self {
        let confidence = self.least.confidence;
        Self {
            least: Least {
                confidence,
                drops,
                retransmits,
            },
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
pub type Again = Box<dyn Fn() -> Result<bool> + Send + Sync>;

/// A scenario under way: its traffic has met what there is to meet, and its sockets are still open.
pub struct Act {
    // Dropped in this order: sockets and wires keep namespaces alive.
    pub kept: Vec<Box<dyn Any + Send + Sync>>,
    pub again: Option<Again>,
    /// Whether it may have hung and did.
    pub hung: bool,
    /// The client's address and the server's, as the client has them; `None` without a connection.
    pub ends: Option<[SocketAddr; 2]>,
    pub lab: Arc<dyn Network>,
}

impl Act {
    /// Does what a fix says and makes the transfer again, which must complete.
    ///
    /// # Errors
    ///
    /// A command fails, or the transfer still does not complete.
    pub fn fix(&self, commands: &[String]) -> Result<()> {
        ensure!(!commands.is_empty(), "no commands");
        for command in commands {
            let output = Command::new("sh").args(["-c", command]).output()?;
            ensure!(
                output.status.success(),
                "{command}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let again = self.again.as_ref().context("it cannot be made again")?;
        ensure!(again()?, "the transfer hangs still");
        Ok(())
    }

    /// The same with something else that stays open: before the lab, since it keeps namespaces alive.
    pub fn keeping(mut self, thing: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(thing));
        self
    }
}

/// A topology that was built, with a client and a server in it.
pub trait Network: Send + Sync {
    /// Its namespaces.
    fn lab(&self) -> &Lab;

    /// Makes a transfer between the client and the server.
    fn run(&self, transfer: &Transfer) -> Result<Outcome>;
}

macro_rules! network {
    ($($topology:ty),*) => {
        $(impl Network for $topology {
            fn lab(&self) -> &Lab {
                &self.lab
            }

            fn run(&self, transfer: &Transfer) -> Result<Outcome> {
                self.run(transfer)
            }
        })*
    };
}

network!(
    AsymmetricLab,
    DeepLab,
    SiteToSiteLab,
    MacvlanLab,
    NestedLab,
    OverlayLab,
    SwitchedLab,
    TrunkLab,
    WiredLab
);
