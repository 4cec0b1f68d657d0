//! Programs of the object by their names, and why the kernel refuses one.

use aya::Ebpf;
use aya::programs::{Program, ProgramError};

/// Why a program or a hook is not what it should be.
#[derive(Clone)]
pub struct Refusal {
    /// The reason, in words for a reader.
    pub why: String,
    /// Whether the kernel was asked and did not want it; else it did not come to that.
    pub by_kernel: bool,
}

/// A program of the object by its name.
pub(crate) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)
}

impl From<ProgramError> for Refusal {
    /// Keeps the part of an error that a reader can use: the kernel's own words, and the last line of
    /// the verifier's log if there is one.
    fn from(error: ProgramError) -> Self {
        // The verifier ends with statistics; the line before them says what is wrong.
        const STATISTICS: [&str; 4] = [
            "processed ",
            "insns processed ",
            "verification time ",
            "stack depth ",
        ];
        let by_kernel = matches!(
            error,
            ProgramError::LoadError { .. } | ProgramError::SyscallError(_)
        );
        let why = match error {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                let is_said = |line: &&str| {
                    !line.trim().is_empty() && !STATISTICS.iter().any(|it| line.starts_with(it))
                };
                let last = log.lines().rev().find(is_said);
                let last = last.map_or_else(String::new, |line| format!(" ({line})"));
                format!("the kernel refused the program: {io_error}{last}")
            }
            ProgramError::SyscallError(error) => {
                format!("the kernel refused the hook: {}", error.io_error)
            }
            other => other.to_string(),
        };
        Self { why, by_kernel }
    }
}
