//! `mtu-mismatch`: a larger MTU leads into a smaller one. The audit concludes it and has its
//! sentences (`core::audit::messages`); what to do about it comes from the same remedies.

use crate::core::verdicts::table::{Origin, VerdictEntry, page};
use crate::model::finding::Severity;

pub const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Severity::Error, Severity::Warning, Severity::Info],
    meaning: "A larger MTU leads into a smaller one (`mtu-trace check`).",
    page: page!("mtu-mismatch"),
    origin: Origin::Audit,
};
