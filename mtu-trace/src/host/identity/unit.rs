//! The systemd unit of a process, from its cgroup path.

use crate::base::text::printable;

/// The innermost service or scope in the contents of a `/proc/PID/cgroup`, such as
/// `docker.service`; `None` without systemd.
#[must_use]
pub fn unit(cgroup: &[u8]) -> Option<String> {
    cgroup
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            // `hierarchy:controllers:path`; systemd's own are version 2 and `name=systemd`.
            let mut fields = line.splitn(3, |&byte| byte == b':');
            let (_, controllers) = (fields.next()?, fields.next()?);
            (controllers.is_empty() || controllers == b"name=systemd").then(|| fields.next())?
        })
        .find_map(|path| {
            path.rsplit(|&byte| byte == b'/')
                .find(|component| is_unit(component))
        })
        .map(printable)
}

fn is_unit(component: &[u8]) -> bool {
    [&b".service"[..], b".scope"]
        .iter()
        .any(|suffix| component.len() > suffix.len() && component.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_is_found() {
        for (cgroup, expected) in [
            ("0::/system.slice/docker.service\n", Some("docker.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n",
                Some("app-x.scope"),
            ),
            (
                "0::/system.slice/system-getty.slice/getty@tty1.service/sub\n",
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
}
