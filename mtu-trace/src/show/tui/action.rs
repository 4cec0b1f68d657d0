//! What the user can ask for, and what a screen asks of the program around it.

use crate::{
    core::select::Selection,
    show::{replay::PlayStep, tui::panes::Pane},
};

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// The selected row in full.
    Open,
    /// Back to where one came from.
    Back,
    /// The next pane.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// A pane by its number.
    Focus(Pane),
    /// Edit the filter.
    Filter,
    /// Show or hide all keys.
    Help,
    /// Hold the screen, or let it go on.
    Pause,
    /// Write the capture so far to a file.
    Write,
    /// Copy the commands of the marked fix.
    Copy,
    /// Mark the next fix.
    NextFix,
    /// Sort by something else.
    Sort,
    /// Draw everything anew.
    Redraw,
    /// Stop the process, to be continued by the shell.
    Suspend,
    /// End.
    Quit,
    /// Play a capture, or stop.
    Play,
    /// To the event before.
    EventBack,
    /// To the next event.
    EventForward,
    /// To when the finding before was made.
    FindingBack,
    /// To when the next finding was made.
    FindingForward,
    /// Back by a part of the capture.
    SeekBack,
    /// Forward by a part of the capture.
    SeekForward,
    /// Half the speed.
    Slower,
    /// Double the speed.
    Faster,
    /// To the start of the capture.
    ToStart,
    /// To its end.
    ToEnd,
}

/// What is to be done outside the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End.
    Quit,
    /// Stop the process.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Write the capture so far.
    Write,
    /// Give this to the clipboard.
    Copy(String),
    /// Select something else.
    Select(Selection),
    /// Go to this time of the capture, ns of `CLOCK_MONOTONIC`.
    Seek(u64),
    /// Go to the next event, or to the one before.
    StepEvent(PlayStep),
    /// Go to when the next finding was made, or the one before.
    StepFinding(PlayStep),
}
