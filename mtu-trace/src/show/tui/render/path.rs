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
use crate::show::tui::app::App;
use crate::show::tui::render::Pen;
use crate::show::tui::render::findings::interfaces;
use crate::show::tui::text;
use crate::show::tui::theme::Role;

/// Columns of the inside of the widest pipe. A choice: four levels can be told apart.
const WIDEST: usize = 12;
/// Columns of the inside of the narrowest pipe. A choice, as for [`WIDEST`].
const NARROWEST: usize = 6;

/// The way, and what is known of what happens on it.
#[derive(Default)]
pub struct PathLines {
    /// The path, line by line.
    pub lines: Vec<Line<'static>>,
    /// Which of the lines is the place where packets die.
    pub hole: Option<usize>,
}

/// The way of a finding's packets.
pub fn way(app: &App, finding: &Finding, width: usize) -> PathLines {
    let pen = Pen::of(app);
    let Some(boundary) = &finding.boundary else {
        return PathLines::default();
    };
    let mut lines = vec![Line::from(vec![
        pen.span(Role::Label, "PATH  "),
        pen.span(Role::Good, format!("{} bytes pass", boundary.limit_bytes)),
        pen.span(Role::Text, ", "),
        pen.span(Role::Error, format!("{} die", boundary.packet_bytes)),
        pen.span(
            Role::Text,
            pen.fit(
                &format!(
                    " at {} in {}",
                    interfaces(app, boundary),
                    boundary.netns.label()
                ),
                width.saturating_sub(31),
            ),
        ),
    ])];
    let mut hole = None;
    if finding.path.is_empty() {
        let words = "the rest of the way is not known";
        lines.push(pen.line(Role::Faint, format!("  {words}")));
    } else {
        hole = hops(app, finding, boundary, width, &mut lines);
    }
    if let (Some(pmtud), Some(words)) = (&finding.pmtud, pmtud_line(finding)) {
        let role = match (&pmtud.blocked_at, pmtud.delivered) {
            (_, Some(true)) => Role::Good,
            (Some(_), _) => Role::Error,
            _ => Role::Text,
        };
        let mut wrapped = pen.wrapped(role, &words, 6, width).into_iter();
        if let Some(first) = wrapped.next() {
            let first: String = first
                .spans
                .iter()
                .map(|span| span.content.trim_start())
                .collect();
            lines.push(Line::from(vec![
                pen.span(Role::Label, "ICMP  "),
                pen.span(role, first),
            ]));
        }
        lines.extend(wrapped);
    }
    PathLines { lines, hole }
}

/// Adds the hops; says which line is the place where packets die.
fn hops(
    app: &App,
    finding: &Finding,
    boundary: &Boundary,
    width: usize,
    to: &mut Vec<Line<'static>>,
) -> Option<usize> {
    let pen = Pen::of(app);
    if let Some(connection) = &finding.connection {
        to.push(local_end(app, connection, width));
    }
    let names = finding.path.iter().map(|hop| text::width(&hop.interface));
    let name = names
        .max()
        .unwrap_or(0)
        .clamp(4, width.saturating_sub(44).max(8));
    let mtus: BTreeSet<u32> = finding.path.iter().map(|hop| hop.mtu_bytes).collect();
    let mtus: Vec<u32> = mtus.into_iter().collect();
    let mut before: Option<&NetnsRef> = None;
    let mut hole = None;
    for hop in &finding.path {
        if before != Some(&hop.netns) {
            to.push(place(app, finding, &hop.netns, width));
            before = Some(&hop.netns);
        }
        if is_limit(hop, boundary) {
            hole = hole.or(Some(to.len()));
        }
        let inside = inside(&mtus, hop.mtu_bytes);
        to.push(self::hop(app, hop, boundary, inside, name, width));
    }
    if let Some(connection) = &finding.connection {
        let end = connection.remote.socket_address();
        let wherever = match &connection.remote.netns {
            Some(_) => String::new(),
            None => ", beyond this host".to_owned(),
        };
        to.push(pen.line(Role::Text, pen.fit(&format!("  {end}{wherever}"), width)));
    }
    hole
}

fn local_end(app: &App, connection: &ConnectionRef, width: usize) -> Line<'static> {
    let pen = Pen::of(app);
    let [up, down] = app.glyphs.travel;
    let way = match connection.direction {
        Direction::Download => format!("{up} data comes from below"),
        Direction::Upload => format!("{down} data goes down"),
        Direction::Both => format!("{up}{down} data goes both ways"),
    };
    let words = format!("  {}  {way}", connection.local.socket_address());
    pen.line(Role::Text, pen.fit(&words, width))
}

/// A namespace on the way, and what became of the message in it.
fn place(app: &App, finding: &Finding, netns: &NetnsRef, width: usize) -> Line<'static> {
    let pen = Pen::of(app);
    let blocked = finding.pmtud.as_ref().and_then(|it| it.blocked_at.as_ref());
    let mut spans = vec![pen.span(
        Role::Strong,
        pen.fit(&format!("  {}", netns.label()), width),
    )];
    if let Some(blocked) = blocked.filter(|blocked| blocked.netns == *netns) {
        let hook = blocked
            .hook
            .map_or_else(String::new, |hook| format!(" ({hook})"));
        let words = format!("  {} ICMP is dropped here{hook}", app.glyphs.blocked);
        spans.push(pen.span(Role::Error, words));
    }
    Line::from(spans)
}

/// Columns of the inside of a pipe, by its place among all MTUs of the way.
fn inside(mtus: &[u32], mtu: u32) -> usize {
    let rank = mtus.iter().position(|&known| known == mtu).unwrap_or(0);
    match mtus.len() {
        0 | 1 => WIDEST,
        count => NARROWEST + (WIDEST - NARROWEST) * rank / (count - 1) / 2 * 2,
    }
}

fn hop(
    app: &App,
    hop: &ReportedHop,
    boundary: &Boundary,
    inside: usize,
    name: usize,
    width: usize,
) -> Line<'static> {
    let pen = Pen::of(app);
    let glyphs = app.glyphs;
    let is_hole = is_limit(hop, boundary);
    let fits = hop.mtu_bytes > boundary.limit_bytes;
    let outside = glyphs.outside.repeat((WIDEST - inside) / 2);
    let role = if is_hole { Role::Error } else { Role::Text };
    let mark = if is_hole { glyphs.hole } else { " " };
    let mut spans = vec![
        pen.span(Role::Error, format!("  {mark} ")),
        pen.span(role, pen.pad(&hop.interface, name)),
        Span::raw(" "),
        pen.span(Role::Frame, outside.clone()),
        pen.span(
            if fits { Role::Text } else { role },
            format!("{0}{1:inside$}{0}", glyphs.wall, ""),
        ),
        pen.span(Role::Frame, outside),
        pen.span(role, format!(" {:>5}", hop.mtu_bytes)),
        pen.span(Role::Faint, format!(" {}", hop.kind)),
    ];
    if let Some(bytes) = hop.overhead_bytes {
        spans.push(pen.span(Role::Faint, format!(", adds {bytes}")));
    }
    if is_hole {
        let words = if fits {
            format!("  only {} fit here", boundary.limit_bytes)
        } else {
            format!("  {} die here", boundary.packet_bytes)
        };
        spans.push(pen.span(Role::Error, words));
    } else if let Some(alias) = hop.alias.as_ref().filter(|alias| !alias.is_empty()) {
        spans.push(pen.span(Role::Faint, format!(" ({alias})")));
    }
    clip(pen, spans, width)
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
    let mut fitted = Vec::with_capacity(spans.len());
    for span in spans {
        let content = pen.fit(&span.content, left);
        left -= text::width(&content).min(left);
        fitted.push(Span::styled(content, span.style));
    }
    Line::from(fitted)
}
