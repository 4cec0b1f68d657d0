//! What is said while nothing is found: what is watched, what cannot be seen, and what `check` sees as
//! risky already.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::model::finding::Finding;
use crate::model::hook_status::HookStatus;
use crate::show::tui::app::App;
use crate::show::tui::facts::Risks;
use crate::show::tui::keys::Mode;
use crate::show::tui::render::Pen;
use crate::show::tui::theme::Role;
use crate::show::watch::Watch;

/// Draws what is said while nothing is found.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let lines = lines(app, watch, usize::from(area.width));
    let height = usize::from(area.height);
    app.scroll_page = height.max(1);
    app.scroll_end = lines.len().saturating_sub(height);
    app.scroll = app.scroll.min(app.scroll_end);
    let from = app.scroll;
    crate::show::tui::render::lines(frame, app, area, &lines, from);
}

fn lines(app: &App, watch: &Watch, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let nothing = match (app.facts.selection.words(), app.facts.mode) {
        (Some(selection), _) => format!("Nothing found in the selection ({selection})."),
        (None, Mode::Live) => "Nothing found so far: no connection is stalled.".to_owned(),
        (None, Mode::Replay) => "Nothing was found up to this moment.".to_owned(),
    };
    let mut lines = pen.wrapped(Role::Good, &nothing, 0, width);
    if app.facts.mode == Mode::Live {
        let words = "Start what hangs, or wait: a stall is named at its third loss, mostly within a \
                     second.";
        lines.extend(pen.wrapped(Role::Faint, words, 0, width));
    }
    if app.facts.mode == Mode::Replay {
        let words = match app.playing.made.len() {
            0 if app.playing.indexed => "Nothing is found later in this capture either.",
            _ => "n goes to when the next finding was made, Space plays, End goes to the end.",
        };
        lines.extend(pen.wrapped(Role::Faint, words, 0, width));
    }
    lines.push(Line::default());
    lines.extend(watched(app, watch, width));
    lines.extend(missing(app, width));
    lines.extend(risks(app, width));
    lines
}

fn watched(app: &App, watch: &Watch, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let watched = app.view.watched();
    let several = |count: usize, one: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {one}{s}")
    };
    let mut lines = vec![pen.heading("watched")];
    let connections = watch.analysis().state().connections().count();
    let words = [
        several(watched.namespaces, "network namespace"),
        several(watched.containers, "container"),
        several(watched.links, "interface"),
        several(watched.boundaries, "boundary device"),
    ]
    .join(", ");
    lines.extend(pen.wrapped(Role::Text, &words, 2, width));
    let words = match connections {
        0 => "no connection has lost anything".to_owned(),
        1 => "1 connection was looked at, it is in pane 3".to_owned(),
        more => format!("{more} connections were looked at, they are in pane 3"),
    };
    lines.extend(pen.wrapped(Role::Text, &words, 2, width));
    lines
}

fn missing(app: &App, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let missed = HookStatus::missed(&app.facts.hooks);
    if missed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::default(), pen.heading("not seen")];
    for words in missed {
        lines.extend(pen.wrapped(Role::Warning, &words, 2, width));
    }
    lines
}

fn risks(app: &App, width: usize) -> Vec<Line<'static>> {
    let pen = Pen::of(app);
    let mut lines = vec![Line::default(), pen.heading("risky already")];
    match &app.facts.risks {
        Risks::None => return Vec::new(),
        Risks::Pending => {
            let words = "looking at every way through the network ...";
            lines.extend(pen.wrapped(Role::Faint, words, 2, width));
        }
        Risks::Failed(why) => {
            let words = format!("the network could not be looked at: {why}");
            lines.extend(pen.wrapped(Role::Warning, &words, 2, width));
        }
        Risks::Found(findings) if findings.is_empty() => {
            let words = "no way on which a larger MTU leads into a smaller one unannounced";
            lines.extend(pen.wrapped(Role::Good, words, 2, width));
        }
        Risks::Found(findings) => {
            lines.extend(
                findings
                    .iter()
                    .flat_map(|finding| risk(pen, finding, width)),
            );
            let words = "`mtu-trace check` tells more of these, with what to do";
            lines.extend(pen.wrapped(Role::Faint, words, 2, width));
        }
    }
    lines
}

fn risk(pen: Pen, finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let mark = pen.glyphs.severity(finding.severity);
    let words = format!("{mark} {}", pen.words(&finding.summary));
    pen.wrapped(Pen::severity(finding.severity), &words, 2, width)
}
