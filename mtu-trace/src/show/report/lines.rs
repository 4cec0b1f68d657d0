//! What people are told of a finding, or where there is none, line by line: what the text report, the
//! Markdown report and the screens have in common.

use crate::base::clock::Clock;
use crate::model::finding::{Boundary, ConnectionRef, Direction, Endpoint, Finding, Pmtud};
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

pub(crate) fn connection_lines(finding: &Finding, connection: &ConnectionRef) -> Vec<String> {
    let place = |endpoint: &Endpoint| {
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

pub(crate) fn boundary_line(boundary: &Boundary) -> String {
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
pub(crate) fn path_lines(finding: &Finding, style: &Style) -> Vec<String> {
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

pub(crate) fn audit_lines(finding: &Finding) -> Vec<String> {
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

#[expect(clippy::cast_precision_loss, reason = "a time to be read by people")]
fn ms(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
