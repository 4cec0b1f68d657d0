//! CRI-O: its bundles are read as containerd's are, and it shares its storage with Podman.

use crate::host::identity::engine::{ContainerEngine, is_sha256};

/// CRI-O with the systemd driver.
pub static ENGINE: ContainerEngine = ContainerEngine {
    name: "cri-o",
    scopes: &["crio-"],
    parents: &[],
    directory: None,
    is_id: is_sha256,
    look: |_, _, _| None,
};
