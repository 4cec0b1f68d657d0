//! A selection at work: what was asked for, and the namespaces that turned out to be meant.

use std::fmt;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint, value_parser};
use serde::Serialize;

use crate::base::text::printable;
use crate::core::select::expression::Filter;
use crate::core::select::matching::Subject;
use crate::core::select::parser::FilterError;
use crate::core::select::targets::{KnownTargets, Resolve, Target, TargetError};
use crate::model::network::Topology;

/// What is shown of what was seen. Options of one kind are alternatives; the kinds and FILTER must
/// all fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Selection {
    /// Only connections that touch this network namespace: `ip netns` name, file or inode number
    #[arg(
        long,
        value_name = "NAME|PATH|INODE",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Selection (each may be repeated)"
    )]
    pub netns: Vec<String>,
    /// Only connections that touch this container or one inside it: its name, or the start of its id
    #[arg(
        long,
        value_name = "NAME|ID",
        value_hint = ValueHint::Other,
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Selection (each may be repeated)"
    )]
    pub container: Vec<String>,
    /// Only connections that touch the network namespace this process is in, its neighbours' there
    /// included: which of them are its own is not known
    #[arg(
        long,
        value_name = "PID",
        value_hint = ValueHint::Other,
        value_parser = value_parser!(i32).range(1..),
        help_heading = "Selection (each may be repeated)"
    )]
    pub pid: Vec<i32>,
    /// Only connections that fit, as in `port 443 and not host 192.0.2.1`: host, net, port, portrange,
    /// src, dst, tcp, udp, icmp, icmp6, ip, ip6, and, or, not, parentheses (quote them)
    ///
    /// A connection fits by any of its tuples, before and after NAT; src and dst are those of the data
    /// in trouble. docs/filters.md has the rest.
    #[arg(value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Vec<String>,
}

/// A selection that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// The filter is not understood: bad usage.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A namespace cannot be meant.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Something is not in the recording.
    #[error("{0}")]
    Missing(String),
}

/// What is selected. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What was asked for, before anything was met or left out.
    asked: Selected,
    targets: Vec<Target>,
    filter: Option<Filter>,
    /// What there is instead, kept while a target is missing.
    known_targets: KnownTargets,
}

/// A selection as reports tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Selected {
    /// The words given to `--netns`.
    pub netns: Vec<String>,
    /// The words given to `--container`.
    pub container: Vec<String>,
    /// The process numbers given to `--pid`.
    pub pid: Vec<String>,
    /// The filter expression as written; `None` without one.
    pub filter: Option<String>,
    /// Which of the options have met nothing, as they were written.
    pub unmatched: Vec<String>,
    /// Findings that are left out.
    pub hidden_findings: usize,
}

/// Says what is shown, and how much is not.
impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "selected: {}; ", self.words())?;
        match self.hidden_findings {
            0 => write!(f, "no finding is outside")?,
            1 => write!(f, "1 finding outside is not shown")?,
            more => write!(f, "{more} findings outside are not shown")?,
        }
        if self.unmatched.is_empty() {
            return Ok(());
        }
        write!(f, "; never there: {}", self.unmatched.join(", "))
    }
}

impl Selected {
    /// What was asked for, in the words it was given in: namespaces, containers, processes, and the filter.
    fn words(&self) -> String {
        let kinds = [&self.netns, &self.container, &self.pid];
        let named = ["netns", "container", "pid"].into_iter().zip(kinds);
        let given = named.filter(|(_, words)| !words.is_empty());
        let mut parts: Vec<String> = given
            .map(|(kind, words)| {
                let words: Vec<_> = words.iter().map(|it| printable(it.as_bytes())).collect();
                format!("{kind} {}", words.join(" or "))
            })
            .collect();
        let filter = self.filter.as_ref();
        parts.extend(filter.map(|filter| format!("filter \"{}\"", printable(filter.as_bytes()))));
        parts.join(" and ")
    }
}

impl Selection {
    fn asked(&self) -> Selected {
        Selected {
            netns: self.netns.clone(),
            container: self.container.clone(),
            pid: self.pid.iter().map(i32::to_string).collect(),
            filter: (!self.filter.is_empty()).then(|| self.filter.join(" ")),
            ..Selected::default()
        }
    }

    /// What is asked for, in words; `None` for everything.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        Some(self.asked().words()).filter(|words| !words.is_empty())
    }

    /// The selection on this machine as it is now, `resolve` finding the namespaces of files and
    /// processes. Names and containers may still come.
    ///
    /// # Errors
    ///
    /// The filter is not understood; or a file or process is not there or may not be looked at.
    pub fn live(&self, resolve: Resolve<'_>) -> Result<Scope, SelectError> {
        self.scope(Some(resolve))
    }

    /// The selection in a recording, whatever this machine is.
    ///
    /// # Errors
    ///
    /// The filter is not understood, or a file says nothing about a recording.
    pub fn recorded(&self) -> Result<Scope, SelectError> {
        self.scope(None)
    }

    fn scope(&self, resolve: Option<Resolve<'_>>) -> Result<Scope, SelectError> {
        let mut asked = self.asked();
        asked.filter = asked.filter.filter(|words| !words.trim().is_empty());
        let filter = asked.filter.as_deref().map(Filter::parse).transpose()?;
        let netns = self.netns.iter().map(|word| Target::netns(word, resolve));
        let containers = self.container.iter();
        let containers = containers.map(|word| Ok(Target::container(word)));
        let processes = self.pid.iter().map(|&pid| Target::process(pid, resolve));
        let targets = netns.chain(containers).chain(processes);
        Ok(Scope {
            asked,
            targets: targets.collect::<Result<_, _>>()?,
            filter,
            known_targets: KnownTargets::default(),
        })
    }
}

impl Scope {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.targets.is_empty() && self.filter.is_none()
    }

    /// Takes in the namespaces there are. A namespace stays selected when it is gone.
    pub fn learn(&mut self, topology: &Topology) {
        for target in &mut self.targets {
            target.learn(topology);
        }
        if self.missing().next().is_some() {
            self.known_targets.learn(topology);
        }
    }

    /// Whether something is selected: one option of each kind that was given must fit, and the filter.
    #[must_use]
    pub fn includes(&self, subject: &Subject) -> bool {
        let is_met = |target: &Target| !target.chosen.is_disjoint(&subject.places);
        let mut kinds = self.targets.iter().map(|target| target.kind);
        kinds.all(|kind| self.targets.iter().any(|it| it.kind == kind && is_met(it)))
            && self.filter.as_ref().is_none_or(|it| it.holds(subject))
    }

    /// What has not been met so far, each in a sentence with what there is instead.
    pub fn absent(&self) -> impl Iterator<Item = String> + '_ {
        self.missing().map(|target| {
            let instead = self.known_targets.instead_of(target);
            format!("{target} is not there; {instead}")
        })
    }

    /// That everything asked for was met.
    ///
    /// # Errors
    ///
    /// Something was not; the error tells what there is.
    pub fn complete(&self) -> Result<(), SelectError> {
        let absent: Vec<String> = self.absent().collect();
        if absent.is_empty() {
            Ok(())
        } else {
            Err(SelectError::Missing(absent.join("; ")))
        }
    }

    /// For a report that leaves out so many findings; `None` if it leaves out none by intention.
    #[must_use]
    pub fn selected(&self, hidden_findings: usize) -> Option<Selected> {
        (!self.is_everything()).then(|| Selected {
            unmatched: self.missing().map(ToString::to_string).collect(),
            hidden_findings,
            ..self.asked.clone()
        })
    }

    fn missing(&self) -> impl Iterator<Item = &Target> {
        let targets = self.targets.iter();
        targets.filter(|target| target.chosen.is_empty())
    }
}
