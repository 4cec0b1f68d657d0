//! Compares what was found with what is expected: the one judge of all modes.

use std::fmt::Debug;
use std::fs;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::SignedDuration;
use lab::Netns;
use lab::report::{Boundary, Confidence, Connection, Finding, NetnsId, Severity};
use lab::tracer::Recording;

use crate::count::{self, Counted};
use crate::foreseen;
use crate::names::on_this_kernel;
use crate::scenario::{Act, Begins, Expect, Place, Scenario, Want};
use crate::view::View;

/// Whether the running kernel has a drop reason of this name.
fn kernel_has_reason(reason: &str) -> bool {
    static TYPES: LazyLock<Vec<u8>> =
        LazyLock::new(|| fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default());
    let name = format!("SKB_DROP_REASON_{reason}\0");
    TYPES.windows(name.len()).any(|it| it == name.as_bytes())
}

/// How soon after the first loss a stall has its verdict, where no other tracer competes for the
/// machine. The promise is "in a second" (DESIGN); a choice: twice that for a debug build.
const PROMPT: Duration = Duration::from_secs(2);

/// How a scenario was judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// The findings, shortly.
    pub got: Vec<String>,
    /// What is wrong with them.
    pub faults: Vec<String>,
    /// Whether what is expected was found.
    pub found: bool,
    /// Findings that should not be there.
    pub extra: usize,
    /// From the first drop or retransmit to the verdict.
    pub took: Option<SignedDuration>,
    /// The kind of interface that the kernel lacks: nothing was judged.
    pub skipped: Option<&'static str>,
}

impl Judged {
    /// One that did not come so far.
    pub fn failed(why: String) -> Self {
        Self {
            faults: vec![why],
            ..Self::default()
        }
    }

    /// One that this kernel cannot have.
    pub fn skipped(kind: &'static str) -> Self {
        Self {
            skipped: Some(kind),
            ..Self::default()
        }
    }

    /// Whether all is as it should be.
    pub fn is_right(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What there is to be judged of a scenario.
pub struct Seen<'a> {
    pub scenario: &'a Scenario,
    pub act: &'a Act,
    /// The kernel's counters.
    pub counted: &'a Counted<'a>,
    /// What the tracer saw.
    pub view: &'a View,
    /// What it said.
    pub recording: &'a Recording,
    /// What `check` said before the traffic.
    pub audit: &'a Recording,
}

/// Judges the findings in a scenario's network. Where a hook is missing, a finding may say less or not be
/// there, but nothing it says may be wrong.
pub fn judge(seen: &Seen<'_>) -> Judged {
    let findings = seen.recording.findings(seen.act.lab.lab());
    let mut judged = Judged {
        got: findings.iter().map(|it| shortly(it)).collect(),
        ..Judged::default()
    };
    let want = match &seen.scenario.expect {
        Expect::Nothing | Expect::IfHung(_) => None,
        Expect::Finding(want) => Some(want),
    };
    let is_wanted = |finding: &Finding| want.is_some_and(|want| want.verdict == finding.verdict);
    for finding in &findings {
        if !is_wanted(finding) && finding.severity > Severity::Info {
            judged.extra += 1;
            let fault = format!("should not be there: {}", finding.summary);
            judged.faults.push(fault);
        }
    }
    let wanted: Vec<&Finding> = findings.into_iter().filter(|it| is_wanted(it)).collect();
    let finding = wanted.first().copied();
    if let Some(want) = want {
        let fault = match wanted.as_slice() {
            [] => seen
                .view
                .lacks()
                .is_none()
                .then(|| "nothing found".to_owned()),
            [finding] => {
                judged.found = true;
                let seen_first = finding
                    .first_seen
                    .max(seen.recording.report.capture.started);
                judged.took = Some(finding.detected_at.duration_since(seen_first));
                judged
                    .faults
                    .extend(Comparison::new(seen, want, finding).faults());
                None
            }
            more => Some(format!("{} findings instead of one", more.len())),
        };
        judged.faults.extend(fault);
    }
    if matches!(seen.view, View::Together | View::By(_)) {
        let reported = finding.map(|it| it.evidence.oversized_drops);
        let counts = count::compare(seen.scenario.counts, seen.counted, reported);
        judged.faults.extend(counts);
    }
    // A fix helps once, whichever tracer has printed it.
    if matches!(seen.view, View::Together) {
        judged.faults.extend(foreseen::compare(seen, finding));
        let hole = want.filter(|want| want.fixed).and(finding);
        if let Some(fix) = hole.and_then(|finding| finding.fixes.first())
            && let Err(error) = seen.act.fix(&fix.commands)
        {
            let fault = format!("fix \"{}\": {error:#}", fix.title);
            judged.faults.push(fault);
        }
    }
    judged
}

fn shortly(finding: &Finding) -> String {
    let confidence = match finding.confidence {
        Confidence::Confirmed => "confirmed",
        Confidence::Likely => "likely",
        Confidence::Suspected => "suspected",
    };
    format!("{} ({confidence})", finding.verdict)
}

/// The comparison of one finding with what is wanted.
struct Comparison<'a> {
    seen: &'a Seen<'a>,
    want: &'a Want,
    finding: &'a Finding,
    /// The hook without which this may say less.
    lacks: Option<&'a str>,
    faults: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn new(seen: &'a Seen<'a>, want: &'a Want, finding: &'a Finding) -> Self {
        Self {
            seen,
            want,
            finding,
            lacks: seen.view.lacks(),
            faults: Vec::new(),
        }
    }

    fn faults(mut self) -> Vec<String> {
        self.severity();
        if let Some(connection) = &self.finding.connection {
            self.connection(connection);
        }
        match (&self.want.place, &self.finding.boundary) {
            (Some(place), Some(boundary)) => self.boundary(place, boundary),
            (Some(_), None) if self.lacks.is_none() => self.same("boundary", &"null", &"a place"),
            _ => {}
        }
        self.drop();
        self.signal();
        self.times();
        if self.lacks.is_none() {
            self.evidence();
        }
        self.faults
    }

    fn same(&mut self, what: &str, got: &dyn Debug, expected: &dyn Debug) {
        let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
        if got != expected {
            let fault = format!("{what} is {got} instead of {expected}");
            self.faults.push(fault);
        }
    }

    fn role(&self, id: Option<&NetnsId>) -> Option<&'a str> {
        let is = |netns: &&Netns| id.is_some_and(|id| id.is(netns));
        let lab = self.seen.act.lab.lab();
        lab.namespaces().find(is).map(Netns::role)
    }

    fn severity(&mut self) {
        let severity = match self.finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        if !self.want.severity.split('|').any(|it| it == severity) {
            self.same("severity", &severity, &self.want.severity);
        }
    }

    fn connection(&mut self, connection: &Connection) {
        let want = self.want;
        self.same("protocol", &connection.protocol, &want.protocol);
        let local = self.role(connection.local.netns.as_ref());
        // Without its handshake a connection may be known from its packets only.
        let is_known = self.lacks.is_none() || (local.is_some() && want.local_needs != self.lacks);
        if !is_known {
            return;
        }
        if want.local.is_some() {
            self.same("local end", &local, &want.local);
        }
        if let Some(direction) = want.direction {
            self.same("direction", &connection.direction, &direction);
        }
        if self.lacks.is_some() {
            return;
        }
        if let (Some(_), Some([client, server])) = (want.local, self.seen.act.ends) {
            let end = |end: SocketAddr| (end.ip().to_string(), end.port());
            let (local, remote) = (&connection.local, &connection.remote);
            self.same("local", &(&local.address, local.port), &end(client));
            self.same("remote", &(&remote.address, remote.port), &end(server));
            self.same("connections", &self.finding.connections, &1);
        }
        if let Some(address) = want.remote {
            self.same("remote address", &connection.remote.address, &address);
        }
        if let Some(address) = want.translated {
            let tuples = &connection.translated;
            if !tuples.iter().any(|tuple| tuple.contains(address)) {
                self.same("translated", tuples, &address);
            }
        }
    }

    fn boundary(&mut self, place: &Place, boundary: &Boundary) {
        let role = self.role(Some(&boundary.netns));
        self.same("boundary", &role, &Some(place.role));
        self.same("egress", &boundary.egress.as_deref(), &Some(place.egress));
        if place.ingress.is_some() && self.lacks.is_none() {
            self.same("ingress", &boundary.ingress.as_deref(), &place.ingress);
        }
        self.same("limit", &boundary.limit_bytes, &place.limit_bytes);
        // What was only foretold was not seen: how long it is there, and where it dies.
        let foretold = self.lacks.is_some() && self.finding.pmtud.is_none();
        if !foretold {
            self.same("packet", &boundary.packet_bytes, &place.packet_bytes);
        }
        if self.lacks.is_none() || (boundary.function != "unknown" && !foretold) {
            let function = on_this_kernel(place.function);
            self.same("function", &boundary.function, &function);
        }
        if let Some(silent) = self.want.silent {
            self.same("silent", &boundary.silent, &silent);
        }
        if let Some((interface, mtu_bytes, kind)) = self.want.hop
            && self.lacks.is_none()
        {
            let mut hops = self.finding.path.iter();
            let hop = hops.find(|hop| hop.interface == interface);
            let got = hop.map(|hop| (hop.mtu_bytes, hop.kind.as_str()));
            self.same(interface, &got, &Some((mtu_bytes, kind)));
        }
    }

    /// Where packets die for another reason than their length. Of a kernel that has not the reason no
    /// place is known by it.
    fn drop(&mut self) {
        let Some(place) = self.want.drop.filter(|_| self.lacks.is_none()) else {
            return;
        };
        let Some(drop) = &self.finding.drop else {
            if place.hook.is_some() || kernel_has_reason(place.reason) {
                self.same("drop", &"null", &"a place");
            }
            return;
        };
        let role = self.role(Some(&drop.netns));
        self.same("drop", &role, &Some(place.role));
        self.same("hook", &drop.hook.as_deref(), &place.hook);
        self.same("carried", &drop.carried, &place.carried);
        self.same("that any were", &(drop.packets > 0), &true);
        if kernel_has_reason(place.reason) {
            self.same("reason", &drop.reason, &place.reason);
        }
        if let Some(rule) = place.rule {
            let told = drop.rule.as_deref().unwrap_or("null");
            let is_it = told.contains(rule) && !told.contains("one of");
            self.same("rule", &told, if is_it { &told } else { &rule });
        }
    }

    /// What became of the message to the sender.
    fn signal(&mut self) {
        let got = self.finding.blocked_at();
        let got = got.map(|at| (self.role(Some(&at.netns)), at.hook.as_str()));
        if let Some((role, hook)) = self.want.blocked
            && (self.lacks.is_none() || got.is_some())
        {
            self.same("blocked at", &got, &Some((Some(role), hook)));
        }
        let Some(silent) = self.want.silent.filter(|_| self.lacks.is_none()) else {
            return;
        };
        let pmtud = self.finding.pmtud.as_ref();
        let signalled = pmtud.is_some_and(|it| it.signalled);
        self.same("signalled", &signalled, &!silent);
        let delivered = pmtud.and_then(|it| it.delivered);
        if self.want.blocked.is_some() {
            self.same("delivered", &(delivered == Some(true)), &false);
        } else {
            self.same("blocked at", &got, &None::<()>);
            if !silent {
                self.same("lost", &(delivered == Some(false)), &false);
            }
        }
    }

    fn times(&mut self) {
        let (finding, report) = (self.finding, &self.seen.recording.report);
        // A stall that is older than the trace began when its socket says.
        let is_younger = self.seen.scenario.begins == Begins::BeforeTrace
            || report.capture.started <= finding.first_seen;
        let in_order = is_younger
            && finding.first_seen <= finding.detected_at
            && finding.first_seen <= finding.last_seen;
        self.same("that the times are in order", &in_order, &true);
        let took = finding.detected_at.duration_since(finding.first_seen);
        if matches!(self.seen.view, View::Alone)
            && self.seen.scenario.begins == Begins::UnderTrace
            && self.want.ongoing == Some(true)
            && took.unsigned_abs() > PROMPT
        {
            self.same("time to the verdict", &took, &PROMPT);
        }
    }

    fn evidence(&mut self) {
        let (want, finding) = (self.want, self.finding);
        if let Some(ongoing) = want.ongoing {
            self.same("ongoing", &finding.ongoing, &ongoing);
        }
        let least = want.least;
        let evidence = &finding.evidence;
        if evidence.oversized_drops < least.drops
            || evidence.retransmits < least.retransmits
            || finding.confidence < least.confidence
        {
            let got = (finding.confidence, evidence);
            self.same("evidence", &got, &least);
        }
        if want.ongoing == Some(true) && finding.fixes.is_empty() {
            self.same("fixes", &"none", &"one at least");
        }
    }
}
