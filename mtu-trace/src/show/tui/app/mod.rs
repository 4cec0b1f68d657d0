//! The state of the screens, and how keys change it. Nothing here reads a clock, a file or a terminal:
//! what is to be done outside is an [`Effect`].

pub(crate) mod moving;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::core::select::Selection;
use crate::model::event::Flow;
use crate::model::finding::Finding;
use crate::model::network::NetnsId;
use crate::show::replay::PlayStep;
use crate::show::tui::facts::{Playing, TraceFacts};
use crate::show::tui::glyphs::Glyphs;
use crate::show::tui::keys::{self, Action};
use crate::show::tui::list::List;
use crate::show::tui::panes::Pane;
use crate::show::tui::prompt::Prompt;
use crate::show::tui::theme::{Pen, Role, Theme};
use crate::show::tui::view::{ConnectionOrder, FindingKey, FindingOrder, View};
use crate::show::watch::Watch;

/// How long a message stays, ns.
const MESSAGE_NS: u64 = 6_000_000_000;

/// What is to be done outside the screens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ends the screens and the program.
    Quit,
    /// Stops the process, to be continued by the shell.
    Suspend,
    /// Draws the whole screen anew.
    Redraw,
    /// Writes the capture so far.
    Write,
    /// Gives this to the clipboard.
    Copy(String),
    /// Shows what another selection covers.
    Select(Selection),
    /// Goes to this time of the capture, ns of `CLOCK_MONOTONIC`.
    Seek(u64),
    /// Goes to the next event, or to the one before.
    StepEvent(PlayStep),
    /// Goes to when the next finding was made, or the one before.
    StepFinding(PlayStep),
}

/// What is shown in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The finding that is selected.
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

/// Something told to the user for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the user is told.
    pub text: String,
    /// A notice of what was done, or an error.
    pub role: Role,
    /// Until when, by the clock of [`App::clock_ns`].
    until_ns: u64,
}

/// Which part of a text that may be longer than the screen is on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scroll {
    /// The first line on the screen.
    pub first: usize,
    /// The last line one can scroll to, as it was drawn last.
    pub end: usize,
    /// Lines on the screen, as they were drawn last.
    pub page: usize,
}

impl Scroll {
    /// Fits so many lines into the height they are drawn in.
    pub(crate) fn fit(&mut self, lines: usize, height: usize) {
        self.page = height;
        self.end = lines.saturating_sub(height);
        self.first = self.first.min(self.end);
    }
}

/// The state of the screens.
#[derive(Debug)]
pub struct App {
    /// What is known of the trace itself.
    pub facts: TraceFacts,
    /// How a capture is being played.
    pub playing: Playing,
    pub(crate) pen: Pen,
    pub(crate) view: View,
    /// The finding under the cursor in full; `None` if there is none.
    pub finding: Option<Finding>,
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
    /// What is on the screen of what is shown in full.
    pub scroll: Scroll,
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
    pub(crate) clock_ns: u64,
}

impl App {
    /// The screens before anything was seen.
    pub fn new(facts: TraceFacts, theme: Theme, glyphs: &'static Glyphs) -> Self {
        Self {
            facts,
            playing: Playing::default(),
            pen: Pen { theme, glyphs },
            view: View::default(),
            finding: None,
            pane: Pane::FINDINGS,
            origin: Pane::FINDINGS,
            lower: Pane::DETAIL,
            shown: Shown::Finding,
            findings: List::default(),
            namespaces: List::default(),
            connections: List::default(),
            scroll: Scroll::default(),
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
    pub fn tell(&mut self, text: impl Into<String>, role: Role) {
        self.message = Some(Message {
            text: text.into(),
            role,
            until_ns: self.clock_ns + MESSAGE_NS,
        });
    }

    /// Takes in the time of the user.
    pub fn tick(&mut self, clock_ns: u64) {
        self.clock_ns = clock_ns;
        self.message.take_if(|message| message.until_ns <= clock_ns);
    }

    /// Brings the lists up to date.
    pub fn refresh(&mut self, watch: &Watch) {
        let on_screen = self.pane == Pane::CONNECTIONS || self.lower == Pane::CONNECTIONS;
        let connections = on_screen.then_some(self.connection_order);
        let before = self.view.key(self.findings.selected);
        let wanted = (self.finding_order, connections);
        self.view.refresh(watch, wanted);
        let view = &self.view;
        self.findings.settle(view.count(), |index| view.key(index));
        self.namespaces
            .settle(view.tree.len(), |index| view.netns(index));
        // The list is empty while nobody sees it, and what is selected in it stays.
        if on_screen {
            self.connections
                .settle(view.connections.len(), |index| view.flow(index));
        }
        self.finding = view.finding(self.findings.selected);
        if before != view.key(self.findings.selected) {
            self.fix = None;
            if self.shown == Shown::Finding {
                self.scroll.first = 0;
            }
        }
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
    fn act(&mut self, action: Action) -> Option<Effect> {
        if let Some(Overlay::Help(line)) = self.overlay {
            return self.act_in_help(action, line);
        }
        match action {
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
                self.tell(words, Role::Notice);
            }
            Action::NextFix => self.next_fix(),
            Action::Copy => return self.copy(),
            Action::Pause => self.held = self.held.is_none().then_some(0),
            Action::Write => return Some(Effect::Write),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Quit => return Some(Effect::Quit),
            action => match moving::rows(action, self.page()) {
                Some(rows) => self.go(rows),
                None => return self.play(action),
            },
        }
        None
    }

    fn act_in_help(&mut self, action: Action, line: usize) -> Option<Effect> {
        let page = self.scroll.page;
        let to = match action {
            Action::Quit | Action::Help | Action::Back | Action::Open => {
                self.overlay = None;
                return None;
            }
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::ToStart => 0,
            // The end is beyond all lines until the help is drawn.
            Action::ToEnd => usize::MAX,
            _ => line.saturating_add_signed(moving::rows(action, page).unwrap_or(0)),
        };
        self.overlay = Some(Overlay::Help(to));
        None
    }

    fn next_fix(&mut self) {
        match self.finding.as_ref().map_or(0, |it| it.fixes.len()) {
            0 => self.tell("no fix is known for this", Role::Notice),
            fixes => self.fix = Some((self.marked() + 1) % fixes),
        }
    }

    /// The number of the marked fix, from 0 on: the first that has commands, until the user marks another.
    pub fn marked(&self) -> usize {
        let mut fixes = self.finding.iter().flat_map(|finding| &finding.fixes);
        let first = fixes.position(|fix| !fix.commands.is_empty());
        self.fix.or(first).unwrap_or(0)
    }

    fn copy(&mut self) -> Option<Effect> {
        let marked = self.marked();
        let fix = self.finding.as_ref().and_then(|it| it.fixes.get(marked));
        let problem = match fix {
            Some(fix) if fix.commands.is_empty() => "this fix has no command; f marks the next one",
            Some(fix) => return Some(Effect::Copy(fix.commands.join("\n"))),
            None => "there is no fix to copy",
        };
        self.tell(problem, Role::Error);
        None
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
            KeyCode::Enter if prompt.problem.is_some() => {}
            KeyCode::Enter => {
                let text = prompt.text().trim().to_owned();
                self.overlay = None;
                let mut selection = self.facts.selection.clone();
                selection.filter = Vec::from_iter((!text.is_empty()).then_some(text));
                return (selection != self.facts.selection).then_some(Effect::Select(selection));
            }
            _ => prompt.key(event),
        }
        None
    }
}
