//! `mtu-mismatch`: a larger MTU leads into a smaller one. The audit concludes it and has its
//! sentences (`core::audit::messages`); what to do about it comes from the same remedies.

use super::*;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Error, Warning, Info],
    meaning: "A larger MTU leads into a smaller one (`mtu-trace check`).",
    ..VerdictEntry::DEFAULT
};
