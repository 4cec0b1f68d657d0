//! The state of the screens, and how keys change it. Nothing here reads a clock, a file or a terminal:
//! what is to be done outside is an [`Effect`].

pub(crate) mod moving;
pub(crate) mod playing;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::model::event::Flow;
use crate::model::finding::Finding;
use crate::model::network::NetnsId;
use crate::show::tui::action::{Action, Effect};
use crate::show::tui::facts::{Playing, TraceFacts};
use crate::show::tui::glyphs::Glyphs;
use crate::show::tui::keys;
use crate::show::tui::list::List;
use crate::show::tui::panes::Pane;
use crate::show::tui::prompt::Prompt;
use crate::show::tui::theme::Theme;
use crate::show::tui::view::{
    ConnectionOrder, FindingKey, FindingOrder, ListOrders, Refresh, View,
};
use crate::show::watch::Watch;

/// How long a message stays, ns.
const MESSAGE_NS: u64 = 6_000_000_000;

/// What is shown in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// The finding that is selected.
    #[default]
    Finding,
    /// The connection with this flow.
    Connection(Flow),
    /// The namespace with this identity.
    Netns(NetnsId),
}

/// What lies over the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// All keys, from this line on.
    Help(usize),
    /// The filter is being edited.
    Filter(Prompt),
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something that was done.
    Notice,
    /// Something that went wrong.
    Error,
}

/// Something told to the user for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the user is told.
    pub text: String,
    /// What it is about.
    pub tone: Tone,
    /// Until when, by the clock of [`App::clock_ns`].
    until_ns: u64,
}

/// The state of the screens.
#[derive(Debug)]
pub struct App {
    /// What is known of the trace itself.
    pub facts: TraceFacts,
    /// How a capture is being played.
    pub playing: Playing,
    /// The colours of each role.
    pub theme: Theme,
    /// The signs that are drawn.
    pub glyphs: &'static Glyphs,
    /// The lists as they were last made.
    pub view: View,
    /// The selected finding in full.
    finding: Option<Finding>,
    /// What the keys act on.
    pub pane: Pane,
    /// Where Esc leads from the detail.
    origin: Pane,
    /// The lower pane of the two or three that are on a large screen.
    pub lower: Pane,
    /// What is shown in full.
    pub shown: Shown,
    /// Cursor in the list of findings.
    pub findings: List<FindingKey>,
    /// Cursor in the tree of namespaces.
    pub namespaces: List<NetnsId>,
    /// Cursor in the list of connections.
    pub connections: List<Flow>,
    /// First line of the detail on the screen.
    pub scroll: usize,
    /// The last line one can scroll to, as it was drawn last.
    pub scroll_end: usize,
    /// Lines of the detail on the screen, as they were drawn last.
    pub scroll_page: usize,
    /// The fix that the user has marked.
    fix: Option<usize>,
    /// Order of the findings.
    pub finding_order: FindingOrder,
    /// Order of the connections.
    pub connection_order: ConnectionOrder,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// Whether the screen is held, and how many events have come in since.
    pub held: Option<u64>,
    /// What is told at the moment.
    pub message: Option<Message>,
    /// The time of what is shown, ns of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// The time of the user, ns.
    pub clock_ns: u64,
}

impl App {
    /// The screens before anything was seen.
    #[must_use]
    pub fn new(facts: TraceFacts, theme: Theme, glyphs: &'static Glyphs) -> Self {
        Self {
            facts,
            playing: Playing::default(),
            theme,
            glyphs,
            view: View::default(),
            finding: None,
            pane: Pane::FINDINGS,
            origin: Pane::FINDINGS,
            lower: Pane::DETAIL,
            shown: Shown::Finding,
            findings: List::default(),
            namespaces: List::default(),
            connections: List::default(),
            scroll: 0,
            scroll_end: 0,
            scroll_page: 1,
            fix: None,
            finding_order: FindingOrder::default(),
            connection_order: ConnectionOrder::default(),
            overlay: None,
            held: None,
            message: None,
            now_ns: 0,
            clock_ns: 0,
        }
    }

    /// Tells the user something for a while.
    pub fn tell(&mut self, text: impl Into<String>, tone: Tone) {
        self.message = Some(Message {
            text: text.into(),
            tone,
            until_ns: self.clock_ns + MESSAGE_NS,
        });
    }

    /// Takes in the time of the user.
    pub fn tick(&mut self, clock_ns: u64) {
        self.clock_ns = clock_ns;
        let over = self
            .message
            .as_ref()
            .is_some_and(|message| message.until_ns <= clock_ns);
        if over {
            self.message = None;
        }
    }

    /// Brings the lists up to date.
    pub fn refresh(&mut self, watch: &Watch, refresh: Refresh) {
        let on_screen = self.pane == Pane::CONNECTIONS || self.lower == Pane::CONNECTIONS;
        let wanted = ListOrders {
            findings: self.finding_order,
            connections: on_screen.then_some(self.connection_order),
        };
        let before = self.view.key(self.findings.selected);
        self.view.refresh(watch, wanted, refresh);
        let (view, tree) = (&self.view, self.view.tree());
        let lines = self.view.connections();
        self.findings.settle(view.count(), |index| view.key(index));
        self.namespaces
            .settle(tree.len(), |index| tree.get(index).map(|it| it.netns));
        // The list is empty while nobody sees it, and what is selected in it stays.
        if on_screen {
            self.connections
                .settle(lines.len(), |index| lines.get(index).map(|it| it.flow));
        }
        self.finding = view.finding(self.findings.selected);
        if before != view.key(self.findings.selected) {
            self.fix = None;
            if self.shown == Shown::Finding {
                self.scroll = 0;
            }
        }
    }

    /// The finding under the cursor; `None` if there is none.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        self.finding.as_ref()
    }

    /// What a key does.
    pub fn key(&mut self, event: KeyEvent) -> Option<Effect> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        if let Some(Overlay::Filter(_)) = self.overlay {
            return self.edit(event);
        }
        let action = keys::action(event, self.facts.mode)?;
        self.act(action)
    }

    /// What is pasted is typed into the filter, and is nothing elsewhere: no command by accident.
    pub fn paste(&mut self, text: &str) {
        if let Some(Overlay::Filter(prompt)) = &mut self.overlay {
            let printed = text.chars().filter(|c| !c.is_control());
            printed.for_each(|c| prompt.key(KeyCode::Char(c).into()));
        }
    }

    /// Carries out an action; what it asks of the outside is returned.
    pub fn act(&mut self, action: Action) -> Option<Effect> {
        if let Some(Overlay::Help(line)) = self.overlay {
            return self.act_in_help(action, line);
        }
        match action {
            Action::Up => self.go(-1),
            Action::Down => self.go(1),
            Action::PageUp => self.go(-self.page()),
            Action::PageDown => self.go(self.page()),
            Action::First => self.go(isize::MIN),
            Action::Last => self.go(isize::MAX),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::NextPane => self.focus(self.pane.next()),
            Action::PreviousPane => self.focus(self.pane.previous()),
            Action::Focus(pane) => self.focus(pane),
            Action::Help => self.overlay = Some(Overlay::Help(0)),
            Action::Filter => {
                let text = self.facts.selection.filter.join(" ");
                self.overlay = Some(Overlay::Filter(Prompt::new(&text)));
            }
            Action::Sort => {
                let words = (self.pane.definition().sort)(self);
                self.tell(words, Tone::Notice);
            }
            Action::NextFix => self.next_fix(),
            Action::Copy => return self.copy(),
            Action::Pause => {
                self.held = match self.held {
                    Some(_) => None,
                    None => Some(0),
                };
            }
            Action::Write => return Some(Effect::Write),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Quit => return Some(Effect::Quit),
            action => return self.play(action),
        }
        None
    }

    fn act_in_help(&mut self, action: Action, line: usize) -> Option<Effect> {
        let to = match action {
            Action::Quit | Action::Help | Action::Back | Action::Open => {
                self.overlay = None;
                return None;
            }
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Up => line.saturating_sub(1),
            // The end is beyond all lines until the help is drawn.
            Action::Down => line.saturating_add(1),
            Action::PageUp => line.saturating_sub(self.scroll_page),
            Action::PageDown => line.saturating_add(self.scroll_page),
            Action::First | Action::ToStart => 0,
            Action::Last | Action::ToEnd => usize::MAX,
            _ => line,
        };
        self.overlay = Some(Overlay::Help(to));
        None
    }

    fn next_fix(&mut self) {
        let fixes = self.finding().map_or(0, |finding| finding.fixes.len());
        if fixes == 0 {
            self.tell("no fix is known for this", Tone::Notice);
        } else {
            self.fix = Some((self.marked() + 1) % fixes);
        }
    }

    /// The number of the marked fix, from 0 on: the first that has commands, until the user marks another.
    #[must_use]
    pub fn marked(&self) -> usize {
        let fixes = self.finding().map_or(&[][..], |finding| &finding.fixes);
        let first = fixes.iter().position(|fix| !fix.commands.is_empty());
        self.fix.or(first).unwrap_or(0)
    }

    fn copy(&mut self) -> Option<Effect> {
        let marked = self.marked();
        let fix = self.finding().and_then(|it| it.fixes.get(marked));
        match fix.map(|fix| fix.commands.join("\n")) {
            Some(commands) if !commands.is_empty() => Some(Effect::Copy(commands)),
            Some(_) => {
                self.tell("this fix has no command; f marks the next one", Tone::Error);
                None
            }
            None => {
                self.tell("there is no fix to copy", Tone::Error);
                None
            }
        }
    }

    fn edit(&mut self, event: KeyEvent) -> Option<Effect> {
        let Some(Overlay::Filter(prompt)) = &mut self.overlay else {
            return None;
        };
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Esc => self.overlay = None,
            KeyCode::Char('c') if ctrl => self.overlay = None,
            KeyCode::Char('z') if ctrl => return Some(Effect::Suspend),
            KeyCode::Enter => {
                if prompt.problem().is_some() {
                    return None;
                }
                let text = prompt.text().trim().to_owned();
                self.overlay = None;
                let filter = (!text.is_empty()).then_some(text);
                let mut selection = self.facts.selection.clone();
                selection.filter = filter.into_iter().collect();
                return (selection != self.facts.selection).then_some(Effect::Select(selection));
            }
            _ => prompt.key(event),
        }
        None
    }
}
