//! What is played: the build that hangs and its fix, its variants, and many short builds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::firewall::{self, FRAG_NEEDED, Hook};
use lab::patience::patient;
use lab::process::finish;
use serde_json::{Value, json};

use super::engine::{BASE_IMAGE, Container, OUTER, Outer};
use super::expect::{self, Expected};
use super::host::{Host, NARROW, NETWORK, OUTER_IMAGE};
use super::images::Images;
use super::pod::Pod;
use super::trace::{RECORD, Trace};
use super::{APP, BROKEN, BROKEN_STATUS};
use crate::run;

/// The bridge of an engine's default network.
const DEFAULT_BRIDGE: &str = "docker0";
/// What a container with the tracer needs.
const TRACER: [&str; 8] = [
    "--pid=host",
    "--network=host",
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=NET_BROADCAST",
    "--cap-add=SYSLOG",
    "--security-opt=apparmor=unconfined",
];
/// How long that one traces.
const CONTAINED: &str = "8s";
/// How long `check` may take.
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// What `--exit-code` gives for a finding that stands.
const FOUND: i32 = 3;

/// What plays need.
pub struct Stage<'a> {
    /// The host.
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
    pub fn story(&self) -> Result<()> {
        self.block()?;
        let outer = self.outer(&[], &[])?;
        println!("== check, before any traffic");
        self.check(&outer)?;
        println!("== docker build in a container in a container, mtu-trace record beside it");
        let capture = self.host.scratch("build.pcapng");
        let kept = ["-o", &capture];
        let hung = self.hang_traced(&kept, &outer, &[], DEFAULT_BRIDGE)?;
        println!("== mtu-trace report build.pcapng");
        run::status(Command::new(self.binary).arg("report").arg(&capture))?;
        outer.remove()?;

        let option = expect::printed_option(&hung.finding, "--mtu ")?;
        println!(
            "== the fix as printed: the inner engine with `{}`",
            option.join(" ")
        );
        let option: Vec<&str> = option.iter().map(String::as_str).collect();
        let outer = self.outer(&[], &option)?;
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
        println!("== record --exit-code -- docker build");
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

    fn outer(&self, rights: &[&str], options: &[&str]) -> Result<Outer<'_>> {
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

    /// The tracer in a container, as on a node where nothing may be installed.
    fn contained(&self, outer: &Outer<'_>) -> Result<()> {
        let program = self.host.install(self.binary)?;
        let volume = format!("{program}:/usr/bin/mtu-trace:ro");
        let run = ["run", "--rm", "--volume", &volume];
        let arguments = [
            &run[..],
            &TRACER[..],
            &[OUTER_IMAGE, "mtu-trace"],
            &RECORD[..],
            &["--duration", CONTAINED],
        ]
        .concat();
        let mut trace = Trace::start_record(&self.host.docker(&arguments))?;
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
        let _ended = build.finish(patient(CHECK_LIMIT))?;
        let wanted = json!({ "id": step.id, "name": step.name, "image": step.image });
        let finding = expect::container(&told, &wanted)?;
        let parent = "/connection/local/netns/container/parent/container/name";
        ensure!(
            finding.pointer(parent) == Some(&OUTER.into()),
            "{finding:#}"
        );
        println!("   docker run --rm {} … mtu-trace record", TRACER.join(" "));
        println!("   {}", finding["summary"].as_str().unwrap_or_default());
        Ok(())
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

    /// The static mismatch, before it hurts: while a container waits in the inner engine.
    fn check(&self, outer: &Outer<'_>) -> Result<()> {
        let idle = outer.run(&["run", "--detach", BASE_IMAGE, "sleep", "60"])?;
        let mut check = Command::new(self.binary);
        check.args(["check", "--format", "json"]);
        let finished = finish(&mut check, patient(CHECK_LIMIT))?;
        let report: Value = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("check prints no JSON: {}", finished.stderr))?;
        let findings = report["findings"]
            .as_array()
            .context("a report has findings")?;
        let found = findings.iter().find(|finding| {
            finding["verdict"] == "mtu-mismatch"
                && finding["severity"] != "info"
                && finding["boundary"]["limit_bytes"] == NARROW
                && finding.to_string().contains(idle.trim())
        });
        let found = found
            .with_context(|| format!("check does not foresee it: {:#}", report["findings"]))?;
        println!(
            "   {}: {}",
            found["severity"].as_str().unwrap_or_default(),
            found["summary"].as_str().unwrap_or_default()
        );
        outer.run(&["rm", "--force", &idle]).map(drop)
    }

    /// `record --exit-code -- docker build`: 3 for the build that hangs, else the build's own status.
    fn statuses(&self, outer: &Outer<'_>) -> Result<()> {
        let only = self.host.netns()?.name();
        let arguments = ["--exit-code", "--netns", only];
        let mut trace = Trace::start(self.binary, &arguments, Some(&outer.build(APP, &[])))?;
        trace.stall(self.host.id())?;
        outer.give_up(&outer.step()?)?;
        let hung = trace.finish(self.host.id())?.status.code();
        ensure!(
            hung == Some(FOUND),
            "the build that hangs gives {hung:?}, not {FOUND}"
        );
        let mut statuses = vec![FOUND];
        for (context, network, wanted) in [(BROKEN, "none", BROKEN_STATUS), (APP, "host", 0)] {
            let build = outer.build(context, &["--network", network]);
            let trace = Trace::start(self.binary, &arguments, Some(&build))?;
            let status = trace.finish(self.host.id())?.status.code();
            ensure!(
                status == Some(wanted),
                "{context} gives {status:?}, not {wanted}"
            );
            statuses.push(wanted);
        }
        println!("   statuses: {statuses:?} (hangs, fails by itself, succeeds)");
        Ok(())
    }

    /// Has the server forget what it learned of the way.
    fn forget(&self) -> Result<()> {
        self.host.outside()?.ip("route flush cache\n")
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
