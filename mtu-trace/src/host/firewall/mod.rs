//! Reads the rules of a namespace with the tools that are installed beside the tracer.
//!
//! Reading must not change anything. The tools make the kernel load modules, so none is run where
//! its module is not there yet. iptables makes no tables when it saves (measured, 1.8.9), and is
//! run only where there are some that it may have made: most namespaces cost one process.

#[cfg(test)]
mod real_tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, io, thread};

use crate::base::text::printable;
use crate::core::firewall::iptables::Saved;
use crate::core::firewall::table::FirewallTable;
use crate::core::firewall::{Firewall, iptables, nft};
use crate::host::netns::NetnsFile;

/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much it may print.
const MAX_BYTES: u64 = 32 << 20;
/// Where tools are besides the tracer's own search path, which may lack the administrator's.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"];
/// The families that iptables has tools for.
const FAMILIES: [&str; 2] = ["ip", "ip6"];
/// The tables that iptables knows.
const TABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];

/// Reads the packet filter of a namespace.
#[must_use]
pub fn read(netns: &NetnsFile) -> Firewall {
    netns.run(read_here).unwrap_or_else(|error| Firewall {
        unread: vec![format!("the namespace could not be entered: {error}")],
        ..Firewall::default()
    })
}

/// Of the calling thread's namespace.
fn read_here() -> Firewall {
    let mut firewall = Firewall::default();
    if may_have_nft() {
        read_nft(&mut firewall);
    }
    for family in FAMILIES {
        let names = format!("/proc/thread-self/net/{family}_tables_names");
        if fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty()) {
            match save(family, Variant::Legacy) {
                Ok(saved) => firewall.tables.extend(saved.tables),
                Err(error) => firewall.unread.push(format!(
                    "the rules of {family}tables-legacy could not be read: {error}"
                )),
            }
        }
    }
    firewall
}

/// Whether there can be rules of nftables. To ask the kernel loads its module.
fn may_have_nft() -> bool {
    let Ok(modules) = fs::read_to_string("/proc/modules") else {
        return true;
    };
    if modules.lines().any(|line| line.starts_with("nf_tables ")) {
        return true;
    }
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let built_in = fs::read_to_string(format!("/lib/modules/{release}/modules.builtin"));
    built_in.map_or(true, |list| list.contains("/nf_tables.ko"))
}

fn read_nft(firewall: &mut Firewall) {
    let ruleset = match tool("nft") {
        None => Err("nft is not installed".to_owned()),
        Some(nft) => run(Command::new(nft).args(["-j", "list", "ruleset"]), PATIENCE)
            .and_then(|json| nft::parse(&json))
            .map_err(|error| format!("the rules of nftables could not be read: {error}")),
    };
    match ruleset {
        Ok(tables) => firewall.tables = tables,
        Err(error) => firewall.unread.push(error),
    }
    for family in FAMILIES {
        let tables = &mut firewall.tables;
        let is_candidate = |table: &FirewallTable, name: &str| {
            table.name == name && table.family == family && nft::may_be_of_iptables(table)
        };
        let mut names = TABLES.to_vec();
        names.retain(|name| tables.iter().any(|table| is_candidate(table, name)));
        if names.is_empty() {
            continue;
        }
        // Without the tool, and where it cannot print a table, there is still what nft says.
        let Ok(saved) = save(family, Variant::Nft) else {
            continue;
        };
        names.retain(|name| !saved.incompatible.iter().any(|other| other == name));
        let mut printed = saved.tables;
        printed.retain(|table| names.contains(&table.name.as_str()));
        for table in printed {
            tables.retain(|other| other.family != family || other.name != table.name);
            tables.push(table);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Nft,
    Legacy,
}

/// What `iptables-save` of a variant prints.
fn save(family: &str, variant: Variant) -> Result<Saved, String> {
    let plain = format!("{family}tables");
    let named = match variant {
        Variant::Nft => format!("{plain}-nft"),
        Variant::Legacy => format!("{plain}-legacy"),
    };
    // The plain name, where it stands for this variant, is the one that people use.
    let default = tool(&format!("{plain}-save"));
    let default = default.filter(|path| is_legacy(path) == (variant == Variant::Legacy));
    let (path, name) = match default {
        Some(path) => (path, plain),
        None => {
            let path = tool(&format!("{named}-save"));
            let path = path.ok_or_else(|| format!("{named}-save is not installed"))?;
            (path, named)
        }
    };
    let text = run(Command::new(path).arg("-c"), PATIENCE)?;
    Ok(iptables::parse(
        &String::from_utf8_lossy(&text),
        &name,
        family,
    ))
}

/// Whether a tool is of the legacy variant: all of one variant are links to one program, and
/// before there were variants there was only that one.
fn is_legacy(path: &Path) -> bool {
    let program = fs::canonicalize(path).unwrap_or_default();
    let program = program.to_string_lossy();
    !program.contains("xtables-nft")
}

fn tool(name: &str) -> Option<PathBuf> {
    let search = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&search)
        .filter(|directory| directory.is_absolute())
        .chain(DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// What a command prints, if it ends well and in time.
fn run(command: &mut Command, patience: Duration) -> Result<Vec<u8>, String> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("it has no output".to_owned());
    };
    let output = collect(stdout);
    let complaints = collect(stderr);
    let printed = output.recv_timeout(patience);
    let too_much = matches!(&printed, Ok(Ok(bytes)) if bytes.len() as u64 > MAX_BYTES);
    if too_much || printed.is_err() {
        let _gone = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match printed {
        Err(_) => Err(format!("no answer within {patience:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) if too_much => Err("there are too many".to_owned()),
        Ok(Ok(bytes)) if status.success() => Ok(bytes),
        Ok(Ok(_)) => {
            let said = complaints.recv_timeout(patience);
            let said = said.ok().and_then(Result::ok).unwrap_or_default();
            let line = said.split(|&byte| byte == b'\n').next().unwrap_or_default();
            Err(format!("{status}: {}", printable(line)))
        }
    }
}

/// Reads a pipe to its end, or as far as is wanted, on a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let spawned = thread::Builder::new()
        .name("firewall".to_owned())
        .spawn(move || {
            let mut bytes = Vec::new();
            let read = pipe.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes);
            let _gone = sender.send(read.map(|_| bytes));
        });
    if let Err(error) = spawned {
        log::warn!("cannot start a thread: {error}");
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, patience: Duration) -> Result<Vec<u8>, String> {
        run(Command::new("sh").args(["-c", line]), patience)
    }

    #[test]
    fn tools_that_misbehave_are_ended() {
        let quick = Duration::from_millis(200);
        let late = shell("exec sleep 600", quick);
        assert_eq!(late, Err("no answer within 200ms".to_owned()));
        let endless = shell("exec yes", PATIENCE);
        assert_eq!(endless, Err("there are too many".to_owned()));
        let failed = shell("printf 'bad\\033\\n' >&2; exit 3", PATIENCE);
        assert_eq!(failed, Err("exit status: 3: bad\\x1b".to_owned()));
        assert_eq!(shell("cat; echo $LC_ALL", PATIENCE), Ok(b"C\n".to_vec()));
    }
}
