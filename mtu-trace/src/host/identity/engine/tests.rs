//! What engines write, as they write it, and what nobody should.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::host::identity::engine::*;

const ID: &str = "3f4b1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c";

fn named(name: &str, image: &str) -> Named {
    Named {
        name: Some(name.to_owned()),
        image: Some(image.to_owned()),
        ..Named::default()
    }
}

#[test]
fn docker_names_begin_with_a_slash() {
    let state = json!({
        "StreamConfig": {}, "State": { "Running": true, "Pid": 4711 }, "ID": ID,
        "Name": "/web", "Image": "sha256:0123",
        "Config": { "Hostname": "3f4b1c0d9e8a", "Image": "nginx:1.27", "Labels": {} },
    });
    assert_eq!(docker::named(&state), named("web", "nginx:1.27"));
    let in_pod = json!({
        "Name": "/k8s_build_runner-1_ci_8f1c_0",
        "Config": { "Image": "ruby:3", "Labels": {
            "io.kubernetes.pod.name": "runner-1", "io.kubernetes.pod.namespace": "ci",
            "io.kubernetes.pod.uid": "8f1c2a4e",
        } },
    });
    let found = docker::named(&in_pod);
    assert_eq!(found.pod_name.as_deref(), Some("ci/runner-1"));
    assert_eq!(found.pod.as_deref(), Some("8f1c2a4e"));
}

#[test]
fn annotations_tell_pods_and_containers_apart() {
    let container = json!({ "ociVersion": "1.1.0", "annotations": {
        "io.kubernetes.cri.container-name": "build", "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "docker.io/library/ruby:3",
        "io.kubernetes.cri.sandbox-name": "runner-1", "io.kubernetes.cri.sandbox-namespace": "ci",
        "io.kubernetes.cri.sandbox-uid": "8f1c2a4e",
    } });
    let found = containerd::named(&container);
    assert_eq!(found.name.as_deref(), Some("build"));
    assert_eq!(found.image.as_deref(), Some("docker.io/library/ruby:3"));
    assert_eq!(found.pod_name.as_deref(), Some("ci/runner-1"));
    let sandbox = json!({ "annotations": {
        "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-name": "runner-1",
        "io.kubernetes.cri.sandbox-namespace": "ci",
    } });
    let found = containerd::named(&sandbox);
    assert_eq!(
        (found.name, found.pod_name.as_deref()),
        (None, Some("ci/runner-1"))
    );
    let crio = json!({ "annotations": {
        "io.kubernetes.container.name": "app", "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.cri-o.ImageName": "quay.io/app:2", "io.kubernetes.pod.name": "web-0",
        "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "77",
    } });
    let found = containerd::named(&crio);
    assert_eq!(found.name.as_deref(), Some("app"));
    assert_eq!(
        (found.pod_name.as_deref(), found.pod.as_deref()),
        (Some("shop/web-0"), Some("77"))
    );
}

#[test]
fn storage_lists_all_containers() {
    let containers = json!([
        { "id": "0".repeat(64), "names": ["other"] },
        { "id": ID, "names": ["fallback"], "image": "abc", "metadata":
            "{\"image-name\":\"docker.io/library/nginx:latest\",\"image-id\":\"abc\",\"name\":\"web\"}" },
    ]);
    assert_eq!(
        podman::named(&containers, ID),
        Some(named("web", "docker.io/library/nginx:latest"))
    );
    let without = json!([{ "id": ID, "names": ["fallback"], "metadata": "{" }]);
    let found = podman::named(&without, ID).expect("it is listed");
    assert_eq!(found.name.as_deref(), Some("fallback"));
    assert_eq!(podman::named(&json!({}), ID), None);
}

/// A file's path and contents.
type Content<'a> = (&'a str, &'a [u8]);

/// A root with these files in it.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str, files: &[Content<'_>]) -> Self {
        let path = std::env::temp_dir().join(format!("mtt-engine-{name}-{}", std::process::id()));
        for (file, contents) in files {
            let file = path.join(file.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).expect("a directory");
            fs::write(file, contents).expect("a file");
        }
        Self(path)
    }

    fn look(&self) -> Option<Named> {
        self.look_in(&[])
    }

    fn look_in(&self, directories: &[String]) -> Option<Named> {
        look(&Root::at(&self.0).expect("a root"), ID, directories)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_engine_is_found_where_it_keeps_its_state() {
    let docker = br#"{"Name":"/web","Config":{"Image":"nginx"}}"#;
    let default = format!("/var/lib/docker/containers/{ID}/config.v2.json");
    let moved = format!("/data/docker/containers/{ID}/config.v2.json");
    let task = "run/containerd/io.containerd.runtime.v2.task/k8s.io";
    let bundle = format!("/{task}/{ID}/config.json");
    let cri = br#"{"annotations":{"io.kubernetes.cri.container-name":"web"}}"#;
    let storage = format!(r#"[{{"id":"{ID}","names":["web"]}}]"#);
    let cases: [(&str, &[Content<'_>]); 4] = [
        ("default", &[(&default, docker)]),
        (
            "moved",
            &[
                (&moved, docker),
                (
                    "/etc/docker/daemon.json",
                    br#"{"data-root":"/data/docker"}"#,
                ),
            ],
        ),
        ("cri", &[(&bundle, cri)]),
        ("storage", &[(podman::CONTAINERS_PATH, storage.as_bytes())]),
    ];
    for (name, files) in cases {
        let found = Files::new(name, files).look().unwrap_or_default();
        assert_eq!(found.name.as_deref(), Some("web"), "{name}");
    }
    assert_eq!(Files::new("none", &[("/x", b"")]).look(), None);
    let root = Root::at(Path::new("/")).expect("a root");
    assert_eq!(look(&root, "../../etc", &[]), None);
}

#[test]
fn state_is_found_where_mounts_say() {
    let docker = br#"{"Name":"/web","Config":{"Image":"nginx"}}"#;
    let cri = br#"{"annotations":{"io.kubernetes.cri.container-name":"web"}}"#;
    let directories = [format!("/srv/a/{ID}"), format!("/srv/b/{ID}")];
    for (name, file, contents) in [
        ("told-docker", "config.v2.json", &docker[..]),
        ("told-oci", "config.json", &cri[..]),
    ] {
        let path = format!("/srv/b/{ID}/{file}");
        let files = Files::new(name, &[(&path, contents)]);
        let found = files.look_in(&directories).unwrap_or_default();
        assert_eq!(found.name.as_deref(), Some("web"), "{name}");
        assert_eq!(files.look(), None, "{name}");
    }
}

#[test]
fn a_link_to_the_hosts_state_is_not_followed() {
    let host = Files::new(
        "host",
        &[("/config.v2.json", br#"{"Name":"/of-the-host"}"#)],
    );
    let directory = format!("/var/lib/docker/containers/{ID}");
    let container = Files::new("container", &[(&format!("{directory}/hostname"), b"")]);
    let link = container
        .0
        .join(format!("{directory}/config.v2.json").trim_start_matches('/'));
    std::os::unix::fs::symlink(host.0.join("config.v2.json"), link).expect("a link");
    assert_eq!(container.look(), None);
}

fn is_fit(text: &str) -> bool {
    text.chars().count() <= 300 && !text.chars().any(char::is_control)
}

fn all_are_fit(named: &Named) -> bool {
    [&named.name, &named.image, &named.pod, &named.pod_name]
        .into_iter()
        .flatten()
        .all(|text| is_fit(text))
}

fn hostile() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("\u{1b}[2J\u{1b}]0;x\u{7}".to_owned()),
        Just("x".repeat(4096)),
        Just("\u{9b}31m\r\n\0".to_owned()),
        ".*",
    ];
    prop_oneof![
        4 => text.prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!([["\u{1b}"]])),
        1 => Just(json!({ "\u{1b}": {} })),
    ]
}

proptest! {
    #[test]
    fn no_name_gets_through_raw(a in hostile(), b in hostile(), c in hostile(), d in hostile()) {
        let docker = docker::named(&json!({ "Name": a, "Config": { "Image": b, "Labels": {
            "io.kubernetes.pod.name": c, "io.kubernetes.pod.namespace": d,
        } } }));
        prop_assert!(all_are_fit(&docker));
        let oci = containerd::named(&json!({ "annotations": {
            "io.kubernetes.cri.container-name": a, "io.kubernetes.cri.sandbox-name": b,
            "io.kubernetes.cri.sandbox-uid": c, "io.kubernetes.cri.sandbox-namespace": d,
        } }));
        prop_assert!(all_are_fit(&oci));
        let metadata = json!({ "name": a, "image-name": b }).to_string();
        let storage = podman::named(&json!([{ "id": ID, "names": c, "metadata": metadata }]), ID);
        prop_assert!(all_are_fit(&storage.unwrap_or_default()));
    }
}

#[test]
fn each_engine_has_a_name_and_scopes_of_its_own() {
    for (index, engine) in ENGINES.iter().enumerate() {
        for other in &ENGINES[index + 1..] {
            assert_ne!(engine.name, other.name);
            // BuildKit's scopes are called as Docker's are; what tells them apart is the identifier.
            let same = engine.scopes.iter().any(|it| other.scopes.contains(it));
            assert!(!same || !(other.is_id)(ID), "{}", other.name);
            let parents = engine.parents.iter();
            assert!(!parents.clone().any(|it| other.parents.contains(it)));
        }
        assert!(engine.scopes.len() + engine.parents.len() > 0);
    }
}
