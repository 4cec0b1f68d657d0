//! What a tracer sees of the scenarios: every hook, perhaps attached in a way of its own, or all but one
//! of the product's own table.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::binary;
use lab::process::finish;
use serde::Deserialize;

/// How long `doctor` may take on a machine that runs many tests at once.
const LIMIT: Duration = Duration::from_secs(60);

/// One hook of the product, and whether this kernel has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Hook {
    /// Its name, which `--without` takes.
    #[serde(rename = "hook")]
    pub name: String,
    /// Whether it can be attached here.
    pub attached: bool,
    /// Whether it adds to the evidence only, so that verdicts are the same without it.
    #[serde(default)]
    pub optional: bool,
    /// Why it cannot be attached.
    pub detail: Option<String>,
}

/// The hooks that `mtu-trace doctor` lists: the product's own table, so that a hook that is added
/// there is also left out here.
///
/// # Errors
///
/// `doctor` fails, or lists none.
pub fn hooks() -> Result<Vec<Hook>> {
    #[derive(Deserialize)]
    struct Doctor {
        hooks: Vec<Hook>,
    }
    let mut doctor = Command::new(binary::mtu_trace());
    doctor.args(["doctor", "--format", "json"]);
    let finished = finish(&mut doctor, LIMIT)?;
    let doctor: Doctor =
        serde_json::from_str(&finished.stdout).with_context(|| format!("{finished:?}"))?;
    ensure!(!doctor.hooks.is_empty(), "doctor lists no hooks");
    Ok(doctor.hooks)
}

/// What one tracer sees.
#[derive(Clone, Debug)]
pub enum View {
    /// Every hook, and all scenarios together.
    Together,
    /// The same by a tracer whose hooks are attached by this mechanism: `--mechanism` takes it.
    By(String),
    /// Every hook, and one scenario under a tracer of its own.
    Alone,
    /// All scenarios together, without this hook.
    Without(Hook),
}

impl View {
    /// The hook that is left out.
    pub fn left_out(&self) -> Option<&Hook> {
        match self {
            Self::Together | Self::By(_) | Self::Alone => None,
            Self::Without(hook) => Some(hook),
        }
    }

    /// The mechanism that is asked for; `None` where each hook is attached in the best way.
    pub fn mechanism(&self) -> Option<&str> {
        match self {
            Self::By(mechanism) => Some(mechanism),
            Self::Together | Self::Without(_) | Self::Alone => None,
        }
    }

    /// The hook without which a finding may say less or not be there; `None` where it must be whole,
    /// which it must also be without a hook that adds to the evidence only.
    pub fn lacks(&self) -> Option<&str> {
        let hook = self.left_out()?;
        (!hook.optional).then_some(hook.name.as_str())
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Together => f.write_str("all hooks"),
            Self::By(mechanism) => write!(f, "all hooks by {mechanism}"),
            Self::Alone => f.write_str("each under a tracer of its own"),
            Self::Without(hook) => write!(f, "without {}", hook.name),
        }
    }
}
