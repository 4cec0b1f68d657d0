//! mtu-trace in a container of the host's engine, as on a node where nothing may be installed: the image and
//! the options that the documentation gives.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::patience::patient;
use serde_json::json;

use super::engine::{OUTER, Outer};
use super::host::{NETWORK, OUTER_IMAGE};
use super::scenarios::{Stage, short};
use super::trace::{RECORD, Trace};
use super::{documented, expect};

/// How long it traces.
const DURATION: &str = "8s";
/// How long its build may take to its end.
const LIMIT: Duration = Duration::from_secs(30);

impl Stage<'_> {
    /// A build that hangs, traced from a container.
    pub fn contained(&self, outer: &Outer<'_>) -> Result<()> {
        self.image()?;
        let options = documented::options()?;
        let run = [
            &["run"],
            &options[..],
            &[documented::IMAGE],
            &RECORD[..],
            &["--duration", DURATION],
        ]
        .concat();
        let mut trace = Trace::start_record(&self.host.docker(&run))?;
        let build = outer.start_build(&[])?;
        // There, the namespaces of this machine have no names.
        let network = self
            .host
            .run(&["network", "inspect", "--format", "{{.Id}}", NETWORK])?;
        let bridge = format!("br-{}", short(&network));
        trace.stall(&bridge)?;
        let step = outer.step()?;
        let told = trace.finish(&bridge)?;
        outer.give_up(&step)?;
        let _ended = build.finish(patient(LIMIT))?;
        let wanted = json!({ "id": step.id, "name": step.name, "image": step.image });
        let finding = expect::container(&told, &wanted)?;
        let parent = "/connection/local/netns/container/parent/container/name";
        ensure!(
            finding.pointer(parent) == Some(&OUTER.into()),
            "{finding:#}"
        );
        println!(
            "   docker run {} {} {}",
            options.join(" "),
            documented::IMAGE,
            RECORD.join(" ")
        );
        println!("   {}", finding["summary"].as_str().unwrap_or_default());
        Ok(())
    }

    /// Builds the image of the documentation's Dockerfile.
    fn image(&self) -> Result<()> {
        let dockerfile = documented::dockerfile()?;
        let from = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix("FROM "))
            .context("a Dockerfile names its base")?;
        // No registry is asked: this is Debian as well.
        self.host.run(&["tag", OUTER_IMAGE, from])?;
        let context = self.host.place("image");
        let target = context.outside.join("target/release");
        fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
        fs::copy(self.binary, target.join("mtu-trace")).context("cannot copy mtu-trace")?;
        fs::write(context.outside.join("Dockerfile"), dockerfile)
            .context("cannot write the Dockerfile")?;
        let build = ["build", "--tag", documented::IMAGE, &context.inside];
        self.host.run(&build).map(drop)
    }
}
