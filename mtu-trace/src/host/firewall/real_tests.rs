//! Real namespaces, read with the real tools. They need root, `ip`, `nft` and iptables, and are
//! counted as skipped where there is no root.

use std::process::Command;
use std::time::{Duration, Instant};

use super::read;
use crate::core::firewall::tests::*;
use crate::core::firewall::*;
use crate::host::netns::NetnsFile;

/// A namespace that is removed at the end of a test.
struct Lab(String);

impl Lab {
    fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            lab::skips::skip(module_path!(), "not root");
            return None;
        }
        let lab = Self(format!("mtf{}-{test}", std::process::id()));
        let made = Command::new("ip").args(["netns", "add", &lab.0]).status();
        assert!(made.expect("ip runs").success());
        Some(lab)
    }

    /// Runs a line of shell inside.
    fn sh(&self, line: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.0, "sh", "-c", line])
            .output()
            .expect("ip runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn read(&self) -> Firewall {
        let netns = NetnsFile::open(format!("/run/netns/{}", self.0)).expect("a namespace");
        let firewall = read(&netns);
        assert!(firewall.unread().is_empty(), "{:?}", firewall.unread());
        firewall
    }

    /// Has a packet dropped, runs the command offered, and has it pass.
    fn cure(&self, packet: &QueriedPacket) -> Blocking {
        let blocking = dropped(self.read().fate(packet));
        for command in &blocking.commands {
            self.sh(command);
        }
        assert_eq!(self.read().fate(packet), Fate::Passes, "{blocking:?}");
        blocking
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

#[test]
fn commands_for_nft_let_the_message_pass() {
    let Some(lab) = Lab::new("nft") else { return };
    assert_eq!(
        lab.read().fate(&message(NetfilterHook::Output)),
        Fate::Passes
    );
    assert_eq!(lab.sh("nft list ruleset"), "");
    lab.sh(
        "nft 'table inet filter { chain output { type filter hook output priority 0; \
         icmp type echo-request accept; \
         icmp type destination-unreachable icmp code frag-needed counter drop; \
         icmpv6 type packet-too-big drop; } ; chain input { type filter hook input priority 0; \
         policy drop; ct state established accept; } ; }'",
    );
    let blocking = lab.cure(&message(NetfilterHook::Output));
    assert_eq!(
        blocking.rule,
        "icmp type destination-unreachable icmp code frag-needed counter drop"
    );
    lab.cure(&message_v6(NetfilterHook::Output));
    lab.cure(&message(NetfilterHook::Input));
    lab.cure(&message_v6(NetfilterHook::Input));
}

#[test]
fn commands_for_iptables_let_the_message_pass() {
    let Some(lab) = Lab::new("ipt") else { return };
    for (tool, message) in [
        ("iptables", message(NetfilterHook::Output)),
        ("ip6tables", message_v6(NetfilterHook::Output)),
    ] {
        let any = if tool == "iptables" {
            "icmp"
        } else {
            "ipv6-icmp"
        };
        lab.sh(&format!(
            "{tool} -A OUTPUT -o lo -j ACCEPT && {tool} -A OUTPUT -p {any} -j DROP"
        ));
        let blocking = lab.cure(&message);
        assert_eq!(blocking.place, format!("{tool} filter OUTPUT"));
        assert!(blocking.commands[0].contains("-I OUTPUT 2 "));
        lab.sh(&format!("{tool} -P INPUT DROP"));
        let at_input = QueriedPacket {
            hook: NetfilterHook::Input,
            ..message
        };
        lab.cure(&at_input);
    }
    // Of nothing that was read twice is there a second opinion.
    let tables = lab.read().tables;
    assert!(tables.iter().all(|table| table.iptables.is_some()));
}

#[test]
fn rules_of_the_legacy_variant_are_read() {
    let Some(lab) = Lab::new("legacy") else {
        return;
    };
    lab.sh("iptables-legacy -A FORWARD -p icmp -j DROP");
    let blocking = lab.cure(&message(NetfilterHook::Forward));
    assert_eq!(blocking.place, "iptables-legacy filter FORWARD");
}

/// iptables prints `-p icmp -j DROP` for this one (1.8.9).
#[test]
fn what_iptables_cannot_print_is_taken_from_nft() {
    let Some(lab) = Lab::new("lossy") else { return };
    lab.sh(
        "nft 'table ip filter { chain INPUT { type filter hook input priority 0; \
         icmp type { echo-request, redirect } counter drop; } ; }'",
    );
    let printed = lab.sh("iptables-save");
    assert!(printed.contains("-A INPUT"), "{printed}");
    assert_eq!(
        lab.read().fate(&message(NetfilterHook::Input)),
        Fate::Passes
    );
}

#[test]
fn reading_changes_nothing_and_is_quick() {
    let Some(lab) = Lab::new("time") else { return };
    let time = |what: &str| {
        let start = Instant::now();
        for _ in 0..20 {
            let _firewall = lab.read();
        }
        let each = start.elapsed() / 20;
        eprintln!("{what}: {each:?} for each read");
        assert!(each < Duration::from_secs(1));
    };
    time("empty");
    assert_eq!(lab.sh("nft list ruleset"), "");
    lab.sh("nft add table inet t");
    time("nft");
    lab.sh("iptables -A INPUT -p icmp -j DROP; ip6tables -A INPUT -j DROP");
    let before = lab.sh("nft -a list ruleset 2>&1");
    time("nft and both families of iptables");
    assert_eq!(lab.sh("nft -a list ruleset 2>&1"), before);
}
