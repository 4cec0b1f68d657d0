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
pub(crate) mod paragraphs;
pub(crate) mod path;
pub(crate) mod status;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Block, Clear, Padding, Paragraph};

use crate::show::tui::app::{App, Overlay};
use crate::show::tui::keys::{self, Mode};
use crate::show::tui::panes::{Pane, findings};
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::theme::{Pen, Role};
use crate::show::watch::Watch;

/// Below these one pane is shown at a time.
const SMALL: (u16, u16) = (60, 16);
/// From these on three panes are shown.
const LARGE: (u16, u16) = (120, 30);
/// Below these nothing can be read.
const LEAST: (u16, u16) = (20, 6);
/// Columns of the help at most.
const HELP_COLUMNS: u16 = 88;
/// Columns of the keys in it.
const KEYS_COLUMNS: usize = 16;

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
        bare(frame, app.pane, app, watch, body);
    } else if area.width >= LARGE.0 && area.height >= LARGE.1 {
        large(frame, app, watch, body);
    } else {
        medium(frame, app, watch, body);
    }
    if !timeline.is_empty() {
        status::timeline(frame, app, timeline);
    }
    status::status(frame, app, watch, status);
    status::footer(frame, app, watch, footer, extent);
    if let Some(Overlay::Help(line)) = app.overlay {
        let line = help(frame, app, area, line);
        app.overlay = Some(Overlay::Help(line));
    }
}

/// The findings, and another pane below them; or the detail alone.
fn medium(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    if app.pane == Pane::DETAIL || (app.lower.definition().is_empty)(app) {
        return framed(frame, app.pane, app, watch, area);
    }
    let [above, below] = split(app, area);
    framed(frame, Pane::FINDINGS, app, watch, above);
    framed(frame, app.lower, app, watch, below);
}

/// The findings, with namespaces or connections below them and the detail beside them.
fn large(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    if app.pane == Pane::DETAIL {
        return framed(frame, Pane::DETAIL, app, watch, area);
    }
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(54), Constraint::Fill(1)]).areas(area);
    let lower = Some(app.lower).filter(|it| it.definition().is_below);
    let lower = lower.unwrap_or(Pane::NAMESPACES);
    let [above, below] = split(app, left);
    framed(frame, Pane::FINDINGS, app, watch, above);
    framed(frame, lower, app, watch, below);
    framed(frame, Pane::DETAIL, app, watch, right);
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

/// Draws a pane in a frame.
fn framed(frame: &mut Frame<'_>, pane: Pane, app: &mut App, watch: &Watch, area: Rect) {
    let pen = app.pen;
    let (border, title) = if app.pane == pane {
        (Role::Focus, Role::Strong)
    } else {
        (Role::Frame, Role::Text)
    };
    let definition = pane.definition();
    let place = (definition.place)(app);
    let name = format!(" {} {}{place} ", pane.number(), definition.name);
    let block = block(pen, border).title(pen.span(title, name));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    bare(frame, pane, app, watch, inside);
}

/// Draws a pane without a frame.
fn bare(frame: &mut Frame<'_>, pane: Pane, app: &mut App, watch: &Watch, inside: Rect) {
    if (pane.definition().is_empty)(app) {
        empty::draw(frame, app, watch, inside);
    } else {
        (pane.definition().draw)(frame, app, watch, inside);
    }
}

/// A frame with one column of air on both sides.
fn block(pen: Pen, border: Role) -> Block<'static> {
    Block::bordered()
        .border_set(pen.glyphs.border)
        .border_style(pen.style(border))
        .padding(Padding::horizontal(1))
}

/// Draws the keys from a line on; gives the line, or the last one there is.
fn help(frame: &mut Frame<'_>, app: &mut App, area: Rect, line: usize) -> usize {
    let pen = app.pen;
    let width = area.width.min(HELP_COLUMNS);
    let mut paragraphs = Paragraphs::new(pen, width.saturating_sub(4));
    for binding in keys::bindings(app.facts.mode) {
        let names: Vec<String> = binding.keys.iter().map(|chord| chord.name()).collect();
        let names = pen.span(Role::Command, pen.pad(&names.join("  "), KEYS_COLUMNS));
        paragraphs.beside(names, Role::Text, binding.help);
    }
    let wanted = u16::try_from(paragraphs.lines.len()).unwrap_or(u16::MAX);
    let height = wanted.saturating_add(2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = block(pen, Role::Focus)
        .title(pen.span(Role::Strong, " Keys "))
        .title_bottom(pen.span(Role::Faint, " ? or Esc closes "));
    let inside = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    app.scroll.page = usize::from(inside.height);
    paragraphs.draw(frame, inside, line)
}
