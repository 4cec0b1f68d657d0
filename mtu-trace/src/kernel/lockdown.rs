//! Kernel lockdown (`kernel_lockdown(7)`): what the kernel keeps even from root.

use std::fs;

/// Where the kernel says how far it is locked down; not there where it cannot be, or where nobody has
/// mounted securityfs.
const FILE: &str = "/sys/kernel/security/lockdown";
/// Where its memory may not be read, which every program of ours has to do. The other level, integrity,
/// forbids to change it, which none does.
const CONFIDENTIAL: &str = "[confidentiality]";

/// Why the running kernel refuses all programs, if that is why.
#[must_use]
pub fn refusal() -> Option<&'static str> {
    let text = fs::read_to_string(FILE).ok()?;
    is_confidential(&text)
        .then_some("the kernel is locked down (confidentiality): programs may not read its memory")
}

/// Reads `none [integrity] confidentiality`, in which the level is marked.
fn is_confidential(text: &str) -> bool {
    text.split_whitespace().any(|level| level == CONFIDENTIAL)
}

#[cfg(test)]
mod tests {
    use super::is_confidential;

    #[test]
    fn the_marked_level_counts() {
        for text in [
            "[none] integrity confidentiality\n",
            "none [integrity] confidentiality\n",
            "",
        ] {
            assert!(!is_confidential(text), "{text}");
        }
        assert!(is_confidential("none integrity [confidentiality]\n"));
    }
}
