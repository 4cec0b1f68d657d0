//! What people are told of a finding, or where there is none, line by line: what the text report, the
//! Markdown report and the screens have in common.

use crate::base::clock::Clock;
use crate::model::finding::{Boundary, Carried, Direction, Endpoint, Finding, ReportedHop};
use crate::model::netns_ref::NetnsRef;
use crate::show::report::Report;
use crate::show::report::style::Style;

/// What is said where there are no findings.
pub(crate) fn nothing(report: &Report) -> &'static str {
    let hooks = &report.capture.hooks;
    if report.capture.selection.is_some() {
        "Nothing in the selection."
    } else if report.audit.is_some() {
        "No way on which a larger MTU leads into a smaller one."
    } else if !hooks.is_empty() && hooks.iter().all(|hook| !hook.attached) {
        "No socket that is stalled was seen. That says little: no hook was attached."
    } else {
        "No stalled connection, no oversized packet dropped, nothing lost that matters."
    }
}

/// What a finding is about, part by part. What becomes of ICMP an audit says in the summary.
pub(crate) fn about(report: &Report, finding: &Finding) -> Vec<(&'static str, Vec<String>)> {
    let icmp = pmtud_line(finding).filter(|_| report.audit.is_none());
    vec![
        ("connection", connection_lines(finding)),
        ("container", container_lines(finding)),
        (
            "boundary",
            finding.boundary.iter().map(boundary_line).collect(),
        ),
        ("icmp", icmp.into_iter().collect()),
        ("drop", drop_lines(finding)),
    ]
}

/// The connection it is told from, and how it is seen; empty if it is about none.
pub(crate) fn connection_lines(finding: &Finding) -> Vec<String> {
    let Some(connection) = &finding.connection else {
        return Vec::new();
    };
    let place = |endpoint: &Endpoint| match &endpoint.netns {
        Some(netns) => format!("{} in {}", endpoint.socket_address(), netns.label()),
        None => endpoint.socket_address(),
    };
    let arrow = match connection.direction {
        Direction::Download => "<-",
        Direction::Upload => "->",
        Direction::Both => "<->",
    };
    let (local, remote) = (place(&connection.local), place(&connection.remote));
    let mut lines = vec![format!("{} {local} {arrow} {remote}", connection.protocol)];
    if finding.connections > 1 {
        let count = finding.connections;
        lines.push(format!("the worst of {count} with the same cause"));
    }
    let translated = connection.translated.iter();
    lines.extend(translated.map(|flow| format!("seen as {flow}")));
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

/// The place where packets were dropped for another reason than their size, and the rule that did it;
/// empty where the finding is not about one.
pub(crate) fn drop_lines(finding: &Finding) -> Vec<String> {
    let Some(drop) = &finding.drop else {
        return Vec::new();
    };
    let (one, many) = match drop.carried {
        Carried::Data => ("packet", "packets"),
        Carried::Syn => ("SYN", "SYNs"),
        Carried::SynAck => ("SYN-ACK", "SYN-ACKs"),
    };
    let what = if drop.packets == 1 { one } else { many };
    let part = |before: &str, part: Option<&str>| {
        part.map_or_else(String::new, |part| format!("{before}{part}"))
    };
    let mut lines = vec![format!(
        "{}: {} {what} dropped{}{} ({}, {})",
        drop.netns.label(),
        drop.packets,
        part(" in ", drop.hook),
        part(" at ", drop.interface.as_deref()),
        drop.function,
        drop.reason,
    )];
    lines.extend(drop.rule.as_ref().map(|rule| format!("rule: {rule}")));
    lines
}

fn boundary_line(boundary: &Boundary) -> String {
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
        boundary.limit(),
        boundary.function,
        boundary.reason.as_deref().unwrap_or("(no reason code)"),
    )
}

/// What became of the message to the sender; `None` where the finding is not about a place.
pub(crate) fn pmtud_line(finding: &Finding) -> Option<String> {
    let (boundary, pmtud) = (finding.boundary.as_ref()?, finding.pmtud.as_ref()?);
    let generated = finding.evidence.icmp_generated;
    if let Some(blocked) = &pmtud.blocked_at {
        let part = |before: &str, part: Option<&str>| {
            part.map_or_else(String::new, |part| format!("{before}{part}"))
        };
        let times = match finding.evidence.icmp_dropped {
            // Another connection's, with the same cause.
            0 => "dropped".to_owned(),
            dropped => format!("generated {generated} times, dropped {dropped} times"),
        };
        if let Some(why) = &blocked.why {
            return Some(format!("generated {generated} times; it {why}"));
        }
        return Some(format!(
            "{times} in {}{}{} ({}{}){}",
            blocked.netns.label(),
            part(", ", blocked.hook),
            part(" at ", blocked.interface.as_deref()),
            blocked.function,
            part(", ", blocked.reason.as_deref()),
            part("; rule: ", blocked.rule.as_deref()),
        ));
    }
    Some(match (boundary.silent, pmtud.signalled, pmtud.delivered) {
        (_, _, Some(true)) => format!("generated {generated} times, and the sender heard it"),
        (true, false, _) => "none: a drop at this layer tells nobody".to_owned(),
        (_, true, _) => format!("generated {generated} times; where it ended was not seen"),
        (false, false, _) => "none was seen".to_owned(),
    })
}

/// ```text
///   path        eth0 1500  in           veth
///               veth3 1450  host        veth     <- 1500 bytes die here
/// ```
pub(crate) fn path_lines(finding: &Finding, style: &Style) -> Vec<String> {
    let name = |hop: &ReportedHop| format!("{}@{}", hop.interface, hop.netns.label());
    let widths = finding.path.iter().map(|hop| name(hop).chars().count());
    let width = widths.max().unwrap_or(0);
    let line = |hop: &ReportedHop| {
        let boundary = finding.boundary.as_ref();
        let narrow = boundary.is_some_and(|it| it.is_as_narrow(hop.mtu_bytes));
        let mut line = format!(
            "{:width$}  mtu {:<5} {}  {}",
            name(hop),
            hop.mtu_bytes,
            if narrow { "><" } else { "  " },
            hop.kind
        );
        if let Some(bytes) = hop.overhead_bytes {
            line.push_str(&format!(", adds {bytes} bytes"));
        }
        if let Some(alias) = &hop.alias {
            line.push_str(&format!(" ({alias})"));
        }
        match boundary.filter(|boundary| is_limit(boundary, hop)) {
            Some(_) if narrow => style.fault(&format!("{line}  <- too small")),
            Some(at) => style.fault(&format!("{line}  <- only {} fit", at.limit())),
            None => line,
        }
    };
    finding.path.iter().map(line).collect()
}

/// Whether a link is the one whose MTU is the limit.
fn is_limit(boundary: &Boundary, hop: &ReportedHop) -> bool {
    let (netns, interface) = match &boundary.peer {
        Some(peer) => (&peer.netns, &peer.interface),
        None => (&boundary.netns, &boundary.egress),
    };
    *netns == hop.netns && interface.as_ref() == Some(&hop.interface)
}

pub(crate) fn audit_lines(finding: &Finding) -> Vec<String> {
    let mut lines = vec![match finding.evidence.ways {
        1 => "1 way leads over it".to_owned(),
        ways => format!("{ways} ways lead over it"),
    }];
    lines.extend_from_slice(&finding.evidence.notes);
    lines
}

pub(crate) fn evidence_lines(clock: &Clock, finding: &Finding) -> Vec<String> {
    let evidence = &finding.evidence;
    let numbers = [
        (evidence.oversized_drops, "oversized drops"),
        (evidence.other_drops, "other drops"),
        (evidence.retransmits, "retransmits"),
        (evidence.attempts.into(), "losses of the same segment"),
        (evidence.max_backoff.into(), "doublings of the timeout"),
    ];
    let numbers = numbers.iter().filter(|(count, _)| *count > 0);
    let mut numbers: Vec<String> = numbers
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if evidence.stalled_ms > 0 {
        numbers.push(format!("{:.1} s stalled", seconds(evidence.stalled_ms)));
    }
    let since_ms = finding.detected_at_ns.saturating_sub(finding.first_seen_ns) / 1_000_000;
    let first_seen = clock.wall(finding.first_seen_ns);
    let mut lines = vec![
        numbers.join(", "),
        format!(
            "first seen {}, found {:.2} s later",
            first_seen.strftime("%H:%M:%S%.3fZ"),
            seconds(since_ms)
        ),
    ];
    lines.extend_from_slice(&evidence.notes);
    lines
}

#[expect(clippy::cast_precision_loss, reason = "a time to be read by people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
