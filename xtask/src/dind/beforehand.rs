//! `mtu-trace check`: the fault foreseen before any traffic, and no longer foreseen once it is mended.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::patience::patient;
use lab::process::finish;
use serde_json::Value;

use super::engine::{BASE_IMAGE, Outer};
use super::host::NARROW;
use super::plays::Stage;

/// How long `check` may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Stage<'_> {
    /// What is foreseen while a container waits in the inner engine.
    pub fn foresees(&self, outer: &Outer<'_>) -> Result<()> {
        let idle = outer.run(&["run", "--detach", BASE_IMAGE, "sleep", "60"])?;
        let foreseen = self.foreseen(&idle)?;
        let found = foreseen.first().context("check does not foresee it")?;
        println!(
            "   {}: {}",
            found["severity"].as_str().unwrap_or_default(),
            found["summary"].as_str().unwrap_or_default()
        );
        outer.run(&["rm", "--force", &idle]).map(drop)
    }

    /// That nothing is foreseen for a container of this inner engine.
    pub fn foresees_nothing(&self, outer: &Outer<'_>) -> Result<()> {
        let idle = outer.run(&["run", "--detach", BASE_IMAGE, "sleep", "60"])?;
        let foreseen = self.foreseen(&idle)?;
        ensure!(foreseen.is_empty(), "check foresees {foreseen:#?}");
        println!("   check says nothing");
        outer.run(&["rm", "--force", &idle]).map(drop)
    }

    /// What `check` says of a container that is no mere remark.
    fn foreseen(&self, container: &str) -> Result<Vec<Value>> {
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
                && finding.to_string().contains(container)
        };
        Ok(findings.iter().filter(of_container).cloned().collect())
    }
}
