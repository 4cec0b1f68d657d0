//! A selection at work: what was asked for, and the namespaces that turned out to be meant.

use std::fmt;

use serde::Serialize;

use crate::base::text::printable;
use crate::core::select::arguments::Selection;
use crate::core::select::expression::Filter;
use crate::core::select::known_targets::KnownTargets;
use crate::core::select::matching::Subject;
use crate::core::select::targets::{Resolve, Target, TargetError, TargetKind};
use crate::core::select::words::FilterError;
use crate::model::network::{NetnsId, Topology};

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
        let filter = self.filter.as_deref();
        let asked = asked([&self.netns, &self.container, &self.pid], filter);
        write!(f, "selected: {asked}; ")?;
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

/// What was asked for, in the words it was given in: namespaces, containers, processes, and the filter.
fn asked(kinds: [&[String]; 3], filter: Option<&str>) -> String {
    let named = ["netns", "container", "pid"].into_iter().zip(kinds);
    let given = named.filter(|(_, words)| !words.is_empty());
    let mut parts: Vec<String> = given
        .map(|(kind, words)| {
            let words: Vec<_> = words.iter().map(|it| printable(it.as_bytes())).collect();
            format!("{kind} {}", words.join(" or "))
        })
        .collect();
    parts.extend(filter.map(|filter| format!("filter \"{}\"", printable(filter.as_bytes()))));
    parts.join(" and ")
}

impl Selection {
    /// What is asked for, in words; `None` for everything.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let pid: Vec<String> = self.pid.iter().map(i32::to_string).collect();
        let filter = (!self.filter.is_empty()).then(|| self.filter.join(" "));
        let asked = asked([&self.netns, &self.container, &pid], filter.as_deref());
        (!asked.is_empty()).then_some(asked)
    }

    /// The selection on this machine as it is now, `resolve` finding the namespaces of files and
    /// processes. Names and containers may still come.
    ///
    /// # Errors
    ///
    /// The filter is not understood; or a file or process is not there or may not be looked at.
    pub fn live(&self, resolve: Resolve<'_>) -> Result<Scope, SelectError> {
        self.scope(
            |word| Target::living_netns(word, resolve),
            |pid| Target::living_pid(pid, resolve),
        )
    }

    /// The selection in a recording, whatever this machine is.
    ///
    /// # Errors
    ///
    /// The filter is not understood, or a file says nothing about a recording.
    pub fn recorded(&self) -> Result<Scope, SelectError> {
        self.scope(Target::recorded_netns, |pid| Ok(Target::recorded_pid(pid)))
    }

    fn scope(
        &self,
        netns: impl Fn(&str) -> Result<Target, TargetError>,
        process: impl Fn(i32) -> Result<Target, TargetError>,
    ) -> Result<Scope, SelectError> {
        let words = self.filter.join(" ");
        let filter = (!words.trim().is_empty())
            .then(|| Filter::parse(&words))
            .transpose()?;
        let containers = self
            .container
            .iter()
            .map(|word| Ok(Target::container(word)));
        let netns = self.netns.iter().map(|word| netns(word));
        let targets = netns
            .chain(containers)
            .chain(self.pid.iter().map(|&pid| process(pid)))
            .collect::<Result<_, _>>()?;
        Ok(Scope {
            targets,
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
        let is_in = |netns: &NetnsId| subject.places.contains(netns);
        [TargetKind::Netns, TargetKind::Container, TargetKind::Pid]
            .into_iter()
            .all(|kind| {
                let mut of_kind = self.targets.iter().filter(|it| it.kind == kind).peekable();
                of_kind.peek().is_none() || of_kind.any(|it| it.chosen.iter().any(is_in))
            })
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.holds(subject))
    }

    /// What has not been met so far, each in a sentence with what there is instead.
    pub fn absent(&self) -> impl Iterator<Item = String> + '_ {
        self.missing().map(|target| {
            format!(
                "{target} is not there; {}",
                self.known_targets.instead_of(target)
            )
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
        let words = |kind| -> Vec<String> {
            let of_kind = self.targets.iter().filter(|target| target.kind == kind);
            of_kind.map(|target| target.word.clone()).collect()
        };
        (!self.is_everything()).then(|| Selected {
            netns: words(TargetKind::Netns),
            container: words(TargetKind::Container),
            pid: words(TargetKind::Pid),
            filter: self.filter.as_ref().map(ToString::to_string),
            unmatched: self.missing().map(ToString::to_string).collect(),
            hidden_findings,
        })
    }

    fn missing(&self) -> impl Iterator<Item = &Target> {
        self.targets
            .iter()
            .filter(|target| target.chosen.is_empty())
    }
}
