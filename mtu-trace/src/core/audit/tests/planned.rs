//! Containers that are not there yet: found as if they were, said not to be, and of no consequence for
//! what is said of those that are.

use std::net::IpAddr;

use crate::core::audit::tests::*;
use crate::core::graph::fixture::network;
use crate::model::engine::MtuFrom;
use crate::model::finding::Confidence;
use crate::model::network::Address;

/// An engine in the container (2), whose inode number that is as well.
pub(crate) fn engine(bridge: &str, mtu_bytes: u32) -> Dockerd {
    Dockerd {
        pid: 123,
        netns_inode: 2,
        bridge: bridge.to_owned(),
        mtu_bytes,
        mtu_from: MtuFrom::Default,
    }
}

/// As [`nested`], before there is a container in the container.
pub(crate) fn waiting(uplink: u32, port: u32) -> Lab {
    let mut lab = nested(1500, uplink, port);
    lab.topology.namespaces.remove(&id(1));
    let veth = lab.index(2, "veth1");
    lab.netns(2).links.remove(&veth);
    lab.netns(2).inode = 2;
    lab
}

#[test]
fn what_the_first_container_would_suffer_is_what_one_suffers() {
    for (uplink, port) in [(1450, 1450), (1450, 1500), (1496, 1500)] {
        let lab = waiting(uplink, port);
        assert_eq!(brief(&check(&lab)), [""; 0]);
        let foreseen = check_with(&lab, &[engine("docker0", 1500)]);
        let real = check(&nested(1500, uplink, port));
        assert_eq!(brief(&foreseen), brief(&real));
        for (foreseen, real) in foreseen.iter().zip(&real) {
            assert_eq!(foreseen.confidence, real.confidence.min(Confidence::Likely));
            let interfaces = |finding: &Finding| -> Vec<(u32, String)> {
                let path = finding.path.iter();
                path.map(|hop| (hop.mtu_bytes, hop.kind.to_string()))
                    .collect()
            };
            assert_eq!(interfaces(foreseen), interfaces(real));
        }
    }
}

#[test]
fn it_is_said_that_nobody_is_there() {
    let told = Dockerd {
        mtu_from: MtuFrom::Settings("/etc/docker/daemon.json".to_owned()),
        ..engine("docker0", 1500)
    };
    for (engine, from) in [
        (engine("docker0", 1500), "by default"),
        (told, "as its /etc/docker/daemon.json says"),
    ] {
        let found = check_with(&waiting(1450, 1500), &[engine]);
        let hole = &found[0];
        assert_eq!(hole.severity, Severity::Error);
        assert!(
            hole.summary
                .starts_with("srv (eth0, MTU 1500) may send a new container on docker0 of out (eth0, MTU 1500) packets of 1500 bytes"),
            "{}",
            hole.summary
        );
        let note = hole.evidence.notes.last().expect("a note");
        let said = "no container is on docker0 of out yet: the engine there, dockerd (pid 123), would \
                    give a new one an MTU of 1500, ";
        assert!(
            note.starts_with(said) && note[said.len()..].starts_with(from),
            "{note}"
        );
        let end = &hole.path.last().expect("a way").netns;
        assert_eq!((end.inode, end.cookie, &end.name), (0, None, &None));
        let planned = end.planned.as_ref().expect("a planned container");
        assert_eq!(
            (planned.bridge.as_str(), planned.parent.label()),
            ("docker0", "out".to_owned())
        );
    }
}

#[test]
fn the_engine_is_the_one_to_change() {
    for finding in check_with(&waiting(1450, 1500), &[engine("docker0", 1500)]) {
        let fix = &finding.fixes[0];
        assert_eq!(
            fix.title,
            "Set the MTU of a new container on docker0 of out to 1450, it would be 1500"
        );
        assert!(
            fix.detail.starts_with(
                "Start its engine with `--mtu 1450` (\"mtu\": 1450 in its daemon.json"
            )
        );
        // Nobody can enter a namespace that is not there.
        assert!(fix.commands.is_empty());
        let commands = finding.fixes.iter().flat_map(|fix| &fix.commands);
        assert!(
            commands
                .into_iter()
                .all(|command| !command.contains("container"))
        );
    }
}

#[test]
fn it_is_the_end_to_change_where_no_way_out_leads_through_the_place() {
    let mut lab = waiting(1450, 1450);
    let (beyond, host) = ("203.0.113.0/28", "198.51.100.1");
    let routes = &mut lab.inside(2).routes;
    routes.retain(|route| route.destination.prefix_len > 0);
    lab.route(2, beyond, host, "eth0");
    let found = check_with(&lab, &[engine("docker0", 1500)]);
    assert_eq!(found.len(), 2);
    for finding in found {
        let title = &finding.fixes[0].title;
        assert!(title.contains("a new container on docker0"), "{title}");
    }
}

#[test]
fn an_engine_that_knows_is_left_alone() {
    for (uplink, port) in [(1450, 1450), (1450, 1500)] {
        let found = check_with(&waiting(uplink, port), &[engine("docker0", 1450)]);
        assert_eq!(brief(&found), [""; 0]);
    }
}

#[test]
fn nobody_is_thought_of_where_nobody_would_be() {
    let engines = [engine("docker0", 1500)];
    let elsewhere = Dockerd {
        netns_inode: 7,
        ..engine("docker0", 1500)
    };
    let lab = waiting(1450, 1450);
    for engines in [
        &[][..],
        &[elsewhere],
        &[engine("br7", 1500)],
        &[engine("eth0", 1500)],
        // Which of them is not known.
        &[engine("docker0", 1500), engine("docker0", 1450)],
    ] {
        assert_eq!(brief(&check_with(&lab, engines)), [""; 0], "{engines:?}");
    }
    let mut down = waiting(1450, 1450);
    down.link_mut(2, "docker0").up = false;
    let mut unnumbered = waiting(1450, 1450);
    unnumbered.link_mut(2, "docker0").addresses =
        vec![network("169.254.0.1/16"), network("fe80::1/64")];
    let mut full = waiting(1450, 1450);
    full.link_mut(2, "docker0").addresses = vec![network("192.0.2.1/32")];
    let mut taken = waiting(1450, 1450);
    taken.link(2, "tap0", "tun", 1500);
    taken.link_mut(2, "tap0").master = Some(taken.index(2, "docker0"));
    let mut gone = waiting(1450, 1450);
    gone.netns(2).gone = true;
    for lab in [down, unnumbered, full, taken, gone] {
        let planned = PlannedNetwork::new(&lab.topology, &engines);
        assert_eq!(*planned.topology, lab.topology);
        assert_eq!(Audit::new(&planned).figures.planned, 0);
    }
}

#[test]
fn engines_that_disagree_are_counted_where_one_would_be_foreseen() {
    let (small, large) = (engine("docker0", 1450), engine("docker0", 1500));
    for (engines, foreseen, disagreed) in [
        (vec![small.clone(), large.clone()], 0, 1),
        (vec![small.clone(), small.clone(), large.clone()], 0, 1),
        (vec![small.clone(), small.clone()], 1, 0),
        (vec![engine("br7", 1450), engine("br7", 1500)], 0, 0),
        (vec![small.clone(), engine("br7", 1500)], 1, 0),
    ] {
        let planned = PlannedNetwork::new(&waiting(1450, 1450).topology, &engines);
        let found = Audit::new(&planned).figures.planned;
        assert_eq!((found, planned.disagreed), (foreseen, disagreed));
    }
    // With a container on it, what is there is looked at.
    let mut lab = nested(1500, 1450, 1450);
    lab.netns(2).inode = 2;
    assert_eq!(
        PlannedNetwork::new(&lab.topology, &[small, large]).disagreed,
        0
    );
}

#[test]
fn those_that_are_there_are_judged_alone() {
    for (uplink, port) in [(1450, 1450), (1450, 1500), (1500, 1500)] {
        let mut lab = nested(1500, uplink, port);
        lab.netns(2).inode = 2;
        lab.bridge(2, "docker1", 1500, &[], false);
        lab.link(3, "ens18", "physical", 1400);
        lab.address(2, "docker1", "192.0.2.17/28")
            .address(3, "ens18", "198.51.100.17/28")
            .route(3, "0.0.0.0/0", "198.51.100.18", "ens18");
        let engines = [engine("docker1", 9000), engine("docker1", 9000)];
        let mut found = check_with(&lab, &engines);
        let before = check(&lab);
        found.retain(|finding| {
            let ends = [finding.path.first(), finding.path.last()];
            ends.into_iter()
                .flatten()
                .all(|hop| hop.netns.planned.is_none())
        });
        let nameless = |finding: &Finding| Finding {
            id: String::new(),
            ..finding.clone()
        };
        let nameless = |findings: &[Finding]| findings.iter().map(nameless).collect::<Vec<_>>();
        assert_eq!(nameless(&found), nameless(&before));
    }
}

/// An engine on the host (3) as well, with a bridge that waits.
fn waiting_too(lab: &mut Lab) -> Dockerd {
    lab.netns(3).inode = 3;
    lab.bridge(3, "docker0", 1500, &[], false);
    lab.address(3, "docker0", "10.0.0.1/24");
    Dockerd {
        netns_inode: 3,
        ..engine("docker0", 1500)
    }
}

#[test]
fn what_is_wrong_already_is_not_foreseen() {
    let mut lab = nested(1500, 1450, 1500);
    let outer = waiting_too(&mut lab);
    let found = check_with(&lab, std::slice::from_ref(&outer));
    assert_eq!(found, check(&lab));
    assert_eq!(found.len(), 2);
}

#[test]
fn one_is_thought_of_at_a_time() {
    let mut lab = waiting(1450, 1500);
    let alone = check_with(&lab, &[engine("docker0", 1500)]);
    let outer = waiting_too(&mut lab);
    let found = check_with(&lab, &[engine("docker0", 1500), outer]);
    assert_eq!(brief(&found), brief(&alone));
    for finding in &found {
        let ends = [finding.path.first(), finding.path.last()];
        let planned = ends.into_iter().flatten();
        assert_eq!(planned.filter(|hop| hop.netns.planned.is_some()).count(), 1);
    }
}

#[test]
fn what_is_not_there_is_not_counted() {
    let lab = waiting(1450, 1450);
    let alone = Audit::new(&PlannedNetwork::new(&lab.topology, &[])).figures;
    let engines = [engine("docker0", 1500), engine("docker0", 1500)];
    let planned = PlannedNetwork::new(&lab.topology, &engines);
    let audit = Audit::new(&planned);
    let figures = audit.figures;
    assert_eq!((alone.planned, figures.planned), (0, 1));
    assert_eq!(
        (alone.namespaces, alone.links),
        (figures.namespaces, figures.links)
    );
    assert!(figures.ways > alone.ways);
    // Nor has it rules to be read.
    assert_eq!(audit.concerned(), [2, 3, 4].map(id).into());
}

#[test]
fn a_bridge_follows_its_first_port_unless_it_was_set() {
    for (bridge, given, expected) in [(1500, 1450, 1450), (1500, 9000, 9000), (1400, 1450, 1400)] {
        let mut lab = waiting(1500, 1500);
        lab.link_mut(2, "docker0").mtu_bytes = bridge;
        let mut planned = Lab {
            topology: Arc::unwrap_or_clone(
                PlannedNetwork::new(&lab.topology, &[engine("docker0", given)]).topology,
            ),
        };
        assert_eq!(planned.link_mut(2, "veth*").mtu_bytes, given);
        assert_eq!(planned.link_mut(2, "docker0").mtu_bytes, expected);
    }
}

#[test]
fn an_address_is_one_that_nobody_has() {
    for (bridge, others, expected) in [
        (&["192.0.2.1/28"][..], &[][..], &["192.0.2.2/28"][..]),
        (&["192.0.2.2/28"], &[], &["192.0.2.1/28"]),
        (
            &["192.0.2.1/28"],
            &["192.0.2.2/28", "192.0.2.3/32"],
            &["192.0.2.4/28"],
        ),
        // Somebody elsewhere has the only one there is.
        (&["192.0.2.1/30"], &["192.0.2.2/28"], &["192.0.2.2/30"]),
        (&["192.0.2.1/31"], &[], &["192.0.2.0/31"]),
        (&["192.0.2.1/32"], &[], &[]),
        (&["2001:db8::1/64"], &[], &["2001:db8::2/64"]),
        (&["2001:db8::1/127"], &[], &["2001:db8::/127"]),
        (&["fe80::1/64", "2001:db8::1/0"], &[], &["::1/0"]),
        (
            &["172.17.0.1/16", "2001:db8::1/64"],
            &[],
            &["172.17.0.2/16", "2001:db8::2/64"],
        ),
    ] {
        let mut lab = waiting(1500, 1500);
        let addresses = |texts: &[&str]| texts.iter().map(|text| network(text)).collect();
        lab.link_mut(2, "docker0").addresses = addresses(bridge);
        lab.link_mut(4, "eth0").addresses = addresses(others);
        let planned = PlannedNetwork::new(&lab.topology, &[engine("docker0", 1500)]);
        let planned = planned.topology.namespaces.values();
        let found: Vec<Address> = planned
            .filter(|netns| netns.planned.is_some())
            .flat_map(|netns| netns.links.values())
            .flat_map(|link| link.addresses.clone())
            .collect();
        let expected: Vec<Address> = addresses(expected);
        assert_eq!(found, expected, "{bridge:?} {others:?}");
        assert!(
            found
                .iter()
                .all(|own| own.address != IpAddr::from([192, 0, 2, 255]))
        );
    }
}
