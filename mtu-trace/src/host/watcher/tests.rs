//! Tests on real namespaces. They need root and `ip`, and pass without a look where there is none.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::{fd::AsFd, unix::ffi::OsStringExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    host::watcher::{Changes, notice::Notice},
    model::network::{Link, Netns, Peer},
};

/// How the names of all namespaces of these tests begin. The test, a process id and a hyphen follow.
const PREFIX: &str = "mtt-";
/// How long to wait for the kernel, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces with names of this test only, removed at its end, or by the next run if this one
/// does not get that far.
pub(crate) struct Lab {
    prefix: &'static str,
    children: Vec<Child>,
}

impl Lab {
    /// `None` without root.
    pub fn new(prefix: &'static str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: not root");
            return None;
        }
        let lab = Self {
            prefix,
            children: Vec::new(),
        };
        lab.clean();
        remove_namespaces(is_left_over);
        Some(lab)
    }

    /// Runs `ip`, with `@x` in an argument for the name of namespace `x`.
    pub fn ip(&self, arguments: &str) {
        let arguments = arguments.replace('@', &self.name(""));
        run(Command::new("ip").args(arguments.split_whitespace()));
    }

    pub fn name(&self, netns: &str) -> String {
        // Another run of these tests may be under way.
        format!("{PREFIX}{}{}-{netns}", self.prefix, std::process::id())
    }

    fn clean(&self) {
        remove_namespaces(|name| name.starts_with(&self.name("")));
    }
}

fn remove_namespaces(which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if which(&name) {
            // Another test may be quicker.
            let _outcome = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

/// Whether a namespace is that of a run of these tests whose process has died.
fn is_left_over(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

/// The process id in a name that [`Lab::name`] gives.
fn owner(name: &str) -> Option<&str> {
    let (lab, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let pid = lab.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let digits = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    (digits && pid.len() < lab.len()).then_some(pid)
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _gone = child.kill();
            let _status = child.wait();
        }
        self.clean();
    }
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn watcher() -> Watcher {
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    watcher
}

/// The id of the namespace with a name, gone ones excluded.
pub(crate) fn find(topology: &Topology, name: &str) -> Option<NetnsId> {
    topology
        .namespaces
        .iter()
        .find(|(_, netns)| netns.name.as_deref() == Some(name) && !netns.gone)
        .map(|(&id, _)| id)
}

pub(crate) fn link<'a>(
    topology: &'a Topology,
    netns: &str,
    name: &str,
) -> (NetnsId, u32, &'a Link) {
    let id = find(topology, netns).unwrap_or_else(|| panic!("{netns} in {topology:#?}"));
    let netns = &topology.namespaces[&id];
    let (&ifindex, link) = netns
        .links
        .iter()
        .find(|(_, link)| link.name == name)
        .unwrap_or_else(|| panic!("{name} in {netns:#?}"));
    (id, ifindex, link)
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Follows until the topology is as wished, and says what has changed on the way.
fn follow_until(
    watcher: &mut Watcher,
    what: &str,
    mut done: impl FnMut(&Topology) -> bool,
) -> Changes {
    let mut all = Changes::default();
    wait_for(what, || {
        let changes = watcher.follow(0).expect("a look");
        all.added.extend(changes.added);
        all.changed.extend(changes.changed);
        all.gone.extend(changes.gone);
        done(watcher.topology())
    });
    all
}

/// Whether a namespace has a link with this name.
fn has(topology: &Topology, netns: &str, name: &str) -> bool {
    find(topology, netns).is_some_and(|id| names(topology, id).contains(&name))
}

fn names(topology: &Topology, id: NetnsId) -> Vec<&str> {
    let links = topology.namespaces[&id].links.values();
    links.map(|link| link.name.as_str()).collect()
}

#[test]
fn namespaces_of_dead_runs_are_removed() {
    let mut dead = Command::new("true").spawn().expect("true runs");
    dead.wait().expect("it ends");
    // Made before the lab, by a run that has ended.
    let left = format!("{PREFIX}pair{}-a", dead.id());
    let own = format!("{PREFIX}pair{}-a", std::process::id());
    assert!(is_left_over(&left) && !is_left_over(&own));
    for other in [
        "mtt-inner",
        "mtt-1-a",
        "mtt-pair-a",
        "mtt-p1x-a",
        "mtl1x0-a",
    ] {
        assert_eq!(owner(other), None, "{other}");
    }
    if rustix::process::geteuid().is_root() {
        // It may fail: another test's lab can remove it as soon as it is there.
        let _made = Command::new("ip").args(["netns", "add", &left]).output();
        let _lab = Lab::new("left");
        assert!(!Path::new("/run/netns").join(&left).exists());
    }
}

#[test]
fn veths_are_paired_across_namespaces_and_followed() {
    let Some(lab) = Lab::new("pair") else { return };
    lab.ip("netns add @a");
    let mut watcher = watcher();
    assert!(find(watcher.topology(), &lab.name("a")).is_some());
    assert!(find(watcher.topology(), &lab.name("b")).is_none());

    // A namespace becomes known by a link to it; equal indices on purpose.
    lab.ip("netns add @b");
    lab.ip("-n @a link add v0 type veth peer name v1 netns @b");
    let known = find(watcher.topology(), &lab.name("a")).expect("a is known");
    let changes = follow_until(&mut watcher, "both ends", |topology| {
        has(topology, &lab.name("a"), "v0") && has(topology, &lab.name("b"), "v1")
    });
    let topology = watcher.topology();
    let (a, index_a, v0) = link(topology, &lab.name("a"), "v0");
    let (b, index_b, v1) = link(topology, &lab.name("b"), "v1");
    assert!(changes.added.contains(&b));
    assert_eq!(a, known);
    assert!(changes.changed.contains(&a) && !changes.added.contains(&a));
    assert!(!changes.gone.contains(&a) && !changes.gone.contains(&b));
    let peer = |netns, ifindex| {
        let netns = Some(netns);
        Some(Peer { netns, ifindex })
    };
    assert_eq!((v0.peer, v1.peer), (peer(b, index_b), peer(a, index_a)));
    assert_eq!((v0.kind.name(), v0.mtu_bytes, v0.up), ("veth", 1500, false));

    lab.ip("-n @b link set v1 mtu 1450 up");
    lab.ip("-n @b addr add 192.0.2.1/24 dev v1");
    lab.ip("-n @b addr add 2001:db8::1/64 dev v1 nodad");
    lab.ip("netns exec @b sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    let changes = follow_until(&mut watcher, "what was set", |topology| {
        let (b, _, v1) = link(topology, &lab.name("b"), "v1");
        let netns = &topology.namespaces[&b];
        v1.up && v1.addresses.len() == 2 && netns.forwards_ipv4 && netns.forwards_ipv6
    });
    assert!(changes.changed.contains(&b) && !changes.added.contains(&b));
    assert!(!changes.gone.contains(&b));
    let (_, _, v1) = link(watcher.topology(), &lab.name("b"), "v1");
    assert_eq!((v1.mtu_bytes, v1.up), (1450, true));
    let own: Vec<String> = v1
        .addresses
        .iter()
        .map(|own| format!("{}/{}", own.address, own.prefix_len))
        .collect();
    assert!(own.contains(&"192.0.2.1/24".to_owned()), "{own:?}");
    assert!(own.contains(&"2001:db8::1/64".to_owned()), "{own:?}");
    assert!(!watcher.topology().namespaces[&a].forwards_ipv4);

    // This alone, without anything about addresses or forwarding.
    lab.ip("-n @b link set v1 mtu 1400");
    let changes = follow_until(&mut watcher, "the lower MTU", |topology| {
        link(topology, &lab.name("b"), "v1").2.mtu_bytes == 1400
    });
    assert!(changes.changed.contains(&b));

    // The end in a third namespace is not told when this one moves.
    lab.ip("netns add @c");
    lab.ip("-n @b link set v1 netns @c name v2");
    follow_until(&mut watcher, "the move", |topology| {
        has(topology, &lab.name("c"), "v2") && !has(topology, &lab.name("b"), "v1")
    });
    let topology = watcher.topology();
    let (c, index_c, v2) = link(topology, &lab.name("c"), "v2");
    let (_, _, v0) = link(topology, &lab.name("a"), "v0");
    assert_eq!((v0.peer, v2.peer), (peer(c, index_c), peer(a, index_a)));

    // What was followed is what a full look finds, save for threads that look around in there.
    let followed = watcher.topology().clone();
    watcher.refresh(Depth::Everything, 0).expect("a look");
    for id in [a, b, c] {
        let lasting = |topology: &Topology| Netns {
            process: None,
            container: None,
            ..topology.namespaces[&id].clone()
        };
        assert_eq!(lasting(&followed), lasting(watcher.topology()));
    }
}

#[test]
fn what_is_watched_can_go() {
    let Some(lab) = Lab::new("pin") else { return };
    lab.ip("netns add @a");
    lab.ip("netns add @b");
    lab.ip("-n @a link add v0 type veth peer name v1 netns @b");
    let mut watcher = watcher();
    let b = find(watcher.topology(), &lab.name("b")).expect("b is found");
    let file = watcher.open(b).expect("b can be opened");
    assert_eq!(file.id, b);
    drop(file);
    watcher.refresh(Depth::Everything, 1).expect("a look");

    lab.ip("netns del @b");
    let mut gone = BTreeSet::new();
    wait_for("the death of b", || {
        gone.extend(watcher.follow(2).expect("a look").gone);
        gone.contains(&b)
    });
    let a = find(watcher.topology(), &lab.name("a")).expect("a lives");
    assert!(!gone.contains(&a));
    // With it goes the other end of its veth, which nothing of ours holds.
    wait_for("the end of v0", || {
        watcher.follow(3).expect("a look");
        !names(watcher.topology(), a).contains(&"v0")
    });
    let netns = &watcher.topology().namespaces[&b];
    assert!(!watcher.hub.is_alive(i32::MAX));
    assert!(watcher.hub.is_alive(watcher.records[&a].nsid));
    assert!(netns.gone && netns.links.values().any(|link| link.name == "v1"));
    assert_eq!(netns.name, Some(lab.name("b")));
    assert!(watcher.open(b).is_err());

    watcher.follow(59_000_000_000).expect("a look");
    assert!(watcher.topology().namespaces.contains_key(&b));
    watcher.follow(61_000_000_000).expect("a look");
    assert!(!watcher.topology().namespaces.contains_key(&b));
}

#[test]
fn a_reused_number_mixes_nothing_up() {
    let Some(lab) = Lab::new("number") else {
        return;
    };
    for told_late in [false, true] {
        lab.clean();
        lab.ip("netns add @a");
        lab.ip("netns add @b");
        lab.ip("-n @a link add v0 type veth peer name v1 netns @b");
        let mut watcher = watcher();
        let [a, b] = ["a", "b"].map(|name| find(watcher.topology(), &lab.name(name)));
        let (a, b) = (a.expect("a is found"), b.expect("b is found"));
        let number = watcher.records[&b].nsid;
        // The watcher has taken in all there is to hear. Then b dies and its number goes to another.
        lab.ip("netns del @b");
        let died = Notice::Died { nsid: number };
        wait_for("word of the death", || {
            watcher.listen().expect("notices");
            watcher.pending.contains(&died)
        });
        let (name, c) = (0..)
            .map(|index| {
                let name = format!("c{index}");
                lab.ip(&format!("netns add @{name}"));
                let path = format!("/run/netns/{}", lab.name(&name));
                (name, NetnsFile::open(path).expect("it opens"))
            })
            // The lowest free number comes first, and only so many are lower.
            .take(number as usize + 1)
            .find(|(_, file)| watcher.hub.assign(file.as_fd()).expect("a number") == number)
            .map(|(name, file)| (name, file.id))
            .expect("the number is given");
        lab.ip(&format!(
            "-n @a link add v8 type veth peer name v9 netns @{name}"
        ));
        // That links have changed was heard before: it is why there is a look.
        watcher.listen().expect("notices");
        watcher.pending.retain(|notice| match notice {
            Notice::Changed { .. } => false,
            notice => !told_late || *notice != died,
        });

        // A look that is under way when that happens.
        let mut gone = BTreeSet::new();
        let mut changes = Changes::default();
        watcher.look_at_all();
        watcher.look(0, &mut changes).expect("a look");
        gone.append(&mut changes.gone);
        if told_late {
            watcher.pending.push(died);
        }
        gone.append(&mut watcher.follow(0).expect("a look").gone);
        let topology = watcher.topology();
        assert!(gone.contains(&b) && topology.namespaces[&b].gone);
        assert!(!gone.contains(&a) && !gone.contains(&c));
        let of_b = names(topology, b);
        assert!(of_b.contains(&"v1") && !of_b.contains(&"v9"), "{of_b:?}");
        let (found_a, _, v8) = link(topology, &lab.name("a"), "v8");
        let (found_c, ifindex, _) = link(topology, &lab.name(&name), "v9");
        let netns = Some(c);
        assert_eq!((found_a, found_c), (a, c));
        assert_eq!(v8.peer, Some(Peer { netns, ifindex }));
        follow_until(&mut watcher, "the end of v0", |topology| {
            !has(topology, &lab.name("a"), "v0")
        });
    }
}

#[test]
fn a_loss_of_notices_kills_only_the_dead() {
    let Some(lab) = Lab::new("loss") else { return };
    lab.ip("netns add @a");
    lab.ip("netns add @b");
    lab.ip("netns add @held");
    lab.ip("-n @a link add v0 type veth peer name v1 netns @b");
    lab.ip("-n @a link add r0 type bridge");
    let mut watcher = watcher();
    let [a, b, held] =
        ["a", "b", "held"].map(|name| find(watcher.topology(), &lab.name(name)).expect("found"));
    let number = watcher.records[&b].nsid;
    let file = NetnsFile::open(format!("/run/netns/{}", lab.name("held"))).expect("it opens");
    let (leave, stay) = mpsc::channel::<()>();
    let (enter, inside) = mpsc::channel();
    let holder = thread::spawn(move || {
        file.run(move || {
            enter.send(()).expect("somebody waits");
            stay.recv().is_err()
        })
    });
    inside.recv().expect("the thread is inside");
    lab.ip("netns del @held");
    lab.ip("netns del @b");
    wait_for("the death of b", || !watcher.hub.is_alive(number));
    watcher.listen().expect("notices");
    watcher.pending.clear();
    watcher.pending.push(Notice::Lost);
    let changes = watcher.follow(0).expect("a look");
    assert!(changes.gone.contains(&b));
    assert!(names(watcher.topology(), b).contains(&"v1"));
    for id in [a, held] {
        assert!(!changes.gone.contains(&id) && !changes.added.contains(&id));
        assert!(!watcher.topology().namespaces[&id].gone);
    }
    follow_until(&mut watcher, "the end of v0", |topology| {
        !has(topology, &lab.name("a"), "v0")
    });
    assert!(has(watcher.topology(), &lab.name("a"), "r0"));
    drop(leave);
    let left = holder.join().expect("the thread ends");
    assert!(left.expect("it was inside"));
    wait_for("the death of the one held", || {
        watcher.follow(0).expect("a look").gone.contains(&held)
    });
}

#[test]
fn reused_inodes_are_told_apart_and_nothing_leaks() {
    let Some(lab) = Lab::new("reuse") else { return };
    let mut watcher = watcher();
    let mut ids = BTreeSet::new();
    let mut inodes = BTreeSet::new();
    let mut files = 0;
    let end = Instant::now() + PATIENCE;
    // The kernel gives the lowest inode number that is free, and others may take it.
    for round in 0.. {
        if round >= 40 && inodes.len() < ids.len() {
            break;
        }
        assert!(Instant::now() < end, "no inode number was reused");
        lab.ip("netns add @x");
        lab.ip(&format!("-n @x link add r{round} type bridge"));
        // The one before may take its time to die; cookies are not in order (`gen_cookie`).
        let changes = watcher.refresh(Depth::Normal, 0).expect("a look");
        let is_x = |id: &&NetnsId| watcher.topology().namespaces[id].name == Some(lab.name("x"));
        let id = *changes.added.iter().find(is_x).expect("x is found");
        let names = names(watcher.topology(), id);
        assert!(names.contains(&format!("r{round}").as_str()), "{names:?}");
        assert!(ids.insert(id), "{id:?} again");
        inodes.insert(watcher.topology().namespaces[&id].inode);
        lab.ip("netns del @x");
        if round == 0 {
            files = descriptors();
        }
    }
    follow_until(&mut watcher, "the death of all", |topology| {
        ids.iter().all(|id| topology.namespaces[id].gone)
    });
    // The other tests of this process have theirs, for a while.
    wait_for("the end of other tests' files, or of leaked ones", || {
        descriptors() <= files + 8
    });
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[test]
fn a_namespace_without_processes_in_another_mount_namespace_is_found() {
    let Some(mut lab) = Lab::new("mount") else {
        return;
    };
    // What a nested dockerd looks like from outside: its mounts are seen by nobody else.
    let script = "mount -t tmpfs none /run && mkdir -p /run/docker/netns && ip netns add $0 \
                  && touch /run/docker/netns/1234 \
                  && mount --bind /run/netns/$0 /run/docker/netns/1234 \
                  && ip -n $0 link add mtt-deep type bridge && echo ready && exec sleep 60";
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(lab.name("inner"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    let mut ready = [0; 6];
    let mut stdout = child.stdout.take().expect("a pipe");
    lab.children.push(child);
    io::Read::read_exact(&mut stdout, &mut ready).expect("the script is ready");

    let watcher = watcher();
    let (id, _, _) = link(watcher.topology(), &lab.name("inner"), "mtt-deep");
    assert_eq!(watcher.topology().namespaces[&id].process, None);
    assert_eq!(watcher.open(id).expect("it can be opened").id, id);
}

#[test]
fn hostile_names_are_shown_tamed() {
    let Some(lab) = Lab::new("name") else { return };
    lab.ip("netns add @a");
    let hostile = OsString::from_vec(b"\x1b[31m\xff\xfe".to_vec());
    let name = lab.name("a");
    run(Command::new("ip")
        .args(["-n", &name, "link", "add"])
        .arg(&hostile)
        .args(["type", "bridge"]));
    run(Command::new("ip")
        .args(["-n", &name, "link", "set"])
        .arg(&hostile)
        .args([OsStr::new("alias"), &hostile]));
    let watcher = watcher();
    link(watcher.topology(), &name, "\\x1b[31m\\xff\\xfe");
}

#[test]
fn the_caller_stays_where_it_is() {
    let Some(lab) = Lab::new("run") else { return };
    lab.ip("netns add @a");
    let before = NetnsFile::current().expect("the own namespace");
    let file = NetnsFile::open(format!("/run/netns/{}", lab.name("a"))).expect("a opens");
    let inside = file
        .run(|| {
            let forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a sysctl");
            let after = fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
            (NetnsFile::current().map(|file| file.id), forward, after)
        })
        .expect("a thread");
    assert_eq!(inside.0.expect("a is entered"), file.id);
    assert_ne!(inside.1.expect("a sysctl"), inside.2.expect("a sysctl"));
    let after = NetnsFile::current().expect("the own namespace");
    assert_eq!(before.id, after.id);
    assert_ne!(after.id, file.id);
}

#[test]
fn who_is_inside_is_found_later_too() {
    let Some(mut lab) = Lab::new("who") else {
        return;
    };
    lab.ip("netns add @a");
    let mut watcher = watcher();
    let id = find(watcher.topology(), &lab.name("a")).expect("a is known");
    assert_eq!(watcher.topology().namespaces[&id].process, None);
    let child = Command::new("ip")
        .args(["netns", "exec", &lab.name("a"), "sleep", "60"])
        .spawn()
        .expect("ip runs");
    lab.children.push(child);
    for depth in [Depth::Quick, Depth::Normal] {
        wait_for("the process", || {
            watcher.refresh(depth, 0).expect("a look");
            let process = watcher.topology().namespaces[&id].process.as_ref();
            process.is_some_and(|process| process.comm == "sleep")
        });
        // By the process and by the mount.
        assert!(watcher.records[&id].found.places.len() >= 2);
        assert_eq!(watcher.open(id).expect("it can be opened").id, id);
    }
}

#[tokio::test]
async fn changes_wake_the_waiting() {
    let Some(lab) = Lab::new("wake") else { return };
    lab.ip("netns add @a");
    let mut watcher = watcher();
    let a = find(watcher.topology(), &lab.name("a")).expect("a is known");
    let events = watcher.events().expect("a descriptor");
    lab.ip("-n @a link add d0 type bridge");
    let changed = async {
        // Other namespaces wake it too.
        loop {
            let mut guard = events.readable().await.expect("readable");
            let changes = watcher.follow(0).expect("a look");
            guard.clear_ready();
            if changes.changed.contains(&a) {
                break;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, changed).await;
    waited.expect("in time");
    assert!(has(watcher.topology(), &lab.name("a"), "d0"));
}
