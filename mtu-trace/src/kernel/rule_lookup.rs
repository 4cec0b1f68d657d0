//! Finds the packet filter rules that drop packets of a trace: the rules of the namespace are read right
//! after a drop, on a thread of their own, and asked what they do with that very packet.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::clock::monotonic_ns;
use crate::core::firewall::{Fate, Firewall, HookFamily, NetfilterHook, QueriedPacket};
use crate::core::sites::netfilter_hook;
use crate::host::firewall;
use crate::host::netns::NetnsFile;
use crate::host::watcher::Watcher;
use crate::model::event::{DropRule, Event, EventKind, Flow, Name, PacketKind};
use crate::model::network::NetnsId;

/// How long rules that were read are good for drops that come after. A choice: to read them costs a
/// process or two; a rule that is newer is missed.
const FRESH: Duration = Duration::from_secs(2);
/// How long the end of a trace waits for rules that are being read. A choice: they take some
/// milliseconds, of a loaded host with many rules a second.
const END_WAIT: Duration = Duration::from_secs(2);
/// Drops that are asked about at most. A choice: a report tells twenty findings at a glance, and each
/// connection may be dropped at a few places.
const MOST_ASKED: usize = 4096;

/// Asks about each place of each connection once.
#[derive(Default)]
pub struct RuleLookup {
    reader: Option<Reader>,
    asked: HashSet<Asked>,
    waiting: usize,
}

/// The thread that reads rules.
struct Reader {
    questions: Sender<Question>,
    answers: Receiver<DropRule>,
}

/// What is asked about: the flow that a drop tells of, the function and the hook.
type Asked = (Flow, Name, NetfilterHook);

struct Question {
    asked: Asked,
    file: NetnsFile,
    packet: QueriedPacket,
}

impl RuleLookup {
    /// Asks about a drop, if rules did it and it is not known yet.
    pub fn ask(&mut self, event: &Event, watcher: &Watcher) {
        let EventKind::Packet(packet) = &event.kind else {
            return;
        };
        let PacketKind::Dropped { function, .. } = &packet.what else {
            return;
        };
        let Some(hook) = netfilter_hook(packet).and_then(NetfilterHook::named) else {
            return;
        };
        let asked = (packet.flow_told(), function.clone(), hook);
        if self.asked.len() >= MOST_ASKED || self.asked.contains(&asked) {
            return;
        }
        let Ok(file) = watcher.open(packet.flow.netns) else {
            return;
        };
        self.asked.insert(asked.clone());
        let device = watcher
            .topology()
            .link(packet.device.netns, packet.device.ifindex);
        let is_port = device.is_some_and(|link| link.master.is_some());
        let mut packet = QueriedPacket::seen(packet, hook);
        if is_port && hook.family() == HookFamily::Ip {
            // A bridge that lends its frames to the rules of IP, and a VRF, show them by other devices.
            (packet.iif, packet.oif) = (None, None);
        }
        let question = Question {
            asked,
            file,
            packet,
        };
        if self.reader.is_none() {
            self.reader = Reader::start();
        }
        if let Some(reader) = &self.reader
            && reader.questions.send(question).is_ok()
        {
            self.waiting += 1;
        }
    }

    /// The answers that there are by now.
    pub fn answers(&mut self) -> Vec<Event> {
        let Some(reader) = &self.reader else {
            return Vec::new();
        };
        let answers: Vec<DropRule> = reader.answers.try_iter().collect();
        self.waiting = self.waiting.saturating_sub(answers.len());
        answers.into_iter().filter_map(told).collect()
    }

    /// The answers that are still to come, as far as they do in time.
    pub fn finish(&mut self) -> Vec<Event> {
        let until = Instant::now() + END_WAIT;
        let mut last = Vec::new();
        while let Some(reader) = &self.reader
            && self.waiting > 0
            && let Ok(answer) = reader
                .answers
                .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.waiting -= 1;
            last.extend(told(answer));
        }
        last
    }
}

/// An answer as an event; `None` where no rule was found.
fn told(rule: DropRule) -> Option<Event> {
    let time_ns = monotonic_ns();
    let kind = EventKind::Rule(rule);
    match &kind {
        EventKind::Rule(rule) if rule.rules.is_empty() => None,
        _ => Some(Event { time_ns, kind }),
    }
}

/// Whether connection tracking may have dropped a packet, and no rule: its table is full, or two packets
/// wanted the same entry (`nf_conntrack_in`, `nf_conntrack_confirm`). It does so at no hook between.
fn may_be_conntrack(function: &str, hook: NetfilterHook) -> bool {
    function == "nf_hook_slow" && hook.family() == HookFamily::Ip && hook != NetfilterHook::Forward
}

impl Reader {
    fn start() -> Option<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        let (tell, answers) = mpsc::channel();
        let read = move || {
            let mut known: HashMap<NetnsId, (Instant, Firewall)> = HashMap::new();
            for question in asked {
                let netns = question.file.id;
                known.retain(|_, (read_at, _)| read_at.elapsed() < FRESH);
                let (_, firewall) = known
                    .entry(netns)
                    .or_insert_with(|| (Instant::now(), firewall::read(&question.file)));
                let (flow, function, hook) = question.asked;
                let mut rules = firewall.culprits(&question.packet);
                let is_sure = matches!(firewall.fate(&question.packet), Fate::Dropped(_));
                if !rules.is_empty() && !is_sure && may_be_conntrack(&function, hook) {
                    rules.push("connection tracking itself".to_owned());
                }
                let rule = DropRule {
                    flow,
                    function,
                    hook: hook.name().into(),
                    rules,
                };
                if tell.send(rule).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("rules".to_owned()).spawn(read);
        if let Err(error) = thread {
            log::warn!("cannot start the thread that reads rules: {error}");
            return None;
        }
        Some(Self { questions, answers })
    }
}
