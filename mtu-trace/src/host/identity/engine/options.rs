//! What a Docker engine is told of its default network: by flags and by a file of settings (moby,
//! `daemon/config`). It refuses to start if both say something of the same. Pure; what is not understood
//! is not guessed at.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::base::text::printable;
use crate::host::identity::engine::docker::SETTINGS;
use crate::model::engine::{Dockerd, MtuFrom};

/// The bridge of the default network, unless another is named.
const BRIDGE: &str = "docker0";
/// What an engine is told that shall have no default network.
const NO_BRIDGE: &str = "none";
/// The MTU of an engine that was told none (moby, `DefaultNetworkMtu`).
const MTU_BYTES: u32 = 1500;
/// MTUs that a veth and IPv4 can have (`ETH_MIN_MTU`, `ETH_MAX_MTU`).
const MTUS: std::ops::RangeInclusive<u32> = 68..=65535;

/// The flags that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Name of the bridge.
    pub bridge: Option<String>,
    /// The value of `mtu`, as it is written.
    pub mtu: Option<String>,
    /// Path of the file of settings.
    pub settings: Option<String>,
}

impl Flags {
    /// Reads a `/proc/PID/cmdline`, as pflag reads what is in it: the last of several wins.
    pub fn parse(cmdline: &[u8]) -> Self {
        let words: Vec<_> = cmdline
            .split(|&byte| byte == 0)
            .map(String::from_utf8_lossy)
            .collect();
        // The first is the program.
        let mut words = words.iter().skip(1);
        let mut flags = Self::default();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some((name, value)) = flag(word) else {
                continue;
            };
            let told = match name {
                "bridge" => &mut flags.bridge,
                "mtu" => &mut flags.mtu,
                "config-file" => &mut flags.settings,
                _ => continue,
            };
            let value = value.or_else(|| words.next().map(AsRef::as_ref));
            *told = Some(value.unwrap_or_default().to_owned());
        }
        flags
    }

    /// Whether they say all there is to say of the default network: the settings are not asked then.
    pub fn say_all(&self) -> bool {
        let bridge = self.bridge.as_ref();
        bridge.is_some_and(|bridge| self.mtu.is_some() || bridge == NO_BRIDGE)
    }
}

/// The name of a flag, and its value if that is in the same word.
fn flag(word: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let named = long.split_once('=');
        return Some(named.map_or((long, None), |(name, value)| (name, Some(value))));
    }
    // Short flags without a value can stand before it: debug.
    let rest = word
        .strip_prefix('-')?
        .trim_start_matches('D')
        .strip_prefix('b')?;
    let value = rest.strip_prefix('=').unwrap_or(rest);
    Some(("bridge", (!rest.is_empty()).then_some(value)))
}

/// The value of a variable in a `/proc/PID/environ`, if it has one.
fn variable(environ: &[u8], name: &str) -> Option<String> {
    environ.split(|&byte| byte == 0).find_map(|set| {
        let value = set.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let value = str::from_utf8(value).ok().filter(|value| !value.is_empty());
        value.map(str::to_owned)
    })
}

/// Whether an engine runs without root's rights. This is what it knows that by itself.
fn is_rootless(environ: &[u8]) -> bool {
    variable(environ, "ROOTLESSKIT_STATE_DIR").is_some()
}

/// Whether an engine can have its networks in another namespace than its own: RootlessKit has a
/// rootless one in the host's and its networks elsewhere (`--detach-netns`). `host` is the host's
/// namespace; it can be any if it is not known.
pub fn is_detached(environ: &[u8], own: u64, host: Option<u64>) -> bool {
    is_rootless(environ) && host.is_none_or(|host| host == own)
}

/// Where an engine looks for its settings. A rootless one has a home.
pub fn settings_path(flags: &Flags, environ: &[u8]) -> Result<String> {
    let variable = |name| variable(environ, name);
    let path = match &flags.settings {
        Some(path) => path.clone(),
        None if !is_rootless(environ) => SETTINGS.to_owned(),
        None => {
            let home = || Some(format!("{}/.config", variable("HOME")?));
            let settings = variable("XDG_CONFIG_HOME").or_else(home);
            format!("{}/docker/daemon.json", settings.context("no home")?)
        }
    };
    // Where it was when it was started is not known.
    let is_absolute = path.starts_with('/');
    ensure!(is_absolute, "the path of the settings is relative");
    Ok(path)
}

/// Reads a file of settings; an empty one is none.
pub fn parse_settings(bytes: &[u8]) -> Result<Value> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let settings: Value = serde_json::from_slice(bytes)?;
    ensure!(settings.is_object(), "the settings are no object");
    Ok(settings)
}

/// An engine by its process and the inode number of its namespace, with what it is told of its default
/// network; `None` if it shall have none.
pub fn network(
    (pid, netns_inode): (i32, u64),
    flags: &Flags,
    path: &str,
    settings: &Value,
) -> Result<Option<Dockerd>> {
    let bridge = match (&flags.bridge, settings.get("bridge")) {
        (Some(bridge), _) => bridge.as_str(),
        (None, None) => "",
        (None, Some(bridge)) => bridge.as_str().context("the bridge is no string")?,
    };
    let bridge = match bridge {
        NO_BRIDGE => return Ok(None),
        "" => BRIDGE,
        named => named,
    };
    let (told, mtu_from) = match (&flags.mtu, settings.get("mtu")) {
        (Some(mtu), _) => (mtu.parse()?, MtuFrom::Flag),
        (None, None) => (0, MtuFrom::Default),
        (None, Some(mtu)) => (
            mtu.as_u64().context("the MTU is no number")?,
            MtuFrom::Settings(printable(path.as_bytes())),
        ),
    };
    let (mtu_bytes, mtu_from) = match u32::try_from(told)? {
        0 => (MTU_BYTES, MtuFrom::Default),
        told if MTUS.contains(&told) => (told, mtu_from),
        _ => bail!("no veth has such an MTU"),
    };
    Ok(Some(Dockerd {
        pid,
        netns_inode,
        bridge: printable(bridge.as_bytes()),
        mtu_bytes,
        mtu_from,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The flags of an engine that was started with these words.
    fn flags(words: &str) -> Flags {
        let cmdline = format!("/usr/bin/dockerd {words}").trim_end().to_owned() + " ";
        Flags::parse(cmdline.replace(' ', "\0").as_bytes())
    }

    /// What an engine with this command line and these settings gives: bridge, MTU, and where that is
    /// from.
    fn given(words: &str, settings: &Value) -> Option<String> {
        let found = network((7, 8), &flags(words), "/etc/x.json", settings).expect("understood")?;
        assert_eq!((found.pid, found.netns_inode), (7, 8));
        Some(format!(
            "{} {} {:?}",
            found.bridge, found.mtu_bytes, found.mtu_from
        ))
    }

    #[test]
    fn flags_have_many_forms() {
        for words in [
            "--mtu 1450 --bridge br7",
            "--mtu=1450 --bridge=br7",
            "-b br7 -H fd:// --mtu=9000 --mtu 1450",
            "-bbr7 --host=fd:// --mtu=1450",
            "-b=br7 --mtu=1450 -- --mtu=9000",
            "-Db br7 --mtu=1450 --mtu-of-something=9000",
        ] {
            let found = given(words, &Value::Null);
            assert_eq!(found.as_deref(), Some("br7 1450 Flag"), "{words}");
        }
    }

    #[test]
    fn what_is_not_told_is_the_default() {
        for (words, told, expected) in [
            ("", json!(null), "docker0 1500 Default"),
            ("", json!({ "debug": true }), "docker0 1500 Default"),
            ("--mtu=0", json!(null), "docker0 1500 Default"),
            ("--bridge=", json!({ "mtu": 0 }), "docker0 1500 Default"),
            (
                "",
                json!({ "mtu": 1450 }),
                "docker0 1450 Settings(\"/etc/x.json\")",
            ),
            (
                "",
                json!({ "bridge": "", "mtu": 1500 }),
                "docker0 1500 Settings(\"/etc/x.json\")",
            ),
            (
                "",
                json!({ "bridge": "br\u{1b}7", "mtu": 1450 }),
                "br\\x1b7 1450 Settings(\"/etc/x.json\")",
            ),
            ("--mtu=1400", json!({ "debug": true }), "docker0 1400 Flag"),
            ("--bridge none", json!(null), ""),
            ("", json!({ "bridge": "none", "mtu": 1450 }), ""),
        ] {
            let found = given(words, &told).unwrap_or_default();
            assert_eq!(found, expected, "{words} {told}");
        }
    }

    #[test]
    fn settings_matter_unless_the_flags_say_all() {
        for (words, all) in [
            ("", false),
            ("--mtu=1450", false),
            ("-b br7", false),
            ("-b br7 --mtu=1450", true),
            ("--bridge=none", true),
        ] {
            assert_eq!(flags(words).say_all(), all, "{words}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_guessed_at() {
        for (words, told) in [
            ("--mtu", json!(null)),
            ("--mtu many", json!(null)),
            ("--mtu=-1", json!(null)),
            ("--mtu=67", json!(null)),
            ("", json!({ "mtu": "1450" })),
            ("", json!({ "mtu": 1450.5 })),
            ("", json!({ "mtu": 1_u64 << 40 })),
            ("", json!({ "bridge": 7 })),
        ] {
            let found = network((1, 1), &flags(words), "/x", &told);
            assert!(found.is_err(), "{words} {told}");
        }
        assert!(parse_settings(b"{").is_err());
        assert!(parse_settings(b"[1450]").is_err());
        assert_eq!(parse_settings(b" \n").expect("none"), Value::Null);
    }

    #[test]
    fn settings_are_where_the_engine_looks_for_them() {
        let rootless = "ROOTLESSKIT_STATE_DIR=/run/x\0HOME=/home/me\0";
        let own = format!("{rootless}XDG_CONFIG_HOME=/srv/me\0");
        for (words, environ, expected) in [
            ("", "HOME=/root\0", "/etc/docker/daemon.json"),
            ("--config-file=/x.json", "", "/x.json"),
            ("--config-file /x.json", rootless, "/x.json"),
            ("--config-file x.json", "", ""),
            ("", rootless, "/home/me/.config/docker/daemon.json"),
            ("", &own, "/srv/me/docker/daemon.json"),
            ("", "ROOTLESSKIT_STATE_DIR=/run/x\0", ""),
        ] {
            let found = settings_path(&flags(words), environ.as_bytes());
            assert_eq!(found.unwrap_or_default(), expected, "{words} {environ}");
        }
    }

    #[test]
    fn a_rootless_engine_in_the_hosts_namespace_has_its_networks_elsewhere() {
        let rootless = "HOME=/home/me\0ROOTLESSKIT_STATE_DIR=/run/x\0";
        for (environ, own, host, expected) in [
            (rootless, 1, Some(1), true),
            (rootless, 1, None, true),
            (rootless, 2, Some(1), false),
            ("HOME=/root\0", 1, Some(1), false),
            ("HOME=/root\0", 1, None, false),
        ] {
            let found = is_detached(environ.as_bytes(), own, host);
            assert_eq!(found, expected, "{environ} {own} {host:?}");
        }
    }

    proptest! {
        #[test]
        fn any_command_line_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200), mtu in any::<u64>(), bridge in ".*") {
            let told = json!({ "mtu": mtu, "bridge": bridge });
            for flags in [Flags::parse(&bytes), Flags::default()] {
                let _path = settings_path(&flags, &bytes);
                if let Ok(Some(network)) = network((1, 1), &flags, &bridge, &told) {
                    prop_assert!(MTUS.contains(&network.mtu_bytes));
                    prop_assert!(!network.bridge.chars().any(char::is_control));
                }
            }
        }
    }
}
