//! containers/storage, which Podman and CRI-O share: one `containers.json` about all containers.

use serde_json::Value;

use crate::host::identity::{
    engine::{Named, json, text},
    rooted::Root,
};

/// The list of all containers.
pub const CONTAINERS_PATH: &str = "/var/lib/containers/storage/overlay-containers/containers.json";

/// What is written down about a container.
pub fn look(root: &Root, id: &str) -> Named {
    json(root, &[CONTAINERS_PATH.to_owned()])
        .and_then(|containers| named(&containers, id))
        .unwrap_or_default()
}

/// Reads a `containers.json`.
pub fn named(containers: &Value, id: &str) -> Option<Named> {
    let container = containers
        .as_array()?
        .iter()
        .find(|container| container.get("id").and_then(Value::as_str) == Some(id))?;
    // JSON in a string.
    let metadata: Option<Value> = container
        .get("metadata")
        .and_then(Value::as_str)
        .and_then(|metadata| serde_json::from_str(metadata).ok());
    let told = |key: &str| text(metadata.as_ref()?.get(key));
    Some(Named {
        name: told("name").or_else(|| text(container.get("names")?.get(0))),
        image: told("image-name"),
        ..Named::default()
    })
}
