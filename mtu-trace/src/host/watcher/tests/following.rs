//! Namespaces that are made, changed, moved and destroyed while they are watched.

use super::*;

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

    a_full_look_finds_the_same(&mut watcher, &[a, b, c]);
}

/// What was followed is what a full look finds, save for threads that look around in there.
fn a_full_look_finds_the_same(watcher: &mut Watcher, ids: &[NetnsId]) {
    let followed = watcher.topology().clone();
    watcher.refresh(Depth::Everything, 0).expect("a look");
    for id in ids {
        let lasting = |topology: &Topology| Netns {
            process: None,
            container: None,
            ..topology.namespaces[id].clone()
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
        let died = Notice::Died(number);
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
            .find(|(_, file)| watcher.hub.assign(&file.fd).expect("a number") == number)
            .map(|(name, file)| (name, file.id))
            .expect("the number is given");
        lab.ip(&format!(
            "-n @a link add v8 type veth peer name v9 netns @{name}"
        ));
        // That links have changed was heard before: it is why there is a look.
        watcher.listen().expect("notices");
        watcher.pending.retain(|notice| match notice {
            Notice::Changed(..) => false,
            notice => !told_late || *notice != died,
        });

        // A look that is under way when that happens.
        let mut gone = BTreeSet::new();
        watcher.look_at_all();
        watcher.look().expect("a look");
        gone.append(&mut watcher.changes.gone);
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
