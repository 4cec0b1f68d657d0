//! A line that is being edited: the filter.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::core::select::{Filter, FilterError};

/// Longest filter, in characters: more than anybody types, and little enough to look through at each
/// key.
const MOST_CHARS: usize = 1000;

/// A filter that is being edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    text: Vec<char>,
    /// The character the cursor is on.
    cursor: usize,
    problem: Option<FilterError>,
}

impl Prompt {
    /// Begins with a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self {
            cursor: text.len(),
            text,
            problem: None,
        }
    }

    /// What a key does to it.
    pub fn key(&mut self, event: KeyEvent) {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('u') if ctrl => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('k') if ctrl => self.text.truncate(self.cursor),
            KeyCode::Char('w') if ctrl => {
                let start = self.word_start();
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            KeyCode::Char('a') if ctrl => self.cursor = 0,
            KeyCode::Char('e') if ctrl => self.cursor = self.text.len(),
            KeyCode::Char(_) if ctrl => return,
            KeyCode::Char(character) if self.text.len() < MOST_CHARS => {
                self.text.insert(self.cursor, character);
                self.cursor += 1;
            }
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return,
        }
        let text = self.text();
        self.problem = if text.trim().is_empty() {
            None
        } else {
            Filter::parse(&text).err()
        };
    }

    fn word_start(&self) -> usize {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|c| !c.is_whitespace());
        let start = end.and_then(|end| before[..end].iter().rposition(|c| c.is_whitespace()));
        start.map_or(0, |space| space + 1)
    }

    /// The text as typed so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What is before the cursor.
    #[must_use]
    pub fn before(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// What is from the cursor on.
    #[must_use]
    pub fn behind(&self) -> String {
        self.text[self.cursor..].iter().collect()
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> Option<&FilterError> {
        self.problem.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(prompt: &mut Prompt, text: &str) {
        for character in text.chars() {
            prompt.key(KeyCode::Char(character).into());
        }
    }

    fn ctrl(prompt: &mut Prompt, character: char) {
        prompt.key(KeyEvent::new(
            KeyCode::Char(character),
            KeyModifiers::CONTROL,
        ));
    }

    #[test]
    fn it_is_edited_as_lines_are() {
        let mut prompt = Prompt::new("port 80");
        typed(&mut prompt, "80");
        assert_eq!(prompt.text(), "port 8080");
        ctrl(&mut prompt, 'a');
        typed(&mut prompt, "ö");
        prompt.key(KeyCode::Backspace.into());
        prompt.key(KeyCode::Delete.into());
        assert_eq!(
            (prompt.before(), prompt.behind()),
            (String::new(), "ort 8080".to_owned())
        );
        ctrl(&mut prompt, 'e');
        ctrl(&mut prompt, 'w');
        assert_eq!(prompt.text(), "ort ");
        ctrl(&mut prompt, 'u');
        assert_eq!(prompt.text(), "");
    }

    #[test]
    fn what_is_wrong_is_known_while_it_is_typed() {
        let mut prompt = Prompt::new("");
        typed(&mut prompt, "port");
        assert!(prompt.problem().is_some());
        typed(&mut prompt, " 80");
        assert_eq!(prompt.problem(), None);
        typed(&mut prompt, " and");
        assert!(prompt.problem().is_some());
        ctrl(&mut prompt, 'u');
        assert_eq!(prompt.problem(), None);
    }
}
