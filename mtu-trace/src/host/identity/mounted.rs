//! Reads a container's identifier out of what is mounted in it.
//!
//! With a cgroup namespace of its own, or with the host's cgroups, a container's cgroup path tells
//! nothing. But engines mount files of their own over `/etc/hostname`, `/etc/hosts` and
//! `/etc/resolv.conf`, and those lie in a directory named after the container.

use crate::host::identity::engine::{ENGINES, is_sha256};
use crate::host::mounts::bound;

/// What engines mount over.
pub(crate) const FILES: [&[u8]; 3] = [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf"];

/// The identifier and the engine of a container, from a process's `/proc/PID/mountinfo`.
#[must_use]
pub fn place(mountinfo: &[u8]) -> Option<(String, &'static str)> {
    bound(mountinfo)
        .filter(|mount| FILES.contains(&mount.point))
        .find_map(|mount| container(mount.root))
}

/// `…/containers/<id>/hostname` is Docker's, `…/overlay-containers/<id>/userdata/hostname` Podman's
/// and CRI-O's, `…/sandboxes/<id>/hostname` containerd's for a pod.
fn container(root: &[u8]) -> Option<(String, &'static str)> {
    let mut above = "";
    for component in root.split(|&byte| byte == b'/') {
        // What is not UTF-8 is nobody's identifier, nor a known directory of one.
        let component = str::from_utf8(component).unwrap_or("?");
        let engine = ENGINES.iter().find(|it| it.directory == Some(above));
        if let Some(engine) = engine.filter(|_| is_sha256(component)) {
            return Some((component.to_owned(), engine.name));
        }
        above = component;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f4b1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c";

    fn found(root: &str, point: &str) -> Option<(String, &'static str)> {
        let line = format!("700 690 8:1 {root} {point} rw,relatime - ext4 /dev/sda1 rw\n");
        place(line.as_bytes())
    }

    #[test]
    fn engines_mount_files_named_after_the_container() {
        for (root, runtime) in [
            (
                format!("/var/lib/docker/containers/{ID}/hostname"),
                "docker",
            ),
            (format!("/containers/{ID}/hostname"), "docker"),
            (
                format!("/containers/storage/overlay-containers/{ID}/userdata/hostname"),
                "podman",
            ),
            (
                format!("/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname"),
                "containerd",
            ),
        ] {
            let expected = Some((ID.to_owned(), runtime));
            assert_eq!(found(&root, "/etc/hostname"), expected, "{root}");
            assert_eq!(found(&root, "/data"), None);
        }
        assert_eq!(found("/containers/short/hostname", "/etc/hosts"), None);
        assert_eq!(found("/etc/hosts", "/etc/hosts"), None);
    }

    proptest! {
        #[test]
        fn nothing_else_gets_through(root in ".*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (id, _) in found(&root, "/etc/hosts").into_iter().chain(place(&bytes)) {
                prop_assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
    }
}
