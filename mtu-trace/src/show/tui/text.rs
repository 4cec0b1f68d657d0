//! Text in columns: how wide it is, and how it is made to fit.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `most` columns; what was cut off is replaced by `ellipsis`.
#[must_use]
pub fn fit(text: &str, most: usize, ellipsis: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(width(ellipsis));
    let mut fitted = take(text, room).to_owned();
    if most > 0 {
        fitted.push_str(ellipsis);
    }
    fitted
}

/// The text in exactly `columns` columns.
#[must_use]
pub fn pad(text: &str, columns: usize, ellipsis: &str) -> String {
    let mut fitted = fit(text, columns, ellipsis);
    let missing = columns.saturating_sub(width(&fitted));
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// The same with the text at the right.
#[must_use]
pub fn pad_left(text: &str, columns: usize, ellipsis: &str) -> String {
    let fitted = fit(text, columns, ellipsis);
    let missing = columns.saturating_sub(width(&fitted));
    format!("{}{fitted}", " ".repeat(missing))
}

/// As much of the start as fits into so many columns.
fn take(text: &str, most: usize) -> &str {
    let mut columns = 0;
    for (at, character) in text.char_indices() {
        columns += character.width().unwrap_or(0);
        if columns > most {
            return &text[..at];
        }
    }
    text
}

/// As much of the end as fits into so many columns.
#[must_use]
pub fn tail(text: &str, most: usize) -> String {
    let mut columns = 0;
    let mut start = text.len();
    for (at, character) in text.char_indices().rev() {
        columns += character.width().unwrap_or(0);
        if columns > most {
            break;
        }
        start = at;
    }
    text[start..].to_owned()
}

/// Breaks at spaces into lines of at most `most` columns, and within words that are longer.
#[must_use]
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > most {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while width(word) > most {
            let start = take(word, most);
            lines.push(start.to_owned());
            word = &word[start.len()..];
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A time that has passed, in at most six columns: `0.3 s`, `12 s`, `4m05s`, `2h03m`, `5d`.
#[must_use]
pub fn ago(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0..10 => format!("{}.{} s", seconds, ns / 100_000_000 % 10),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A number in at most five columns: `123`, `12.3k`, `450k`, `4.5M`.
#[must_use]
pub fn count(number: u64) -> String {
    if number < 10_000 {
        return number.to_string();
    }
    let (mut unit, mut letter) = (1_000, 'k');
    for larger in ['M', 'G', 'T', 'P', 'E'] {
        if number / unit < 1_000 {
            break;
        }
        (unit, letter) = (unit * 1_000, larger);
    }
    match number / unit {
        whole @ 0..100 => format!("{whole}.{}{letter}", number % unit / (unit / 10)),
        whole => format!("{whole}{letter}"),
    }
}

/// A size: `512 B`, `3.4 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        let one = 1u64 << shift;
        if bytes >= one {
            return format!("{}.{} {unit}", bytes / one, bytes % one * 10 / one);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_not_characters() {
        assert_eq!(fit("größe 雪雪雪", 9, "…"), "größe 雪…");
        assert_eq!(width(&pad("雪雪雪", 4, "…")), 4);
        assert_eq!(pad_left("ab", 4, "…"), "  ab");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(fit("abc", 3, "…"), "abc");
    }

    #[test]
    fn long_words_are_broken() {
        assert_eq!(
            wrap("one twothree 雪雪雪", 4),
            ["one", "twot", "hree", "雪雪", "雪"]
        );
        assert_eq!(wrap("", 4), Vec::<String>::new());
        for line in wrap("some words of various lengths, supercalifragilistic", 7) {
            assert!(width(&line) <= 7, "{line}");
        }
    }

    #[test]
    fn numbers_stay_short() {
        let times = [0, 340, 9_999, 12_000, 245_000, 7_380_000, 432_000_000];
        let times = times.map(|ms| ago(ms * 1_000_000));
        assert_eq!(
            times,
            ["0.0 s", "0.3 s", "9.9 s", "12 s", "4m05s", "2h03m", "5d"]
        );
        assert_eq!(count(9_999), "9999");
        assert_eq!(count(12_345), "12.3k");
        assert_eq!(count(99_999), "99.9k");
        assert_eq!(count(100_000), "100k");
        assert_eq!(count(999_999), "999k");
        assert_eq!(count(1_000_000), "1.0M");
        assert_eq!(count(u64::MAX), "18.4E");
        for digits in 0..19 {
            let power = 10u64.pow(digits);
            for number in [power - 1, power, power * 5 - 1, power * 9] {
                assert!(count(number).len() <= 5, "{number}: {}", count(number));
            }
        }
        assert_eq!(size(3_565_159), "3.4 MiB");
    }
}
