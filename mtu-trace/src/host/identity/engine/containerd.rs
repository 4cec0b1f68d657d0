//! containerd: the `annotations` in `config.json` of OCI bundles, in which its CRI plugin, nerdctl and
//! CRI-O write down what they call a container.

use serde_json::Value;

use crate::host::identity::engine::{
    ContainerEngine, Named, is_sha256, json, pod_name, text, told,
};
use crate::host::identity::rooted::Root;

/// containerd, as Kubernetes and nerdctl use it.
pub static ENGINE: ContainerEngine = ContainerEngine {
    name: "containerd",
    scopes: &["cri-containerd-", "nerdctl-"],
    // Its namespaces.
    parents: &["k8s.io", "moby", "default"],
    directory: Some("sandboxes"),
    is_id: is_sha256,
    look,
};

/// Where bundles are, with the identifier in place of `{}`.
const BUNDLES: [&str; 6] = [
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "/run/containerd/io.containerd.runtime.v2.task/default/{}/config.json",
    "/run/containerd/io.containerd.runtime.v2.task/moby/{}/config.json",
    "/run/containers/storage/overlay-containers/{}/userdata/config.json",
    "/var/run/containers/storage/overlay-containers/{}/userdata/config.json",
];

/// What is written down about a container.
fn look(root: &Root, id: &str, directories: &[String]) -> Option<Named> {
    let paths = BUNDLES.map(|path| path.replace("{}", id));
    told(root, directories, "config.json")
        .or_else(|| json(root, &paths))
        .map(|config| named(&config))
}

/// Reads names out of a `config.json`.
pub fn named(config: &Value) -> Named {
    let annotations = config.get("annotations");
    let first = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| text(annotations.and_then(|all| all.get(key))))
    };
    let pod = pod_name(
        first(&[
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
        ]),
        first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
    );
    // The container that merely holds a pod's namespaces has no name but the pod's.
    let kind = first(&[
        "io.kubernetes.cri.container-type",
        "io.kubernetes.cri-o.ContainerType",
    ]);
    let holds_pod = kind.as_deref() == Some("sandbox");
    Named {
        name: first(&[
            "io.kubernetes.cri.container-name",
            "io.kubernetes.container.name",
            "nerdctl/name",
        ])
        .filter(|_| !holds_pod),
        image: first(&[
            "io.kubernetes.cri.image-name",
            "io.kubernetes.cri-o.ImageName",
        ])
        .filter(|_| !holds_pod),
        pod: first(&["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
        pod_name: pod,
    }
}
