//! What the user can ask for, and what a screen asks of the program around it.

use crate::core::select::Selection;
use crate::show::replay::PlayStep;
use crate::show::tui::panes::Pane;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Moves to the row above.
    Up,
    /// Moves to the row below.
    Down,
    /// Moves up by a page.
    PageUp,
    /// Moves down by a page.
    PageDown,
    /// Moves to the first row.
    First,
    /// Moves to the last row.
    Last,
    /// The selected row in full.
    Open,
    /// Back to where one came from.
    Back,
    /// Gives the keys to the next pane.
    NextPane,
    /// Gives the keys to the previous pane.
    PreviousPane,
    /// A pane by its number.
    Focus(Pane),
    /// Opens the filter for editing.
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
    /// Draws the whole screen anew.
    Redraw,
    /// Stop the process, to be continued by the shell.
    Suspend,
    /// Ends the program, or closes the help.
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
    /// Plays at half the speed.
    Slower,
    /// Plays at double the speed.
    Faster,
    /// To the start of the capture.
    ToStart,
    /// Goes to the end of the capture.
    ToEnd,
}

/// What is to be done outside the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ends the program, or closes the help.
    Quit,
    /// Stops the process, to be continued by the shell.
    Suspend,
    /// Draws the whole screen anew.
    Redraw,
    /// Write the capture so far.
    Write,
    /// Give this to the clipboard.
    Copy(String),
    /// Shows what another selection covers.
    Select(Selection),
    /// Go to this time of the capture, ns of `CLOCK_MONOTONIC`.
    Seek(u64),
    /// Go to the next event, or to the one before.
    StepEvent(PlayStep),
    /// Go to when the next finding was made, or the one before.
    StepFinding(PlayStep),
}
