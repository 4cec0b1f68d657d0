//! One thing in full: a finding with its path, fixes and evidence; a connection; or a namespace.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use crate::model::event::Flow;
use crate::model::finding::Finding;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{Link, NetnsId, Topology};
use crate::show::report::{connection_lines, container_lines, drop_lines};
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, findings, namespaces};
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::render::{evidence, path};
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::tui::view::connections::connection_row;
use crate::show::tui::view::{entries, label};
use crate::show::watch::Watch;

/// One thing in full.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Detail",
    help: "the finding in full: path, fix, evidence",
    is_below: false,
    place: |_| String::new(),
    draw,
    page: |app| app.scroll.page.saturating_sub(1),
    go,
    opens: |_| None,
    sort: findings::sort,
    is_empty: |app| app.view.count() == 0 && app.shown == Shown::Finding,
};

pub(crate) fn go(app: &mut App, rows: isize) {
    let scroll = &mut app.scroll;
    scroll.first = scroll.first.saturating_add_signed(rows).min(scroll.end);
}

/// From this width on, fixes and timeline are beside the path.
const TWO_COLUMNS: u16 = 110;

fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let whole = app.pane == Pane::DETAIL;
    let two = area.width >= TWO_COLUMNS && app.shown == Shown::Finding;
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(3);
    let [left, right] = if two {
        halves.areas(area)
    } else {
        [area, area]
    };
    let width = left.width.min(right.width);
    let mut first = Paragraphs::new(app.pen, width);
    let mut second = Paragraphs::new(app.pen, width);
    let mut hole = None;
    match (app.shown, &app.finding) {
        (Shown::Connection(flow), _) => connection(app, watch, flow, &mut first),
        (Shown::Netns(id), _) => netns(watch, id, &mut first),
        (Shown::Finding, Some(finding)) => {
            if whole {
                head(app, finding, &mut first);
            }
            hole = path::way(finding, &mut first);
            dropped(finding, &mut first);
            ends(finding, &mut first);
            evidence::numbers(&app.facts, finding, &mut first);
            let beside = if two { &mut second } else { &mut first };
            evidence::fixes(app, finding, beside);
            let topology = &watch.analysis.state().topology;
            let entries = entries(watch, finding).unwrap_or_default();
            evidence::timeline(&app.facts, &entries, topology, beside);
        }
        (Shown::Finding, None) => {
            let words = "No finding: there is nothing to show in full.";
            first.words(Role::Faint, 0, words);
        }
    }
    let height = usize::from(area.height);
    app.scroll
        .fit(first.lines.len().max(second.lines.len()), height);
    // What is too low to be seen must still show where packets die.
    let hole = hole.filter(|_| !whole);
    let from = hole.map_or(0, |hole| (hole + 3).saturating_sub(height));
    first.draw(frame, left, app.scroll.first.max(from));
    if two {
        second.draw(frame, right, app.scroll.first);
    }
}

/// What the list says too, for when it is not on the screen.
fn head(app: &App, finding: &Finding, to: &mut Paragraphs) {
    let pen = to.pen;
    let role = Role::from(finding.severity);
    let severity = finding.severity.name().to_uppercase();
    let state = if finding.ongoing { "ongoing" } else { "over" };
    let since = app.facts.time(finding.first_seen_ns);
    let mark = pen.glyphs.severity(finding.severity);
    let name = format!("{mark} {severity} {}", finding.verdict.name());
    let more = format!("{}, {state}, since {since}", finding.confidence.name());
    if text::width(&name) + text::width(&more) + 2 <= to.width {
        let spans = [
            pen.span(role, name),
            pen.span(Role::Text, format!("  {more}")),
        ];
        to.lines.push(Line::from_iter(spans));
    } else {
        to.words(role, 0, &name);
        to.words(Role::Text, 0, &more);
    }
    to.words(Role::Strong, 0, &pen.words(&finding.summary));
}

fn dropped(finding: &Finding, to: &mut Paragraphs) {
    let lines = drop_lines(finding);
    if !lines.is_empty() {
        to.heading("dropped");
        for words in lines {
            to.words(Role::Error, 2, &words);
        }
    }
}

fn ends(finding: &Finding, to: &mut Paragraphs) {
    if finding.connection.is_some() {
        to.heading("connection");
        let lines = connection_lines(finding);
        for words in lines.into_iter().chain(container_lines(finding)) {
            to.words(Role::Text, 2, &words);
        }
    }
}

fn connection(app: &App, watch: &Watch, flow: Flow, to: &mut Paragraphs) {
    let state = watch.analysis.state();
    let (Some(row), Some((connection, _))) =
        (connection_row(watch, &flow), state.connection(&flow))
    else {
        return to.words(Role::Faint, 0, "This connection is no longer known.");
    };
    let arrow = row.direction.map_or("-", |it| to.pen.glyphs.direction(it));
    let words = format!("{} in {} {arrow} {}", row.local, row.place, row.remote);
    to.line(Role::Strong, &words);
    let (role, stalled) = match row.stalled_ns {
        Some(ns) => (Role::Error, format!("stalled for {}", text::ago(ns))),
        None => (Role::Text, "moves".to_owned()),
    };
    let words = format!(
        "{}, {stalled}, {} retransmits, {} drops, timeout doubled {} times",
        row.state, row.retransmits, row.drops, row.backoff
    );
    to.words(role, 0, &words);
    to.heading("seen as");
    let mut told: Vec<Flow> = connection.ends.iter().map(|it| it.socket.flow).collect();
    for &flow in &connection.seen_as {
        if !told.contains(&flow) && !told.contains(&flow.reversed()) {
            told.push(flow);
        }
    }
    for flow in told {
        let words = format!("{flow} in {}", label(flow.netns, &state.topology));
        to.words(Role::Text, 2, &words);
    }
    let entries = watch.journal.of(connection);
    evidence::timeline(&app.facts, &entries, &state.topology, to);
}

fn netns(watch: &Watch, id: NetnsId, to: &mut Paragraphs) {
    let topology = &watch.analysis.state().topology;
    let Some(known) = topology.namespaces.get(&id) else {
        return to.words(Role::Faint, 0, "This namespace is no longer known.");
    };
    let named = NetnsRef::new(id, topology);
    to.line(Role::Strong, &named.label());
    let words = named.chain().unwrap_or_else(|| namespaces::what(known));
    to.words(Role::Text, 0, &words);
    let forwards = match (known.forwards_ipv4, known.forwards_ipv6) {
        (true, true) => "forwards IPv4 and IPv6",
        (true, false) => "forwards IPv4",
        (false, true) => "forwards IPv6",
        (false, false) => "does not forward",
    };
    let words = format!("netns inode {}, {forwards}", known.inode);
    to.words(Role::Faint, 0, &words);
    to.heading("interfaces");
    for link in known.links.values() {
        interface(topology, id, link, to);
    }
}

fn interface(topology: &Topology, netns: NetnsId, link: &Link, to: &mut Paragraphs) {
    let head = format!("{:<15} MTU {:<5} {}", link.name, link.mtu_bytes, link.kind);
    let mut words = Vec::new();
    if !link.up {
        words.push("down".to_owned());
    }
    if let Some(master) = link.master.and_then(|it| topology.link(netns, it)) {
        words.push(format!("port of {}", master.name));
    }
    if let Some(peer) = &link.peer
        && let Some(netns) = peer.netns
        && let Some(other) = topology.link(netns, peer.ifindex)
    {
        let place = label(netns, topology);
        words.push(format!("to {}@{place} MTU {}", other.name, other.mtu_bytes));
    }
    let addresses = link.addresses.iter();
    words.extend(addresses.map(|own| format!("{}/{}", own.address, own.prefix_len)));
    let words = words.join(", ");
    if text::width(&head) + text::width(&words) + 4 <= to.width {
        to.line(Role::Text, &format!("  {head}  {words}"));
    } else {
        to.line(Role::Text, &format!("  {head}"));
        to.words(Role::Text, 6, &words);
    }
}
