//! Podman: containers/storage, which CRI-O uses as well, has one `containers.json` about all
//! containers.

use serde_json::Value;

use crate::host::identity::engine::{ContainerEngine, Named, is_sha256, json, text};
use crate::host::identity::rooted::Root;

/// Podman; its own `libpod-payload-` scope may sit in one of the same container.
pub static ENGINE: ContainerEngine = ContainerEngine {
    name: "podman",
    scopes: &["libpod-payload-", "libpod-"],
    parents: &["libpod_parent"],
    directory: Some("overlay-containers"),
    is_id: is_sha256,
    look: |root, id, _| look(root, id),
};

/// The list of all containers.
pub const CONTAINERS_PATH: &str = "/var/lib/containers/storage/overlay-containers/containers.json";

/// What is written down about a container.
fn look(root: &Root, id: &str) -> Option<Named> {
    named(&json(root, &[CONTAINERS_PATH.to_owned()])?, id)
}

/// Reads names out of a `containers.json`.
pub fn named(containers: &Value, id: &str) -> Option<Named> {
    let is_it = |container: &&Value| container.get("id").and_then(Value::as_str) == Some(id);
    let container = containers.as_array()?.iter().find(is_it)?;
    // JSON in a string.
    let metadata = container.get("metadata").and_then(Value::as_str);
    let metadata: Option<Value> = metadata.and_then(|text| serde_json::from_str(text).ok());
    let told = |key: &str| text(metadata.as_ref()?.get(key));
    Some(Named {
        name: told("name").or_else(|| text(container.get("names")?.get(0))),
        image: told("image-name"),
        ..Named::default()
    })
}
