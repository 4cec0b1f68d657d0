//! Reads containers out of cgroup paths (`/proc/PID/cgroup`, versions 1 and 2).
//!
//! Container engines name a container's cgroup after the container's identifier, each in its way:
//!
//! ```text
//! /docker/<id>                                                   Docker, cgroupfs driver
//! /system.slice/docker-<id>.scope                                Docker, systemd driver
//! /docker/buildkit/<build id>                                    a step of docker build
//! /kubepods/burstable/pod<uid>/<id>                              Kubernetes, cgroupfs driver
//! /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope
//! /machine.slice/libpod-<id>.scope/container                     Podman
//! ```
//!
//! An engine inside a container appends its own paths to its container's: the last identifier in a
//! path is the container's, the one before it that of the container around it.
//!
//! systemd names them after its units.

use crate::base::text::printable;
use crate::host::identity::engine::{ENGINES, containerd, docker, is_sha256};

/// Where a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerCgroup {
    /// Identifier of the innermost container.
    pub id: String,
    /// Engine that made it.
    pub runtime: &'static str,
    /// UID of its Kubernetes pod, or identifier of its Podman pod.
    pub pod: Option<String>,
    /// Identifier of the container around it.
    pub outer: Option<String>,
}

/// The container of a process, from the contents of its `/proc/PID/cgroup`; `None` if it is in none
/// that is known.
#[must_use]
pub fn place(cgroup: &[u8]) -> Option<ContainerCgroup> {
    let lines = cgroup.split(|&byte| byte == b'\n');
    // `hierarchy:controllers:path`; the path may have colons.
    let paths = lines.filter_map(|line| line.splitn(3, |&byte| byte == b':').nth(2));
    // On a host with both versions only some of the hierarchies have the container's path.
    let deepest = paths.filter_map(nesting).max_by_key(|&(_, depth)| depth);
    deepest.map(|(place, _)| place)
}

/// The innermost container of a path, and how many there are.
fn nesting(path: &[u8]) -> Option<(ContainerCgroup, usize)> {
    let mut innermost: Option<ContainerCgroup> = None;
    let mut depth = 0;
    let mut pod = None;
    let mut above = "";
    for component in path.split(|&byte| byte == b'/') {
        // Components that are not UTF-8 are nobody's identifier, nor a known parent of one.
        let component = str::from_utf8(component).unwrap_or("?");
        if let Some((id, runtime)) = container(component, above, pod.as_deref()) {
            // systemd inside a Podman container repeats nothing, but Podman's own
            // `libpod-payload-` scope may sit in one of the same container.
            let repeated = innermost.as_ref().is_some_and(|known| known.id == id);
            if !repeated {
                depth += 1;
                innermost = Some(ContainerCgroup {
                    id: id.to_owned(),
                    runtime,
                    pod: pod.take(),
                    outer: innermost.map(|known| known.id),
                });
            }
        } else if let Some(uid) = pod_of(component) {
            pod = Some(uid);
        }
        above = component;
    }
    innermost.map(|place| (place, depth))
}

/// The container named by one component of a path, given the component above and the pod that
/// has been passed and has no container yet.
fn container<'a>(
    component: &'a str,
    above: &str,
    pod: Option<&str>,
) -> Option<(&'a str, &'static str)> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    for engine in ENGINES {
        let scopes = engine.scopes.iter();
        let mut ids = scopes.filter_map(|prefix| name.strip_prefix(prefix));
        let id = ids.find(|id| (engine.is_id)(id));
        let below = engine.parents.contains(&above) && (engine.is_id)(component);
        if let Some(id) = id.or(below.then_some(component)) {
            return Some((id, engine.name));
        }
    }
    // `--cgroup-parent` can be anything, and it is Docker that has it in common use.
    let runtime = pod.map_or(docker::ENGINE.name, |_| containerd::ENGINE.name);
    is_sha256(component).then_some((component, runtime))
}

/// The pod named by one component of a path.
fn pod_of(component: &str) -> Option<String> {
    let name = component.strip_suffix(".slice").unwrap_or(component);
    if let Some((_, id)) = name.rsplit_once("libpod_pod_") {
        return is_sha256(id).then(|| id.to_owned());
    }
    let uid = name
        .rsplit_once("-pod")
        .map(|(_, uid)| uid)
        .or_else(|| name.strip_prefix("pod"))?;
    // 32 hexadecimal digits with or without hyphens, which systemd has as underscores.
    let uid = uid.replace('_', "-");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = uid.bytes().filter(|&byte| byte == b'-').count();
    (digits == 32 && digits + hyphens == uid.len() && hyphens <= 4).then_some(uid)
}

/// The innermost service or scope of systemd in the contents of a `/proc/PID/cgroup`, such as
/// `docker.service`; `None` without systemd.
#[must_use]
pub fn unit(cgroup: &[u8]) -> Option<String> {
    let lines = cgroup.split(|&byte| byte == b'\n');
    let mut paths = lines.filter_map(|line| {
        // `hierarchy:controllers:path`; systemd's own are version 2 and `name=systemd`.
        let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
        let controllers = fields.next()?;
        (controllers.is_empty() || controllers == b"name=systemd").then(|| fields.next())?
    });
    let is_unit = |component: &&[u8]| {
        let name = component.strip_suffix(b".service");
        let name = name.or_else(|| component.strip_suffix(b".scope"));
        name.is_some_and(|name| !name.is_empty())
    };
    let innermost = paths.find_map(|path| path.rsplit(|&byte| byte == b'/').find(is_unit));
    innermost.map(printable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "3f4b1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c";
    const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "8f1c2a4e-5b6d-4c7e-9a0b-1c2d3e4f5a6b";
    const STEP: &str = "q2z0jx8v5m3k1t7r9w4y6b0c2";

    /// A text with the names in it for the identifiers above; `$uid` is as systemd writes it.
    fn filled(text: &str) -> String {
        let text = text.replace("$uid", &UID.replace('-', "_"));
        let names = [("$A", A), ("$B", B), ("$UID", UID), ("$STEP", STEP)];
        names
            .iter()
            .fold(text, |text, (name, id)| text.replace(name, id))
    }

    /// All that is found: engine, identifier, pod, and the container around it.
    fn found(path: &str) -> Option<String> {
        let place = place(format!("0::{path}\n").as_bytes())?;
        let pod = place.pod.map_or(String::new(), |pod| format!(" of {pod}"));
        let outer = place
            .outer
            .map_or(String::new(), |outer| format!(" in {outer}"));
        Some(format!("{} {}{pod}{outer}", place.runtime, place.id))
    }

    #[test]
    fn each_engine_has_its_way() {
        let session = "/user.slice/user-1000.slice/user@1000.service/user.slice";
        let pods = "/kubepods.slice/kubepods-besteffort.slice";
        for (path, expected) in [
            ("/docker/$A", "docker $A"),
            ("/system.slice/docker-$A.scope", "docker $A"),
            ("/system.slice/docker-$A.scope/init.scope", "docker $A"),
            (&format!("{session}/docker-$A.scope"), "docker $A"),
            ("/actions_job/$A", "docker $A"),
            // Seen from a cgroup namespace beside it.
            ("/../../system.slice/docker-$A.scope", "docker $A"),
            ("/kubepods/burstable/pod$UID/$A", "containerd $A of $UID"),
            ("/kubepods/pod$UID/$A", "containerd $A of $UID"),
            (
                &format!("{pods}/kubepods-besteffort-pod$uid.slice/cri-containerd-$A.scope"),
                "containerd $A of $UID",
            ),
            (
                "/kubepods.slice/kubepods-pod$uid.slice/crio-$A.scope",
                "cri-o $A of $UID",
            ),
            (
                "/kubepods.slice/kubepods-pod$uid.slice/crio-conmon-$A.scope",
                "",
            ),
            ("/machine.slice/libpod-$A.scope/container", "podman $A"),
            ("/machine.slice/libpod-conmon-$A.scope", ""),
            ("/libpod_parent/$A", "podman $A"),
            (
                "/machine.slice/machine-libpod_pod_$B.slice/libpod-$A.scope",
                "podman $A of $B",
            ),
            ("/k8s.io/$A", "containerd $A"),
            ("/docker/buildkit/$STEP", "buildkit $STEP"),
            ("/system.slice/docker-$STEP.scope", "buildkit $STEP"),
        ] {
            let found = found(&filled(path)).unwrap_or_default();
            assert_eq!(found, filled(expected), "{path}");
        }
    }

    #[test]
    fn nested_containers_are_told_apart() {
        let pods = "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice";
        let pod = "kubelet-kubepods-burstable-pod$uid.slice";
        for (path, expected) in [
            ("/docker/$A/docker/$B", "docker $B in $A"),
            ("/system.slice/docker-$A.scope/docker/$B", "docker $B in $A"),
            ("/docker/$A/docker/buildkit/$STEP", "buildkit $STEP in $A"),
            (
                "/kubepods/burstable/pod$UID/$A/docker/$B",
                "docker $B in $A",
            ),
            (
                &format!("/docker/$A/{pods}/{pod}/cri-containerd-$B.scope"),
                "containerd $B of $UID in $A",
            ),
            ("/libpod-$A.scope/libpod-payload-$A", "podman $A"),
        ] {
            assert_eq!(found(&filled(path)), Some(filled(expected)), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_is_none() {
        for path in [
            "/",
            "",
            "/init.scope",
            "/system.slice/docker.service",
            "/system.slice/containerd.service",
            "/docker/",
            "/docker/not-an-id",
            "/docker/buildkit/short",
            "/kubepods/burstable/podsomething/x",
            "/system.slice/docker-\u{1b}[2J.scope",
            &format!("/docker/{}", A.to_uppercase()),
            &format!("/docker/{A}0"),
        ] {
            assert_eq!(found(path), None, "{path}");
        }
        assert_eq!(place(b""), None);
        assert_eq!(place(b"\n:\n::\n0:/docker"), None);
    }

    #[test]
    fn version_1_has_many_lines() {
        let cgroup = format!(
            "12:pids:/docker/{A}\n3:cpu,cpuacct:/docker/{A}\n1:name=systemd:/docker/{A}/docker/{B}\n\
             0::/system.slice/containerd.service\n"
        );
        let place = place(cgroup.as_bytes()).expect("a container");
        assert_eq!((place.id.as_str(), place.outer.as_deref()), (B, Some(A)));
    }

    #[test]
    fn the_innermost_unit_is_found() {
        for (cgroup, expected) in [
            ("0::/system.slice/docker.service\n", Some("docker.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n",
                Some("app-x.scope"),
            ),
            (
                "0::/system.slice/getty.slice/getty@tty1.service/sub\n",
                Some("getty@tty1.service"),
            ),
            (
                "5:cpu:/x.service\n1:name=systemd:/init.scope\n",
                Some("init.scope"),
            ),
            ("0::/docker/0123\n", None),
            ("0::/.service\n", None),
            ("", None),
        ] {
            assert_eq!(unit(cgroup.as_bytes()).as_deref(), expected, "{cgroup}");
        }
    }

    #[test]
    fn hostile_names_are_made_printable() {
        let found = unit(b"0::/a\x1b[2J\xff\x9b.service").expect("a unit");
        assert_eq!(found, "a\\x1b[2J\\xff\\x9b.service");
        let long = [b"0::/", &[b'x'; 4096][..], b".service"].concat();
        assert!(unit(&long).expect("a unit").chars().count() <= 129);
    }

    proptest! {
        #[test]
        fn no_input_gets_through_raw(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&bytes);
        }

        #[test]
        fn nor_does_any_that_looks_right(parts in prop::collection::vec(prop_oneof![
            Just(A.to_owned()), Just(B.to_owned()), Just("docker".to_owned()),
            Just(format!("docker-{A}.scope")), Just(format!("pod{UID}")), Just("buildkit".to_owned()),
            Just(STEP.to_owned()), ".*",
        ], 0..12)) {
            check(format!("0::/{}", parts.join("/")).as_bytes());
        }
    }

    fn check(cgroup: &[u8]) {
        if let Some(place) = place(cgroup) {
            let texts = [Some(place.id), place.pod, place.outer].into_iter();
            for byte in texts.flatten().flat_map(String::into_bytes) {
                assert!(byte.is_ascii_alphanumeric() || byte == b'-');
            }
        }
    }
}
