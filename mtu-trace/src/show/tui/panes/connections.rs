//! Connections: those in trouble first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};

use crate::show::tui::app::{App, Shown};
use crate::show::tui::panes::{Pane, PaneDefinition, list_row, position};
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::text;
use crate::show::tui::theme::{Pen, Role};
use crate::show::tui::view::ConnectionOrder;
use crate::show::tui::view::connections::{ConnectionRow, connection_row};
use crate::show::watch::Watch;

/// Connections that were looked at.
pub static PANE: PaneDefinition = PaneDefinition {
    name: "Connections",
    help: "connections",
    is_below: true,
    place: |app| {
        let by = match app.connection_order {
            ConnectionOrder::Stalled => "stalled",
            ConnectionOrder::Retransmits => "retransmits",
            ConnectionOrder::Drops => "drops",
            ConnectionOrder::Latest => "latest",
        };
        let all = app.view.connections.len();
        format!("{}, by {by}", position(app.connections.selected, all))
    },
    draw,
    page: |app| app.connections.page,
    go: |app, rows| app.connections.go(rows, |index| app.view.flow(index)),
    opens: |app| {
        let flow = app.view.flow(app.connections.selected)?;
        Some(Shown::Connection(flow))
    },
    sort,
    is_empty: |_| false,
};

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

fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let pen = app.pen;
    if app.view.connections.is_empty() {
        let mut paragraphs = Paragraphs::new(pen, area.width);
        let words = "No connection has been in trouble, and none was looked at.";
        paragraphs.words(Role::Faint, 0, words);
        paragraphs.draw(frame, area, 0);
        return;
    }
    let columns = columns(usize::from(area.width));
    let rows = usize::from(area.height).saturating_sub(1);
    app.connections.scroll(rows, |_| 1);
    app.connections.page = rows.max(1);
    let header: Vec<String> = columns
        .iter()
        .map(|it| (it.pad)(pen, it.title, it.width))
        .collect();
    let header = pen.line(Role::Label, format!("  {}", header.join(" ")));
    let all = app.view.connections.iter().enumerate();
    let shown = all.skip(app.connections.offset).take(rows);
    let rows = shown.map(|(index, found)| match connection_row(watch, found) {
        Some(found) => row(app, &found, &columns, index),
        None => pen.line(Role::Faint, format!("  {found} is no longer known")),
    });
    let lines = std::iter::once(header).chain(rows);
    frame.render_widget(Text::from_iter(lines), area);
}

/// Columns that place and remote end need at least, together.
const LEAST_NAMES: usize = 32;

/// What stands in a column's cell.
type Cell = fn(&App, &ConnectionRow) -> String;

/// A column of the table.
struct Column {
    title: &'static str,
    width: usize,
    pad: fn(Pen, &str, usize) -> String,
    cell: Cell,
}

fn left(title: &'static str, width: usize, cell: Cell) -> Column {
    Column {
        title,
        width,
        pad: Pen::pad,
        cell,
    }
}

fn right(title: &'static str, width: usize, cell: Cell) -> Column {
    Column {
        pad: Pen::pad_left,
        ..left(title, width, cell)
    }
}

/// Those that fit, the most important ones first.
fn columns(width: usize) -> Vec<Column> {
    let mut columns = vec![
        left("where", 0, |_, row| row.place.clone()),
        left("", 2, |app, row| {
            let arrow = row.direction.map(|it| app.pen.glyphs.direction(it));
            arrow.unwrap_or_default().to_owned()
        }),
        left("remote", 0, |_, row| row.remote.to_string()),
        right("stalled", 8, |_, row| {
            row.stalled_ns.map_or("-".to_owned(), text::ago)
        }),
        right("retr", 6, |_, row| text::count_or_dash(row.retransmits)),
    ];
    let more = [
        right("drops", 6, |_, row| text::count_or_dash(row.drops)),
        right("backoff", 7, |_, row| {
            text::count_or_dash(row.backoff.into())
        }),
        left("state", 11, |_, row| row.state.to_owned()),
        right("mss", 5, |_, row| optional(row.mss)),
        right("pmtu", 5, |_, row| optional(row.pmtu_bytes)),
        left("local", 21, |_, row| row.local.to_string()),
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

fn optional(number: Option<u32>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn row(app: &App, found: &ConnectionRow, columns: &[Column], index: usize) -> Line<'static> {
    let cell = |it: &Column| (it.pad)(app.pen, &(it.cell)(app, found), it.width);
    let cells: Vec<String> = columns.iter().map(cell).collect();
    let role = if found.stalled_ns.is_some() {
        Role::Error
    } else if found.retransmits + found.drops > 0 {
        Role::Text
    } else {
        Role::Faint
    };
    let cells = [app.pen.span(role, cells.join(" "))];
    let selected = Pane::CONNECTIONS.cursor_role(app);
    list_row(app.pen, &app.connections, index, selected, cells)
}
