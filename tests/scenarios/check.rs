//! `check`: what is wrong is named before any traffic, and what is right is left alone.

use anyhow::{Context, Result, ensure};
use lab::firewall::{Hook, drop_frag_needed, drop_packet_too_big};
use lab::report::{Finding, Severity};
use lab::topology::{Nested, NestedLab, Switched, SwitchedLab};
use lab::tracer::Recording;
use lab::{Lab, Netns, audit};

use crate::small_uplink;

/// The one finding of an audit in `lab` that is an error and dies at this function.
fn error<'a>(audit: &'a Recording, lab: &Lab, function: &str) -> Result<&'a Finding> {
    let errors: Vec<&Finding> = audit
        .findings(lab)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .filter(|finding| {
            let boundary = finding.boundary.as_ref();
            boundary.is_some_and(|boundary| boundary.function == function)
        })
        .collect();
    match errors.as_slice() {
        [one] => Ok(one),
        _ => anyhow::bail!(
            "{} errors at {function} instead of one\n{}",
            errors.len(),
            audit.everything()
        ),
    }
}

/// Checks that a way has an interface with this MTU.
fn passes(finding: &Finding, netns: &Netns, interface: &str, mtu_bytes: u32) -> Result<()> {
    let there = finding
        .path
        .iter()
        .any(|hop| hop.netns.is(netns) && hop.interface == interface && hop.mtu_bytes == mtu_bytes);
    ensure!(
        there,
        "no {interface} of {} with {mtu_bytes} on {:?}",
        netns.name(),
        finding.path
    );
    Ok(())
}

fn nothing(lab: &Lab) -> Result<()> {
    let audit = audit::check()?;
    ensure!(
        audit.findings(lab).is_empty(),
        "{} findings instead of none\n{}",
        audit.findings(lab).len(),
        audit.everything()
    );
    Ok(())
}

#[test]
fn first_light_is_named_with_both_containers_and_the_fix() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let audit = audit::check()?;
    let finding = error(&audit, &lab.lab, "ip_forward")?;
    ensure!(finding.verdict == "mtu-mismatch", "{finding:?}");
    passes(finding, lab.inside()?, NestedLab::CONTAINER, 1500)?;
    passes(finding, lab.out()?, NestedLab::INNER_BRIDGE, 1500)?;
    passes(finding, lab.out()?, NestedLab::UPLINK, 1450)?;
    passes(finding, lab.host()?, NestedLab::OUTER_BRIDGE, 1450)?;
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(
        boundary.netns.is(lab.host()?)
            && (boundary.packet_bytes, boundary.limit_bytes) == (1500, 1450),
        "{boundary:?}"
    );
    let blocked = finding.blocked_at();
    ensure!(
        blocked.is_some_and(|it| it.hook == "OUTPUT"),
        "{:?}",
        finding.pmtud
    );
    for name in [lab.inside()?.name(), lab.out()?.name(), "1500", "1450"] {
        ensure!(finding.summary.contains(name), "{}", finding.summary);
    }
    // The fix is one that works, for the container inside.
    let fix = finding.fixes.first().context("no fix")?;
    let command = fix.commands.first().context("no command")?;
    ensure!(
        *command
            == format!(
                "ip netns exec {} ip link set dev eth0 mtu 1450",
                lab.inside()?.name()
            ),
        "{command}"
    );
    shell(command)?;
    let fixed = audit::check()?;
    ensure!(
        fixed.findings(&lab.lab).is_empty(),
        "{}",
        fixed.everything()
    );
    Ok(())
}

/// Runs one of the commands of a fix as its reader would.
fn shell(command: &str) -> Result<()> {
    let status = std::process::Command::new("sh")
        .args(["-c", command])
        .status()
        .context("starting sh")?;
    ensure!(status.success(), "{command}: {status}");
    Ok(())
}

#[test]
fn letting_the_message_through_leaves_a_warning() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let audit = audit::check()?;
    let finding = error(&audit, &lab.lab, "ip_forward")?;
    let unblock = finding
        .fixes
        .iter()
        .find(|fix| fix.title.contains("OUTPUT"))
        .with_context(|| format!("nothing lets the message through: {:?}", finding.fixes))?;
    for command in &unblock.commands {
        shell(command)?;
    }
    let place = finding.boundary.as_ref().context("no boundary")?;
    let audit = audit::check()?;
    let after = audit::about(&audit, &lab.lab, place).context("the place is still narrow")?;
    ensure!(after.severity == Severity::Warning, "{after:?}");
    Ok(())
}

#[test]
fn the_message_of_ipv6_is_looked_for_too() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_packet_too_big(lab.inside()?, Hook::Input)?;
    let audit = audit::check()?;
    let finding = error(&audit, &lab.lab, "ip6_forward")?;
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(boundary.netns.is(lab.out()?), "{boundary:?}");
    let blocked = finding.blocked_at();
    ensure!(
        blocked.is_some_and(|it| it.netns.inode == lab.inside().map_or(0, Netns::inode)),
        "{:?}",
        finding.pmtud
    );
    Ok(())
}

#[test]
fn equal_mtus_are_left_alone() -> Result<()> {
    nothing(&Nested::default().build()?.lab)
}

#[test]
fn an_inner_network_that_fits_is_left_alone() -> Result<()> {
    let lab = Nested {
        container: 1450,
        ..small_uplink()
    }
    .build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    nothing(&lab.lab)
}

#[test]
fn the_port_of_a_bridge_is_named() -> Result<()> {
    let lab = Switched {
        port: 1450,
        ..Switched::default()
    }
    .build()?;
    let audit = audit::check()?;
    let finding = error(&audit, &lab.lab, "br_dev_queue_push_xmit")?;
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(
        boundary.netns.is(lab.switch()?)
            && boundary.egress.as_deref() == Some(SwitchedLab::CLIENT_PORT)
            && boundary.silent,
        "{boundary:?}"
    );
    Ok(())
}

#[test]
fn text_shows_the_mismatch_at_a_glance() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let finished = audit::run(&["--color", "never"])?;
    ensure!(finished.code() == Some(0), "{finished:?}");
    let host = lab.host()?.name();
    let line = finished
        .stdout
        .lines()
        .find(|line| line.contains(&format!("br0@{host}")) && line.contains("too small"))
        .with_context(|| format!("no line for the bridge: {finished:?}"))?;
    ensure!(line.contains("1450") && line.contains("><"), "{line}");
    for words in [
        format!("eth0@{}", lab.inside()?.name()),
        format!(
            "ip netns exec {} ip link set dev eth0 mtu 1450",
            lab.inside()?.name()
        ),
        format!("dropped in {host}, OUTPUT"),
    ] {
        ensure!(finished.stdout.contains(&words), "no {words}: {finished:?}");
    }
    Ok(())
}

#[test]
fn hostile_names_reach_no_terminal() -> Result<()> {
    let lab = small_uplink().build()?;
    let alias = format!("\u{1b}]0;owned\u{7}\u{1b}[2J{}", "x".repeat(200));
    let name = lab.out()?.name();
    let set = [
        "-n",
        name,
        "link",
        "set",
        NestedLab::UPLINK,
        "alias",
        alias.as_str(),
    ];
    lab::command::run("ip", &set)?;
    for format in ["text", "json"] {
        let finished = audit::run(&["--format", format, "--color", "never"])?;
        ensure!(finished.code() == Some(0), "{finished:?}");
        let raw = finished
            .stdout
            .chars()
            .find(|it| it.is_control() && *it != '\n');
        ensure!(raw.is_none(), "{raw:?} in {format}");
        ensure!(
            finished.stdout.contains("x1b[2J"),
            "no alias in {format}: {finished:?}"
        );
    }
    Ok(())
}

#[test]
fn the_status_tells_on_demand() -> Result<()> {
    let exclusive = Nested {
        exclusive: true,
        ..Nested::default()
    };
    let lab = exclusive.build()?;
    ensure!(audit::run(&["--exit-code"])?.code() == Some(0));
    lab::link::set_mtu(lab.out()?, NestedLab::UPLINK, 1450)?;
    let finished = audit::run(&["--exit-code"])?;
    ensure!(finished.code() == Some(3), "{finished:?}");
    ensure!(audit::run(&[])?.code() == Some(0));
    ensure!(audit::run(&["--format", "yaml"])?.code() == Some(2));
    Ok(())
}
