//! Text that is shown: names made fit for a terminal, words quoted for a shell, lines broken.
//!
//! Interfaces, processes, namespaces and cgroups are named by whoever makes them, which in a
//! container is anyone. Every such name goes through [`printable`] on its way into the model, so that
//! nothing behind the model can send it to a terminal raw. What a capture says is cleaned as it is
//! read ([`stored`]): anyone may have written it.

use compact_str::{CompactString, ToCompactString as _, format_compact};

/// Longest name that is shown, in characters; what is cut off is replaced by `…`. A choice: no kernel
/// name is longer but a cgroup's and a file's.
const MAX_CHARS: usize = 128;

/// A name with everything escaped that could do something to a terminal or pass for another name:
/// control characters, bytes that are not UTF-8 (`\x1b`), and characters that are invisible or
/// change the direction of writing (`\u{202e}`).
#[must_use]
pub fn printable(name: &[u8]) -> String {
    escape(name, MAX_CHARS)
}

fn escape(name: &[u8], most: usize) -> String {
    let pieces = name.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter();
        let invalid = invalid.map(|byte| (format_compact!("\\x{byte:02x}"), 4));
        chunk.valid().chars().map(escape_char).chain(invalid)
    });
    let (mut shown, mut chars) = (String::new(), 0);
    for (piece, width) in pieces {
        if chars + width > most {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
        chars += width;
    }
    shown
}

/// A character as it is shown, and for how many characters that counts.
fn escape_char(character: char) -> (CompactString, usize) {
    let code = u32::from(character);
    if character.is_control() && code < 0x100 {
        (format_compact!("\\x{code:02x}"), 4)
    } else if is_deceptive(character) {
        (format_compact!("\\u{{{code:x}}}"), 8)
    } else {
        (character.to_compact_string(), 1)
    }
}

/// Names and words that were stored and are read again. What was printable stays as it is.
pub mod stored {
    use serde::{Deserialize, Deserializer};

    /// As [`printable`](super::printable), of any length: it has been cut before, if it was to be.
    #[must_use]
    pub fn clean<T: AsRef<str> + From<String>>(text: T) -> T {
        let bytes = text.as_ref().as_bytes();
        if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return text;
        }
        super::escape(bytes, usize::MAX).into()
    }

    /// A string that can be shown.
    ///
    /// # Errors
    ///
    /// If it is no string.
    pub fn printable<'de, D, T>(from: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + AsRef<str> + From<String>,
    {
        T::deserialize(from).map(clean)
    }

    /// A string that can be shown, or none.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn printable_or_none<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + AsRef<str> + From<String>,
    {
        Ok(Option::<T>::deserialize(from)?.map(clean))
    }

    /// Strings that can be shown.
    ///
    /// # Errors
    ///
    /// If they are no list of strings.
    pub fn printables<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        Ok(texts.into_iter().map(clean).collect())
    }
}

/// Invisible characters, line separators and direction marks (Unicode's `Cf`, `Zl` and `Zp` as far
/// as they matter in a line of text).
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// A word for a shell, quoted where it needs to be: names come from containers.
pub(crate) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Breaks at spaces into lines of at most `width` columns; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay() {
        assert_eq!(printable(b"eth0.100@br-lan"), "eth0.100@br-lan");
        assert_eq!(printable("größe 雪".as_bytes()), "größe 雪");
        assert_eq!(printable(b""), "");
    }

    #[test]
    fn whatever_could_reach_a_terminal_is_escaped() {
        assert_eq!(printable(b"\x1b[2Jx\r\n\0"), "\\x1b[2Jx\\x0d\\x0a\\x00");
        assert_eq!(printable(b"a\xffb\xc3"), "a\\xffb\\xc3");
        // C1 controls are two bytes of UTF-8 and one character: CSI.
        assert_eq!(printable("\u{9b}31m".as_bytes()), "\\x9b31m");
        assert_eq!(printable("\u{202e}lo".as_bytes()), "\\u{202e}lo");
    }

    #[test]
    fn what_was_shown_once_stays() {
        for name in [
            &b"eth0"[..],
            b"\x1b[2J\xff",
            "größe 雪\u{202e}".as_bytes(),
            &[0x1b; 500],
        ] {
            let shown = printable(name);
            assert_eq!(stored::clean(shown.clone()), shown);
        }
        assert_eq!(stored::clean("\u{1b}]0;".to_owned()), "\\x1b]0;");
        assert_eq!(stored::clean("ö\n".repeat(500)), "ö\\x0a".repeat(500));
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(printable(&[b'a'; 128]).chars().count(), 128);
        let cut = printable(&[b'a'; 4096]);
        assert_eq!(cut.chars().count(), 129);
        assert!(cut.ends_with('…'));
        assert!(printable(&[0x1b; 4096]).chars().count() <= 129);
    }

    #[test]
    fn hostile_names_stay_one_word() {
        assert_eq!(quote("eth0"), "eth0");
        assert_eq!(quote("a b; rm -rf /"), "'a b; rm -rf /'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn breaks_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("incomprehensibilities yes", 5),
            ["incomprehensibilities", "yes"]
        );
        assert_eq!(wrap("", 5), Vec::<String>::new());
    }
}
