//! The report for people:
//!
//! ```text
//! mtu-trace 0.1.0 on node-1, kernel 6.18.44: 4.0 s, 6 of 6 hooks, 73 events, 0 lost
//!
//! F1 ERROR mtu-black-hole (confirmed, ongoing)
//!   builder's download from 198.51.100.9:80 is stalled: …
//!
//!   connection  …
//!   boundary    …
//!   icmp        …
//!   path        …
//!   evidence    …
//!   fix 1       …
//! ```

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, Write},
};

use super::{Audited, Clock, Report, style::Style, wrap::wrap};
use crate::{
    diagnose::{Boundary, Connection, Direction, Finding, Fix, NetnsRef, Pmtud},
    kernel::HookStatus,
};

/// The fixes that were told in full, and where.
type Told<'a> = HashMap<&'a Fix, String>;

/// What is said where there are no findings.
pub(super) fn nothing(report: &Report) -> &'static str {
    if report.capture.selection.is_some() {
        "Nothing in the selection."
    } else if report.audit.is_some() {
        "No way on which a larger MTU leads into a smaller one."
    } else {
        "No stalled connection, no oversized packet dropped, nothing lost that matters."
    }
}

/// Column at which the parts' contents begin.
const INDENT: usize = 14;

/// Writes the whole report.
pub fn write(report: &Report, to: &mut impl Write, style: &Style) -> io::Result<()> {
    match &report.audit {
        Some(audit) => audit_header(report, audit, to, style)?,
        None => header(report, to, style)?,
    }
    if report.findings.is_empty() {
        writeln!(to)?;
        writeln!(to, "{}", nothing(report))?;
    }
    let mut told = HashMap::new();
    for finding in &report.findings {
        writeln!(to)?;
        write_finding(report, finding, &mut told, to, style)?;
    }
    Ok(())
}

fn header(report: &Report, to: &mut impl Write, style: &Style) -> io::Result<()> {
    let capture = &report.capture;
    let lost = format!("{} lost", capture.lost_events);
    writeln!(
        to,
        "{} on {}, kernel {}: {:.1} s, {}, {} events, {}",
        style.strong(&format!("mtu-trace {}", capture.tool_version)),
        capture.hostname,
        capture.kernel,
        capture.duration_s,
        HookStatus::tally(&capture.hooks),
        capture.events,
        if capture.lost_events > 0 {
            style.fault(&lost)
        } else {
            lost
        },
    )?;
    if let Some(selected) = &capture.selection {
        for line in wrap(&selected.to_string(), style.width) {
            writeln!(to, "{line}")?;
        }
    }
    for hook in capture.hooks.iter().filter(|hook| hook.is_missed()) {
        let line = format!(
            "without {}: {} ({})",
            hook.hook,
            hook.lost.as_deref().unwrap_or("less is seen"),
            hook.detail.as_deref().unwrap_or("not attached"),
        );
        for line in wrap(&line, style.width) {
            writeln!(to, "{}", style.faint(&line))?;
        }
    }
    for line in capture
        .notes
        .iter()
        .flat_map(|note| wrap(note, style.width))
    {
        writeln!(to, "{}", style.fault(&line))?;
    }
    Ok(())
}

fn audit_header(
    report: &Report,
    audit: &Audited,
    to: &mut impl Write,
    style: &Style,
) -> io::Result<()> {
    let figures = &audit.figures;
    writeln!(
        to,
        "{} on {}, kernel {}: {} namespaces, {} links, {} ways, packet filters of {} read{}",
        style.strong(&format!("mtu-trace {}", report.capture.tool_version)),
        report.capture.hostname,
        report.capture.kernel,
        figures.namespaces,
        figures.links,
        figures.ways,
        audit.firewalls,
        match figures.foreseen {
            0 => String::new(),
            1 => ", 1 container foreseen".to_owned(),
            many => format!(", {many} containers foreseen"),
        },
    )?;
    for what in &audit.missing {
        for line in wrap(what, style.width) {
            writeln!(to, "{}", style.faint(&line))?;
        }
    }
    Ok(())
}

fn write_finding<'a>(
    report: &Report,
    finding: &'a Finding,
    told: &mut Told<'a>,
    to: &mut impl Write,
    style: &Style,
) -> io::Result<()> {
    writeln!(
        to,
        "{} {} {} ({}{})",
        style.strong(&finding.id),
        style.severity(finding.severity),
        style.strong(finding.verdict.name()),
        finding.confidence.name(),
        if finding.ongoing { ", ongoing" } else { "" },
    )?;
    for line in wrap(&finding.summary, style.width.saturating_sub(2)) {
        writeln!(to, "  {line}")?;
    }
    writeln!(to)?;
    if let Some(connection) = &finding.connection {
        part(
            to,
            style,
            "connection",
            &connection_lines(finding, connection),
        )?;
    }
    part(to, style, "container", &container_lines(finding))?;
    if let Some(boundary) = &finding.boundary {
        part(to, style, "boundary", &[boundary_line(boundary)])?;
        if let Some(pmtud) = &finding.pmtud
            && report.audit.is_none()
        {
            part(to, style, "icmp", &[pmtud_line(finding, boundary, pmtud)])?;
        }
    }
    part(to, style, "path", &path_lines(finding, style))?;
    let evidence = match &report.audit {
        Some(_) => audit_lines(finding),
        None => evidence_lines(&report.clock, finding),
    };
    part(to, style, "evidence", &evidence)?;
    for (number, fix) in (1..).zip(&finding.fixes) {
        match told.entry(fix) {
            Entry::Occupied(before) => {
                let line = format!("{} (fix {})", style.strong(&fix.title), before.get());
                write_part(to, style, &format!("fix {number}"), &[line])?;
            }
            Entry::Vacant(new) => {
                new.insert(format!("{number} of {}", finding.id));
                write_fix(number, fix, to, style)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn connection_lines(finding: &Finding, connection: &Connection) -> Vec<String> {
    let place = |endpoint: &crate::diagnose::Endpoint| {
        endpoint.netns.as_ref().map_or_else(
            || endpoint.socket_address(),
            |netns| format!("{} in {}", endpoint.socket_address(), netns.label()),
        )
    };
    let arrow = match connection.direction {
        Direction::Download => "<-",
        Direction::Upload => "->",
        Direction::Both => "<->",
    };
    let mut lines = vec![format!(
        "{} {} {arrow} {}",
        connection.protocol,
        place(&connection.local),
        place(&connection.remote),
    )];
    if finding.connections > 1 {
        lines.push(format!(
            "the worst of {} with the same cause",
            finding.connections
        ));
    }
    lines.extend(
        connection
            .translated
            .iter()
            .map(|flow| format!("seen as {flow}")),
    );
    lines
}

/// The containers it is about, with what is around them.
pub(crate) fn container_lines(finding: &Finding) -> Vec<String> {
    let ends = finding
        .connection
        .iter()
        .flat_map(|connection| [&connection.local, &connection.remote])
        .filter_map(|end| end.netns.as_ref());
    // Without a connection, the ends of the way.
    let ways = [finding.path.first(), finding.path.last()]
        .into_iter()
        .flatten()
        .filter(|_| finding.connection.is_none())
        .map(|hop| &hop.netns);
    let boundary = finding.boundary.iter().map(|boundary| &boundary.netns);
    let mut lines = Vec::new();
    for line in ends.chain(ways).chain(boundary).filter_map(NetnsRef::chain) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

pub(super) fn boundary_line(boundary: &Boundary) -> String {
    let interfaces = match (&boundary.ingress, &boundary.egress) {
        (Some(ingress), Some(egress)) => format!("{ingress} -> {egress}"),
        (None, Some(egress)) => format!("-> {egress}"),
        (Some(ingress), None) => format!("{ingress} ->"),
        (None, None) => String::new(),
    };
    let peer = boundary.peer.as_ref().map_or_else(String::new, |peer| {
        format!(
            ", the MTU of its other end {} in {}",
            peer.interface.as_deref().unwrap_or("?"),
            peer.netns.label()
        )
    });
    format!(
        "{}: {interfaces}, {} bytes > {}{peer}; {} {}",
        boundary.netns.label(),
        boundary.packet_bytes,
        boundary.limit_bytes,
        boundary.function,
        boundary.reason.as_deref().unwrap_or("(no reason code)"),
    )
}

pub(crate) fn pmtud_line(finding: &Finding, boundary: &Boundary, pmtud: &Pmtud) -> String {
    let generated = finding.evidence.icmp_generated;
    if let Some(blocked) = &pmtud.blocked_at {
        let hook = blocked
            .hook
            .map_or_else(String::new, |hook| format!(", {hook}"));
        let interface = blocked
            .interface
            .as_ref()
            .map_or_else(String::new, |interface| format!(" at {interface}"));
        let times = match finding.evidence.icmp_dropped {
            // Another connection's, with the same cause.
            0 => "dropped".to_owned(),
            dropped => format!("generated {generated} times, dropped {dropped} times"),
        };
        return format!(
            "{times} in {}{hook}{interface} ({}{})",
            blocked.netns.label(),
            blocked.function,
            blocked
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(", {reason}")),
        );
    }
    match (boundary.silent, pmtud.signalled, pmtud.delivered) {
        (_, _, Some(true)) => format!("generated {generated} times, and the sender heard it"),
        (true, false, _) => "none: a drop at this layer tells nobody".to_owned(),
        (_, true, _) => format!("generated {generated} times; where it ended was not seen"),
        (false, false, _) => "none was seen".to_owned(),
    }
}

/// ```text
///   path        eth0 1500  in           veth
///               veth3 1450  host        veth     <- 1500 bytes die here
/// ```
pub(super) fn path_lines(finding: &Finding, style: &Style) -> Vec<String> {
    let names: Vec<String> = finding
        .path
        .iter()
        .map(|hop| format!("{}@{}", hop.interface, hop.netns.label()))
        .collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for (hop, name) in finding.path.iter().zip(&names) {
        let at_limit = finding.boundary.as_ref().is_some_and(|boundary| {
            let (netns, interface) = match &boundary.peer {
                Some(peer) => (&peer.netns, peer.interface.as_deref()),
                None => (&boundary.netns, boundary.egress.as_deref()),
            };
            *netns == hop.netns && interface == Some(hop.interface.as_str())
        });
        let narrow = finding
            .boundary
            .as_ref()
            .is_some_and(|boundary| hop.mtu_bytes <= boundary.limit_bytes);
        let overhead = hop
            .overhead_bytes
            .map_or_else(String::new, |bytes| format!(", adds {bytes} bytes"));
        let alias = hop
            .alias
            .as_ref()
            .map_or_else(String::new, |alias| format!(" ({alias})"));
        let line = format!(
            "{name:width$}  mtu {:<5} {}  {}{overhead}{alias}",
            hop.mtu_bytes,
            if narrow { "><" } else { "  " },
            hop.kind
        );
        lines.push(match &finding.boundary {
            Some(boundary) if at_limit && hop.mtu_bytes > boundary.limit_bytes => {
                style.fault(&format!("{line}  <- only {} fit", boundary.limit_bytes))
            }
            Some(_) if at_limit => style.fault(&format!("{line}  <- too small")),
            _ => line,
        });
    }
    lines
}

pub(super) fn audit_lines(finding: &Finding) -> Vec<String> {
    let ways = match finding.evidence.ways {
        1 => "1 way leads over it".to_owned(),
        ways => format!("{ways} ways lead over it"),
    };
    std::iter::once(ways)
        .chain(finding.evidence.notes.iter().cloned())
        .collect()
}

pub(crate) fn evidence_lines(clock: &Clock, finding: &Finding) -> Vec<String> {
    let evidence = &finding.evidence;
    let mut numbers = Vec::new();
    let mut number = |count: u64, what: &str| {
        if count > 0 {
            numbers.push(format!("{count} {what}"));
        }
    };
    number(evidence.oversized_drops, "oversized drops");
    number(evidence.other_drops, "other drops");
    number(evidence.retransmits, "retransmits");
    number(evidence.attempts.into(), "losses of the same segment");
    number(evidence.max_backoff.into(), "doublings of the timeout");
    if evidence.stalled_ms > 0 {
        numbers.push(format!("{:.1} s stalled", ms(evidence.stalled_ms)));
    }
    let since = ms(finding.detected_at_ns.saturating_sub(finding.first_seen_ns) / 1_000_000);
    let mut lines = vec![
        numbers.join(", "),
        format!(
            "first seen {}, found {since:.2} s later",
            clock.wall(finding.first_seen_ns).strftime("%H:%M:%S%.3fZ"),
        ),
    ];
    lines.extend(evidence.notes.iter().cloned());
    lines
}

fn write_fix(number: usize, fix: &Fix, to: &mut impl Write, style: &Style) -> io::Result<()> {
    let width = style.width.saturating_sub(INDENT);
    let mut lines: Vec<String> = wrap(&fix.title, width)
        .iter()
        .map(|line| style.strong(line))
        .collect();
    lines.extend(wrap(&fix.detail, width));
    lines.extend(
        fix.commands
            .iter()
            .map(|command| style.command(&format!("# {command}"))),
    );
    write_part(to, style, &format!("fix {number}"), &lines)
}

/// A part with its lines wrapped.
fn part(to: &mut impl Write, style: &Style, label: &str, lines: &[String]) -> io::Result<()> {
    let width = style.width.saturating_sub(INDENT);
    // Painted lines and those of tables keep their form.
    let wrapped: Vec<String> = lines
        .iter()
        .flat_map(|line| {
            if line.chars().count() <= width || line.contains('\u{1b}') {
                vec![line.clone()]
            } else {
                wrap(line, width)
            }
        })
        .collect();
    write_part(to, style, label, &wrapped)
}

fn write_part(to: &mut impl Write, style: &Style, label: &str, lines: &[String]) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let gap = " ".repeat(INDENT - 2 - label.len().min(INDENT - 2));
        writeln!(to, "  {}{gap}{line}", style.label(label))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a time to be read by people")]
fn ms(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
