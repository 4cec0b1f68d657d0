//! Makes names that come from elsewhere fit to be shown.
//!
//! Interfaces, processes, namespaces and cgroups are named by whoever makes them, which in a
//! container is anyone. Every such name goes through here on its way into the model, so that
//! nothing behind the model can send it to a terminal raw.

use std::fmt::Write;

/// Longest name that is shown, in characters; what is cut off is replaced by `…`.
const MAX_CHARS: usize = 128;

/// A name with everything escaped that could do something to a terminal or pass for another name:
/// control characters, bytes that are not UTF-8 (`\x1b`), and characters that are invisible or
/// change the direction of writing (`\u{202e}`).
#[must_use]
pub fn printable(name: &[u8]) -> String {
    let mut shown = Shown::default();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if !shown.push(character) {
                return shown.text;
            }
        }
        for byte in chunk.invalid() {
            if !shown.push_escape(format_args!("\\x{byte:02x}"), 4) {
                return shown.text;
            }
        }
    }
    shown.text
}

#[derive(Default)]
struct Shown {
    text: String,
    chars: usize,
}

impl Shown {
    /// Adds a character as it is or escaped; false once there is no room.
    fn push(&mut self, character: char) -> bool {
        let code = u32::from(character);
        if character.is_control() && code < 0x100 {
            self.push_escape(format_args!("\\x{code:02x}"), 4)
        } else if is_deceptive(character) {
            self.push_escape(format_args!("\\u{{{code:x}}}"), 8)
        } else if self.chars < MAX_CHARS {
            self.text.push(character);
            self.chars += 1;
            true
        } else {
            self.cut()
        }
    }

    fn push_escape(&mut self, escape: std::fmt::Arguments<'_>, chars: usize) -> bool {
        if self.chars + chars > MAX_CHARS {
            return self.cut();
        }
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(escape);
        self.chars += chars;
        true
    }

    fn cut(&mut self) -> bool {
        self.text.push('…');
        false
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
    fn long_names_are_cut() {
        assert_eq!(printable(&[b'a'; 128]).chars().count(), 128);
        let cut = printable(&[b'a'; 4096]);
        assert_eq!(cut.chars().count(), 129);
        assert!(cut.ends_with('…'));
        assert!(printable(&[0x1b; 4096]).chars().count() <= 129);
    }
}
