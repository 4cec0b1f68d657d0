//! What each verdict means, for people.

use crate::model::finding::{Severity, Verdict};

/// What there is to say about a verdict.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The verdict.
    pub verdict: Verdict,
    /// How bad it can be, worst first.
    pub severities: &'static [Severity],
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// All about it: Markdown that can be read as it is.
    pub page: &'static str,
}

impl Entry {
    /// `error, warning`.
    #[must_use]
    pub fn severity_words(&self) -> String {
        let words: Vec<&str> = self.severities.iter().map(|it| it.name()).collect();
        words.join(", ")
    }
}

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/verdicts/",
            $name,
            ".md"
        ))
    };
}

/// What there is to say about a verdict.
#[must_use]
pub fn entry(verdict: Verdict) -> Entry {
    use Severity::{Error, Info, Warning};

    let (severities, meaning, page): (&[Severity], _, _) = match verdict {
        Verdict::MtuBlackHole => (
            &[Error],
            "A hanging connection's oversized packets die on this host.",
            page!("mtu-black-hole"),
        ),
        Verdict::RemoteBlackHole => (
            &[Error],
            "Only full-size segments get nowhere, and none dies here.",
            page!("remote-black-hole"),
        ),
        Verdict::PmtudWorking => (
            &[Info],
            "Packets were too big, the sender came down, data moves.",
            page!("pmtud-working"),
        ),
        Verdict::PmtudSlow => (
            &[Warning],
            "Packets were too big; recovery took several timeouts.",
            page!("pmtud-slow"),
        ),
        Verdict::LocalDrop => (
            &[Error, Warning],
            "Segments are lost on this host, but not for their size.",
            page!("local-drop"),
        ),
        Verdict::PacketLoss => (
            &[Info],
            "Segments were lost elsewhere and got through when resent.",
            page!("packet-loss"),
        ),
        Verdict::HandshakeTimeout => (
            &[Warning],
            "SYNs are not answered, which is no MTU problem.",
            page!("handshake-timeout"),
        ),
        Verdict::ReceiverStalled => (
            &[Info],
            "The receiver has no room (zero window); the sender waits.",
            page!("receiver-stalled"),
        ),
        Verdict::ConnectionAborted => (
            &[Info],
            "A connection with losses was reset or given up.",
            page!("connection-aborted"),
        ),
        Verdict::MtuMismatch => (
            &[Error, Warning, Info],
            "A larger MTU leads into a smaller one (`mtu-trace check`).",
            page!("mtu-mismatch"),
        ),
    };
    Entry {
        verdict,
        severities,
        meaning,
        page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: [&str; 6] = [
        "## What it is",
        "## How it looks",
        "## What mtu-trace sees",
        "## Check by hand",
        "## What to do",
        "## Easily confused with",
    ];

    #[test]
    fn pages_begin_with_name_and_meaning() {
        for verdict in Verdict::ALL {
            let entry = entry(verdict);
            let mut lines = entry.page.lines();
            let title = format!("# {}", verdict.name());
            assert_eq!(lines.next(), Some(title.as_str()));
            assert_eq!(lines.next(), Some(""), "{title}");
            assert_eq!(lines.next(), Some(entry.meaning), "{title}");
        }
    }

    #[test]
    fn pages_have_every_section_once_and_in_order() {
        for verdict in Verdict::ALL {
            let lines = entry(verdict).page.lines();
            let found: Vec<&str> = lines.filter(|line| line.starts_with("## ")).collect();
            assert_eq!(found, SECTIONS, "{}", verdict.name());
        }
    }

    #[test]
    fn pages_tell_the_severities_of_the_catalogue() {
        for verdict in Verdict::ALL {
            let entry = entry(verdict);
            let (head, _) = entry.page.split_once("confidence  ").unwrap();
            let block = head.split_once("    severity  ").unwrap().1;
            let told: Vec<&str> = block
                .lines()
                .filter(|line| !line.starts_with(&" ".repeat(20)))
                .filter_map(|line| line.split_whitespace().next())
                .collect();
            assert_eq!(
                told.join(", "),
                entry.severity_words(),
                "{}",
                verdict.name()
            );
        }
    }

    #[test]
    fn pages_fit_a_terminal() {
        for verdict in Verdict::ALL {
            let page = entry(verdict).page;
            let count = page.lines().count();
            assert!((40..=80).contains(&count), "{}: {count}", verdict.name());
            for line in page.lines() {
                assert!(line.chars().count() < 90, "{}: {line}", verdict.name());
                assert_eq!(line, line.trim_end(), "{}", verdict.name());
            }
            assert!(page.ends_with('\n'), "{}", verdict.name());
        }
    }

    #[test]
    fn pages_refer_to_verdicts_that_exist() {
        for verdict in Verdict::ALL {
            let (_, confused) = entry(verdict).page.rsplit_once(SECTIONS[5]).unwrap();
            let known = Verdict::ALL.iter().filter(|other| **other != verdict);
            let named = known.filter(|other| confused.contains(other.name()));
            assert!(named.count() > 0, "{}", verdict.name());
        }
    }

    /// Nobody is told of a verdict that nothing comes to.
    #[test]
    fn every_verdict_has_a_rule() {
        for verdict in Verdict::ALL {
            let made = verdict == Verdict::MtuMismatch
                || crate::core::verdicts::rules::RULES
                    .iter()
                    .any(|rule| rule.verdict == verdict);
            assert!(made, "{}", verdict.name());
        }
    }
}
