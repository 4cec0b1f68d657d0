//! Options of the commands that write and read captures, and of those that show screens of them.

use std::path::PathBuf;

use clap::{Args, FromArgMatches as _, ValueHint};

use crate::capture::{CaptureOutput, Existing};
use crate::cli::Tracing;
use crate::core::select::Selection;
use crate::show::export::ExportFormat;
use crate::show::report::Format;

/// What `record` keeps.
#[derive(Clone, Debug, Args)]
pub struct Keep {
    /// Keep the events in FILE, a pcapng that Wireshark opens and `report` reads
    ///
    /// Only headers of packets are kept. FILE is written while the trace runs and flushed several
    /// times a second. With `-` the capture goes to standard output; the report then goes to standard
    /// error, and so does what COMMAND prints. If FILE cannot be written further, a message says so,
    /// trace and COMMAND go on, and the status at the end is 1 unless COMMAND gives another.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Capture")]
    pub output: Option<PathBuf>,
    /// Overwrite FILE if it exists; with --max-size, remove all parts of an earlier capture
    #[arg(long, requires = "output", help_heading = "Capture")]
    pub force: bool,
    /// Begin another file whenever one has about SIZE bytes, such as 500k, 64M or 1G
    ///
    /// With `-o trace.pcapng` the files are trace-00001.pcapng and so on. Each can be read alone: it
    /// begins with the network and the connections that are open. `cat` puts them together again.
    /// k, M and G are powers of 1024.
    #[arg(
        long, value_name = "SIZE", value_parser = size, value_hint = ValueHint::Other,
        requires = "output", help_heading = "Capture"
    )]
    pub max_size: Option<u64>,
    /// Keep only the latest N files of --max-size
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        value_hint = ValueHint::Other, requires = "max_size", help_heading = "Capture"
    )]
    pub max_files: Option<u32>,
}

impl Keep {
    /// Makes the file, if a capture is to be kept.
    pub(crate) fn open(&self) -> anyhow::Result<Option<CaptureOutput>> {
        let existing = match self.force {
            true => Existing::Overwritten,
            false => Existing::Refused,
        };
        let output = self.output.as_ref();
        let open =
            |path: &PathBuf| CaptureOutput::open(path, self.max_size, self.max_files, existing);
        output.map(open).transpose()
    }
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The capture, also compressed with gzip or zstd; `-` reads standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::TEXT)]
    pub format: Format,
    /// End with status 3 if a finding of severity error stands
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub selection: Selection,
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// The capture, also compressed with gzip or zstd; `-` reads standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Form of the events
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    #[command(flatten)]
    pub selection: Selection,
}

/// How screens are drawn.
#[derive(Clone, Debug, Args)]
pub struct Drawing {
    /// Draw with ASCII alone, whatever the locale says of the terminal
    #[arg(long)]
    pub ascii: bool,
}

/// `live`.
#[derive(Clone, Debug, Args)]
pub struct LiveOptions {
    #[command(flatten)]
    pub drawing: Drawing,
    #[command(flatten)]
    pub keep: Keep,
    #[command(flatten)]
    pub tracing: Tracing,
    #[command(flatten)]
    pub selection: Selection,
}

impl Default for LiveOptions {
    /// What the options are when none is given.
    fn default() -> Self {
        let matches = Self::augment_args(clap::Command::new("live")).get_matches_from(["live"]);
        // No option must be given, so this cannot fail.
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The capture, also compressed with gzip or zstd
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub drawing: Drawing,
    #[command(flatten)]
    pub selection: Selection,
}

/// The smallest part that makes sense: a small host's opening has a tenth of it.
const LEAST_PART_BYTES: u64 = 64 << 10;

pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 500k, 64M or 1G".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if bytes < LEAST_PART_BYTES {
        return Err(format!(
            "the size must be at least {}k",
            LEAST_PART_BYTES >> 10
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64k"), Ok(64 << 10));
        assert_eq!(size("3MiB"), Ok(3 << 20));
        assert_eq!(size("2GB"), Ok(2 << 30));
        for bad in ["", "k", "1", "12q", "-1M", "1.5M", "99999999999T", "M1"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
