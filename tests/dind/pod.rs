//! A pod as a kubelet makes it: a sandbox that holds the network namespace and a container in it, by
//! containerd itself, with the cgroups and the annotations of its CRI plugin.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::patience::patient;
use lab::process::{Finished, Running, finish};
use serde_json::json;

use super::host::{Host, NARROW, server_address, succeed};
use super::server::PORT;

/// The pod, as `kubectl` would list it: `ci/runner-1`.
const NAMESPACE: &str = "ci";
const NAME: &str = "runner-1";
const UID: &str = "8f1c2a4e-5b6d-4c7e-9a0b-1c2d3e4f5a6b";
/// What its container is called, and made from.
const CONTAINER: &str = "build";
const IMAGE: &str = "registry.example/ci/build:1";
/// Identifiers as containerd's CRI plugin makes them.
const SANDBOX_ID: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const CONTAINER_ID: &str = "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0";
/// The engine's containerd, which keeps Kubernetes' containers apart in a namespace of its own.
const CTR: [&str; 5] = [
    "ctr",
    "--address",
    "/run/docker/containerd/containerd.sock",
    "--namespace",
    "k8s.io",
];
const LIMIT: Duration = Duration::from_secs(30);
/// A node whose pods are wider than its bridge: the plugin that made them was told 1500.
const SUBNET: &str = "198.51.100.144/28";

/// A pod whose container downloads a package that does not fit.
pub struct Pod<'a> {
    host: &'a Host,
    download: Option<Running>,
}

impl<'a> Pod<'a> {
    /// Makes its sandbox and its network.
    pub fn start(host: &'a Host) -> Result<Self> {
        let pod = Self {
            host,
            download: None,
        };
        pod.import()?;
        pod.create(
            SANDBOX_ID,
            &["--detach"],
            &[],
            &annotations("sandbox"),
            &["/bin/sleep", "600"],
        )?;
        let process = pod.process()?;
        pod.connect(&process)?;
        Ok(pod)
    }

    /// Starts the container that downloads, until it is stopped.
    pub fn download(&mut self) -> Result<()> {
        let process = self.process()?;
        let network = format!("network:/proc/{process}/ns/net");
        let url = format!("http://{}:{PORT}/packages/nokogiri-1.18", server_address());
        let mut command = self.command(
            CONTAINER_ID,
            &["--with-ns", &network],
            &annotations("container"),
            &["/bin/wget", "-q", "-O", "/dev/null", &url],
        );
        self.download = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// What mtu-trace has to say of the container: the pod's UID, its name and the pod's name.
    pub fn expected() -> serde_json::Value {
        json!({ "runtime": "containerd", "pod": UID, "pod_name": format!("{NAMESPACE}/{NAME}") })
    }

    /// Ends and removes it.
    pub fn remove(mut self) -> Result<()> {
        for id in [CONTAINER_ID, SANDBOX_ID] {
            self.ctr(&["tasks", "kill", "--signal", "KILL", id])?;
        }
        self.host.server().hang_up();
        if let Some(download) = self.download.take() {
            let _ended = download.finish(patient(LIMIT))?;
        }
        Ok(())
    }

    /// Gives containerd the image, by way of the engine: what it imports itself has to have layers.
    fn import(&self) -> Result<()> {
        let script = format!(
            "tar -C {} -c . | docker import - {IMAGE} && docker save {IMAGE} | {} images import -",
            Host::base(),
            CTR.join(" ")
        );
        let mut command = self.host.enter(&["sh", "-ec", &script]);
        succeed(&finish(&mut command, patient(LIMIT))?, "ctr images import").map(drop)
    }

    fn create(
        &self,
        id: &str,
        options: &[&str],
        more: &[&str],
        annotations: &[String],
        arguments: &[&str],
    ) -> Result<()> {
        let options = [options, more].concat();
        let mut command = self.command(id, &options, annotations, arguments);
        succeed(&finish(&mut command, patient(LIMIT))?, "ctr run").map(drop)
    }

    fn command(
        &self,
        id: &str,
        options: &[&str],
        annotations: &[String],
        arguments: &[&str],
    ) -> std::process::Command {
        let cgroup = format!("/{}/kubepods/burstable/pod{UID}/{id}", self.host.id());
        let mut all: Vec<&str> = [&CTR[..], &["run", "--cgroup", &cgroup], options].concat();
        for annotation in annotations {
            all.extend(["--annotation", annotation]);
        }
        all.extend([IMAGE, id]);
        all.extend(arguments);
        self.host.enter(&all)
    }

    fn ctr(&self, arguments: &[&str]) -> Result<Finished> {
        let all = [&CTR[..], arguments].concat();
        finish(&mut self.host.enter(&all), patient(LIMIT))
    }

    /// The first process of the sandbox, as the host numbers it.
    fn process(&self) -> Result<String> {
        let finished = self.ctr(&["tasks", "list"])?;
        let listing = succeed(&finished, "ctr tasks list")?;
        let line = listing.lines().find(|line| line.starts_with(SANDBOX_ID));
        let process = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(process
            .with_context(|| format!("no process of the sandbox in {listing:?}"))?
            .to_owned())
    }

    /// What a network plugin does, with a bridge that is narrower than the pod.
    fn connect(&self, process: &str) -> Result<()> {
        // With the machine's tools, in the host's network: the image's know less.
        self.host.netns()?.ip(&format!(
            "link add cni0 type bridge\n\
             address add 198.51.100.145/28 dev cni0\n\
             link add veth0 mtu {NARROW} type veth peer name veth1 mtu 1500\n\
             link set veth0 master cni0 up\n\
             link set cni0 mtu {NARROW} up\n"
        ))?;
        let setup = format!(
            "ip link set veth1 netns {process}\n\
             iptables -t nat -A POSTROUTING -s {SUBNET} ! -o cni0 -j MASQUERADE\n\
             iptables -I FORWARD -i cni0 -j ACCEPT\n\
             iptables -I FORWARD -o cni0 -j ACCEPT\n\
             exec nsenter -t {process} -n sh -ec 'ip link set veth1 name eth0; ip addr add \
             198.51.100.146/28 dev eth0; ip link set eth0 up; ip route add default via 198.51.100.145'\n"
        );
        let finished = finish(&mut self.host.enter(&["sh", "-ec", &setup]), patient(LIMIT))?;
        if !finished.status.success() {
            bail!("connecting the pod: {}{}", finished.stdout, finished.stderr);
        }
        Ok(())
    }
}

/// What containerd's CRI plugin writes into a container's specification.
fn annotations(kind: &str) -> Vec<String> {
    let mut annotations = vec![
        format!("io.kubernetes.cri.container-type={kind}"),
        format!("io.kubernetes.cri.sandbox-id={SANDBOX_ID}"),
        format!("io.kubernetes.cri.sandbox-name={NAME}"),
        format!("io.kubernetes.cri.sandbox-namespace={NAMESPACE}"),
        format!("io.kubernetes.cri.sandbox-uid={UID}"),
    ];
    if kind == "container" {
        annotations.push(format!("io.kubernetes.cri.container-name={CONTAINER}"));
        annotations.push(format!("io.kubernetes.cri.image-name={IMAGE}"));
    }
    annotations
}
