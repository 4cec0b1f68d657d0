//! `check`: audits the network as it stands.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::{iter, thread};

use anyhow::Result;

use crate::base::clock::{Clock, monotonic_ns};
use crate::cli::{CheckOptions, ColorChoice};
use crate::commands::{FOUND, explain_refusal, looked_at, output, stands};
use crate::core::audit::{Audit, Circumstances, Firewalls, PlannedNetwork};
use crate::host::firewall;
use crate::host::identity::engine::dockerd::{Dockerds, dockerds};
use crate::host::netns::NetnsFile;
use crate::host::watcher::{Changes, Depth, Watcher};
use crate::kernel::Symbols;
use crate::model::finding::{Finding, Severity};
use crate::model::network::NetnsId;
use crate::show::report::{Audited, Report};

/// Namespaces whose rules are read at the same time: each needs other programs to run.
const READERS: usize = 4;

pub fn run(options: &CheckOptions, color: ColorChoice) -> Result<u8> {
    output::log_to_stderr("warn");
    let clock = Clock::now();
    let (findings, audited) = audit()?;
    let report = Report {
        capture: looked_at(clock, monotonic_ns()),
        clock,
        audit: Some(audited),
        findings,
    };
    output::print(&report, options.format.of_report(), color)?;
    let found = stands(&report, Severity::Warning);
    Ok(if options.exit_code && found { FOUND } else { 0 })
}

/// Looks at the network as it stands, and says what is found and what was looked at.
pub fn audit() -> Result<(Vec<Finding>, Audited)> {
    let forbidden = "a seccomp or security module forbids to look at the network";
    let (watcher, changes) = look().map_err(|error| explain_refusal(error, forbidden))?;
    let engines = dockerds();
    let planned = PlannedNetwork::new(watcher.topology(), &engines.found);
    let audit = Audit::new(&planned);
    let (firewalls, unopened) = read_firewalls(&watcher, &audit.concerned());
    let symbols = Symbols::load();
    let has_function = |name: &str| symbols.as_ref().is_ok_and(|symbols| symbols.contains(name));
    let findings = audit.findings(&Circumstances {
        firewalls: &firewalls,
        has_function: &has_function,
        now_ns: monotonic_ns(),
    });
    let audited = Audited {
        figures: audit.figures,
        firewalls: firewalls.len(),
        missing: missing(&changes, &audit, unopened, &engines, planned.disagreed),
    };
    Ok((findings, audited))
}

/// Looks at the whole network, from outside and from inside.
fn look() -> Result<(Watcher, Changes)> {
    let mut watcher = Watcher::new()?;
    let mut changes = watcher.refresh(Depth::Everything, monotonic_ns())?;
    changes.skipped += watcher.survey(monotonic_ns())?.skipped;
    Ok((watcher, changes))
}

/// Reads the rules of these namespaces; and says how many could not be entered.
fn read_firewalls(watcher: &Watcher, wanted: &BTreeSet<NetnsId>) -> (Firewalls, usize) {
    let files = wanted.iter().filter_map(|&netns| watcher.open(netns).ok());
    let files: Vec<NetnsFile> = files.collect();
    let unopened = wanted.len() - files.len();
    let rest = Mutex::new(files.into_iter());
    let next = || rest.lock().ok()?.next();
    let read = || -> Firewalls {
        let files = iter::from_fn(next);
        files.map(|file| (file.id, firewall::read(&file))).collect()
    };
    let read = thread::scope(|scope| {
        let readers = [(); READERS].map(|()| scope.spawn(read));
        let readers = readers.into_iter();
        readers.filter_map(|it| it.join().ok()).flatten().collect()
    });
    (read, unopened)
}

/// What could not be looked at.
fn missing(
    changes: &Changes,
    audit: &Audit<'_>,
    unopened: usize,
    engines: &Dockerds,
    disagreed: usize,
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut say = |count: usize, what: &str| {
        if count > 0 {
            missing.push(format!("{count} {what}"));
        }
    };
    say(
        changes.skipped as usize,
        "processes, namespaces or mounts could not be looked at",
    );
    say(
        changes.unknown,
        "namespaces that links lead to could not be found: ways end there",
    );
    say(
        unopened,
        "namespaces could not be entered to read their packet filter rules",
    );
    say(
        engines.unread,
        "Docker engines could not be asked what they give to new containers: those are not foreseen",
    );
    say(
        engines.outdated,
        "Docker engines have settings that are younger than they are: what they give is not known \
         until they are started again",
    );
    say(
        audit.figures.networks_left_out,
        "networks beyond this host were left out, because there are too many routes",
    );
    if disagreed > 0 {
        missing.push(format!(
            "engines disagree on what they give on {disagreed} bridges"
        ));
    }
    missing
}
