//! What was concluded, the worst first; the selected finding says its sentence in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::model::finding::{Boundary, Finding};
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{PaneDefinition, list_row, position};
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::text;
use crate::show::tui::theme::{Pen, Role};
use crate::show::tui::view::FindingOrder;

/// The pane of the findings.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Findings",
    help: "findings",
    is_below: false,
    place: |app| {
        let by = match app.finding_order {
            FindingOrder::Severity => "",
            FindingOrder::Latest => ", latest first",
        };
        format!("{}{by}", position(app.findings.selected, app.view.count()))
    },
    draw: |frame, app, _, area| draw(frame, app, area),
    page: |app| app.findings.page,
    go: App::go_in_findings,
    opens: |_| Some(Shown::Finding),
    sort,
    is_empty: |app| app.view.count() == 0,
};

pub(crate) fn sort(app: &mut App) -> &'static str {
    let (order, words) = match app.finding_order {
        FindingOrder::Severity => (FindingOrder::Latest, "latest findings first"),
        FindingOrder::Latest => (FindingOrder::Severity, "worst findings first"),
    };
    app.finding_order = order;
    words
}

/// Columns before the text of a row.
const INDENT: usize = 4;
/// A narrower list is the only pane.
const NARROW: usize = 58;
/// Columns a verdict takes, of those that matter most.
const VERDICT: usize = 17;

/// Rows that all findings would take.
pub fn height(app: &App, width: u16) -> usize {
    let selected = app.finding.as_ref();
    let selected = selected.map_or(0, |finding| 1 + rest(app, finding, width).len());
    app.view.count().saturating_sub(1) * 2 + selected
}

fn draw(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let height = usize::from(area.height);
    let selected = app.findings.selected;
    let below = app.finding.as_ref();
    let below = below.map_or_else(Vec::new, |finding| rest(app, finding, area.width));
    let tall = 1 + below.len();
    // Two rows each, if all can be seen so.
    let all_in_two = app.findings.len.saturating_sub(1) * 2 + tall;
    let each = if all_in_two <= height { 2 } else { 1 };
    app.findings
        .scroll(height, |index| if index == selected { tall } else { each });
    app.findings.page = height.saturating_sub(tall).max(1);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for index in app.findings.offset..app.findings.len {
        let Some(finding) = app.view.finding(index) else {
            break;
        };
        lines.push(first(app, &finding, usize::from(area.width), index));
        if index == selected {
            lines.extend_from_slice(&below);
        } else if each > 1 {
            lines.push(second(app.pen, &finding, usize::from(area.width)));
        }
        if lines.len() >= height {
            break;
        }
    }
    frame.render_widget(Text::from(lines), area);
}

/// Mark, verdict, who, and since when.
fn first(app: &App, finding: &Finding, width: usize, index: usize) -> Line<'static> {
    let pen = app.pen;
    let mut since = since(app, finding);
    if width < NARROW {
        since = since.trim_start_matches("for ").replace(' ', "");
    }
    let room = width.saturating_sub(INDENT + text::width(&since) + 1);
    let role = Role::from(finding.severity);
    // In a row of few columns, who it is about is worth more than where the columns line up.
    let verdict = finding.verdict.name();
    let columns = if room >= 44 { VERDICT } else { verdict.len() };
    let verdict = pen.fit(&pen.pad(verdict, columns), room);
    let left = room.saturating_sub(text::width(&verdict) + 2);
    let who = pen.pad(&who(pen, finding), left);
    let gap = if left > 0 { "  " } else { "" };
    let mark = pen.glyphs.severity(finding.severity);
    let since_role = if finding.ongoing {
        Role::Strong
    } else {
        Role::Faint
    };
    let cells = [
        pen.span(role, format!("{mark} ")),
        pen.span(role, verdict),
        Span::raw(gap),
        pen.span(Role::Text, who),
        pen.span(since_role, format!(" {since}")),
    ];
    list_row(pen, &app.findings, index, Role::Selected, cells)
}

/// Who suffers from it.
fn who(pen: Pen, finding: &Finding) -> String {
    let Some(connection) = &finding.connection else {
        let boundary = finding.boundary.as_ref();
        return boundary.map_or_else(String::new, |boundary| boundary.netns.label());
    };
    let arrow = pen.glyphs.direction(connection.direction);
    let local = match &connection.local.netns {
        Some(netns) => netns.label(),
        None => connection.local.socket_address(),
    };
    let remote = connection.remote.socket_address();
    match finding.connections {
        0 | 1 => format!("{local} {arrow} {remote}"),
        count => format!("{local} {arrow} {remote} (+{} more)", count - 1),
    }
}

/// How long it has gone on, or when it was over.
fn since(app: &App, finding: &Finding) -> String {
    let ago = |at_ns| text::ago(app.now_ns.saturating_sub(at_ns));
    if finding.ongoing {
        format!("for {}", ago(finding.first_seen_ns))
    } else {
        format!("{} ago", ago(finding.last_seen_ns))
    }
}

/// The place, or what is said if there is none.
fn second(pen: Pen, finding: &Finding, width: usize) -> Line<'static> {
    let words = place(pen, finding).unwrap_or_else(|| pen.words(&finding.summary));
    let words = pen.fit(&words, width.saturating_sub(INDENT));
    pen.line(Role::Faint, format!("{:INDENT$}{words}", ""))
}

/// All but the first row of the selected finding.
fn rest(app: &App, finding: &Finding, width: u16) -> Vec<Line<'static>> {
    let mut rest = Paragraphs::new(app.pen, width);
    let is_narrow = rest.width < NARROW;
    let indent = if is_narrow { 2 } else { INDENT };
    rest.words(Role::Strong, indent, &app.pen.words(&finding.summary));
    // Elsewhere the path is on the screen as well.
    if let Some(place) = place(app.pen, finding).filter(|_| is_narrow) {
        rest.words(Role::Faint, indent, &place);
    }
    rest.lines
}

/// `1500 > 1450 at ext0 → cni0 in the host; ICMP dropped in OUTPUT of the host`.
fn place(pen: Pen, finding: &Finding) -> Option<String> {
    let boundary = finding.boundary.as_ref()?;
    let blocked = finding.pmtud.as_ref().and_then(|it| it.blocked_at.as_ref());
    let icmp = match blocked.map(|it| (it.hook, it.netns.label())) {
        Some((Some(hook), netns)) => format!("; ICMP dropped in {hook} of {netns}"),
        Some((None, netns)) => format!("; ICMP dropped in {netns}"),
        None if boundary.silent => "; no ICMP from there".to_owned(),
        None => String::new(),
    };
    Some(format!(
        "{} > {} at {} in {}{icmp}",
        boundary.packet_bytes,
        boundary.limit(),
        interfaces(pen, boundary),
        boundary.netns.label(),
    ))
}

/// The devices of a boundary, such as `ext0 → cni0`.
pub fn interfaces(pen: Pen, boundary: &Boundary) -> String {
    let to = pen.glyphs.to;
    match (&boundary.ingress, &boundary.egress) {
        (Some(ingress), Some(egress)) => format!("{ingress} {to} {egress}"),
        (None, Some(egress)) => format!("{to} {egress}"),
        (Some(ingress), None) => format!("{ingress} {to}"),
        (None, None) => "an unknown interface".to_owned(),
    }
}
