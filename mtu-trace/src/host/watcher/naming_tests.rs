//! Containers made by hand: processes with a namespace, a control group and a root directory of
//! their own, as engines make them. They need root and a writable cgroup2.

use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use super::*;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::Netns;

/// What the test has made, removed at its end.
struct Made {
    directory: PathBuf,
    cgroup: PathBuf,
    processes: Vec<libc::pid_t>,
}

impl Made {
    /// `None` where it cannot be.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            lab::skips::skip(module_path!(), "not root");
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mounted = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (point, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then_some(point)
        });
        let Some(mounted) = mounted else {
            lab::skips::skip(module_path!(), "no control groups of version 2 are mounted");
            return None;
        };
        let name = format!("mtt-naming-{}", std::process::id());
        let cgroup = Path::new(mounted).join(&name);
        if let Err(error) = fs::create_dir(&cgroup) {
            lab::skips::skip(module_path!(), &format!("no control groups: {error}"));
            return None;
        }
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a directory");
        Some(Self {
            directory,
            cgroup,
            processes: Vec::new(),
        })
    }

    /// Starts a process in a namespace of its own, with this root, control group and name.
    fn process(&mut self, root: &Path, cgroup: &str, comm: &str) -> i32 {
        let root = std::ffi::CString::new(root.as_os_str().as_bytes()).expect("a path");
        let comm = std::ffi::CString::new(comm).expect("a name");
        let (reader, writer) = io::pipe().expect("a pipe");
        let write_end = OwnedFd::from(writer);
        // SAFETY: the child calls nothing but system calls, and never returns.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: system calls only, with pointers to strings made before the fork.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::prctl(libc::PR_SET_NAME, comm.as_ptr());
                let made =
                    libc::unshare(libc::CLONE_NEWNET) == 0 && libc::chroot(root.as_ptr()) == 0;
                let byte = [u8::from(made)];
                libc::write(
                    std::os::fd::AsRawFd::as_raw_fd(&write_end),
                    byte.as_ptr().cast(),
                    1,
                );
                loop {
                    libc::pause();
                }
            }
        }
        drop(write_end);
        assert!(pid > 0, "no process");
        self.processes.push(pid);
        let mut byte = [0];
        { reader }
            .read_exact(&mut byte)
            .expect("the child is ready");
        assert_eq!(byte, [1], "no namespace or root");
        let group = self.cgroup.join(cgroup);
        fs::create_dir_all(&group).expect("a control group");
        fs::write(group.join("cgroup.procs"), pid.to_string()).expect("it is moved");
        pid
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for &pid in &self.processes {
            // SAFETY: signals and waits for a child of this process.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
        remove_groups(&self.cgroup);
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

/// Control groups are removed like directories, but their files cannot be.
fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _gone = fs::remove_dir(group);
}

fn of(topology: &Topology, pid: i32) -> (NetnsId, &Netns) {
    let found = topology.namespaces.iter().find(|(_, netns)| {
        netns
            .process
            .as_ref()
            .is_some_and(|process| process.pid == pid)
    });
    let (&id, netns) = found.expect("the process's namespace");
    (id, netns)
}

#[test]
fn nested_containers_have_the_names_their_own_engine_gives() {
    let Some(mut made) = Made::new() else { return };
    let [outer, inner, liar] = ["a", "b", "c"].map(|digit| digit.repeat(64));
    let root = made.directory.join("root");
    let state = |id: &str| root.join(format!("var/lib/docker/containers/{id}"));
    for id in [&inner, &liar] {
        fs::create_dir_all(state(id)).expect("a directory");
    }
    let config = br#"{ "Name": "/build\u001b[2J", "Config": { "Image": "ruby:3" } }"#;
    fs::write(state(&inner).join("config.v2.json"), config).expect("a file");
    // Another container has its engine's file point to one of the host's.
    let of_the_host = made.directory.join("secret.json");
    fs::write(&of_the_host, br#"{ "Name": "/of-the-host" }"#).expect("a file");
    let link = state(&liar).join("config.v2.json");
    std::os::unix::fs::symlink(&of_the_host, link).expect("a link");

    let engine = made.process(&root, &format!("docker/{outer}"), "dockerd");
    let step = made.process(
        &root,
        &format!("docker/{outer}/docker/{inner}"),
        "ruby\u{1b}[31m",
    );
    let other = made.process(&root, &format!("docker/{outer}/docker/{liar}"), "x");

    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a look");
    let topology = watcher.topology();
    let (outer_netns, around) = of(topology, engine);
    assert_eq!(around.container.as_ref().expect("a container").id, outer);
    let (id, netns) = of(topology, step);
    let container = netns.container.as_ref().expect("a container");
    assert_eq!(container.id, inner);
    assert_eq!(container.name.as_deref(), Some("build\\x1b[2J"));
    assert_eq!(container.image.as_deref(), Some("ruby:3"));
    assert_eq!(container.parent, Some(outer_netns));
    let comm = &netns.process.as_ref().expect("a process").comm;
    assert_eq!(comm, "ruby\\x1b[31m");
    assert_eq!(
        NetnsRef::new(id, topology).chain().as_deref(),
        Some("build\\x1b[2J (docker bbbbbbbbbbbb, image ruby:3), in docker aaaaaaaaaaaa")
    );
    let (_, netns) = of(topology, other);
    let container = netns.container.as_ref().expect("a container");
    assert_eq!(
        (container.id.as_str(), container.name.as_deref()),
        (liar.as_str(), None)
    );

    // A name that is written down later is found later.
    let link = state(&liar).join("config.v2.json");
    fs::remove_file(&link).expect("it is there");
    fs::write(&link, br#"{ "Name": "/late" }"#).expect("a file");
    watcher.refresh(Depth::Normal, 1).expect("a look");
    let name = |watcher: &Watcher| {
        let (_, netns) = of(watcher.topology(), other);
        netns
            .container
            .as_ref()
            .and_then(|container| container.name.clone())
    };
    assert_eq!(name(&watcher), None);
    watcher.follow(3_000_000_000).expect("a look");
    assert_eq!(name(&watcher).as_deref(), Some("late"));
}

/// A process moves into the namespace of another one, which was started later and lives there.
#[test]
#[expect(
    clippy::zombie_processes,
    reason = "what `Made` has in its list it waits for at the end"
)]
fn a_visitor_does_not_name_a_namespace() {
    let Some(mut made) = Made::new() else { return };
    let script = "read pid && exec nsenter --target $pid --net sh -c 'echo in && exec sleep 60'";
    let mut visitor = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    made.processes.push(visitor.id().cast_signed());
    let own = made.process(Path::new("/"), "resident", "resident");
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a look");
    let (id, _) = of(watcher.topology(), own);

    let mut stdin = visitor.stdin.take().expect("a pipe");
    writeln!(stdin, "{own}").expect("it reads");
    let mut word = [0; 3];
    let mut stdout = visitor.stdout.take().expect("a pipe");
    stdout.read_exact(&mut word).expect("it has moved");
    for depth in [Depth::Quick, Depth::Normal, Depth::Everything] {
        watcher.refresh(depth, 1).expect("a look");
        let process = watcher.topology().namespaces[&id].process.clone();
        assert_eq!(process.expect("a process").pid, own, "{depth:?}");
    }
    // When nobody else is left, it is by whom the namespace can be entered.
    // SAFETY: signals and waits for a child of this process.
    unsafe {
        libc::kill(own, libc::SIGKILL);
        libc::waitpid(own, std::ptr::null_mut(), 0);
    }
    made.processes.retain(|&pid| pid != own);
    watcher.refresh(Depth::Normal, 2).expect("a look");
    let process = watcher.topology().namespaces[&id].process.clone();
    assert_eq!(
        process.expect("a process").pid.cast_unsigned(),
        visitor.id()
    );
}
