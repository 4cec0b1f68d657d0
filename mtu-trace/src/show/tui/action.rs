//! What the user can ask for, and what a screen asks of the program around it.

use crate::core::select::Selection;

/// A part of the screen that keys can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// What was concluded.
    Findings,
    /// Namespaces and containers.
    Namespaces,
    /// Connections.
    Connections,
    /// The selected finding in full.
    Detail,
}

impl Pane {
    /// In the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Findings,
        Self::Namespaces,
        Self::Connections,
        Self::Detail,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Findings => "Findings",
            Self::Namespaces => "Namespaces",
            Self::Connections => "Connections",
            Self::Detail => "Detail",
        }
    }

    /// Its number, from 1 on.
    #[must_use]
    pub fn number(self) -> usize {
        1 + self.index()
    }

    /// Its place among [`Pane::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The pane after it, or before it.
    #[must_use]
    pub fn next(self, forward: bool) -> Self {
        let count = Self::ALL.len();
        let step = if forward { 1 } else { count - 1 };
        Self::ALL[(self.index() + step) % count]
    }
}

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
    StepEvent(bool),
    /// Go to the next finding, or to the one before.
    StepFinding(bool),
}
