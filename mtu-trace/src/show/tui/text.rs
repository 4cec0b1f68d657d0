//! Text in columns: how wide it is, and how it is made to fit.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// As much of the start as fits into so many columns.
pub fn start(text: &str, most: usize) -> &str {
    let mut columns = 0;
    let beyond = |character: char| {
        columns += character.width().unwrap_or(0);
        columns > most
    };
    &text[..text.find(beyond).unwrap_or(text.len())]
}

/// As much of the end as fits into so many columns.
pub fn end(text: &str, most: usize) -> &str {
    let mut columns = 0;
    let fits = |&(_, character): &(usize, char)| {
        columns += character.width().unwrap_or(0);
        columns <= most
    };
    let first = text.char_indices().rev().take_while(fits).last();
    &text[first.map_or(text.len(), |(at, _)| at)..]
}

/// Breaks at spaces into lines of at most `most` columns, and within words that are longer.
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
            let fitting = start(word, most);
            lines.push(fitting.to_owned());
            word = &word[fitting.len()..];
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A time that has passed, in at most six columns: `0.3 s`, `12 s`, `4m05s`, `2h03m`, `5d`.
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

/// The same as [`count`], with a dash for none.
pub fn count_or_dash(number: u64) -> String {
    if number == 0 {
        "-".to_owned()
    } else {
        count(number)
    }
}

/// A number in at most five columns: `123`, `12.3k`, `450k`, `4.5M`.
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

/// A number of things: `1 error`, `2 errors`.
pub fn several(count: usize, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}

/// A size: `512 B`, `3.4 MiB`.
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
