//! What mounts tell of a container: its identifier, and where its engine keeps what it knows of it,
//! whatever its data root, its state directory and the root directory it runs in.
//!
//! With a cgroup namespace of its own, or with the host's cgroups, a container's cgroup path tells
//! nothing. But engines mount files of their own over `/etc/hostname`, `/etc/hosts` and
//! `/etc/resolv.conf`, and those lie in a directory named after the container; where the engine sees
//! that directory is in the engine's mounts. containerd mounts a container's root into its bundle.

use crate::host::identity::engine::{ENGINES, is_sha256};
use crate::host::mounts::{MountLine, lines, unescape};

/// What engines mount over.
const FILES: [&[u8]; 3] = [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf"];

/// The identifier and the engine of a container, from a process's `/proc/PID/mountinfo`.
#[must_use]
pub fn place(mountinfo: &[u8]) -> Option<(String, &'static str)> {
    files(mountinfo).find_map(|mount| container(mount.root))
}

fn files(mountinfo: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    lines(mountinfo).filter(|mount| FILES.contains(&mount.point))
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

/// Directories are looked at in at most so many places: the same one can be mounted often.
const MOST: usize = 8;

/// Directories, as the engine sees them, in which the state of the container `id` may be.
///
/// `container` and `engine` are the `mountinfo` of a process of the container and of one of its
/// engine.
#[must_use]
pub fn directories(id: &str, container: &[u8], engine: &[u8]) -> Vec<String> {
    let own = files(container).find_map(|mount| Some((mount.device, directory(mount.root, id)?)));
    let seen = own.into_iter().flat_map(|(device, directory)| {
        lines(engine)
            .filter(move |mount| mount.device == device)
            .filter_map(move |mount| seen(&mount, &directory))
    });
    let bundle = format!("/{id}");
    let bundles = lines(engine).filter_map(|mount| {
        let above = path(mount.point)?.strip_suffix("/rootfs")?.to_owned();
        above.ends_with(&bundle).then_some(above)
    });
    seen.chain(bundles).take(MOST).collect()
}

/// The directory named `id` in a path in a file system.
fn directory(root: &[u8], id: &str) -> Option<String> {
    let root = path(root)?;
    let (above, _) = root.rsplit_once('/')?;
    let found = above.rsplit_once('/').is_some_and(|(_, name)| name == id);
    found.then(|| above.to_owned())
}

/// Where a directory of a file system is seen, if it is below what is mounted.
fn seen(mount: &MountLine<'_>, directory: &str) -> Option<String> {
    let root = path(mount.root)?;
    let below = directory.strip_prefix(root.trim_end_matches('/'))?;
    let point = path(mount.point)?;
    let seen = || format!("{}{below}", point.trim_end_matches('/'));
    below.starts_with('/').then(seen)
}

fn path(mangled: &[u8]) -> Option<String> {
    String::from_utf8(unescape(mangled)).ok()
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

    fn line(device: &str, root: &str, point: &str) -> String {
        format!("700 690 {device} {root} {point} rw,relatime master:4 - ext4 /dev/sda1 rw\n")
    }

    #[test]
    fn a_data_root_is_found_wherever_it_is() {
        let volume = "/data/docker/volumes/e259/_data";
        let file = format!("{volume}/containers/{ID}/hostname");
        let container = line("8:1", &file, "/etc/hostname");
        for (engine, expected) in [
            // An engine in a container, with its data root on a volume.
            (
                line("8:1", volume, "/var/lib/docker"),
                format!("/var/lib/docker/containers/{ID}"),
            ),
            // One that sees the whole file system.
            (line("8:1", "/", "/"), format!("{volume}/containers/{ID}")),
            // One whose root is a directory of it.
            (
                line("8:1", "/data", "/"),
                format!("/docker/volumes/e259/_data/containers/{ID}"),
            ),
        ] {
            let found = directories(ID, container.as_bytes(), engine.as_bytes());
            assert_eq!(found, [expected], "{engine}");
        }
        for engine in [
            line("8:2", "/", "/"),
            line("8:1", "/dat", "/"),
            line(
                "8:1",
                &format!("{volume}/containers/{ID}/hostname"),
                "/etc/x",
            ),
        ] {
            let found = directories(ID, container.as_bytes(), engine.as_bytes());
            assert!(found.is_empty(), "{engine}: {found:?}");
        }
        // Somebody else's file.
        let other = line("8:1", "/data/containers/web/hostname", "/etc/hostname");
        assert!(directories(ID, other.as_bytes(), line("8:1", "/", "/").as_bytes()).is_empty());
    }

    #[test]
    fn a_bundle_is_where_the_root_is_mounted() {
        let bundle = format!("/srv/state/io.containerd.runtime.v2.task/k8s.io/{ID}");
        let engine = line("0:42", "/", &format!("{bundle}/rootfs"));
        assert_eq!(directories(ID, b"", engine.as_bytes()), [bundle]);
        assert!(directories(&"0".repeat(64), b"", engine.as_bytes()).is_empty());
    }

    proptest! {
        #[test]
        fn any_mounts_are_read(id in "[0-9a-f]{1,64}", a in ".*", b in ".*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mounts = line("8:1", &a, &b);
            let file = line("8:1", &format!("{a}/{id}/hosts"), "/etc/hosts");
            prop_assert!(directories(&id, file.as_bytes(), mounts.as_bytes()).len() <= MOST);
            let _read = directories(&id, &bytes, &bytes);
        }

        #[test]
        fn nothing_else_gets_through(root in ".*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (id, _) in found(&root, "/etc/hosts").into_iter().chain(place(&bytes)) {
                prop_assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
    }
}
