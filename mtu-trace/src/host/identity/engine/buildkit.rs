//! BuildKit: the steps of `docker build` are containers in all but name.

use crate::host::identity::engine::ContainerEngine;

/// The daemon's own builder names the scopes of its steps as Docker names those of containers.
pub static ENGINE: ContainerEngine = ContainerEngine {
    name: "buildkit",
    scopes: &["docker-"],
    parents: &["buildkit"],
    directory: None,
    is_id,
    look: |_, _, _| None,
};

/// Length of an identifier of BuildKit (`identity.NewID`), digits to the base of 36.
const ID_LEN: usize = 25;

fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() == ID_LEN && bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'))
}
