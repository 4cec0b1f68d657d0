//! Kernel lockdown (`kernel_lockdown(7)`): what the kernel keeps even from root.

use std::fs;

/// Where the kernel says how far it is locked down; not there where it cannot be, or where nobody has
/// mounted securityfs.
const FILE: &str = "/sys/kernel/security/lockdown";

/// How far the kernel is locked down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lockdown {
    /// Not at all, as far as it says.
    None,
    /// It cannot be changed from outside. Tracing changes nothing.
    Integrity,
    /// Nor can its memory be read, which every program of ours has to.
    Confidentiality,
}

impl Lockdown {
    /// Asks the running kernel.
    #[must_use]
    pub fn current() -> Self {
        fs::read_to_string(FILE).map_or(Self::None, |text| Self::parse(&text))
    }

    /// Reads `none [integrity] confidentiality`, in which the current one is marked.
    fn parse(text: &str) -> Self {
        let marked = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        match marked.map(|(level, _)| level) {
            Some("integrity") => Self::Integrity,
            Some("confidentiality") => Self::Confidentiality,
            _ => Self::None,
        }
    }

    /// Why programs are refused, if that is why.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        (self == Self::Confidentiality).then_some(
            "the kernel is locked down (confidentiality): programs may not read its memory",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_level_is_the_current_one() {
        for (text, level) in [
            ("[none] integrity confidentiality\n", Lockdown::None),
            ("none [integrity] confidentiality\n", Lockdown::Integrity),
            (
                "none integrity [confidentiality]\n",
                Lockdown::Confidentiality,
            ),
            ("", Lockdown::None),
            ("[", Lockdown::None),
        ] {
            assert_eq!(Lockdown::parse(text), level, "{text}");
        }
    }
}
