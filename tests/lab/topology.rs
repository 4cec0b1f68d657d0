//! Networks with a place for a fault, as functions of what may be wrong in them.

mod asymmetric;
mod deep;
mod encapsulation;
mod macvlan;
mod nested;
mod node;
mod overlay;
mod switched;
mod trunk;
mod wired;

pub use asymmetric::{Asymmetric, AsymmetricLab};
pub use deep::{Deep, DeepLab, Level};
pub use macvlan::{Macvlan, MacvlanLab};
pub use nested::{Nested, NestedLab};
pub use node::{Container, Node, NodeLab};
pub use overlay::{Overlay, OverlayLab};
pub use switched::{Switched, SwitchedLab};
pub use trunk::{Trunk, TrunkLab};
pub use wired::{Wired, WiredLab};
