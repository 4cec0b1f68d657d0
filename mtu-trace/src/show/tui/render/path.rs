//! The way of the packets, hop by hop: how wide each is, where it gets too narrow, and where the message
//! that should say so has ended.
//!
//! ```text
//! PATH  1450 bytes pass, 1500 die
//!   192.0.2.2:40000, ▲ data comes from below
//!   build
//!       eth0     ┃            ┃   1500 veth
//!   the host, ⊘ ICMP is dropped here (OUTPUT)
//!   ✖   cni0     ░░┃        ┃░░   1450 bridge  ✖ 1500 bytes do not fit
//!       ext0     ┃            ┃   1500 veth
//!   198.51.100.9:80
//! ```

use std::collections::BTreeSet;

use ratatui::text::{Line, Span};

use crate::model::finding::{Boundary, ConnectionRef, Direction, Finding, ReportedHop};
use crate::model::netns_ref::NetnsRef;
use crate::show::report::pmtud_line;
use crate::show::tui::panes::findings::interfaces;
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::text;
use crate::show::tui::theme::{Pen, Role};

/// Columns of the inside of the widest pipe. A choice: four levels can be told apart.
const WIDEST: usize = 12;
/// Columns of the inside of the narrowest pipe. A choice, as for [`WIDEST`].
const NARROWEST: usize = 6;

/// Adds the way of a finding's packets; gives the number of the line of the place where they die.
pub fn way(finding: &Finding, to: &mut Paragraphs) -> Option<usize> {
    let boundary = finding.boundary.as_ref()?;
    let pen = to.pen;
    let (devices, netns) = (interfaces(pen, boundary), boundary.netns.label());
    let place = pen.fit(
        &format!(" at {devices} in {netns}"),
        to.width.saturating_sub(31),
    );
    to.gap();
    to.lines.push(Line::from_iter([
        pen.span(Role::Label, "PATH  "),
        pen.span(Role::Good, format!("{} bytes pass", boundary.limit())),
        pen.span(Role::Text, ", "),
        pen.span(Role::Error, format!("{} die", boundary.packet_bytes)),
        pen.span(Role::Text, place),
    ]));
    let mut hole = None;
    if finding.path.is_empty() {
        to.line(Role::Faint, "  the rest of the way is not known");
    } else {
        hole = hops(finding, boundary, to);
    }
    if let (Some(pmtud), Some(words)) = (&finding.pmtud, pmtud_line(finding)) {
        let role = match (&pmtud.blocked_at, pmtud.delivered) {
            (_, Some(true)) => Role::Good,
            (Some(_), _) => Role::Error,
            _ => Role::Text,
        };
        to.beside(pen.span(Role::Label, "ICMP  "), role, &words);
    }
    hole
}

/// Adds the hops; says which line is the place where packets die.
fn hops(finding: &Finding, boundary: &Boundary, to: &mut Paragraphs) -> Option<usize> {
    if let Some(connection) = &finding.connection {
        local_end(connection, to);
    }
    let names = finding.path.iter().map(|hop| text::width(&hop.interface));
    let most = to.width.saturating_sub(44).max(8);
    let name = names.max().unwrap_or(0).clamp(4, most);
    let mtus: BTreeSet<u32> = finding.path.iter().map(|hop| hop.mtu_bytes).collect();
    let mut before: Option<&NetnsRef> = None;
    let mut hole = None;
    for hop in &finding.path {
        if before.replace(&hop.netns) != Some(&hop.netns) {
            to.lines.push(place(to, finding, &hop.netns));
        }
        if is_limit(hop, boundary) {
            hole = hole.or(Some(to.lines.len()));
        }
        let spans = self::hop(to.pen, hop, boundary, inside(&mtus, hop.mtu_bytes), name);
        to.lines.push(clip(to.pen, spans, to.width));
    }
    if let Some(connection) = &finding.connection {
        let end = connection.remote.socket_address();
        let wherever = match &connection.remote.netns {
            Some(_) => "",
            None => ", beyond this host",
        };
        to.line(Role::Text, &format!("  {end}{wherever}"));
    }
    hole
}

fn local_end(connection: &ConnectionRef, to: &mut Paragraphs) {
    let [up, down] = to.pen.glyphs.travel;
    let way = match connection.direction {
        Direction::Download => format!("{up} data comes from below"),
        Direction::Upload => format!("{down} data goes down"),
        Direction::Both => format!("{up}{down} data goes both ways"),
    };
    let end = connection.local.socket_address();
    to.line(Role::Text, &format!("  {end}  {way}"));
}

/// A namespace on the way, and what became of the message in it.
fn place(to: &Paragraphs, finding: &Finding, netns: &NetnsRef) -> Line<'static> {
    let pen = to.pen;
    let name = pen.fit(&format!("  {}", netns.label()), to.width);
    let mut line = pen.line(Role::Strong, name);
    let blocked = finding.pmtud.as_ref().and_then(|it| it.blocked_at.as_ref());
    if let Some(blocked) = blocked.filter(|blocked| blocked.netns == *netns) {
        let hook = blocked.hook.map(|hook| format!(" ({hook})"));
        let hook = hook.unwrap_or_default();
        let words = format!("  {} ICMP is dropped here{hook}", pen.glyphs.blocked);
        line.push_span(pen.span(Role::Error, words));
    }
    line
}

/// Columns of the inside of a pipe, by its place among all MTUs of the way.
fn inside(mtus: &BTreeSet<u32>, mtu: u32) -> usize {
    let rank = mtus.range(..mtu).count();
    match mtus.len() {
        0 | 1 => WIDEST,
        count => NARROWEST + (WIDEST - NARROWEST) * rank / (count - 1) / 2 * 2,
    }
}

fn hop(
    pen: Pen,
    hop: &ReportedHop,
    boundary: &Boundary,
    inside: usize,
    name: usize,
) -> Vec<Span<'static>> {
    let glyphs = pen.glyphs;
    let is_hole = is_limit(hop, boundary);
    let fits = !boundary.is_as_narrow(hop.mtu_bytes);
    let outside = glyphs.outside.repeat((WIDEST - inside) / 2);
    let role = if is_hole { Role::Error } else { Role::Text };
    let wall = if fits { Role::Text } else { role };
    let mark = if is_hole { glyphs.hole } else { " " };
    let mut spans = vec![
        pen.span(Role::Error, format!("  {mark} ")),
        pen.span(role, pen.pad(&hop.interface, name)),
        Span::raw(" "),
        pen.span(Role::Frame, outside.clone()),
        pen.span(wall, format!("{0}{1:inside$}{0}", glyphs.wall, "")),
        pen.span(Role::Frame, outside),
        pen.span(role, format!(" {:>5}", hop.mtu_bytes)),
        pen.span(Role::Faint, format!(" {}", hop.kind)),
    ];
    if let Some(bytes) = hop.overhead_bytes {
        spans.push(pen.span(Role::Faint, format!(", adds {bytes}")));
    }
    if is_hole {
        let words = if fits {
            format!("  only {} fit here", boundary.limit())
        } else {
            format!("  {} die here", boundary.packet_bytes)
        };
        spans.push(pen.span(Role::Error, words));
    } else if let Some(alias) = hop.alias.as_ref().filter(|alias| !alias.is_empty()) {
        spans.push(pen.span(Role::Faint, format!(" ({alias})")));
    }
    spans
}

/// Whether the limit is this interface's.
fn is_limit(hop: &ReportedHop, boundary: &Boundary) -> bool {
    let (netns, interface) = match &boundary.peer {
        Some(peer) => (&peer.netns, peer.interface.as_deref()),
        None => (&boundary.netns, boundary.egress.as_deref()),
    };
    *netns == hop.netns && interface == Some(hop.interface.as_str())
}

/// The spans in so many columns.
fn clip(pen: Pen, spans: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let mut left = width;
    let fitted = spans.into_iter().map(|span| {
        let content = pen.fit(&span.content, left);
        left -= text::width(&content).min(left);
        Span::styled(content, span.style)
    });
    fitted.collect()
}
