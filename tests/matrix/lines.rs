//! The matrix as lines of JSON, for who puts several of them together.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};
use serde_json::json;

use crate::stage::Run;

/// The file they go to.
pub struct Lines(Option<File>);

impl Lines {
    /// The file that `MTU_TRACE_MATRIX_LINES` names; none if it is not set.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn asked_for() -> Result<Self> {
        let Some(path) = std::env::var_os("MTU_TRACE_MATRIX_LINES") else {
            return Ok(Self(None));
        };
        File::create(&path)
            .map(|file| Self(Some(file)))
            .with_context(|| format!("making {}", path.display()))
    }

    /// Writes one for each scenario.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&mut self, ran: &Run) -> Result<()> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        for line in &ran.lines {
            let line = json!({
                "mechanism": ran.view.mechanism(),
                "id": line.scenario.id,
                "what": line.scenario.what,
                "expected": line.scenario.expect.verdict(),
                "got": line.judged.got,
                "faults": line.judged.faults,
                "missed": line.is_missed(),
                "skipped": line.judged.skipped,
            });
            writeln!(file, "{line}").context("writing the matrix")?;
        }
        Ok(())
    }
}
