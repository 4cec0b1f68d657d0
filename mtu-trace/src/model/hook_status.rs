//! What became of each hook.

use serde::{Deserialize, Serialize};

use crate::base::text::stored::{printable, printable_or_none};
use crate::model::is_default;

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// The hook's name, as `doctor` lists it.
    #[serde(deserialize_with = "printable")]
    pub hook: String,
    /// How it is attached, or how it was tried last.
    #[serde(deserialize_with = "printable")]
    pub mechanism: String,
    /// Whether it is attached.
    pub attached: bool,
    /// Why it is not, or where it is.
    #[serde(deserialize_with = "printable_or_none")]
    pub detail: Option<String>,
    /// Whether it adds to the evidence only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// What it shows, if it is attached.
    #[serde(
        default,
        deserialize_with = "printable_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub shows: Option<String>,
    /// What is lost without it, if it is not.
    #[serde(
        default,
        deserialize_with = "printable_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub lost: Option<String>,
}

impl HookStatus {
    /// Whether verdicts suffer because it is not attached.
    pub fn is_missed(&self) -> bool {
        !self.attached && !self.optional
    }

    /// What hooks that are not attached mean for a trace: a sentence for each, or one for all of them.
    pub fn missed(hooks: &[Self]) -> Vec<String> {
        let why = |hook: &Self| hook.detail.as_deref().unwrap_or("not attached").to_owned();
        if let Some(first) = hooks.first()
            && hooks.iter().all(|hook| !hook.attached)
        {
            let same = hooks.iter().all(|hook| hook.detail == first.detail);
            let why = if same {
                why(first)
            } else {
                "`mtu-trace doctor` says why".to_owned()
            };
            return vec![format!(
                "no hook is attached: {why}; only sockets and the map of the network are looked at, \
                 so a stall can be suspected at most"
            )];
        }
        let missed = hooks.iter().filter(|hook| hook.is_missed()).map(|hook| {
            let lost = hook.lost.as_deref().unwrap_or("less is seen");
            format!("no {}: {}; {lost}", hook.hook, why(hook))
        });
        missed.collect()
    }

    /// How many of these are attached, such as `6 of 6 hooks, 4 of 9 details`.
    pub fn tally(hooks: &[Self]) -> String {
        let (details, main): (Vec<&Self>, Vec<&Self>) = hooks.iter().partition(|it| it.optional);
        let count = |hooks: &[&Self], noun: &str| {
            let attached = hooks.iter().filter(|hook| hook.attached).count();
            format!("{attached} of {} {noun}", hooks.len())
        };
        match count(&main, "hooks") {
            words if details.is_empty() => words,
            words => format!("{words}, {}", count(&details, "details")),
        }
    }
}
