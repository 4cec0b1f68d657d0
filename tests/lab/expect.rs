//! What a scenario expects of a report, as values; a mismatch names every difference at once.

use std::fmt::Debug;

use anyhow::{Result, bail, ensure};

use crate::{
    Lab, Netns,
    firewall::Hook,
    report::{Confidence, Finding, NetnsId, Severity},
    tracer::Recording,
    traffic::{Direction, Outcome},
};

/// Where packets should die.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// In which namespace.
    pub netns: &'a Netns,
    /// Where they came in; `None` leaves it open, for what has no one ingress.
    pub ingress: Option<&'a str>,
    /// Where they would have gone out.
    pub egress: &'a str,
    /// The kernel function that drops them.
    pub function: &'a str,
    /// The MTU that they exceed.
    pub limit_bytes: u32,
}

/// What should become of path MTU discovery.
#[derive(Debug, Clone, Copy)]
pub enum Signal<'a> {
    /// Nobody makes an ICMP.
    Silent,
    /// An ICMP is made, and dropped in this namespace at this hook.
    BlockedAt(&'a Netns, Hook),
    /// An ICMP is made and reaches the sender.
    Delivered,
}

/// A finding about one connection whose full-size packets die at one place.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The namespace of the connection's own end: the client's.
    pub client: &'a Netns,
    /// The connection.
    pub outcome: &'a Outcome,
    /// Which way its payload goes.
    pub direction: Direction,
    /// Where its packets die.
    pub site: Site<'a>,
    /// What becomes of the signal.
    pub signal: Signal<'a>,
}

/// The length of every oversized packet here: a full segment on an MTU of 1500.
pub const PACKET_BYTES: u32 = 1500;

impl<'a> Expected<'a> {
    /// Checks that the recording blames this, as an `mtu-black-hole`, and nothing else in `lab`.
    ///
    /// # Errors
    ///
    /// It does not; the error names every difference and quotes the whole report.
    pub fn black_hole(&self, lab: &Lab, recording: &'a Recording) -> Result<&'a Finding> {
        ensure!(
            self.outcome.hung(),
            "the transfer should hang: {:?}",
            self.outcome
        );
        let finding = only(lab, recording, "mtu-black-hole")?;
        let mut differences = self.differences(finding);
        compare(
            &mut differences,
            "severity",
            finding.severity,
            Severity::Error,
        );
        compare(&mut differences, "ongoing", finding.ongoing, true);
        if finding.confidence == Confidence::Suspected {
            differences.push("confidence is only suspected, although the drops are known".into());
        }
        // The first packet and its retransmissions at 0.2 and 0.6 s at least.
        if finding.evidence.oversized_drops < 3 || finding.evidence.retransmits < 2 {
            differences.push(format!(
                "too few drops or retransmissions: {:?}",
                finding.evidence
            ));
        }
        if finding.fixes.is_empty() {
            differences.push("no fix is offered".into());
        }
        report(recording, &differences)?;
        let blamed = worse_than_info(lab, recording);
        ensure!(
            blamed == 1,
            "{blamed} findings instead of one\n{}",
            recording.everything()
        );
        Ok(finding)
    }

    /// Checks that the recording notes this as `pmtud-working`, and blames nothing in `lab`.
    ///
    /// # Errors
    ///
    /// As [`Expected::black_hole`].
    pub fn pmtud_working(&self, lab: &Lab, recording: &'a Recording) -> Result<&'a Finding> {
        ensure!(
            self.outcome.completed(),
            "the transfer should complete: {:?}",
            self.outcome
        );
        let finding = only(lab, recording, "pmtud-working")?;
        let mut differences = self.differences(finding);
        compare(
            &mut differences,
            "severity",
            finding.severity,
            Severity::Info,
        );
        compare(&mut differences, "ongoing", finding.ongoing, false);
        if finding.evidence.oversized_drops == 0 {
            differences.push("evidence.oversized_drops is 0".into());
        }
        report(recording, &differences)?;
        nothing_worse_than_info(lab, recording)?;
        Ok(finding)
    }

    fn differences(&self, finding: &Finding) -> Vec<String> {
        let mut list = Vec::new();
        self.compare_connection(finding, &mut list);
        self.compare_site(finding, &mut list);
        self.compare_signal(finding, &mut list);
        list
    }

    fn compare_connection(&self, finding: &Finding, list: &mut Vec<String>) {
        let Some(connection) = &finding.connection else {
            list.push("connection is null".into());
            return;
        };
        let direction = match self.direction {
            Direction::Download => "download",
            Direction::Upload => "upload",
        };
        compare(list, "connections", finding.connections, 1);
        compare(
            list,
            "connection.protocol",
            connection.protocol.as_str(),
            "tcp",
        );
        compare(
            list,
            "connection.direction",
            connection.direction.as_str(),
            direction,
        );
        for (end, name, expected) in [
            (&connection.local, "local", self.outcome.client),
            (&connection.remote, "remote", self.outcome.server),
        ] {
            let got = format!("{} port {}", end.address, end.port);
            let expected = format!("{} port {}", expected.ip(), expected.port());
            compare(
                list,
                &format!("connection.{name}"),
                got.as_str(),
                expected.as_str(),
            );
        }
        compare_netns(
            list,
            "connection.local.netns",
            connection.local.netns.as_ref(),
            self.client,
        );
    }

    fn compare_site(&self, finding: &Finding, list: &mut Vec<String>) {
        let Some(boundary) = &finding.boundary else {
            list.push("boundary is null".into());
            return;
        };
        let site = &self.site;
        compare_netns(list, "boundary.netns", Some(&boundary.netns), site.netns);
        if let Some(ingress) = site.ingress {
            let got = boundary.ingress.as_deref().unwrap_or("null");
            compare(list, "boundary.ingress", got, ingress);
        }
        compare(
            list,
            "boundary.egress",
            boundary.egress.as_deref().unwrap_or("null"),
            site.egress,
        );
        compare(
            list,
            "boundary.function",
            boundary.function.as_str(),
            site.function,
        );
        compare(
            list,
            "boundary.limit_bytes",
            boundary.limit_bytes,
            site.limit_bytes,
        );
        compare(
            list,
            "boundary.packet_bytes",
            boundary.packet_bytes,
            PACKET_BYTES,
        );
        let silent = matches!(self.signal, Signal::Silent);
        compare(list, "boundary.silent", boundary.silent, silent);
    }

    fn compare_signal(&self, finding: &Finding, list: &mut Vec<String>) {
        let signalled = finding.pmtud.as_ref().is_some_and(|pmtud| pmtud.signalled);
        let delivered = finding.pmtud.as_ref().and_then(|pmtud| pmtud.delivered);
        let blocked = finding
            .pmtud
            .as_ref()
            .and_then(|pmtud| pmtud.blocked_at.as_ref());
        compare(
            list,
            "pmtud.signalled",
            signalled,
            !matches!(self.signal, Signal::Silent),
        );
        match self.signal {
            Signal::BlockedAt(netns, hook) => {
                compare_netns(
                    list,
                    "pmtud.blocked_at.netns",
                    blocked.map(|it| &it.netns),
                    netns,
                );
                let got = blocked.map_or("null", |it| it.hook.as_str());
                compare(
                    list,
                    "pmtud.blocked_at.hook",
                    got,
                    hook.to_string().as_str(),
                );
                compare(
                    list,
                    "pmtud.delivered",
                    delivered.unwrap_or_default(),
                    false,
                );
            }
            Signal::Delivered => {
                compare(list, "pmtud.blocked_at is there", blocked.is_some(), false);
                compare(list, "pmtud.delivered", delivered.unwrap_or(true), true);
            }
            Signal::Silent => compare(list, "pmtud.blocked_at is there", blocked.is_some(), false),
        }
    }
}

/// The one finding in `lab` with this verdict.
///
/// # Errors
///
/// There is none, or more than one; the error quotes the whole report.
pub fn only<'a>(lab: &Lab, recording: &'a Recording, verdict: &str) -> Result<&'a Finding> {
    let findings = with_verdict(lab, recording, verdict);
    match findings.as_slice() {
        [finding] => Ok(finding),
        _ => bail!(
            "{} findings {verdict} in the lab {} instead of one\n{}",
            findings.len(),
            lab.id(),
            recording.everything()
        ),
    }
}

/// Checks that no finding in `lab` has this verdict.
///
/// # Errors
///
/// One has; the error quotes the whole report.
pub fn no(verdict: &str, lab: &Lab, recording: &Recording) -> Result<()> {
    let findings = with_verdict(lab, recording, verdict);
    ensure!(
        findings.is_empty(),
        "{verdict} in the lab {}\n{}",
        lab.id(),
        recording.everything()
    );
    Ok(())
}

/// Checks that no finding in `lab` is a warning or an error.
///
/// # Errors
///
/// One is; the error quotes the whole report.
pub fn nothing_worse_than_info(lab: &Lab, recording: &Recording) -> Result<()> {
    let blamed = worse_than_info(lab, recording);
    ensure!(
        blamed == 0,
        "{blamed} findings in the lab {}\n{}",
        lab.id(),
        recording.everything()
    );
    Ok(())
}

fn with_verdict<'a>(lab: &Lab, recording: &'a Recording, verdict: &str) -> Vec<&'a Finding> {
    recording
        .findings(lab)
        .into_iter()
        .filter(|finding| finding.verdict == verdict)
        .collect()
}

fn worse_than_info(lab: &Lab, recording: &Recording) -> usize {
    let findings = recording.findings(lab);
    findings
        .iter()
        .filter(|finding| finding.severity > Severity::Info)
        .count()
}

fn compare<T: Copy + PartialEq + Debug>(list: &mut Vec<String>, what: &str, got: T, expected: T) {
    if got != expected {
        list.push(format!("{what} is {got:?} instead of {expected:?}"));
    }
}

fn compare_netns(list: &mut Vec<String>, what: &str, got: Option<&NetnsId>, expected: &Netns) {
    let right = got.is_some_and(|id| {
        id.inode == expected.inode() && id.name.as_deref() == Some(expected.name())
    });
    if !right {
        let (name, inode) = (expected.name(), expected.inode());
        list.push(format!(
            "{what} is {got:?} instead of {name} (inode {inode})"
        ));
    }
}

fn report(recording: &Recording, differences: &[String]) -> Result<()> {
    ensure!(
        differences.is_empty(),
        "{}\n{}",
        differences.join("\n"),
        recording.everything()
    );
    Ok(())
}
