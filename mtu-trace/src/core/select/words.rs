//! A filter expression in words, each with its place, and what is said of one that is not
//! understood.

use std::iter;

/// Columns of a filter that are shown before and behind the place of an error. A choice: both fit on a
/// terminal of 80.
const SHOWN: usize = 40;

/// A filter that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter is not understood at column {column}: {problem}")]
pub struct FilterError {
    text: String,
    /// The place of the error, in characters, from 1.
    pub column: usize,
    problem: String,
}

impl FilterError {
    pub(crate) fn new(text: &str, column: usize, problem: String) -> Self {
        Self {
            text: text.to_owned(),
            column,
            problem,
        }
    }

    /// What is wrong, and the filter with a mark under the place: three lines.
    #[must_use]
    pub fn pointed(&self) -> String {
        let before = self.column - 1;
        let skipped = before.saturating_sub(SHOWN);
        let visible = |c: char| if c.is_control() { '?' } else { c };
        let shown: String = self
            .text
            .chars()
            .skip(skipped)
            .take(before - skipped + SHOWN)
            .map(visible)
            .collect();
        let mark: String = iter::repeat_n(' ', before - skipped).chain(['^']).collect();
        format!("{self}\n  {shown}\n  {mark}")
    }
}

/// A word of an expression, or a sign that stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// The place where it begins, in characters, from 1.
    pub column: usize,
    pub token: Token<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Open,
    Close,
    Not,
    And,
    Or,
    Other(&'a str),
}

/// Takes an expression apart into its words.
pub(crate) fn words(text: &str) -> Result<Vec<Word<'_>>, FilterError> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (token, bytes) = match first {
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            '!' => (Some(Token::Not), 1),
            '&' | '|' => {
                let (token, word) = if first == '&' {
                    (Token::And, "and")
                } else {
                    (Token::Or, "or")
                };
                if !rest[1..].starts_with(first) {
                    let problem = format!("`{first}` means nothing here; write {word}");
                    return Err(FilterError::new(text, column, problem));
                }
                (Some(token), 2)
            }
            space if space.is_whitespace() => (None, space.len_utf8()),
            _ => {
                let ends = |c: char| c.is_whitespace() || "()!&|".contains(c);
                let bytes = rest.find(ends).unwrap_or(rest.len());
                let token = match &rest[..bytes] {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    other => Token::Other(other),
                };
                (Some(token), bytes)
            }
        };
        words.extend(token.map(|token| Word { column, token }));
        column += rest[..bytes].chars().count();
        rest = &rest[bytes..];
    }
    Ok(words)
}
