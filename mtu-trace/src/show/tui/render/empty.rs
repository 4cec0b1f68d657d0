//! What is said while nothing is found: what is watched, what cannot be seen, and what `check` sees as
//! risky already.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::model::hook_status::HookStatus;
use crate::show::tui::app::App;
use crate::show::tui::facts::Risks;
use crate::show::tui::keys::Mode;
use crate::show::tui::render::paragraphs::Paragraphs;
use crate::show::tui::text::several;
use crate::show::tui::theme::Role;
use crate::show::watch::Watch;

pub fn draw(frame: &mut Frame<'_>, app: &mut App, watch: &Watch, area: Rect) {
    let mut paragraphs = Paragraphs::new(app.pen, area.width);
    nothing(app, &mut paragraphs);
    watched(app, watch, &mut paragraphs);
    missing(&app.facts.hooks, &mut paragraphs);
    risks(&app.facts.risks, &mut paragraphs);
    app.scroll
        .fit(paragraphs.lines.len(), usize::from(area.height));
    paragraphs.draw(frame, area, app.scroll.first);
}

fn nothing(app: &App, to: &mut Paragraphs) {
    let nothing = match (app.facts.selection.words(), app.facts.mode) {
        (Some(selection), _) => format!("Nothing found in the selection ({selection})."),
        (None, Mode::Live) => "Nothing found so far: no connection is stalled.".to_owned(),
        (None, Mode::Replay) => "Nothing was found up to this moment.".to_owned(),
    };
    to.words(Role::Good, 0, &nothing);
    let words = match app.facts.mode {
        Mode::Live => {
            "Start what hangs, or wait: a stall is named at its third loss, mostly within a \
             second."
        }
        Mode::Replay if app.playing.made.is_empty() && app.playing.indexed => {
            "Nothing is found later in this capture either."
        }
        Mode::Replay => {
            "n goes to when the next finding was made, Space plays, End goes to the end."
        }
    };
    to.words(Role::Faint, 0, words);
}

fn watched(app: &App, watch: &Watch, to: &mut Paragraphs) {
    let watched = app.view.watched;
    to.heading("watched");
    let words = [
        several(watched.namespaces, "network namespace"),
        several(watched.containers, "container"),
        several(watched.links, "interface"),
        several(watched.boundaries, "boundary device"),
    ];
    to.words(Role::Text, 2, &words.join(", "));
    let words = match watch.analysis.state().connections().count() {
        0 => "no connection has lost anything".to_owned(),
        1 => "1 connection was looked at, it is in pane 3".to_owned(),
        more => format!("{more} connections were looked at, they are in pane 3"),
    };
    to.words(Role::Text, 2, &words);
}

fn missing(hooks: &[HookStatus], to: &mut Paragraphs) {
    let missed = HookStatus::missed(hooks);
    if !missed.is_empty() {
        to.heading("not seen");
    }
    for words in missed {
        to.words(Role::Warning, 2, &words);
    }
}

fn risks(risks: &Risks, to: &mut Paragraphs) {
    if *risks != Risks::None {
        to.heading("risky already");
    }
    match risks {
        Risks::None => {}
        Risks::Pending => {
            let words = "looking at every way through the network ...";
            to.words(Role::Faint, 2, words);
        }
        Risks::Failed(why) => {
            let words = format!("the network could not be looked at: {why}");
            to.words(Role::Warning, 2, &words);
        }
        Risks::Found(findings) if findings.is_empty() => {
            let words = "no way on which a larger MTU leads into a smaller one unannounced";
            to.words(Role::Good, 2, words);
        }
        Risks::Found(findings) => {
            for finding in findings {
                let mark = to.pen.glyphs.severity(finding.severity);
                let words = format!("{mark} {}", to.pen.words(&finding.summary));
                to.words(finding.severity.into(), 2, &words);
            }
            let words = "`mtu-trace check` tells more of these, with what to do";
            to.words(Role::Faint, 2, words);
        }
    }
}
