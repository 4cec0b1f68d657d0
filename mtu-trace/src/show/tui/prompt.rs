//! A line that is being edited: the filter.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::core::select::{Filter, FilterError};

/// Longest filter, in characters: more than anybody types, and little enough to look through at each
/// key.
const MOST_CHARS: usize = 1000;

/// A filter that is being edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What is before the cursor.
    pub before: String,
    /// What is from the cursor on.
    pub behind: String,
    /// What is wrong with it.
    pub problem: Option<FilterError>,
}

impl Prompt {
    /// Begins with a text.
    pub fn new(text: &str) -> Self {
        Self {
            before: text.to_owned(),
            behind: String::new(),
            problem: None,
        }
    }

    /// The text as typed so far.
    pub fn text(&self) -> String {
        format!("{}{}", self.before, self.behind)
    }

    /// What a key does to it.
    pub fn key(&mut self, event: KeyEvent) {
        use KeyCode::{Backspace, Char, Delete, End, Home, Left, Right};
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match (event.code, ctrl) {
            (Char('u'), true) => self.before.clear(),
            (Char('k'), true) => self.behind.clear(),
            (Char('w'), true) => {
                let words = self.before.trim_end();
                let kept = words.trim_end_matches(|c: char| !c.is_whitespace()).len();
                self.before.truncate(kept);
            }
            (Char('a'), true) | (Home, _) => {
                self.behind.insert_str(0, &std::mem::take(&mut self.before));
            }
            (Char('e'), true) | (End, _) => self.before += &std::mem::take(&mut self.behind),
            (Char(_), true) => return,
            (Char(character), false) if self.text().chars().count() < MOST_CHARS => {
                self.before.push(character);
            }
            (Backspace, _) => {
                self.before.pop();
            }
            (Delete, _) if !self.behind.is_empty() => {
                self.behind.remove(0);
            }
            (Left, _) => {
                if let Some(character) = self.before.pop() {
                    self.behind.insert(0, character);
                }
            }
            (Right, _) if !self.behind.is_empty() => self.before.push(self.behind.remove(0)),
            _ => return,
        }
        let text = Some(self.text()).filter(|text| !text.trim().is_empty());
        self.problem = text.and_then(|text| Filter::parse(&text).err());
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
        let code = KeyCode::Char(character);
        prompt.key(KeyEvent::new(code, KeyModifiers::CONTROL));
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
        assert_eq!((&*prompt.before, &*prompt.behind), ("", "ort 8080"));
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
        assert!(prompt.problem.is_some());
        typed(&mut prompt, " 80");
        assert_eq!(prompt.problem, None);
        typed(&mut prompt, " and");
        assert!(prompt.problem.is_some());
        ctrl(&mut prompt, 'u');
        assert_eq!(prompt.problem, None);
    }
}
