//! What a CI job runs: `record --exit-code -- docker build`, and what it keeps of a failure.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::patience::patient;
use lab::process::finish;

use super::engine::Outer;
use super::host::succeed;
use super::scenarios::Stage;
use super::trace::Trace;
use super::{APP, BROKEN, BROKEN_STATUS};

/// What `--exit-code` gives for a finding that stands.
const FOUND: i32 = 3;
/// The limit of a build, seconds.
const TIME_LIMIT: &str = "10";
/// How long `report` may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Stage<'_> {
    /// The statuses: 3 for the build that hangs, also if a time limit ends it, else the build's own.
    pub fn statuses(&self, outer: &Outer<'_>) -> Result<()> {
        println!("== record --exit-code -- docker build");
        let only = self.host.netns()?.name();
        let arguments = ["--exit-code", "--netns", only];
        let hung = self.status(&arguments, &outer.build(APP, &[]), |trace| {
            trace.stall(self.host.id())?;
            outer.give_up(&outer.step()?)
        })?;
        ensure!(
            hung == Some(FOUND),
            "the build that hangs gives {hung:?}, not {FOUND}"
        );
        let mut statuses = vec![FOUND];
        for (context, network, wanted) in [(BROKEN, "none", BROKEN_STATUS), (APP, "host", 0)] {
            let build = outer.build(context, &["--network", network]);
            let status = self.status(&arguments, &build, |_| Ok(()))?;
            ensure!(
                status == Some(wanted),
                "{context} gives {status:?}, not {wanted}"
            );
            statuses.push(wanted);
        }
        println!("   statuses: {statuses:?} (hangs, fails by itself, succeeds)");
        self.time_limit(outer)
    }

    /// A build with a time limit, as the documentation has it, and the report for the job's page.
    fn time_limit(&self, outer: &Outer<'_>) -> Result<()> {
        println!("== record --exit-code -o build.pcapng -- timeout {TIME_LIMIT} docker build");
        let capture = self.host.scratch("job.pcapng");
        let only = self.host.netns()?.name();
        let arguments = ["--exit-code", "--netns", only, "-o", &capture];
        let mut step = None;
        let status = self.status(&arguments, &outer.limited_build(TIME_LIMIT), |trace| {
            trace.stall(self.host.id())?;
            step = Some(outer.step()?);
            Ok(())
        })?;
        self.host.server().hang_up();
        ensure!(
            status == Some(FOUND),
            "the build with a time limit gives {status:?}, not {FOUND}"
        );
        let step = step.context("the build has a step")?;
        let mut report = Command::new(self.binary);
        report.args(["report", &capture, "--format", "markdown"]);
        let report = succeed(&finish(&mut report, patient(LIMIT))?, "report")?;
        ensure!(
            report.contains(&step.name) && report.contains("mtu-black-hole"),
            "the report does not tell of {}:\n{report}",
            step.name
        );
        println!("   status: {FOUND}, and the report names {}", step.name);
        Ok(())
    }

    /// How `mtu-trace record` beside `build` ends.
    fn status(
        &self,
        arguments: &[&str],
        build: &Command,
        meanwhile: impl FnOnce(&mut Trace) -> Result<()>,
    ) -> Result<Option<i32>> {
        let mut trace = Trace::start(self.binary, arguments, Some(build))?;
        meanwhile(&mut trace)?;
        Ok(trace.finish(self.host.id())?.status.code())
    }
}
