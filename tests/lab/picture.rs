//! A terminal's screen as a picture (SVG), from what a program really wrote to it.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// Size of a cell and of its text, in the picture's units.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 17.0;
const FONT: f32 = 14.0;
/// Room around the screen.
const MARGIN: f32 = 12.0;
/// The terminal's own colours.
const FOREGROUND: &str = "#d6dae0";
const BACKGROUND: &str = "#12161c";
/// The sixteen colours that programs call by number, as most terminals show them.
const NAMED: [&str; 16] = [
    "#12161c", "#d75f5f", "#87af5f", "#d7af5f", "#5f87d7", "#af87d7", "#5fafaf", "#d6dae0",
    "#6c7480", "#f05454", "#7ec66e", "#e5ac44", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
];

/// What cells beside each other share.
#[derive(Clone, PartialEq)]
struct Look {
    foreground: String,
    background: Option<String>,
    bold: bool,
    dim: bool,
}

/// The screen as an SVG document; `title` is for those who cannot see it.
#[must_use]
pub fn svg(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let width = f32::from(columns) * WIDTH + 2.0 * MARGIN;
    let height = f32::from(rows) * HEIGHT + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"{FONT}\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n",
        escaped(title)
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let (text, look, cells) = run(screen, row, column);
            draw(&mut svg, (row, column, cells), &text, &look);
            column += cells;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The cells from here on that look the same: their text, their look and how many they are.
fn run(screen: &Screen, row: u16, from: u16) -> (String, Look, u16) {
    let (mut text, mut cells) = (String::new(), 0);
    let first = screen.cell(row, from).map(look);
    while let Some(cell) = screen.cell(row, from + cells) {
        if Some(look(cell)) != first {
            break;
        }
        if !cell.is_wide_continuation() {
            text.push_str(if cell.has_contents() {
                cell.contents()
            } else {
                " "
            });
        }
        cells += 1;
    }
    let nothing = Look {
        foreground: FOREGROUND.to_owned(),
        background: None,
        bold: false,
        dim: false,
    };
    (text, first.unwrap_or(nothing), cells.max(1))
}

fn draw(svg: &mut String, (row, column, cells): (u16, u16, u16), text: &str, look: &Look) {
    let (x, y) = (
        MARGIN + f32::from(column) * WIDTH,
        MARGIN + f32::from(row) * HEIGHT,
    );
    let width = f32::from(cells) * WIDTH;
    if let Some(background) = &look.background {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
             fill=\"{background}\"/>"
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let bold = if look.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    // The length makes columns stand below each other whatever font there is.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" \
         lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"{}\"{bold}{dim}>{}</text>",
        y + HEIGHT * 0.76,
        look.foreground,
        escaped(text)
    );
}

fn look(cell: &Cell) -> Look {
    let foreground = colour(cell.fgcolor(), cell.bold());
    let background = colour(cell.bgcolor(), false);
    let (foreground, background) = if cell.inverse() {
        (
            background.or(Some(BACKGROUND.to_owned())),
            foreground.or(Some(FOREGROUND.to_owned())),
        )
    } else {
        (foreground, background)
    };
    Look {
        foreground: foreground.unwrap_or_else(|| FOREGROUND.to_owned()),
        background,
        bold: cell.bold(),
        dim: cell.dim(),
    }
}

fn colour(colour: Color, bright: bool) -> Option<String> {
    match colour {
        Color::Default => None,
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Idx(number) => {
            let number = usize::from(number);
            let number = if bright && number < 8 {
                number + 8
            } else {
                number
            };
            Some(NAMED.get(number).copied().unwrap_or(FOREGROUND).to_owned())
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_with_its_colours() {
        let mut parser = vt100::Parser::new(2, 20, 0);
        parser.process(b"\x1b[1;31mbad\x1b[0m <&\r\n\x1b[7mtitle\x1b[0m");
        let svg = svg(parser.screen(), "a & b");
        assert!(svg.contains("<title>a &amp; b</title>"), "{svg}");
        assert!(
            svg.contains("fill=\"#f05454\" font-weight=\"bold\">bad</text>"),
            "{svg}"
        );
        assert!(svg.contains("&lt;&amp;"), "{svg}");
        // Reversed: a background, and the terminal's own background as the text's colour.
        assert!(
            svg.contains(&format!("fill=\"{FOREGROUND}\"/>\n<text")),
            "{svg}"
        );
        assert!(
            svg.contains(&format!("fill=\"{BACKGROUND}\">title</text>")),
            "{svg}"
        );
    }

    #[test]
    fn what_is_empty_takes_no_room() {
        let parser = vt100::Parser::new(50, 100, 0);
        assert!(svg(parser.screen(), "nothing").len() < 500);
    }
}
