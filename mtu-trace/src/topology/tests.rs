//! Tests on real namespaces. They need root and `ip`, and pass without a look where there is none.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::*;

/// Namespaces with names of this test only, removed at its end.
struct Lab {
    prefix: &'static str,
    children: Vec<Child>,
}

impl Lab {
    /// `None` without root.
    fn new(prefix: &'static str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: not root");
            return None;
        }
        let lab = Self {
            prefix,
            children: Vec::new(),
        };
        lab.clean();
        Some(lab)
    }

    /// Runs `ip`, with `@x` in an argument for the name of namespace `x`.
    fn ip(&self, arguments: &str) {
        let arguments = arguments.replace('@', &self.name(""));
        run(Command::new("ip").args(arguments.split_whitespace()));
    }

    fn name(&self, netns: &str) -> String {
        // Another run of these tests may be under way.
        format!("mtt-{}{}-{netns}", self.prefix, std::process::id())
    }

    fn clean(&self) {
        let Ok(entries) = fs::read_dir("/run/netns") else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&self.name("")) {
                run(Command::new("ip").args(["netns", "del", &name]));
            }
        }
    }
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

fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn watcher() -> Watcher {
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    watcher
}

/// The id of the namespace with a name, gone ones excluded.
fn find(topology: &Topology, name: &str) -> Option<NetnsId> {
    topology
        .namespaces
        .iter()
        .find(|(_, netns)| netns.name.as_deref() == Some(name) && !netns.gone)
        .map(|(&id, _)| id)
}

fn link<'a>(topology: &'a Topology, netns: &str, name: &str) -> (NetnsId, u32, &'a Link) {
    let id = find(topology, netns).unwrap_or_else(|| panic!("{netns} in {topology:#?}"));
    let netns = &topology.namespaces[&id];
    let (&ifindex, link) = netns
        .links
        .iter()
        .find(|(_, link)| link.name == name)
        .unwrap_or_else(|| panic!("{name} in {netns:#?}"));
    (id, ifindex, link)
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
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
    let changes = watcher.follow(0).expect("a look");
    let topology = watcher.topology();
    let (a, index_a, v0) = link(topology, &lab.name("a"), "v0");
    let (b, index_b, v1) = link(topology, &lab.name("b"), "v1");
    assert!(changes.added.contains(&b));
    assert!(changes.changed.contains(&a));
    let peer = |netns, ifindex| {
        let netns = Some(netns);
        Some(Peer { netns, ifindex })
    };
    assert_eq!((v0.peer, v1.peer), (peer(b, index_b), peer(a, index_a)));
    assert_eq!(
        (v0.kind.as_str(), v0.mtu_bytes, v0.up),
        ("veth", 1500, false)
    );

    lab.ip("-n @b link set v1 mtu 1450 up");
    lab.ip("-n @b addr add 192.0.2.1/24 dev v1");
    lab.ip("-n @b addr add 2001:db8::1/64 dev v1 nodad");
    lab.ip("netns exec @b sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    let changes = watcher.follow(0).expect("a look");
    assert!(changes.changed.contains(&b) && !changes.added.contains(&b));
    let (_, _, v1) = link(watcher.topology(), &lab.name("b"), "v1");
    assert_eq!((v1.mtu_bytes, v1.up), (1450, true));
    let own: Vec<String> = v1
        .addresses
        .iter()
        .map(|own| format!("{}/{}", own.address, own.prefix_len))
        .collect();
    assert!(own.contains(&"192.0.2.1/24".to_owned()), "{own:?}");
    assert!(own.contains(&"2001:db8::1/64".to_owned()), "{own:?}");
    let netns = &watcher.topology().namespaces[&b];
    assert!(netns.forwards_ipv4 && netns.forwards_ipv6);
    assert!(!watcher.topology().namespaces[&a].forwards_ipv4);

    // The end in a third namespace is not told when this one moves.
    lab.ip("netns add @c");
    lab.ip("-n @b link set v1 netns @c name v2");
    watcher.follow(0).expect("a look");
    let topology = watcher.topology();
    let (c, index_c, v2) = link(topology, &lab.name("c"), "v2");
    let (_, _, v0) = link(topology, &lab.name("a"), "v0");
    assert_eq!((v0.peer, v2.peer), (peer(c, index_c), peer(a, index_a)));

    // What was followed is what a full look finds.
    let followed = watcher.topology().clone();
    watcher.refresh(Depth::Everything, 0).expect("a look");
    for id in [a, b, c] {
        assert_eq!(followed.namespaces[&id], watcher.topology().namespaces[&id]);
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
    // With it goes the other end of its veth, which nothing of ours holds.
    wait_for("the end of v0", || {
        watcher.follow(3).expect("a look");
        let a = find(watcher.topology(), &lab.name("a")).expect("a lives");
        let netns = &watcher.topology().namespaces[&a];
        !netns.links.values().any(|link| link.name == "v0")
    });
    let netns = &watcher.topology().namespaces[&b];
    assert!(!watcher.hub.is_alive(i32::MAX));
    assert!(
        watcher
            .hub
            .is_alive(watcher.records.values().next().expect("one").nsid)
    );
    assert!(netns.gone && netns.links.values().any(|link| link.name == "v1"));
    assert_eq!(netns.name, Some(lab.name("b")));
    assert!(watcher.open(b).is_err());

    watcher.follow(59_000_000_000).expect("a look");
    assert!(watcher.topology().namespaces.contains_key(&b));
    watcher.follow(61_000_000_000).expect("a look");
    assert!(!watcher.topology().namespaces.contains_key(&b));
}

#[test]
fn reused_inodes_are_told_apart_and_nothing_leaks() {
    let Some(lab) = Lab::new("reuse") else { return };
    let mut watcher = watcher();
    let mut ids = BTreeSet::new();
    let mut inodes = BTreeSet::new();
    let mut files = 0;
    for round in 0..40 {
        lab.ip("netns add @x");
        lab.ip(&format!("-n @x link add r{round} type bridge"));
        // The one before may take its time to die; cookies are not in order (`gen_cookie`).
        let changes = watcher.refresh(Depth::Normal, 0).expect("a look");
        let is_x = |id: &&NetnsId| watcher.topology().namespaces[id].name == Some(lab.name("x"));
        let id = *changes.added.iter().find(is_x).expect("x is found");
        let netns = &watcher.topology().namespaces[&id];
        let names: Vec<&str> = netns
            .links
            .values()
            .map(|link| link.name.as_str())
            .collect();
        assert!(names.contains(&format!("r{round}").as_str()), "{names:?}");
        assert!(ids.insert(id), "{id:?} again");
        inodes.insert(netns.inode);
        lab.ip("netns del @x");
        if round == 0 {
            files = descriptors();
        }
    }
    // Otherwise this has tested nothing.
    assert!(inodes.len() < ids.len(), "no inode number was reused");
    assert!(
        descriptors() <= files + 8,
        "{} files, was {files}",
        descriptors()
    );
    wait_for("the last one's death", || {
        watcher.follow(0).expect("a look");
        watcher
            .topology()
            .namespaces
            .values()
            .filter(|netns| !netns.gone)
            .all(|netns| netns.name != Some(lab.name("x")))
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
    let script = "mount -t tmpfs none /run && mkdir -p /run/docker/netns && ip netns add mtt-inner \
                  && touch /run/docker/netns/1234 \
                  && mount --bind /run/netns/mtt-inner /run/docker/netns/1234 \
                  && ip netns exec mtt-inner ip link add mtt-deep type bridge && echo ready && exec sleep 60";
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    let mut ready = [0; 6];
    let mut stdout = child.stdout.take().expect("a pipe");
    lab.children.push(child);
    std::io::Read::read_exact(&mut stdout, &mut ready).expect("the script is ready");

    let watcher = watcher();
    let (id, _, _) = link(watcher.topology(), "mtt-inner", "mtt-deep");
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
    watcher.follow(0).expect("a look");
    let events = watcher.events().expect("a descriptor");
    lab.ip("-n @a link add d0 type bridge");
    let waited = tokio::time::timeout(Duration::from_secs(5), events.readable()).await;
    let mut guard = waited.expect("in time").expect("readable");
    let changes = watcher.follow(0).expect("a look");
    guard.clear_ready();
    let a = find(watcher.topology(), &lab.name("a")).expect("a is known");
    assert!(changes.changed.contains(&a));
}
