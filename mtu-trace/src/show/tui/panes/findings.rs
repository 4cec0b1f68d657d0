//! What was concluded, the worst first; the selected finding says its sentence in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::model::finding::{Boundary, Finding};
use crate::model::netns_ref::NetnsRef;
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{PaneDefinition, PaneSlot, position};
use crate::show::tui::render::Pen;
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::tui::view::FindingOrder;

/// The pane of the findings.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Findings",
    help: "findings",
    slot: PaneSlot::Top,
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
    let count = app.view.count();
    let selected = app.finding().map_or(0, |finding| {
        1 + rest(app, finding, usize::from(width)).len()
    });
    (count.saturating_sub(1)) * 2 + selected
}

/// Draws the findings.
fn draw(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let width = usize::from(area.width);
    let height = usize::from(area.height);
    let selected = app.findings.selected;
    let below = app
        .finding()
        .map_or_else(Vec::new, |finding| rest(app, finding, width));
    let tall = 1 + below.len();
    // Two rows each, if all can be seen so.
    let each = if (app.findings.len().saturating_sub(1)) * 2 + tall <= height {
        2
    } else {
        1
    };
    app.findings
        .scroll(height, |index| if index == selected { tall } else { each });
    app.findings.page = height.saturating_sub(tall).max(1);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for index in app.findings.offset..app.findings.len() {
        let Some(finding) = app.view.finding(index) else {
            break;
        };
        let is_selected = index == selected;
        lines.push(first(app, &finding, width, index));
        if is_selected {
            lines.extend_from_slice(&below);
        } else if each > 1 {
            lines.push(second(app, &finding, width));
        }
        if lines.len() >= height {
            break;
        }
    }
    for (line, row) in lines.iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

/// Mark, verdict, who, and since when.
fn first<'a>(app: &App, finding: &Finding, width: usize, index: usize) -> Line<'a> {
    let pen = Pen::of(app);
    let mut since = since(app, finding);
    if width < NARROW {
        since = since.trim_start_matches("for ").replace(' ', "");
    }
    let room = width.saturating_sub(INDENT + text::width(&since) + 1);
    let role = Pen::severity(finding.severity);
    let verdict = finding.verdict.name();
    // In a row of few columns, who it is about is worth more than where the columns line up.
    let columns = if room >= 44 {
        VERDICT
    } else {
        text::width(verdict)
    };
    let verdict = pen.fit(&pen.pad(verdict, columns), room);
    let who = pen.pad(
        &who(app, finding),
        room.saturating_sub(text::width(&verdict) + 2),
    );
    let selected = index == app.findings.selected;
    let cursor = if selected { app.glyphs.cursor } else { " " };
    let gap = if room > text::width(&verdict) + 2 {
        "  "
    } else {
        ""
    };
    let mark = app.glyphs.severity(finding.severity);
    let line = Line::from(vec![
        pen.span(Role::Strong, format!("{cursor} ")),
        pen.span(role, format!("{mark} ")),
        pen.span(role, verdict),
        Span::raw(gap),
        pen.span(Role::Text, who),
        pen.span(
            if finding.ongoing {
                Role::Strong
            } else {
                Role::Faint
            },
            format!(" {since}"),
        ),
    ]);
    if selected {
        line.patch_style(pen.style(Role::Selected))
    } else {
        line
    }
}

/// Who suffers from it.
pub fn who(app: &App, finding: &Finding) -> String {
    let Some(connection) = &finding.connection else {
        return finding
            .boundary
            .as_ref()
            .map_or_else(String::new, |boundary| boundary.netns.label());
    };
    let arrow = app.glyphs.direction(connection.direction);
    let local = connection
        .local
        .netns
        .as_ref()
        .map_or_else(|| connection.local.socket_address(), NetnsRef::label);
    let more = match finding.connections {
        0 | 1 => String::new(),
        count => format!(" (+{} more)", count - 1),
    };
    format!(
        "{local} {arrow} {}{more}",
        connection.remote.socket_address()
    )
}

/// How long it has gone on, or when it was over.
fn since(app: &App, finding: &Finding) -> String {
    if finding.ongoing {
        let for_ns = app.now_ns.saturating_sub(finding.first_seen_ns);
        format!("for {}", text::ago(for_ns))
    } else {
        let ago_ns = app.now_ns.saturating_sub(finding.last_seen_ns);
        format!("{} ago", text::ago(ago_ns))
    }
}

/// The place, or what is said if there is none.
fn second<'a>(app: &App, finding: &Finding, width: usize) -> Line<'a> {
    let pen = Pen::of(app);
    let words = match place(app, finding) {
        Some(place) => place,
        None => pen.words(&finding.summary),
    };
    let words = pen.fit(&words, width.saturating_sub(INDENT));
    pen.line(Role::Faint, format!("{:INDENT$}{words}", ""))
}

/// All but the first row of the selected finding.
fn rest(app: &App, finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let indent = if width < NARROW { 2 } else { INDENT };
    let mut lines = pen.wrapped(Role::Strong, &pen.words(&finding.summary), indent, width);
    // Elsewhere the path is on the screen as well.
    if width < NARROW
        && let Some(place) = place(app, finding)
    {
        lines.extend(pen.wrapped(Role::Faint, &place, indent, width));
    }
    lines
}

/// `1500 > 1450 at ext0 → cni0 in the host; ICMP dropped in OUTPUT of the host`.
fn place(app: &App, finding: &Finding) -> Option<String> {
    let boundary = finding.boundary.as_ref()?;
    let mut words = format!(
        "{} > {} at {} in {}",
        boundary.packet_bytes,
        boundary.limit_bytes,
        interfaces(app, boundary),
        boundary.netns.label(),
    );
    if let Some(blocked) = finding.pmtud.as_ref().and_then(|it| it.blocked_at.as_ref()) {
        words.push_str(&match blocked.hook {
            Some(hook) => format!("; ICMP dropped in {hook} of {}", blocked.netns.label()),
            None => format!("; ICMP dropped in {}", blocked.netns.label()),
        });
    } else if boundary.silent {
        words.push_str("; no ICMP from there");
    }
    Some(words)
}

/// The devices of a boundary, such as `ext0 → cni0`.
pub fn interfaces(app: &App, boundary: &Boundary) -> String {
    let to = app.glyphs.to;
    match (&boundary.ingress, &boundary.egress) {
        (Some(ingress), Some(egress)) => format!("{ingress} {to} {egress}"),
        (None, Some(egress)) => format!("{to} {egress}"),
        (Some(ingress), None) => format!("{ingress} {to}"),
        (None, None) => "an unknown interface".to_owned(),
    }
}
