//! The outer container with its inner engine, and the builds that the inner engine does.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::patience::patient;
use lab::process::{Running, finish};

use super::host::{Host, NETWORK, OUTER_IMAGE, START_LIMIT, succeed};
use super::images::Images;

/// The outer container, as a CI system names a step's.
pub const OUTER: &str = "ci-step";
/// The image that is built from.
pub const BASE_IMAGE: &str = "ci/base:1";
/// How long a build may take that does not hang.
const BUILD_LIMIT: Duration = Duration::from_secs(60);
/// What `--privileged` gives and an engine needs.
const RIGHTS: [&str; 7] = [
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=SYS_CHROOT",
    "--cap-add=MKNOD",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
];

/// An outer container whose engine is ready.
pub struct Outer<'a> {
    host: &'a Host,
    /// As the outer engine has it.
    pub id: String,
}

/// A container, as its engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The identifier as the engine has it, in full.
    pub id: String,
    /// The name, without the slash that the engine puts before it.
    pub name: String,
    /// The image that its configuration names.
    pub image: String,
}

impl<'a> Outer<'a> {
    /// Starts it, its engine with `options`. The container gets `rights` besides.
    pub fn start(
        host: &'a Host,
        images: &Images,
        rights: &[&str],
        options: &[&str],
    ) -> Result<Self> {
        let notify = host.notify("inner")?;
        let arguments = [
            &["run", "--detach", "--name", OUTER, "--network", NETWORK],
            &RIGHTS[..],
            &[
                "--volume",
                Host::notify_volume(),
                "--volume",
                "/var/lib/docker",
            ],
            rights,
            &[OUTER_IMAGE, "engine"],
            options,
        ]
        .concat();
        let id = host.run(&arguments)?;
        let outer = Self { host, id };
        if let Err(error) = notify.wait(host.process(), patient(START_LIMIT)) {
            let log = host
                .run(&["logs", "--tail", "20", OUTER])
                .unwrap_or_default();
            return Err(error.context(format!("the inner engine does not start:\n{log}")));
        }
        let mut import = Command::new("sh");
        import.args([
            "-ec",
            "root=$1; shift; tar -C \"$root\" -c . | \"$@\"",
            "sh",
        ]);
        import.arg(&images.base);
        let docker = outer.client(&["--interactive"], &["import", "-", BASE_IMAGE]);
        import.arg(docker.get_program()).args(docker.get_args());
        succeed(
            &finish(&mut import, patient(BUILD_LIMIT))?,
            "importing the base image",
        )?;
        Ok(outer)
    }

    fn client(&self, exec: &[&str], arguments: &[&str]) -> Command {
        self.host
            .docker(&[&["exec"], exec, &[OUTER, "docker"], arguments].concat())
    }

    /// The client of the inner engine.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        self.client(&[], arguments)
    }

    /// What the client of the inner engine prints.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.docker(arguments);
        let line = format!("{command:?}");
        succeed(&finish(&mut command, patient(BUILD_LIMIT))?, &line)
    }

    /// A `docker build` of `context` with `options`, whose steps are containers like others.
    pub fn build(&self, context: &str, options: &[&str]) -> Command {
        let environment = ["--env", "DOCKER_BUILDKIT=0"];
        self.client(
            &environment,
            &[&["build", "--no-cache"], options, &[context]].concat(),
        )
    }

    /// The build that hangs, with a limit as `timeout` has it.
    pub fn limited_build(&self, limit: &str) -> Command {
        let build = ["docker", "build", "--no-cache", super::APP];
        let exec = ["exec", "--env", "DOCKER_BUILDKIT=0", OUTER];
        self.host
            .docker(&[&exec[..], &["timeout", limit], &build].concat())
    }

    /// Starts one by BuildKit, whose steps no engine lists.
    pub fn start_buildkit(&self) -> Result<Running> {
        let environment = ["--env", "DOCKER_BUILDKIT=1"];
        let build = ["build", "--no-cache", "--progress=plain", super::APP];
        Running::start(&mut self.client(&environment, &build))
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt_buildkit(&self) -> Result<()> {
        self.host
            .run(&["exec", OUTER, "sh", "-c", "kill -INT $(pidof docker)"])?;
        self.host.server().hang_up();
        Ok(())
    }

    /// Starts a build of the application with `options`.
    pub fn start_build(&self, options: &[&str]) -> Result<Running> {
        Running::start(&mut self.build(super::APP, options))
    }

    /// Does such a build, which must succeed, and returns what it prints.
    pub fn build_whole(&self, options: &[&str]) -> Result<String> {
        let mut command = self.build(super::APP, options);
        succeed(&finish(&mut command, patient(BUILD_LIMIT))?, "docker build")
    }

    /// The container of the only build step that runs now.
    pub fn step(&self) -> Result<Container> {
        let ids = self.run(&["ps", "--quiet", "--no-trunc"])?;
        let mut ids = ids.lines();
        let id = ids
            .next()
            .context("no container runs in the inner engine")?;
        ensure!(
            ids.next().is_none(),
            "more than one container runs in the inner engine"
        );
        self.inspect(id)
    }

    /// What the inner engine says of a container.
    pub fn inspect(&self, name: &str) -> Result<Container> {
        let format = "{{.Id}} {{.Name}} {{.Config.Image}}";
        let told = self.run(&["inspect", "--format", format, name])?;
        let [id, name, image] = told.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("docker inspect says {told:?}");
        };
        Ok(Container {
            id: id.to_owned(),
            name: name.trim_start_matches('/').to_owned(),
            image: image.to_owned(),
        })
    }

    /// Ends a step that hangs, and with it its build.
    pub fn give_up(&self, step: &Container) -> Result<()> {
        self.run(&["kill", &step.id])?;
        self.host.server().hang_up();
        Ok(())
    }

    /// Removes the container and all that its engine keeps.
    pub fn remove(self) -> Result<()> {
        self.host
            .run(&["rm", "--force", "--volumes", OUTER])
            .map(drop)
    }
}
