//! The scenarios: the build that hangs and its fix, its variants, and many short builds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::command;
use lab::firewall::{self, FRAG_NEEDED, Hook};
use lab::patience::patient;
use serde_json::{Value, json};

use super::engine::{Container, OUTER, Outer};
use super::expect::{self, Expected};
use super::host::Host;
use super::images::Images;
use super::pod::Pod;
use super::trace::Trace;

/// The bridge of an engine's default network.
const DEFAULT_BRIDGE: &str = "docker0";
/// How long `check` may take.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// What every scenario needs to run.
pub struct Stage<'a> {
    /// The host with its engine.
    pub host: &'a Host,
    /// What to start containers from.
    pub images: &'a Images,
    /// The program under test.
    pub binary: &'a Path,
}

/// A build that hung, with what was said of it.
struct Hung {
    finding: Value,
    took: f64,
    step: Container,
}

impl Stage<'_> {
    /// The build that hangs, and the fix that the report prints; then without the fault.
    pub fn fault_and_fixes(&self) -> Result<()> {
        self.block()?;
        let outer = self.outer(&[], &[])?;
        self.foresees(&outer)?;
        println!("== docker build in a container in a container, mtu-trace record beside it");
        let capture = self.host.scratch("build.pcapng");
        let kept = ["-o", &capture];
        let hung = self.hang_traced(&kept, &outer, &[], DEFAULT_BRIDGE)?;
        println!("== mtu-trace report build.pcapng");
        command::status(Command::new(self.binary).arg("report").arg(&capture))?;
        outer.remove()?;
        self.opened_late()?;

        let option = expect::printed_option(&hung.finding, "--mtu ")?;
        println!(
            "== the fix as printed: the inner engine with `{}`",
            option.join(" ")
        );
        let option: Vec<&str> = option.iter().map(String::as_str).collect();
        let outer = self.outer(&[], &option)?;
        self.foresees_nothing(&outer)?;
        self.succeeds(&outer, &[], None)?;
        outer.remove()?;

        let outer = self.outer(&[], &[])?;
        let commands = expect::printed_commands(&hung.finding, "Clamp the TCP segment size")?;
        println!("== another fix as printed:");
        for command in &commands {
            println!("   # {command}");
            self.host.as_printed(command)?;
        }
        self.succeeds(&outer, &[], None)?;
        self.host
            .netns()?
            .nft("delete table inet mtu_clamp")
            .context("taking the clamp away")?;

        println!("== the ICMP is no longer dropped");
        self.host
            .netns()?
            .nft(&format!("delete table inet {FRAG_NEEDED}"))?;
        self.forget()?;
        self.succeeds(&outer, &[], Some("pmtud-working"))?;
        self.forget()?;
        outer.remove()
    }

    /// Other networks, another way to give an engine cgroups, and the exit status.
    pub fn variants(&self) -> Result<()> {
        let outer = self.outer(&[], &[])?;
        println!("== a network of its own in the inner engine");
        let network = outer.run(&["network", "create", "--subnet", "192.0.2.128/25", "build"])?;
        let bridge = format!(
            "br-{}",
            network.get(..12).context("an identifier is longer")?
        );
        let hung = self.hang(&outer, &["--network", "build"], &bridge)?;
        let option = expect::printed_option(&hung.finding, "-o ")?;
        println!("== the fix as printed: another with `{}`", option.join(" "));
        let option: Vec<&str> = option.iter().map(String::as_str).collect();
        outer.run(&["network", "rm", "build"])?;
        let create = ["network", "create", "--subnet", "192.0.2.128/25"];
        outer.run(&[&create[..], &option, &["build"]].concat())?;
        self.succeeds(&outer, &["--network", "build"], None)?;
        println!("== BuildKit");
        self.buildkit(&outer)?;
        println!("== mtu-trace in a container of the host's engine");
        self.contained(&outer)?;
        println!("== --network host: the outer container's own interface, which is no wider");
        self.succeeds(&outer, &["--network", "host"], None)?;
        self.statuses(&outer)?;
        outer.remove()?;
        self.with_cgroups_of_host()
    }

    /// An inner engine whose containers are not below its own in the cgroups.
    fn with_cgroups_of_host(&self) -> Result<()> {
        println!("== an inner engine that has the host's cgroups");
        if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            // Of version 2 there is one hierarchy, whose root is this machine's own.
            println!("   not with cgroups of version 2: that would change this machine's");
            return Ok(());
        }
        let outer = self.outer(
            &["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            &["--cgroup-parent", self.host.id()],
        )?;
        self.hang(&outer, &[], DEFAULT_BRIDGE)?;
        outer.remove()
    }

    /// A pod on a node whose bridge is narrower than the pod.
    pub fn pod(&self) -> Result<()> {
        println!("== a pod of containerd's, as a kubelet makes it");
        self.block()?;
        let mut pod = Pod::start(self.host)?;
        let mut trace = Trace::start(self.binary, &[], None)?;
        pod.download()?;
        trace.stall(self.host.id())?;
        let told = trace.stop(self.host.id())?;
        let finding = expect::container(&told, &Pod::expected())?;
        println!("   {}", finding["summary"].as_str().unwrap_or_default());
        pod.remove()
    }

    /// Builds whose containers live for a second or two.
    pub fn many(&self, builds: u32) -> Result<()> {
        println!("== {builds} short builds, one after the other");
        let outer = self.outer(&[], &[])?;
        let mut names = BTreeSet::new();
        let mut slowest: f64 = 0.0;
        for build in 1..=builds {
            let hung = self
                .hang(&outer, &[], DEFAULT_BRIDGE)
                .with_context(|| format!("build {build} of {builds}"))?;
            slowest = slowest.max(hung.took);
            names.insert(hung.step.name);
        }
        println!(
            "   {builds} of {builds} named right, as {}; the slowest verdict after {slowest:.2} s",
            names.into_iter().collect::<Vec<_>>().join(", ")
        );
        outer.remove()
    }

    /// Has the host drop what would tell the server.
    fn block(&self) -> Result<()> {
        firewall::drop_frag_needed(self.host.netns()?, Hook::Output)
    }

    pub(super) fn outer(&self, rights: &[&str], options: &[&str]) -> Result<Outer<'_>> {
        Outer::start(self.host, self.images, rights, options)
    }

    /// A build that hangs until it is named, and what has to be said of it.
    fn hang(&self, outer: &Outer<'_>, options: &[&str], bridge: &str) -> Result<Hung> {
        self.hang_traced(&[], outer, options, bridge)
    }

    /// The same, with `record`'s arguments.
    fn hang_traced(
        &self,
        arguments: &[&str],
        outer: &Outer<'_>,
        options: &[&str],
        bridge: &str,
    ) -> Result<Hung> {
        let mut trace = Trace::start(self.binary, arguments, None)?;
        let build = outer.start_build(options)?;
        let waited = trace.stall(self.host.id());
        let step = outer.step();
        if let Err(error) = waited {
            // What the build says tells why nothing stalls.
            if let Ok(step) = step {
                outer.give_up(&step)?;
            }
            let build = build.finish(patient(CHECK_LIMIT))?;
            return Err(error.context(format!("the build: {}{}", build.stdout, build.stderr)));
        }
        let step = step.with_context(|| format!("mtu-trace said {}", trace.said().join("\n")))?;
        let told = trace.stop(self.host.id())?;
        outer.give_up(&step)?;
        let ended = build.finish(patient(CHECK_LIMIT))?;
        ensure!(!ended.status.success(), "the build that hung succeeded");
        let expected = Expected {
            host: self.host,
            step: &step,
            outer: &outer.id,
            inner_bridge: bridge,
        };
        let (finding, took) = expect::black_hole(&told, &expected)?;
        println!(
            "   {}: {} ({}) in {OUTER}, found {took:.2} s after the first lost packet",
            finding["verdict"].as_str().unwrap_or_default(),
            step.name,
            short(&step.id),
        );
        Ok(Hung {
            finding: finding.clone(),
            took,
            step,
        })
    }

    /// A build by BuildKit that hangs until it is named: by its step's identifier, which is all there is.
    fn buildkit(&self, outer: &Outer<'_>) -> Result<()> {
        let mut trace = Trace::start(self.binary, &[], None)?;
        let build = outer.start_buildkit()?;
        if let Err(error) = trace.stall(self.host.id()) {
            let _ = outer.interrupt_buildkit();
            let build = build.finish(patient(CHECK_LIMIT))?;
            return Err(error.context(format!("the build: {}{}", build.stdout, build.stderr)));
        }
        let told = trace.stop(self.host.id())?;
        outer.interrupt_buildkit()?;
        let _ended = build.finish(patient(CHECK_LIMIT))?;
        let finding = expect::container(&told, &json!({ "runtime": "buildkit" }))?;
        let container = &finding["connection"]["local"]["netns"]["container"];
        let parent = &container["parent"]["container"];
        ensure!(
            parent["id"] == outer.id && parent["name"] == OUTER,
            "the step's parent is {parent}"
        );
        println!("   {}", finding["summary"].as_str().unwrap_or_default());
        Ok(())
    }

    /// A build that must succeed, and of which only `verdict` may be said.
    fn succeeds(&self, outer: &Outer<'_>, options: &[&str], verdict: Option<&str>) -> Result<()> {
        let trace = Trace::start(self.binary, &[], None)?;
        outer.build_whole(options)?;
        let told = trace.stop(self.host.id())?;
        expect::only(&told, verdict)?;
        println!(
            "   the build succeeds, mtu-trace says {}",
            verdict.unwrap_or("nothing")
        );
        Ok(())
    }

    /// Has the server forget what it learned of the way.
    fn forget(&self) -> Result<()> {
        self.host.outside()?.ip("route flush cache\n")
    }
}

pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
