//! Who is who, and how what is hidden is found.

use super::*;
use crate::host::watcher::discover::NetnsPath;

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
    let deep =
        |(_, netns): &(&NetnsId, &Netns)| netns.links.values().any(|link| link.name == "mtt-deep");
    let found = watcher.topology().namespaces.iter().find(deep);
    let (&id, netns) = found.expect("it is found");
    assert_eq!(netns.process, None);
    // It has a name there, which is none of the host's: `ip netns exec` would lead elsewhere.
    assert_eq!(netns.name, None);
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

/// A thread of this very process is in a namespace: that is one place more to open it by, and no
/// process that lives there.
#[test]
fn a_visiting_thread_names_nobody() {
    let Some(lab) = Lab::new("visit") else { return };
    lab.ip("netns add @a");
    let file = NetnsFile::open(format!("/run/netns/{}", lab.name("a"))).expect("a opens");
    let (enter, inside) = mpsc::channel();
    let (leave, stay) = mpsc::channel::<()>();
    let visitor = thread::spawn(move || {
        file.run(move || {
            enter.send(()).expect("somebody waits");
            stay.recv().is_err()
        })
    });
    inside.recv().expect("the thread is inside");
    let mut watcher = watcher();
    watcher.refresh(Depth::Everything, 0).expect("a look");
    let id = find(watcher.topology(), &lab.name("a")).expect("a is known");
    let places = &watcher.records[&id].found.places;
    let by_thread =
        |place: &&NetnsPath| matches!(place, NetnsPath::Proc(path) if path.contains("/task/"));
    assert!(places.iter().any(|place| by_thread(&place)), "{places:?}");
    let netns = &watcher.topology().namespaces[&id];
    assert_eq!((&netns.process, &netns.container), (&None, &None));
    drop(leave);
    assert!(
        visitor
            .join()
            .expect("the thread ends")
            .expect("it was inside")
    );
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
