//! Namespaces as a tree, with their containers, their MTUs, and what was lost in them of late.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::model::network::Netns;
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, PaneSlot, position};
use crate::show::tui::render::Pen;
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::tui::tree::Branch;
use crate::show::tui::view::{label, mtus};
use crate::show::watch::Watch;

/// Network namespaces and the containers in them.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Namespaces",
    help: "namespaces and containers",
    slot: PaneSlot::Bottom,
    place: |app| position(app.namespaces.selected, app.view.tree().len()),
    draw,
    page: |app| app.namespaces.page,
    go,
    opens: |app| {
        let branch = app.view.tree().get(app.namespaces.selected)?;
        Some(Shown::Netns(branch.netns))
    },
    sort: |_| "namespaces have one order: what is inside comes after what is around it",
    is_empty: |_| false,
};

fn go(app: &mut App, rows: isize) {
    let tree = app.view.tree();
    let to = app.namespaces.away(rows);
    app.namespaces
        .select(to, |index| tree.get(index).map(|it| it.netns));
}

/// Draws the tree.
fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let columns = Columns::of(usize::from(area.width));
    let rows = usize::from(area.height).saturating_sub(1);
    app.namespaces.scroll(rows, |_| 1);
    app.namespaces.page = rows.max(1);
    let mut lines = vec![columns.header(Pen::of(app))];
    for (index, branch) in app
        .view
        .tree()
        .iter()
        .enumerate()
        .skip(app.namespaces.offset)
        .take(rows)
    {
        lines.push(row(app, watch, branch, &columns, index));
    }
    for (line, row) in lines.iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

/// How the width is shared.
struct Columns {
    name: usize,
    /// What a namespace is, if there is room.
    what: usize,
    mtu: usize,
    /// Buckets of a sparkline.
    spark: usize,
}

/// Columns of a number behind a sparkline, as many as [`text::count`] needs.
const NUMBER: usize = 5;

impl Columns {
    fn of(width: usize) -> Self {
        // `1450-1500`, `1280-65535`.
        let mtu = if width < 70 { 9 } else { 11 };
        let spark = (width / 12).clamp(3, 20);
        let rest = width.saturating_sub(mtu + 2 * spark + 2 * NUMBER + 5);
        let what = if rest >= 36 { rest * 2 / 5 } else { 0 };
        Self {
            name: rest.saturating_sub(what).max(8),
            what,
            mtu,
            spark,
        }
    }

    fn header(&self, pen: Pen) -> Line<'static> {
        let title = |words: &str, columns| pen.pad(words, columns);
        let name = if self.name < 12 {
            "  netns"
        } else {
            "  namespace"
        };
        let mut words = title(name, self.name + 1);
        if self.what > 0 {
            words += &title("what it is", self.what + 1);
        }
        words += &title("MTU", self.mtu + 1);
        words += &title("drops", self.spark + NUMBER + 2);
        words += &title("stalls", self.spark + NUMBER);
        pen.line(Role::Label, words)
    }
}

fn row<'a>(app: &App, watch: &Watch, branch: &Branch, columns: &Columns, index: usize) -> Line<'a> {
    let pen = Pen::of(app);
    let topology = app.view.topology();
    let netns = topology.namespaces.get(&branch.netns);
    let gone = netns.is_some_and(|netns| netns.gone);
    let series = watch
        .history()
        .series(branch.netns, app.now_ns, columns.spark);
    let stalled = series
        .stalls
        .iter()
        .rev()
        .take(2)
        .copied()
        .max()
        .unwrap_or(0);
    let lines = lead(app, branch);
    let selected = index == app.namespaces.selected;
    let cursor = if selected { app.glyphs.cursor } else { " " };
    let name = pen.pad(
        &label(branch.netns, topology),
        columns.name.saturating_sub(2 + text::width(&lines)),
    );
    let name_role = match () {
        () if gone => Role::Faint,
        () if stalled > 0 => Role::Error,
        () if netns.is_some_and(|netns| netns.container.is_some()) => Role::Strong,
        () => Role::Text,
    };
    let mut spans = vec![
        pen.span(Role::Strong, format!("{cursor} ")),
        pen.span(Role::Frame, lines),
        pen.span(name_role, name),
        Span::raw(" "),
    ];
    if columns.what > 0 {
        let what = netns.map_or_else(String::new, what);
        spans.push(pen.span(Role::Faint, pen.pad(&what, columns.what)));
        spans.push(Span::raw(" "));
    }
    let mtu = mtu_range(app, branch);
    spans.push(pen.span(Role::Text, pen.pad(&mtu, columns.mtu)));
    spans.push(Span::raw(" "));
    let number = |count: u64| match count {
        0 => pen.pad_left("-", NUMBER),
        count => pen.pad_left(&text::count(count), NUMBER),
    };
    let role = |count: u64| if count > 0 { Role::Error } else { Role::Faint };
    spans.push(pen.span(Role::Warning, app.glyphs.sparkline(&series.drops)));
    spans.push(pen.span(
        if series.total_drops > 0 {
            Role::Text
        } else {
            Role::Faint
        },
        number(series.total_drops),
    ));
    spans.push(Span::raw("  "));
    spans.push(pen.span(Role::Error, app.glyphs.sparkline(&series.stalls)));
    spans.push(pen.span(role(stalled), number(stalled)));
    let line = Line::from(spans);
    if selected && app.pane == Pane::NAMESPACES {
        line.patch_style(pen.style(Role::Selected))
    } else {
        line
    }
}

/// The lines of the tree before a name.
fn lead(app: &App, branch: &Branch) -> String {
    let [more, last, beside] = app.glyphs.branches;
    let Some((own, above)) = branch.last.split_last() else {
        return String::new();
    };
    let mut lead: String = above
        .iter()
        .map(|&is_last| if is_last { "  " } else { beside })
        .collect();
    lead.push_str(if *own { last } else { more });
    lead
}

/// What a namespace is, beside its name.
pub fn what(netns: &Netns) -> String {
    let mut words = match &netns.container {
        Some(container) => {
            let id = container.id.get(..12).unwrap_or(&container.id);
            let named = container.name.is_some() || container.pod_name.is_some();
            let mut words = if named {
                format!("{} {id}", container.runtime)
            } else {
                container.runtime.clone()
            };
            if let Some(image) = &container.image {
                words.push_str(&format!(", {image}"));
            }
            words
        }
        None if netns.init => "the host's own".to_owned(),
        None => match (&netns.unit, &netns.process) {
            (Some(unit), _) => unit.clone(),
            (None, Some(process)) => format!("{}[{}]", process.comm, process.pid),
            (None, None) if netns.name.is_some() => "ip netns".to_owned(),
            (None, None) => String::new(),
        },
    };
    if netns.gone {
        words = format!("gone; {words}");
    }
    words
}

/// `1500`, or `1450-1500` where interfaces differ.
fn mtu_range(app: &App, branch: &Branch) -> String {
    let mtus = mtus(app.view.topology(), branch.netns);
    match (mtus.first_key_value(), mtus.last_key_value()) {
        (Some((least, _)), Some((most, _))) if least != most => format!("{least}-{most}"),
        (Some((only, _)), _) => only.to_string(),
        _ => "-".to_owned(),
    }
}
