//! The host: a directory for a root and namespaces for mounts, processes and the network, in which an
//! engine runs as it would on a machine of its own; and the namespace of the package server outside.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::address::{EXTERNAL, Family};
use lab::link::{self, End};
use lab::patience::patient;
use lab::process::{Finished, Running, finish};
use lab::{Lab, Netns};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::images::Images;
use super::notify::Notify;
use super::remains::{Machine, Remains};
use super::server::Server;

/// How long an engine may take to start.
pub const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one command of it may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// The MTU of the network that the outer container is in, as on a node with an overlay network.
pub const NARROW: u32 = 1450;
/// The name of that network.
pub const NETWORK: &str = "ci";
/// The image of the outer container.
pub const OUTER_IMAGE: &str = "ci/dind:1";

/// Where namespaces have names, and what is said of one.
const NAMED: &str = "/run/netns/";

/// A host with an engine. All of it is removed when this is dropped, and on signals.
pub struct Host {
    first: i32,
    server: Server,
    remains: Removal,
    running: Running,
    machine: Machine,
    state: PathBuf,
    lab: Lab,
}

/// A directory by both its names.
pub struct Place {
    /// The path on this machine.
    pub outside: PathBuf,
    /// The path that the host sees.
    pub inside: String,
}

impl Host {
    /// Starts one with the image of the outer container and its network; what it writes is in `cache`.
    pub fn start(images: &Images, cache: &Path) -> Result<Self> {
        let machine = Machine::now()?;
        let mut lab = Lab::new()?;
        let runs = cache.join("run");
        sweep(&runs)?;
        let state = runs.join(lab.id());
        let remains = Removal(Arc::new(Mutex::new(Remains::new(lab.id(), &state))));
        let on_signal = Arc::clone(&remains.0);
        lab::on_signal(move || {
            remove(&on_signal);
            // But for the named namespaces, which the lab removes next.
            if let Ok(left) = lock(&on_signal).left() {
                for what in left.iter().filter(|what| !what.contains(NAMED)) {
                    eprintln!("dind: {what} stays behind");
                }
            }
        })?;

        lab.add(&["host", "srv"])?;
        connect(&lab)?;
        for directory in ["run/notify", "docker"] {
            let directory = state.join(directory);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let notify = Notify::new(&state.join("run/notify"), "host")?;
        let running = start(&lab, images, &state)?;
        if let Err(error) = notify.wait(&running, patient(START_LIMIT)) {
            // However it ends, what it says tells why.
            drop(remains);
            let said = match running.finish(Duration::ZERO) {
                Ok(finished) => finished.stderr,
                Err(error) => format!("{error:#}"),
            };
            return Err(error.context(format!("the outer engine does not start:\n{said}")));
        }
        let first = child(running.pid())?;
        let pid = Pid::from_raw(first).context("a process id is not 0")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("opening a pidfd")?;
        lock(&remains.0).ends_with(pidfd);
        let server = Server::start(lab.netns("srv")?)?;
        let host = Self {
            running,
            first,
            server,
            remains,
            machine,
            state,
            lab,
        };
        host.furnish(images)?;
        Ok(host)
    }

    /// Imports the outer image and makes the network.
    fn furnish(&self, images: &Images) -> Result<()> {
        let mut import = Command::new("sh");
        // Not what a host has and an image must not.
        import.args([
            "-ec",
            "root=$1; shift; tar -C \"$root\" --exclude=./var/lib/docker/* --exclude=./run/* --exclude=./srv/base/* -c . | \
             \"$@\"",
            "sh",
        ]);
        import.arg(&images.host);
        let docker = self.docker(&["import", "-", OUTER_IMAGE]);
        import.arg(docker.get_program()).args(docker.get_args());
        succeed(
            &finish(&mut import, patient(COMMAND_LIMIT))?,
            "importing the outer image",
        )?;
        self.run(&[
            "network",
            "create",
            "--opt",
            &format!("com.docker.network.driver.mtu={NARROW}"),
            "--subnet",
            "198.51.100.0/25",
            NETWORK,
        ])?;
        Ok(())
    }

    /// A command in the host.
    pub fn enter<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.first.to_string())
            .args(["--mount", "--net", "--pid", "--"])
            // Nothing that the user has set for the machine's own engine.
            .args([
                "/usr/bin/env",
                "-i",
                "PATH=/usr/sbin:/usr/bin",
                "HOME=/root",
            ])
            .args(words);
        command
    }

    /// The engine's client, in the host.
    pub fn docker<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.enter(&["docker"]);
        command.args(arguments);
        command
    }

    /// The root directory of what is built from, as the host sees it.
    pub fn base() -> &'static str {
        "/srv/base"
    }

    /// What the engine's client prints.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let mut command = self.docker(arguments);
        let line = format!("{command:?}");
        let finished = finish(&mut command, patient(COMMAND_LIMIT))?;
        succeed(&finished, &line)
    }

    /// Runs a command line that mtu-trace printed, as it is printed.
    pub fn as_printed(&self, line: &str) -> Result<()> {
        let finished = finish(
            Command::new("sh").args(["-c", line]),
            patient(COMMAND_LIMIT),
        )?;
        succeed(&finished, line).map(drop)
    }

    /// The network namespace of the host.
    pub fn netns(&self) -> Result<&Netns> {
        self.lab.netns("host")
    }

    /// The namespace of the package server.
    pub fn outside(&self) -> Result<&Netns> {
        self.lab.netns("srv")
    }

    /// What the names of all that belongs to this host begin with.
    pub fn id(&self) -> &str {
        self.lab.id()
    }

    /// The package server outside the host.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where a file may be that is removed with the host.
    pub fn scratch(&self, name: &str) -> String {
        self.state.join(name).display().to_string()
    }

    /// A directory that can be made, which the host sees as well.
    pub fn place(&self, name: &str) -> Place {
        Place {
            outside: self.state.join("run").join(name),
            inside: format!("/run/{name}"),
        }
    }

    /// The process with which the host ends.
    pub fn process(&self) -> &Running {
        &self.running
    }

    /// A socket for an engine in a container that has [`Host::notify_volume`].
    pub fn notify(&self, name: &str) -> Result<Notify> {
        Notify::new(&self.state.join("run/notify"), name)
    }

    /// The volume by which an engine in a container says that it is ready.
    pub fn notify_volume() -> &'static str {
        "/run/notify:/run/notify"
    }

    /// Ends it, and fails if anything of it stays.
    pub fn end(self) -> Result<()> {
        let Self {
            running,
            server,
            remains,
            machine,
            lab,
            ..
        } = self;
        lock(&remains.0).remove()?;
        drop((running, server, lab));
        let left = lock(&remains.0).left()?;
        ensure!(
            left.is_empty(),
            "something stays behind:\n{}",
            left.join("\n")
        );
        machine.compare()
    }
}

/// The output of a command that must succeed.
pub fn succeed(finished: &Finished, line: &str) -> Result<String> {
    if !finished.status.success() {
        bail!(
            "{line}: {}: {}{}",
            finished.status,
            finished.stdout,
            finished.stderr
        );
    }
    Ok(finished.stdout.trim().to_owned())
}

/// The cable between the host and the outside. The server sees only the host: engines translate.
fn connect(lab: &Lab) -> Result<()> {
    let (host, outside) = (lab.netns("host")?, lab.netns("srv")?);
    let end = |netns| End {
        netns,
        name: "ext0",
        mtu: 1500,
    };
    link::veth(end(host), end(outside))?;
    for (netns, number) in [(host, 1), (outside, 10)] {
        netns.ip(&format!(
            "{}\nlink set ext0 up\n",
            EXTERNAL.assign(number, "ext0")
        ))?;
    }
    Ok(())
}

/// The address of the package server.
pub fn server_address() -> std::net::IpAddr {
    EXTERNAL.host(10, Family::V4)
}

fn start(lab: &Lab, images: &Images, state: &Path) -> Result<Running> {
    let mut command = Command::new("setpriv");
    command
        // However this program ends, the host does.
        .args(["--pdeathsig", "KILL", "nsenter"])
        .arg(format!("--net=/run/netns/{}", lab.netns("host")?.name()))
        .args(["unshare", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--kill-child", "env", "-i"])
        .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["sh", "usr/sbin/host"])
        .args([state, &images.base])
        .args([lab.id(), "--bip", "198.51.100.129/28"])
        .current_dir(&images.host);
    Running::start(&mut command)
}

/// The only child of a process.
fn child(pid: u32) -> Result<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let child = children.split_whitespace().next();
    child
        .context("the host has no process")?
        .parse()
        .context("a process id is a number")
}

/// Removes what runs that were killed left in `runs`. Their processes have ended with them.
fn sweep(runs: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(runs) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        if !lab::is_alive(&id) {
            Remains::new(&id, &entry.path()).remove()?;
        }
    }
    Ok(())
}

fn remove(remains: &Mutex<Remains>) {
    let outcome = lock(remains).remove();
    if let Err(error) = outcome {
        eprintln!("dind: {error:#}");
    }
}

fn lock(remains: &Mutex<Remains>) -> std::sync::MutexGuard<'_, Remains> {
    remains.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the host however this program goes on.
struct Removal(Arc<Mutex<Remains>>);

impl Drop for Removal {
    fn drop(&mut self) {
        remove(&self.0);
    }
}
