//! The screens.
//!
//! ```text
//!  mtu-trace  node-1 · kernel 6.18.44        ✖ 1 error  ● 2 infos    LIVE 12:03:22Z   title
//! ┌ 1 Findings (3) ────────────────────────────────────────────────────────────────┐
//! │▶ ✖ mtu-black-hole  build ← 198.51.100.9:80                          for 12 s    │
//! │    1500 > 1450 at ext0 → cni0 in the host; the ICMP is dropped in OUTPUT        │
//! │    build's download from 198.51.100.9:80 is stalled: …                          │
//! └────────────────────────────────────────────────────────────────────────────────┘
//! ┌ 2 Namespaces │ 3 Connections │ 4 Detail ───────────────────────────────────────┐
//! │ …                                                                               │
//! └────────────────────────────────────────────────────────────────────────────────┘
//!  6 of 6 hooks · 1234 events · 0 lost                                              status
//!  q Quit  ? Help  Enter Detail  …                                                  footer
//! ```
//!
//! A small terminal shows one pane at a time, a large one three.

pub(crate) mod empty;
pub(crate) mod evidence;
pub(crate) mod fix;
pub(crate) mod help;
pub(crate) mod path;
pub(crate) mod pen;
pub(crate) mod status;
pub(crate) mod timeline;

pub(crate) use pen::Pen;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::show::tui::app::{App, Overlay};
use crate::show::tui::keys::Mode;
use crate::show::tui::panes::{Pane, PaneSlot, findings};
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::watch::Watch;

/// Below these one pane is shown at a time.
const SMALL: (u16, u16) = (60, 16);
/// From these on three panes are shown.
const LARGE: (u16, u16) = (120, 30);
/// Below these nothing can be read.
const LEAST: (u16, u16) = (20, 6);

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// For one pane, and no line of the state of the trace.
    Small,
    /// For several panes and all lines around them.
    Full,
}

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let words = format!("the terminal needs {}x{}", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(words), area);
        return;
    }
    let extent = if area.width < SMALL.0 || area.height < SMALL.1 {
        Extent::Small
    } else {
        Extent::Full
    };
    let timeline = u16::from(app.facts.mode == Mode::Replay);
    let [title, body, timeline, status, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(timeline),
        Constraint::Length(u16::from(extent == Extent::Full)),
        Constraint::Length(1),
    ])
    .areas(area);
    status::title(frame, app, title, extent);
    if extent == Extent::Small {
        let focused = app.pane;
        bare(frame, app, watch, focused, body);
    } else if area.width >= LARGE.0 && area.height >= LARGE.1 {
        large(frame, app, watch, body);
    } else {
        medium(frame, app, watch, body);
    }
    if !timeline.is_empty() {
        timeline::draw(frame, app, timeline);
    }
    status::status(frame, app, watch, status);
    status::footer(frame, app, watch, footer, extent);
    if let Some(Overlay::Help(line)) = app.overlay {
        let line = help::draw(frame, app, area, line);
        app.overlay = Some(Overlay::Help(line));
    }
}

/// The findings, and another pane below them; or the detail alone.
fn medium(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    if app.pane == Pane::DETAIL || (app.lower.definition().is_empty)(app) {
        let focused = app.pane;
        framed(frame, app, watch, focused, area);
        return;
    }
    let [above, below] = split(app, area);
    framed(frame, app, watch, Pane::FINDINGS, above);
    let lower = app.lower;
    framed(frame, app, watch, lower, below);
}

/// The findings, with namespaces or connections below them and the detail beside them.
fn large(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    if app.pane == Pane::DETAIL {
        framed(frame, app, watch, Pane::DETAIL, area);
        return;
    }
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(54), Constraint::Fill(1)]).areas(area);
    let lower = match app.lower.definition().slot {
        PaneSlot::Bottom => app.lower,
        PaneSlot::Top | PaneSlot::Side => Pane::NAMESPACES,
    };
    let [above, below] = split(app, left);
    framed(frame, app, watch, Pane::FINDINGS, above);
    framed(frame, app, watch, lower, below);
    framed(frame, app, watch, Pane::DETAIL, right);
}

/// As much as the findings need, but the greater part only if they have the keys.
fn split(app: &App, area: Rect) -> [Rect; 2] {
    let wanted = findings::height(app, area.width.saturating_sub(4)) + 2;
    let most = if app.pane == Pane::FINDINGS {
        area.height * 3 / 5
    } else {
        area.height / 2
    };
    let height = u16::try_from(wanted).unwrap_or(u16::MAX).min(most).max(4);
    Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area)
}

/// Draws a pane in a frame, with one column of air on both sides.
fn framed(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, pane: Pane, area: Rect) {
    let block = block(app, pane);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let inside = if inside.width > 2 {
        Rect {
            x: inside.x + 1,
            width: inside.width - 2,
            ..inside
        }
    } else {
        inside
    };
    bare(frame, app, watch, pane, inside);
}

/// Draws a pane without a frame.
fn bare(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, pane: Pane, inside: Rect) {
    if (pane.definition().is_empty)(app) {
        empty::draw(frame, app, watch, inside);
        return;
    }
    (pane.definition().draw)(frame, app, watch, inside);
}

fn block(app: &App, pane: Pane) -> Block<'static> {
    let pen = Pen::of(app);
    let focused = app.pane == pane;
    let role = if focused { Role::Focus } else { Role::Frame };
    let definition = pane.definition();
    let place = (definition.place)(app);
    let title = format!(" {} {}{place} ", pane.number(), definition.name);
    Block::bordered()
        .border_set(app.glyphs.border)
        .border_style(pen.style(role))
        .title(Span::styled(
            title,
            pen.style(if focused { Role::Strong } else { Role::Text }),
        ))
}

/// Draws lines from one on, with a mark where there are more, and says which one it was: not so far that
/// the end would be left behind.
pub(crate) fn lines(
    frame: &mut Frame<'_>,
    app: &App,
    area: Rect,
    all: &[Line<'_>],
    from: usize,
) -> usize {
    let height = usize::from(area.height);
    let end = all.len().saturating_sub(height);
    let from = from.min(end);
    for (line, row) in all[from..].iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
    if from < end && area.height > 1 {
        let words = format!(" {} more ", all.len() - from - height);
        let columns = u16::try_from(text::width(&words)).unwrap_or(0);
        if columns < area.width {
            let corner = Rect {
                x: area.right() - columns,
                y: area.bottom() - 1,
                width: columns,
                height: 1,
            };
            frame.render_widget(Clear, corner);
            let style = Pen::of(app).style(Role::Notice);
            frame.render_widget(Span::styled(words, style), corner);
        }
    }
    from
}
