//! Where an engine keeps what it knows of a container, as mounts tell: whatever its data root, its
//! state directory and the root directory it runs in.
//!
//! Docker mounts files of the container's own directory into it; where the engine sees that
//! directory is in the engine's mounts. containerd mounts a container's root into its bundle.

use crate::host::identity::mounted::FILES;
use crate::host::mounts::{Bound, bound, unescape};

/// Directories are looked at in at most so many places: the same one can be mounted often.
const MOST: usize = 8;

/// Directories, as the engine sees them, in which the state of the container `id` may be.
///
/// `container` and `engine` are the `mountinfo` of a process of the container and of one of its
/// engine.
#[must_use]
pub fn directories(id: &str, container: &[u8], engine: &[u8]) -> Vec<String> {
    let own = bound(container)
        .filter(|mount| FILES.contains(&mount.point))
        .filter_map(|mount| Some((mount.device, directory(mount.root, id)?)))
        .next();
    let seen = own.into_iter().flat_map(|(device, directory)| {
        bound(engine)
            .filter(move |mount| mount.device == device)
            .filter_map(move |mount| seen(&mount, &directory))
    });
    let bundle = format!("/{id}/rootfs");
    let bundles = bound(engine).filter_map(|mount| {
        let point = path(mount.point)?;
        let length = point.ends_with(&bundle).then(|| "/rootfs".len())?;
        Some(point[..point.len() - length].to_owned())
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
fn seen(mount: &Bound<'_>, directory: &str) -> Option<String> {
    let root = path(mount.root)?;
    let below = directory.strip_prefix(root.trim_end_matches('/'))?;
    let point = path(mount.point)?;
    below
        .starts_with('/')
        .then(|| format!("{}{below}", point.trim_end_matches('/')))
}

fn path(mangled: &[u8]) -> Option<String> {
    String::from_utf8(unescape(mangled)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::directories;

    const ID: &str = "3f4b1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c";

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
            prop_assert!(directories(&id, file.as_bytes(), mounts.as_bytes()).len() <= super::MOST);
            let _read = directories(&id, &bytes, &bytes);
        }
    }
}
