//! Container engines: how each names the cgroups and directories of its containers, and what it keeps
//! about them in files on the host or in the container that it runs in. An engine is a file and a row
//! of [`ENGINES`].
//!
//! An engine's own words are its users': everything is made printable.

pub(crate) mod buildkit;
pub(crate) mod containerd;
pub(crate) mod crio;
pub(crate) mod docker;
pub(crate) mod dockerd;
pub(crate) mod options;
pub(crate) mod podman;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::base::text::printable;
use crate::host::identity::rooted::{LinkRule, Root};

/// Every engine. What an earlier one says of a container stands before what a later one says.
pub const ENGINES: &[&ContainerEngine] = &[
    &docker::ENGINE,
    &buildkit::ENGINE,
    &containerd::ENGINE,
    &podman::ENGINE,
    &crio::ENGINE,
];

/// All that is known of an engine.
pub struct ContainerEngine {
    /// Its name, as reports have it.
    pub name: &'static str,
    /// What stands before a container's identifier in the name of a systemd scope.
    pub scopes: &'static [&'static str],
    /// Cgroups whose children are named by nothing but an identifier.
    pub parents: &'static [&'static str],
    /// The directory in which files that it mounts into a container lie, below one named by the
    /// container's identifier; `None` if it mounts none.
    pub directory: Option<&'static str>,
    /// Whether a word can be an identifier of its containers.
    pub is_id: fn(&str) -> bool,
    /// What it says of a container, by its identifier and the directories that mounts tell of; `None`
    /// if it does not know it.
    pub look: fn(&Root, &str, &[String]) -> Option<Named>,
}

/// Length of the identifiers of most engines: a SHA-256 in hexadecimal.
const SHA256_LEN: usize = 64;

/// Whether a word is a SHA-256 in hexadecimal, as most engines name containers.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() == SHA256_LEN && bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What an engine calls a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The container's name; `None` if the engine keeps none.
    pub name: Option<String>,
    /// The image it was made from.
    pub image: Option<String>,
    /// UID of its Kubernetes pod.
    pub pod: Option<String>,
    /// Kubernetes namespace and name of the pod, `build/runner-1`.
    pub pod_name: Option<String>,
}

impl Named {
    /// Takes over what is missing.
    fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            image: self.image.or(other.image),
            pod: self.pod.or(other.pod),
            pod_name: self.pod_name.or(other.pod_name),
        }
    }
}

/// Looks for a container in what the engines keep below a root: in `directories`, where its mounts
/// say so, and where engines keep it by default. `None` if none of them knows it.
#[must_use]
pub fn look(root: &Root, id: &str, directories: &[String]) -> Option<Named> {
    // It becomes part of paths.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let engines = ENGINES.iter();
    let named = engines.filter_map(|engine| (engine.look)(root, id, directories));
    named
        .reduce(Named::or)
        .filter(|named| *named != Named::default())
}

/// Reads JSON at the first of these paths that has some.
fn json(root: &Root, paths: &[String]) -> Option<Value> {
    let parse = |path: &String| parsed(root, path, LinkRule::Linked);
    paths.iter().find_map(parse)
}

/// The same of a file in one of the directories that mounts tell of: a container can have a say in
/// those, so nothing there may lead elsewhere.
fn told(root: &Root, directories: &[String], file: &str) -> Option<Value> {
    let mut paths = directories
        .iter()
        .map(|directory| format!("{directory}/{file}"));
    paths.find_map(|path| parsed(root, &path, LinkRule::Straight))
}

fn parsed(root: &Root, path: &str, way: LinkRule) -> Option<Value> {
    serde_json::from_slice(&root.read(path, way).ok()?.bytes).ok()
}

/// A string that is not empty, fit to be shown.
fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str().filter(|text| !text.is_empty())?;
    Some(printable(text.as_bytes()))
}

/// `namespace/name` of a pod.
fn pod_name(namespace: Option<String>, name: Option<String>) -> Option<String> {
    let name = name?;
    Some(namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}")))
}
