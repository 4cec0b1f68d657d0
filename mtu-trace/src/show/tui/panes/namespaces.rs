//! Namespaces as a tree, with their containers, their MTUs, and what was lost in them of late.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use crate::model::network::Netns;
use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, list_row, position};
use crate::show::tui::text;
use crate::show::tui::theme::{Pen, Role};
use crate::show::tui::tree::Branch;
use crate::show::tui::view::{label, mtus};
use crate::show::watch::Watch;

/// Network namespaces and the containers in them.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Namespaces",
    help: "namespaces and containers",
    is_below: true,
    place: |app| position(app.namespaces.selected, app.view.tree.len()),
    draw,
    page: |app| app.namespaces.page,
    go: |app, rows| app.namespaces.go(rows, |index| app.view.netns(index)),
    opens: |app| app.view.netns(app.namespaces.selected).map(Shown::Netns),
    sort: |_| "namespaces have one order: what is inside comes after what is around it",
    is_empty: |_| false,
};

fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let columns = Columns::of(usize::from(area.width));
    let rows = usize::from(area.height).saturating_sub(1);
    app.namespaces.scroll(rows, |_| 1);
    app.namespaces.page = rows.max(1);
    let branches = app.view.tree.iter().enumerate();
    let shown = branches.skip(app.namespaces.offset).take(rows);
    let rows = shown.map(|(index, branch)| row(app, watch, branch, &columns, index));
    let lines = std::iter::once(columns.header(app.pen)).chain(rows);
    frame.render_widget(Text::from_iter(lines), area);
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
        let name = if self.name < 12 {
            "  netns"
        } else {
            "  namespace"
        };
        let mut words = pen.pad(name, self.name + 1);
        if self.what > 0 {
            words += &pen.pad("what it is", self.what + 1);
        }
        words += &pen.pad("MTU", self.mtu + 1);
        words += &pen.pad("drops", self.spark + NUMBER + 2);
        words += &pen.pad("stalls", self.spark + NUMBER);
        pen.line(Role::Label, words)
    }
}

fn row(
    app: &App,
    watch: &Watch,
    branch: &Branch,
    columns: &Columns,
    index: usize,
) -> Line<'static> {
    let pen = app.pen;
    let topology = &app.view.topology;
    let netns = topology.namespaces.get(&branch.netns);
    let series = watch
        .history
        .series(branch.netns, app.now_ns, columns.spark);
    let stalled = series.stalls.iter().rev().take(2).copied().max();
    let stalled = stalled.unwrap_or(0);
    let lead = lead(pen, branch);
    let room = columns.name.saturating_sub(2 + text::width(&lead));
    let name = pen.pad(&label(branch.netns, topology), room);
    let name_role = match netns {
        Some(netns) if netns.gone => Role::Faint,
        _ if stalled > 0 => Role::Error,
        Some(netns) if netns.container.is_some() => Role::Strong,
        _ => Role::Text,
    };
    let mut cells = vec![
        pen.span(Role::Frame, lead),
        pen.span(name_role, name),
        Span::raw(" "),
    ];
    if columns.what > 0 {
        let what = netns.map_or_else(String::new, what);
        cells.push(pen.span(Role::Faint, pen.pad(&what, columns.what)));
        cells.push(Span::raw(" "));
    }
    // `1500`, or `1450-1500` where interfaces differ.
    let mtu = match mtus(topology, branch.netns) {
        Some((least, most)) if least != most => format!("{least}-{most}"),
        Some((only, _)) => only.to_string(),
        None => "-".to_owned(),
    };
    let number = |role: Role, count: u64| {
        let role = if count > 0 { role } else { Role::Faint };
        pen.span(role, pen.pad_left(&text::count_or_dash(count), NUMBER))
    };
    cells.extend([
        pen.span(Role::Text, pen.pad(&mtu, columns.mtu)),
        Span::raw(" "),
        pen.span(Role::Warning, pen.glyphs.sparkline(&series.drops)),
        number(Role::Text, series.total_drops),
        Span::raw("  "),
        pen.span(Role::Error, pen.glyphs.sparkline(&series.stalls)),
        number(Role::Error, stalled),
    ]);
    let selected = Pane::NAMESPACES.cursor_role(app);
    list_row(pen, &app.namespaces, index, selected, cells)
}

/// The lines of the tree before a name.
fn lead(pen: Pen, branch: &Branch) -> String {
    let [more, last, beside] = pen.glyphs.branches;
    let Some((own, above)) = branch.last.split_last() else {
        return String::new();
    };
    let above = above
        .iter()
        .map(|&is_last| if is_last { "  " } else { beside });
    above.chain([if *own { last } else { more }]).collect()
}

/// What a namespace is, beside its name.
pub fn what(netns: &Netns) -> String {
    let gone = if netns.gone { "gone; " } else { "" };
    let words = match (&netns.container, &netns.unit, &netns.process) {
        (Some(container), ..) => {
            let mut words = container.runtime.clone();
            if container.name.is_some() || container.pod_name.is_some() {
                words += " ";
                words += container.id.get(..12).unwrap_or(&container.id);
            }
            if let Some(image) = &container.image {
                words += ", ";
                words += image;
            }
            words
        }
        (None, ..) if netns.init => "the host's own".to_owned(),
        (None, Some(unit), _) => unit.clone(),
        (None, None, Some(process)) => format!("{}[{}]", process.comm, process.pid),
        (None, None, None) if netns.name.is_some() => "ip netns".to_owned(),
        (None, None, None) => String::new(),
    };
    format!("{gone}{words}")
}
