//! `mtu-trace check`: the fault foreseen before any traffic, and no longer foreseen once it is mended.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::patience::patient;
use lab::process::finish;
use serde_json::Value;

use super::engine::{BASE_IMAGE, Outer};
use super::host::NARROW;
use super::scenarios::Stage;

/// How long `check` may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Stage<'_> {
    /// What is foreseen before the inner engine has any container, and while one waits in it.
    pub fn foresees(&self, outer: &Outer<'_>) -> Result<()> {
        println!("== check, before the inner engine has started anything");
        show(&self.foreseen(&Whose::First(outer))?)?;
        println!("== check, while a container waits in it");
        let idle = waiting(outer)?;
        show(&self.foreseen(&Whose::Container(&idle))?)?;
        let first = self.foreseen(&Whose::First(outer))?;
        ensure!(first.is_empty(), "a container is there: {first:#?}");
        outer.run(&["rm", "--force", &idle]).map(drop)
    }

    /// That nothing is foreseen for any container of this inner engine.
    pub fn foresees_nothing(&self, outer: &Outer<'_>) -> Result<()> {
        let first = self.foreseen(&Whose::First(outer))?;
        let idle = waiting(outer)?;
        let foreseen = self.foreseen(&Whose::Container(&idle))?;
        ensure!(
            first.is_empty() && foreseen.is_empty(),
            "check foresees {first:#?} {foreseen:#?}"
        );
        println!("   check says nothing");
        outer.run(&["rm", "--force", &idle]).map(drop)
    }

    /// What `check` says of a container that is no mere remark.
    fn foreseen(&self, whose: &Whose<'_>) -> Result<Vec<Value>> {
        let mut check = Command::new(self.binary);
        check.args(["check", "--format", "json"]);
        let finished = finish(&mut check, patient(LIMIT))?;
        let report: Value = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("check prints no JSON: {}", finished.stderr))?;
        let findings = report["findings"]
            .as_array()
            .context("a report has findings")?;
        let of_container = |finding: &&Value| {
            finding["verdict"] == "mtu-mismatch"
                && finding["severity"] != "info"
                && finding["boundary"]["limit_bytes"] == NARROW
                && whose.is_in(finding)
        };
        Ok(findings.iter().filter(of_container).cloned().collect())
    }
}

/// Of which container something is foreseen.
enum Whose<'a> {
    /// The first that an engine will start.
    First(&'a Outer<'a>),
    /// One that is there, by its identifier.
    Container(&'a str),
}

impl Whose<'_> {
    /// Whether the way of a finding begins or ends there.
    fn is_in(&self, finding: &Value) -> bool {
        let path = finding["path"].as_array();
        let mut hops = path.into_iter().flatten().map(|hop| &hop["netns"]);
        match self {
            Self::First(outer) => {
                hops.any(|netns| netns["guest"]["parent"]["container"]["id"] == *outer.id)
            }
            Self::Container(id) => hops.any(|netns| netns["container"]["id"] == *id),
        }
    }
}

/// A container that waits in the inner engine.
fn waiting(outer: &Outer<'_>) -> Result<String> {
    outer.run(&["run", "--detach", BASE_IMAGE, "sleep", "60"])
}

fn show(foreseen: &[Value]) -> Result<()> {
    let found = foreseen.first().context("check does not foresee it")?;
    println!(
        "   {} ({}): {}",
        found["severity"].as_str().unwrap_or_default(),
        found["confidence"].as_str().unwrap_or_default(),
        found["summary"].as_str().unwrap_or_default()
    );
    Ok(())
}
