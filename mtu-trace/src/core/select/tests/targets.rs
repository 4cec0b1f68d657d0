//! Which namespaces are meant by what words.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::core::select::targets::TargetError;
use crate::core::select::*;
use crate::model::network::{Container, Netns, NetnsId, Process, Topology};

const HOST: NetnsId = NetnsId(1);
const DIND: NetnsId = NetnsId(2);
const BUILD: NetnsId = NetnsId(3);
const OTHER: NetnsId = NetnsId(4);
const LAB: NetnsId = NetnsId(5);

/// A host, a container with one inside, another one, and a namespace with a name.
fn topology() -> Topology {
    let mut topology = Topology::default();
    for (inode, id) in (100..).zip([HOST, DIND, BUILD, OTHER, LAB]) {
        let netns = Netns {
            inode,
            init: id == HOST,
            ..Netns::default()
        };
        topology.namespaces.insert(id, netns);
    }
    let container = |start: &str, name: Option<&str>, parent| Container {
        id: format!("{start:0<64}"),
        name: name.map(str::to_owned),
        image: None,
        runtime: "docker".to_owned(),
        pod: None,
        pod_name: None,
        parent,
    };
    let known = |id, container| (id, container);
    for (id, container) in [
        known(DIND, container("abc1", Some("dind"), None)),
        known(BUILD, container("abd2", Some("build"), Some(DIND))),
        known(OTHER, container("ffff", Some("abc"), None)),
    ] {
        edit(&mut topology, id).container = Some(container);
    }
    edit(&mut topology, LAB).name = Some("lab".to_owned());
    edit(&mut topology, HOST).process = Some(Process {
        pid: 1,
        comm: "init".to_owned(),
    });
    topology
}

fn edit(topology: &mut Topology, id: NetnsId) -> &mut Netns {
    topology.namespaces.get_mut(&id).expect("a namespace")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn netns(names: &[&str]) -> Selection {
    Selection {
        netns: words(names),
        ..Selection::default()
    }
}

fn container(names: &[&str]) -> Selection {
    Selection {
        container: words(names),
        ..Selection::default()
    }
}

fn scope(selection: &Selection) -> Scope {
    let mut scope = selection.recorded().expect("a selection");
    scope.learn(&topology());
    scope
}

/// The namespaces a connection in which is selected.
fn chosen(selection: &Selection) -> Vec<NetnsId> {
    let scope = scope(selection);
    let all = [HOST, DIND, BUILD, OTHER, LAB];
    all.into_iter().filter(|&id| has(&scope, id)).collect()
}

fn has(scope: &Scope, id: NetnsId) -> bool {
    let mut subject = Subject::default();
    subject.places.insert(id);
    scope.includes(&subject)
}

#[test]
fn nothing_asked_is_everything() {
    assert!(scope(&Selection::default()).is_everything());
    assert_eq!(chosen(&Selection::default()).len(), 5);
    assert_eq!(scope(&Selection::default()).selected(0), None);
    // As clap gives it when there are no words.
    let empty = Selection {
        filter: words(&["", " "]),
        ..Selection::default()
    };
    assert!(scope(&empty).is_everything());
}

#[test]
fn namespaces_by_name_and_inode() {
    assert_eq!(chosen(&netns(&["lab"])), [LAB]);
    assert_eq!(chosen(&netns(&["100", "lab"])), [HOST, LAB]);
    assert_eq!(chosen(&netns(&["la"])), []);
    // Containers have an option of their own.
    assert_eq!(chosen(&netns(&["build"])), []);
    let mut numbered = topology();
    edit(&mut numbered, LAB).name = Some("0102".to_owned());
    let mut scope = netns(&["0102"]).recorded().expect("a selection");
    scope.learn(&numbered);
    assert!(has(&scope, LAB) && has(&scope, BUILD));
}

#[test]
fn containers_by_name_identifier_and_its_start() {
    assert_eq!(chosen(&container(&["build"])), [BUILD]);
    assert_eq!(chosen(&container(&["/build"])), [BUILD]);
    assert_eq!(chosen(&container(&["abd"])), [BUILD]);
    assert_eq!(chosen(&container(&[&format!("{:0<64}", "abd2")])), [BUILD]);
    assert_eq!(chosen(&container(&["buil"])), []);
    assert_eq!(chosen(&container(&["BUILD"])), []);
    // A name goes before the start of an identifier.
    assert_eq!(chosen(&container(&["abc"])), [OTHER]);
}

#[test]
fn a_container_holds_those_inside_it() {
    assert_eq!(chosen(&container(&["dind"])), [DIND, BUILD]);
    let mut circle = topology();
    edit(&mut circle, DIND)
        .container
        .as_mut()
        .expect("it")
        .parent = Some(BUILD);
    let mut scope = container(&["dind"]).recorded().expect("a selection");
    scope.learn(&circle);
    assert!(has(&scope, BUILD) && !has(&scope, OTHER));
}

#[test]
fn a_pod_is_its_containers() {
    let mut pods = topology();
    let sandbox = edit(&mut pods, OTHER).container.as_mut().expect("it");
    sandbox.pod_name = Some("ci/runner-1".to_owned());
    let mut scope = container(&["ci/runner-1"]).recorded().expect("a selection");
    scope.learn(&pods);
    assert!(has(&scope, OTHER) && !has(&scope, BUILD));
}

#[test]
fn kinds_must_all_fit() {
    let both = Selection {
        netns: words(&["lab", "100"]),
        container: words(&["build"]),
        ..Selection::default()
    };
    assert_eq!(chosen(&both), []);
    let scope = scope(&both);
    let mut subject = Subject::default();
    subject.places.insert(BUILD);
    subject.places.insert(HOST);
    assert!(scope.includes(&subject));
}

#[test]
fn what_is_gone_stays_selected_and_what_comes_is_added() {
    let mut scope = container(&["dind"]).recorded().expect("a selection");
    let (mut before, mut after) = (topology(), topology());
    before.namespaces.remove(&BUILD);
    after.namespaces.remove(&DIND);
    scope.learn(&before);
    assert!(has(&scope, DIND) && !has(&scope, BUILD));
    scope.learn(&after);
    assert!(has(&scope, DIND) && has(&scope, BUILD));
    scope.complete().expect("it was there");
}

#[test]
fn recorded_files_and_processes() {
    assert_eq!(chosen(&netns(&["/run/netns/lab"])), [LAB]);
    assert_eq!(chosen(&netns(&["/var/run/netns/lab"])), [LAB]);
    assert_eq!(chosen(&netns(&["/proc/1/ns/net"])), [HOST]);
    assert_eq!(chosen(&netns(&["/run/netns/100"])), []);
    let first = Selection {
        pid: vec![1],
        ..Selection::default()
    };
    assert_eq!(chosen(&first), [HOST]);
    for file in ["/proc/self/ns/net", "/run/docker/netns/1", "./lab", "/"] {
        let error = netns(&[file]).recorded().expect_err(file);
        let wanted = matches!(error, SelectError::Target(TargetError::Foreign(_)));
        assert!(wanted && error.to_string().contains(file), "{error}");
    }
}

/// Files of this machine, as `live` is told of them.
fn resolve(path: &Path) -> io::Result<NetnsId> {
    match path.to_str() {
        Some("/proc/7/ns/net" | "/run/netns/lab") => Ok(LAB),
        Some("/dev/null") => Err(ErrorKind::InvalidInput.into()),
        Some("/proc/8/ns/net") => Err(ErrorKind::PermissionDenied.into()),
        _ => Err(ErrorKind::NotFound.into()),
    }
}

#[test]
fn the_living_are_found_by_file_and_process() {
    let asked = Selection {
        pid: vec![7],
        ..Selection::default()
    };
    for asked in [
        asked,
        netns(&["/proc/7/ns/net"]),
        netns(&["/run/netns/lab"]),
    ] {
        let scope = asked.live(&resolve).expect("a namespace");
        assert!(has(&scope, LAB) && !has(&scope, NetnsId(u64::MAX)));
        assert_eq!(scope.absent().count(), 0);
    }
}

#[test]
fn what_cannot_come_is_an_error_and_what_may_is_waited_for() {
    let gone = Selection {
        pid: vec![i32::MAX],
        ..Selection::default()
    };
    let error = gone.live(&resolve).expect_err("no such process");
    assert!(matches!(
        error,
        SelectError::Target(TargetError::NoProcess(_))
    ));
    for file in ["/dev/null", "/nowhere/at/all", "/proc/8/ns/net"] {
        let error = netns(&[file]).live(&resolve).expect_err(file);
        assert!(error.to_string().contains(file), "{error}");
    }
    let mut scope = netns(&["/run/netns/not-yet", "not-yet"])
        .live(&resolve)
        .expect("a name");
    assert_eq!(scope.absent().count(), 2);
    let mut later = topology();
    edit(&mut later, LAB).name = Some("not-yet".to_owned());
    scope.learn(&later);
    assert!(has(&scope, LAB) && scope.absent().count() == 0);
}

#[test]
fn who_is_missing_is_told_with_who_is_there() {
    let says = |selection: &Selection, wanted: &[&str]| {
        let error = scope(selection).complete().expect_err("nobody").to_string();
        for words in wanted {
            assert!(error.contains(words), "{words} is not in: {error}");
        }
    };
    says(
        &netns(&["lba"]),
        &[
            "--netns lba is not there",
            "lab (104)",
            "100 (the host)",
            "101",
        ],
    );
    says(&netns(&["build"]), &["--container build"]);
    says(
        &container(&["biuld", "dind"]),
        &["--container biuld", "dind (abc100000000)", "abc (ffff"],
    );
    let process = Selection {
        pid: vec![77],
        ..Selection::default()
    };
    says(&process, &["--pid 77", "1 (init)"]);
    let mut none = container(&["x"]).recorded().expect("a selection");
    none.learn(&Topology::default());
    let error = none.complete().expect_err("nobody").to_string();
    assert!(error.contains("no containers are known"), "{error}");
}

/// With more namespaces than one message has room for, the one that was misspelled is among those named.
#[test]
fn what_is_spelled_alike_is_told_first() {
    let mut crowd = topology();
    for n in 0..50 {
        let netns = Netns {
            inode: 1000 + n,
            name: Some(format!("runner-{n}")),
            ..Netns::default()
        };
        crowd.namespaces.insert(NetnsId(1000 + n), netns);
    }
    for (asked, meant) in [("labb", "lab (104)"), ("runner_37", "runner-37 (1037)")] {
        let mut scope = netns(&[asked]).recorded().expect("a selection");
        scope.learn(&crowd);
        let error = scope.complete().expect_err("nobody").to_string();
        assert!(error.contains(&format!("are {meant}, ")), "{error}");
        assert!(error.ends_with("and 43 more"), "{error}");
    }
}

#[test]
fn a_report_tells_what_was_asked() {
    let asked = Selection {
        netns: words(&["lab", "lba"]),
        container: words(&["build"]),
        pid: vec![1],
        filter: words(&["port", "80"]),
    };
    let selected = scope(&asked).selected(2).expect("a selection");
    assert_eq!(selected.filter.as_deref(), Some("port 80"));
    assert_eq!(selected.unmatched, ["--netns lba"]);
    assert_eq!(
        selected.to_string(),
        "selected: netns lab or lba and container build and pid 1 and filter \"port 80\"; 2 findings outside \
         are not shown; never there: --netns lba"
    );
}
