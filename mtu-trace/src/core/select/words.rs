//! A filter expression in words, each with its place, and what is said of one that is not
//! understood.

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
        let mark = before - skipped;
        let visible = |c: char| if c.is_control() { '?' } else { c };
        let near = self.text.chars().skip(skipped).take(mark + SHOWN);
        let shown: String = near.map(visible).collect();
        format!("{self}\n  {shown}\n  {:mark$}^", "")
    }
}

/// A word of an expression; a sign that stands for one is that word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// The place where it begins, in characters, from 1.
    pub column: usize,
    pub text: &'a str,
}

/// Takes an expression apart into its words.
pub(crate) fn words(text: &str) -> Result<Vec<Word<'_>>, FilterError> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (word, bytes) = match first {
            '(' => ("(", 1),
            ')' => (")", 1),
            '!' => ("not", 1),
            '&' if rest.starts_with("&&") => ("and", 2),
            '|' if rest.starts_with("||") => ("or", 2),
            '&' | '|' => {
                let word = if first == '&' { "and" } else { "or" };
                let problem = format!("`{first}` means nothing here; write {word}");
                return Err(FilterError::new(text, column, problem));
            }
            space if space.is_whitespace() => ("", space.len_utf8()),
            _ => {
                let ends = |c: char| c.is_whitespace() || "()!&|".contains(c);
                let bytes = rest.find(ends).unwrap_or(rest.len());
                (&rest[..bytes], bytes)
            }
        };
        if !word.is_empty() {
            words.push(Word { column, text: word });
        }
        column += rest[..bytes].chars().count();
        rest = &rest[bytes..];
    }
    Ok(words)
}
