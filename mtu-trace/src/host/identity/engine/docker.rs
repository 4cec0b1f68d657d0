//! Docker: `<data-root>/containers/<id>/config.v2.json` (moby, `container.Container`).

use serde_json::Value;

use crate::host::identity::engine::{
    ContainerEngine, Named, is_sha256, json, pod_name, text, told,
};
use crate::host::identity::rooted::Root;

/// Docker with the systemd driver, or with cgroupfs.
pub static ENGINE: ContainerEngine = ContainerEngine {
    name: "docker",
    scopes: &["docker-"],
    parents: &["docker"],
    directory: Some("containers"),
    is_id: is_sha256,
    look,
};

const DATA_ROOT: &str = "/var/lib/docker";
/// Where Docker's settings are.
pub(crate) const SETTINGS: &str = "/etc/docker/daemon.json";

/// What Docker says of a container.
fn look(root: &Root, id: &str, directories: &[String]) -> Option<Named> {
    let path = |data_root: &str| format!("{data_root}/containers/{id}/config.v2.json");
    told(root, directories, "config.v2.json")
        .or_else(|| json(root, &[path(DATA_ROOT)]))
        .or_else(|| {
            let settings = json(root, &[SETTINGS.to_owned()])?;
            let data_root = settings.get("data-root")?.as_str()?;
            json(root, &[path(data_root)])
        })
        .map(|state| named(&state))
}

/// Reads names out of a `config.v2.json`.
pub fn named(state: &Value) -> Named {
    let config = state.get("Config");
    let label = |key: &str| text(config?.get("Labels")?.get(key));
    let name = state.get("Name").and_then(Value::as_str);
    let name = name.map(|name| Value::from(name.trim_start_matches('/')));
    Named {
        name: text(name.as_ref()),
        image: text(config.and_then(|config| config.get("Image"))),
        // Set by cri-dockerd.
        pod: label("io.kubernetes.pod.uid"),
        pod_name: pod_name(
            label("io.kubernetes.pod.namespace"),
            label("io.kubernetes.pod.name"),
        ),
    }
}
