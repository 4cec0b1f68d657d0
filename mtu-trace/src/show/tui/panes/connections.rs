//! Connections: those in trouble first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, PaneSlot, position};
use crate::show::tui::render::{self, Pen};
use crate::show::tui::text;
use crate::show::tui::theme::Role;
use crate::show::tui::view::{ConnectionOrder, ConnectionRow, connection_row};
use crate::show::watch::Watch;

/// Connections that were looked at.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Connections",
    help: "connections",
    slot: PaneSlot::Bottom,
    place: |app| {
        let by = match app.connection_order {
            ConnectionOrder::Stalled => "stalled",
            ConnectionOrder::Retransmits => "retransmits",
            ConnectionOrder::Drops => "drops",
            ConnectionOrder::Latest => "latest",
        };
        let all = app.view.connections().len();
        format!("{}, by {by}", position(app.connections.selected, all))
    },
    draw,
    page: |app| app.connections.page,
    go,
    opens: |app| {
        let line = app.view.connections().get(app.connections.selected)?;
        Some(Shown::Connection(line.flow))
    },
    sort,
    is_empty: |_| false,
};

fn go(app: &mut App, rows: isize) {
    let lines = app.view.connections();
    let to = app.connections.away(rows);
    app.connections
        .select(to, |index| lines.get(index).map(|it| it.flow));
}

fn sort(app: &mut App) -> &'static str {
    use ConnectionOrder::{Drops, Latest, Retransmits, Stalled};
    let (order, words) = match app.connection_order {
        Stalled => (Retransmits, "connections with most retransmits first"),
        Retransmits => (Drops, "connections with most drops first"),
        Drops => (Latest, "connections that changed last first"),
        Latest => (Stalled, "connections that are stalled for longest first"),
    };
    app.connection_order = order;
    words
}

/// Draws the table.
fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let pen = Pen::of(app);
    if app.view.connections().is_empty() {
        let words = "No connection has been in trouble, and none was looked at.";
        let lines = pen.wrapped(Role::Faint, words, 0, usize::from(area.width));
        render::lines(frame, app, area, &lines, 0);
        return;
    }
    let columns = columns(usize::from(area.width));
    let rows = usize::from(area.height).saturating_sub(1);
    app.connections.scroll(rows, |_| 1);
    app.connections.page = rows.max(1);
    let header = |column: &Column| pen_column(pen, column, column.title);
    let header: Vec<String> = columns.iter().map(header).collect();
    let mut lines = vec![pen.line(Role::Label, format!("  {}", header.join(" ")))];
    let all = app.view.connections().iter().enumerate();
    for (index, found) in all.skip(app.connections.offset).take(rows) {
        lines.push(match connection_row(watch, &found.flow) {
            Some(found) => row(app, &found, &columns, index),
            None => pen.line(Role::Faint, format!("  {} is no longer known", found.flow)),
        });
    }
    for (line, row) in lines.iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

/// Columns that place and remote end need at least, together.
const LEAST_NAMES: usize = 32;

/// A column of the table.
struct Column {
    title: &'static str,
    width: usize,
    at_right: bool,
    cell: fn(&App, &ConnectionRow) -> String,
}

/// Those that fit, the most important ones first.
fn columns(width: usize) -> Vec<Column> {
    let fixed = |title, width, cell| Column {
        title,
        width,
        at_right: true,
        cell,
    };
    let mut columns = vec![
        Column {
            title: "where",
            width: 0,
            at_right: false,
            cell: |_, row| row.place.clone(),
        },
        Column {
            title: "",
            width: 2,
            at_right: false,
            cell: |app, row| {
                row.direction
                    .map_or(String::new(), |it| app.glyphs.direction(it).to_owned())
            },
        },
        Column {
            title: "remote",
            width: 0,
            at_right: false,
            cell: |_, row| row.remote.to_string(),
        },
        fixed("stalled", 8, |_, row| {
            row.stalled_ns.map_or("-".to_owned(), text::ago)
        }),
        fixed("retr", 6, |_, row| number(row.retransmits)),
    ];
    let more = [
        fixed("drops", 6, |_, row| number(row.drops)),
        fixed("backoff", 7, |_, row| number(row.backoff.into())),
        Column {
            at_right: false,
            ..fixed("state", 11, |_, row| row.state.to_owned())
        },
        fixed("mss", 5, |_, row| optional(row.mss)),
        fixed("pmtu", 5, |_, row| optional(row.pmtu_bytes)),
        Column {
            at_right: false,
            ..fixed("local", 21, |_, row| row.local.to_string())
        },
    ];
    // The cursor, and what places and remote ends need at least.
    let mut free = width
        .saturating_sub(2 + columns.iter().map(|it| it.width + 1).sum::<usize>() + LEAST_NAMES);
    for column in more {
        if column.width + 1 > free {
            break;
        }
        free -= column.width + 1;
        columns.push(column);
    }
    let shared = free + LEAST_NAMES;
    // `192.168.100.100:65535` is 21 columns, an IPv6 address and port up to 47.
    let remote = (shared * 3 / 5)
        .clamp(10, 22)
        .max(shared.saturating_sub(30).min(47));
    columns[2].width = remote;
    columns[0].width = shared.saturating_sub(remote).max(4);
    columns
}

fn number(count: u64) -> String {
    if count == 0 {
        "-".to_owned()
    } else {
        text::count(count)
    }
}

fn optional(number: Option<u32>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn pen_column(pen: Pen, column: &Column, words: &str) -> String {
    if column.at_right {
        pen.pad_left(words, column.width)
    } else {
        pen.pad(words, column.width)
    }
}

fn row<'a>(app: &App, found: &ConnectionRow, columns: &[Column], index: usize) -> Line<'a> {
    let pen = Pen::of(app);
    let cells: Vec<String> = columns
        .iter()
        .map(|column| pen_column(pen, column, &(column.cell)(app, found)))
        .collect();
    let role = if found.stalled_ns.is_some() {
        Role::Error
    } else if found.retransmits + found.drops > 0 {
        Role::Text
    } else {
        Role::Faint
    };
    let selected = index == app.connections.selected;
    let cursor = if selected { app.glyphs.cursor } else { " " };
    let line = Line::from(vec![
        pen.span(Role::Strong, format!("{cursor} ")),
        pen.span(role, cells.join(" ")),
    ]);
    if selected && app.pane == Pane::CONNECTIONS {
        line.patch_style(pen.style(Role::Selected))
    } else {
        line
    }
}
