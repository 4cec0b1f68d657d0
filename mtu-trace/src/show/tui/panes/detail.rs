//! One thing in full: a finding with its path, fixes and evidence; a connection; or a namespace.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use crate::model::event::Flow;
use crate::model::finding::Finding;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{Link, NetnsId};
use crate::show::report::{connection_lines, container_lines};
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, PaneSlot, findings, namespaces};
use crate::show::tui::render::{self, Pen, evidence, fix, path};
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::tui::view::{connection_row, entries, label};
use crate::show::watch::Watch;

/// One thing in full.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Detail",
    help: "the finding in full: path, fix, evidence",
    slot: PaneSlot::Side,
    place: |_| String::new(),
    draw,
    page: |app| app.scroll_page.saturating_sub(1),
    go,
    opens: |_| None,
    sort: findings::sort,
    is_empty: |app| app.view.count() == 0 && app.shown == Shown::Finding,
};

pub(crate) fn go(app: &mut App, rows: isize) {
    app.scroll = app.scroll.saturating_add_signed(rows).min(app.scroll_end);
}

/// From this width on, fixes and timeline are beside the path.
const TWO_COLUMNS: u16 = 110;

/// Draws what is shown in full.
fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let pen = Pen::of(app);
    let whole = app.pane == Pane::DETAIL;
    let two = area.width >= TWO_COLUMNS && app.shown == Shown::Finding;
    let [left, right] = if two {
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
            .spacing(3)
            .areas(area)
    } else {
        [area, Rect::default()]
    };
    let width = usize::from(if two {
        left.width.min(right.width)
    } else {
        left.width
    });
    let mut hole = None;
    let (mut first, mut second) = match (app.shown, app.finding()) {
        (Shown::Connection(flow), _) => (connection(app, watch, flow, width), Vec::new()),
        (Shown::Netns(netns), _) => (self::netns(app, watch, netns, width), Vec::new()),
        (Shown::Finding, Some(finding)) => {
            let head = if whole {
                head(app, finding, width)
            } else {
                Vec::new()
            };
            let way = path::way(app, finding, width);
            // The way comes first.
            hole = way.hole.map(|line| head.len() + line);
            let (left, more) = parts(app, watch, finding, way.lines, width);
            ([head, left].concat(), more)
        }
        (Shown::Finding, None) => {
            let words = "No finding: there is nothing to show in full.";
            (pen.wrapped(Role::Faint, words, 0, width), Vec::new())
        }
    };
    if !two && !second.is_empty() {
        first.push(Line::default());
        first.append(&mut second);
    }
    let height = usize::from(area.height);
    app.scroll_page = height.max(1);
    app.scroll_end = first.len().max(second.len()).saturating_sub(height);
    app.scroll = app.scroll.min(app.scroll_end);
    // What is too low to be seen must still show where packets die.
    let hole = hole.filter(|_| !whole);
    let from = hole.map_or(0, |hole| (hole + 3).saturating_sub(height));
    render::lines(frame, app, left, &first, app.scroll.max(from));
    if two {
        render::lines(frame, app, right, &second, app.scroll);
    }
}

/// What the list says too, for when it is not on the screen.
fn head(app: &App, finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let role = Pen::severity(finding.severity);
    let severity = finding.severity.name().to_uppercase();
    let state = if finding.ongoing { "ongoing" } else { "over" };
    let since = app.facts.time(finding.first_seen_ns);
    let mark = app.glyphs.severity(finding.severity);
    let name = format!("{mark} {severity} {}", finding.verdict.name());
    let more = format!("{}, {state}, since {since}", finding.confidence.name());
    let mut lines = if text::width(&name) + text::width(&more) + 2 <= width {
        vec![Line::from(vec![
            pen.span(role, name),
            pen.span(Role::Text, format!("  {more}")),
        ])]
    } else {
        [
            pen.wrapped(role, &name, 0, width),
            pen.wrapped(Role::Text, &more, 0, width),
        ]
        .concat()
    };
    lines.extend(pen.wrapped(Role::Strong, &pen.words(&finding.summary), 0, width));
    lines.push(Line::default());
    lines
}

/// The parts of a finding: where and why, and what to do.
fn parts(
    app: &App,
    watch: &Watch,
    finding: &Finding,
    way: Vec<Line<'static>>,
    width: usize,
) -> (Vec<Line<'static>>, Vec<Line<'static>>) {
    let pen = Pen::of(app);
    let fixes = fix::lines(app, finding, width);
    let mut who = Vec::new();
    if finding.connection.is_some() {
        who.push(pen.heading("connection"));
        let lines = connection_lines(finding);
        for words in lines.into_iter().chain(container_lines(finding)) {
            who.extend(pen.wrapped(Role::Text, &words, 2, width));
        }
    }
    let evidence = evidence::numbers(app, finding, width);
    let topology = &watch.analysis().state().topology;
    let timeline = evidence::timeline(app, &entries(watch, finding), topology, width);
    (
        joined(vec![way, who, evidence]),
        joined(vec![fixes, timeline]),
    )
}

/// Parts with a line between them.
fn joined(parts: Vec<Vec<Line<'static>>>) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(part);
    }
    lines
}

fn connection(app: &App, watch: &Watch, flow: Flow, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let state = watch.analysis().state();
    let (Some(row), Some((connection, _))) =
        (connection_row(watch, &flow), state.connection(&flow))
    else {
        return pen.wrapped(Role::Faint, "This connection is no longer known.", 0, width);
    };
    let arrow = row.direction.map_or("-", |it| app.glyphs.direction(it));
    let mut head = vec![pen.line(
        Role::Strong,
        pen.fit(
            &format!("{} in {} {arrow} {}", row.local, row.place, row.remote),
            width,
        ),
    )];
    let stalled = row.stalled_ns.map_or("moves".to_owned(), |ns| {
        format!("stalled for {}", text::ago(ns))
    });
    let words = format!(
        "{}, {stalled}, {} retransmits, {} drops, timeout doubled {} times",
        row.state, row.retransmits, row.drops, row.backoff
    );
    let role = if row.stalled_ns.is_some() {
        Role::Error
    } else {
        Role::Text
    };
    head.extend(pen.wrapped(role, &words, 0, width));
    let mut seen = vec![pen.heading("seen as")];
    let ends = connection.ends.iter().map(|end| end.socket.flow);
    let mut flows: Vec<Flow> = ends.collect();
    for &flow in connection.seen_as.iter() {
        if !flows.contains(&flow) && !flows.contains(&flow.reversed()) {
            flows.push(flow);
        }
    }
    for flow in flows {
        let words = format!("{flow} in {}", label(flow.netns, &state.topology));
        seen.extend(pen.wrapped(Role::Text, &words, 2, width));
    }
    let entries = watch.journal().of(connection);
    let timeline = evidence::timeline(app, &entries, &state.topology, width);
    joined(vec![head, seen, timeline])
}

fn netns(app: &App, watch: &Watch, id: NetnsId, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let topology = &watch.analysis().state().topology;
    let Some(known) = topology.namespaces.get(&id) else {
        return pen.wrapped(Role::Faint, "This namespace is no longer known.", 0, width);
    };
    let named = NetnsRef::new(id, topology);
    let mut head = vec![pen.line(Role::Strong, pen.fit(&named.label(), width))];
    let words = named.chain().unwrap_or_else(|| namespaces::what(known));
    head.extend(pen.wrapped(Role::Text, &words, 0, width));
    let forwards = match (known.forwards_ipv4, known.forwards_ipv6) {
        (true, true) => "forwards IPv4 and IPv6",
        (true, false) => "forwards IPv4",
        (false, true) => "forwards IPv6",
        (false, false) => "does not forward",
    };
    let words = format!("netns inode {}, {forwards}", known.inode);
    head.extend(pen.wrapped(Role::Faint, &words, 0, width));
    let mut links = vec![pen.heading("interfaces")];
    for (ifindex, link) in &known.links {
        links.extend(link_lines(app, watch, (id, *ifindex), link, width));
    }
    joined(vec![head, links])
}

fn link_lines(
    app: &App,
    watch: &Watch,
    at: (NetnsId, u32),
    link: &Link,
    width: usize,
) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let topology = &watch.analysis().state().topology;
    let head = format!("{:<15} MTU {:<5} {}", link.name, link.mtu_bytes, link.kind);
    let mut words = Vec::new();
    if !link.up {
        words.push("down".to_owned());
    }
    if let Some(master) = link.master.and_then(|it| topology.link(at.0, it)) {
        words.push(format!("port of {}", master.name));
    }
    if let Some(peer) = link.peer.as_ref()
        && let Some(netns) = peer.netns
        && let Some(other) = topology.link(netns, peer.ifindex)
    {
        let place = label(netns, topology);
        words.push(format!("to {}@{place} MTU {}", other.name, other.mtu_bytes));
    }
    let addresses = link.addresses.iter();
    words.extend(addresses.map(|own| format!("{}/{}", own.address, own.prefix_len)));
    let words = words.join(", ");
    if text::width(&head) + text::width(&words) + 4 <= width {
        return vec![pen.line(Role::Text, format!("  {head}  {words}"))];
    }
    let mut lines = vec![pen.line(Role::Text, pen.fit(&format!("  {head}"), width))];
    lines.extend(pen.wrapped(Role::Text, &words, 6, width));
    lines
}
