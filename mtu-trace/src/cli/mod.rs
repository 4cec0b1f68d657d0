//! The command line.

mod capture;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

pub use crate::cli::capture::{
    Drawing, ExportOptions, Keep, LiveOptions, ReplayOptions, ReportOptions,
};
use crate::core::select::Selection;
use crate::core::verdicts::entry;
use crate::kernel::{HOOKS, Mechanism};
use crate::model::finding::Verdict;
use crate::show::report::Format;

/// What the status at the end means.
pub(crate) const EXIT_STATUS: &str = "\
0 done; 1 failed; 2 bad usage; `record -- COMMAND` gives COMMAND's own status, 128 plus \
the signal's number if one ended it; with --exit-code, 3 when a finding of severity error stands \
(check: warning or error).";

/// Finds the TCP connections that stall because a packet is too big for a link.
#[derive(Debug, Parser)]
#[command(name = "mtu-trace", version, max_term_width = 100)]
#[command(after_help = format!("Exit status: {EXIT_STATUS}"))]
pub struct Cli {
    /// What to do; `live` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// When to colour text; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is stalled, where and why, while it happens; also without a subcommand (needs root)
    Live(Box<LiveOptions>),
    /// Show a capture as `live` does: play, pause, seek (needs no root)
    Replay(ReplayOptions),
    /// Trace until the time is up, COMMAND ends or Ctrl-C, then print the report (needs root)
    Record(RecordOptions),
    /// Print the report of a capture (needs no root)
    Report(ReportOptions),
    /// Print the events of a capture (needs no root)
    Export(ExportOptions),
    /// Look for places where a larger MTU leads into a smaller one, before any traffic (needs root)
    Check(CheckOptions),
    /// Show which hooks this kernel offers, and what is lost without the missing ones
    Doctor(DoctorOptions),
    /// Say what a verdict means, how to confirm it and what to do; without one, list them all
    Explain(ExplainOptions),
    /// Print the script that completes this command line in a shell
    ///
    /// Put it where the shell looks for such scripts:
    ///
    /// bash: mtu-trace completions bash > /etc/bash_completion.d/mtu-trace
    ///
    /// zsh: mtu-trace completions zsh > /usr/local/share/zsh/site-functions/_mtu-trace
    ///
    /// fish: mtu-trace completions fish > /etc/fish/completions/mtu-trace.fish
    ///
    /// elvish: eval (mtu-trace completions elvish | slurp), in rc.elv
    ///
    /// PowerShell: mtu-trace completions powershell | Out-String | Invoke-Expression, in $PROFILE
    Completions(Completions),
    /// Print the manual page of mtu-trace, or write the pages of all commands
    Man(Man),
}

/// `record`.
#[derive(Debug, Args)]
pub struct RecordOptions {
    /// Stop after this time, such as 30s, 500ms or 2m
    #[arg(long, value_name = "TIME", value_parser = duration, value_hint = ValueHint::Other)]
    pub duration: Option<Duration>,
    /// Form of the report on standard output; but for text, COMMAND's output goes to standard error
    #[arg(long, value_enum, default_value_t = Format::TEXT)]
    pub format: Format,
    /// End with status 3 if a finding of severity error stands
    #[arg(long)]
    pub exit_code: bool,
    /// Create this file when every hook that this kernel offers is attached
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub keep: Keep,
    #[command(flatten)]
    pub tracing: Tracing,
    #[command(flatten)]
    pub selection: Selection,
    /// Run COMMAND, trace while it runs, and end with its status
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub run: Vec<OsString>,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Form of the report
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// End with status 3 if a finding of severity warning or error stands
    #[arg(long)]
    pub exit_code: bool,
}

/// Form of an answer that is no list of findings of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl TextOrJson {
    /// The form of a report.
    pub fn of_report(self) -> Format {
        match self {
            Self::Text => Format::TEXT,
            Self::Json => Format::JSON,
        }
    }
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    #[command(flatten)]
    pub tracing: Tracing,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// Name of the verdict, as reports have it
    #[arg(value_enum, value_name = "VERDICT", hide_possible_values = true)]
    pub verdict: Option<Verdict>,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write the pages of all commands to this directory, which is made if it is missing
    ///
    /// The files are mtu-trace.1, mtu-trace-record.1 and so on; those of an earlier version are
    /// overwritten. In a directory named man1 of the manual's path, such as
    /// /usr/local/share/man/man1, `man mtu-trace-record` finds them.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
}

impl ValueEnum for Verdict {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(entry(*self).meaning))
    }
}

/// Options of everything that loads kernel programs.
#[derive(Clone, Debug, Args)]
pub struct Tracing {
    /// Read the kernel's type information from this file
    #[arg(
        long, value_name = "FILE", default_value = crate::kernel::VMLINUX,
        value_hint = ValueHint::FilePath, help_heading = "Kernel"
    )]
    pub btf: PathBuf,
    /// Do without this hook; may be repeated
    #[arg(long, value_name = "HOOK", value_parser = hooks(), help_heading = "Kernel")]
    pub without: Vec<String>,
    /// Attach by this mechanism alone where a hook has several
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Kernel")]
    pub mechanism: Option<Mechanism>,
    /// Memory for what is kept of connections and packets, such as 256M; without it, what the control
    /// group allows, or 256M
    #[arg(
        long, value_name = "SIZE", value_parser = capture::size, value_hint = ValueHint::Other,
        help_heading = "Kernel"
    )]
    pub memory: Option<u64>,
    /// Print the kernel programs' own diagnostics to standard error
    #[arg(long, help_heading = "Kernel")]
    pub kernel_log: bool,
}

impl ValueEnum for Mechanism {
    fn value_variants<'a>() -> &'a [Self] {
        use Mechanism::{Clsact, Fentry, Kprobe, RawTracepoint, Tcx};
        &[RawTracepoint, Fentry, Kprobe, Tcx, Clsact]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::RawTracepoint => ("tracepoint", "Raw tracepoints"),
            Self::Fentry => (
                "fentry",
                "Functions' entries and returns by trampoline (fentry, fexit)",
            ),
            Self::Kprobe => ("kprobe", "The same by kprobe and kretprobe"),
            Self::Tcx => ("tcx", "tc links (Linux 6.6 and later)"),
            Self::Clsact => ("clsact", "tc filters on a clsact qdisc"),
            Self::Fexit | Self::Kretprobe => return None,
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// If standard output is a terminal and NO_COLOR is unset.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Longest time one can ask for, so that no sum of times overflows: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

fn duration(text: &str) -> Result<Duration, String> {
    let help = "a time such as 30s, 500ms, 2m or 1h30m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| format!("expected {help}"))?;
    let parsed = Duration::try_from(parsed).map_err(|_| "the time must not be negative")?;
    if parsed.is_zero() {
        return Err("the time must be above zero".to_owned());
    }
    if parsed > LONGEST {
        return Err("the time must be within a year".to_owned());
    }
    Ok(parsed)
}

/// Without words on each: zsh takes what stands behind the colon of a name for them.
fn hooks() -> PossibleValuesParser {
    PossibleValuesParser::new(HOOKS.iter().map(|hook| hook.name))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_said_is_live() {
        let cli = Cli::try_parse_from(["mtu-trace"]).unwrap();
        assert!(cli.command.is_none());
        let live = LiveOptions::default();
        assert!(live.selection == Selection::default() && live.keep.output.is_none());
        assert_eq!(live.tracing.btf.to_str(), Some(crate::kernel::VMLINUX));
    }

    #[test]
    fn verdicts_are_explained_by_name() {
        for verdict in Verdict::ALL {
            let cli = Cli::try_parse_from(["mtu-trace", "explain", verdict.name()]).unwrap();
            let Some(Command::Explain(options)) = cli.command else {
                panic!("{cli:?}");
            };
            assert_eq!(options.verdict, Some(verdict));
        }
        assert!(Cli::try_parse_from(["mtu-trace", "explain"]).is_ok());
    }

    #[test]
    fn wrong_verdict_is_bad_usage_and_the_right_ones_are_listed() {
        let error = Cli::try_parse_from(["mtu-trace", "explain", "mtu-blackhole"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        for verdict in Verdict::ALL {
            assert!(message.contains(verdict.name()), "{message}");
        }
    }

    fn record(arguments: &[&str]) -> RecordOptions {
        let arguments = [&["mtu-trace", "record"], arguments].concat();
        let cli = Cli::try_parse_from(arguments).unwrap();
        let Some(Command::Record(options)) = cli.command else {
            panic!("{cli:?}");
        };
        options
    }

    #[test]
    fn words_before_the_dashes_are_the_filter_and_those_after_it_the_command() {
        let words = "--netns a port 80 --pid 7 or 443 --netns=b -- port 22";
        let options = record(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(options.selection.filter, ["port", "80", "or", "443"]);
        assert_eq!(options.selection.netns, ["a", "b"]);
        assert_eq!(options.selection.pid, [7]);
        assert_eq!(options.run, ["port", "22"]);
        let options = record(&["not (port 80)", "--container", "build"]);
        assert_eq!(options.selection.filter, ["not (port 80)"]);
        assert_eq!(options.selection.container, ["build"]);
        assert_eq!(record(&["--", "true"]).selection, Selection::default());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "5", "-1s", "0s", "soon", "99999999999h", "400d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
