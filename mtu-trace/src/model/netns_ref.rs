//! Whose a network namespace is, as reports say it.

use serde::Serialize;

use crate::model::network::{Container, NetnsId, Process, Topology};

/// Containers in containers that are followed; a cycle in what `/proc` says must not hang us.
const MAX_NESTING: usize = 8;

/// A namespace by all its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetnsRef {
    /// The inode number; 0 where only the cookie is known.
    pub inode: u64,
    /// The cookie, unique for the boot; `None` where the kernel tells none.
    pub cookie: Option<u64>,
    /// The name given by `ip netns`; `None` where it has none.
    pub name: Option<String>,
    /// Whether it is the host's own.
    pub init: bool,
    /// A process that lives in it; `None` where there is none.
    pub process: Option<Process>,
    /// The systemd unit of that process.
    pub unit: Option<String>,
    /// The container whose network it is.
    pub container: Option<ContainerRef>,
    /// What it is, if it is only thought of (`check`): then it has neither of the numbers.
    #[serde(rename = "guest", skip_serializing_if = "Option::is_none")]
    pub planned: Option<PlannedContainerRef>,
}

/// A container that nobody has started yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedContainerRef {
    /// The bridge that it would be a port of.
    pub bridge: String,
    /// The namespace of that bridge.
    pub parent: Box<NetnsRef>,
}

/// A container by all its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerRef {
    /// The identifier given by the engine.
    pub id: String,
    /// The name that the engine gave it; `None` where it has none.
    pub name: Option<String>,
    /// The image it was made from; `None` where it is not known.
    pub image: Option<String>,
    /// The engine that runs it, as `docker`.
    pub runtime: String,
    /// The namespace of the container it runs in; `None` on the host itself.
    pub parent: Option<Box<NetnsRef>>,
    /// The UID of its Kubernetes pod; `None` outside of a pod.
    pub pod: Option<String>,
    /// Kubernetes namespace and name of the pod; `None` where they are not known.
    pub pod_name: Option<String>,
}

impl NetnsRef {
    /// Everything the topology knows about a namespace.
    pub fn new(id: NetnsId, topology: &Topology) -> Self {
        Self::nested(id, topology, MAX_NESTING)
    }

    fn nested(id: NetnsId, topology: &Topology, depth: usize) -> Self {
        let Some(netns) = topology.namespaces.get(&id) else {
            return Self {
                cookie: Some(id.0),
                ..Self::default()
            };
        };
        let around = |id| Some(Box::new(Self::nested(id, topology, depth.checked_sub(1)?)));
        let container = netns.container.clone();
        Self {
            inode: netns.inode,
            cookie: netns.cookie,
            name: netns.name.clone(),
            init: netns.init,
            process: netns.process.clone(),
            unit: netns.unit.clone(),
            container: container.map(|it| ContainerRef::new(it, around)),
            planned: netns.planned.as_ref().and_then(|planned| {
                Some(PlannedContainerRef {
                    bridge: planned.bridge.clone(),
                    parent: around(planned.parent)?,
                })
            }),
        }
    }

    /// What the rest of the program knows it by.
    pub fn id(&self) -> NetnsId {
        NetnsId(self.cookie.unwrap_or(self.inode))
    }

    /// The shortest thing a person would call it.
    pub fn label(&self) -> String {
        if let Some(planned) = &self.planned {
            let parent = planned.parent.label();
            return format!("a new container on {} of {parent}", planned.bridge);
        }
        if let Some(container) = &self.container {
            return match (&container.name, &container.pod_name) {
                (Some(name), _) => name.clone(),
                (None, Some(pod)) => format!("pod {pod}"),
                (None, None) => container.short(),
            };
        }
        let inode = self.inode;
        match (&self.name, &self.process, &self.unit) {
            (Some(name), ..) => name.clone(),
            _ if self.init => "the host".to_owned(),
            (_, Some(_), Some(unit)) => format!("netns {inode} ({unit})"),
            (_, Some(Process { pid, comm }), None) => format!("netns {inode} ({comm}[{pid}])"),
            _ if inode == 0 => format!("netns cookie {}", self.cookie.unwrap_or(0)),
            _ => format!("netns {inode}"),
        }
    }

    /// A container with all that is around it, from the inside out: `build (docker 0123456789ab,
    /// image ruby:3), in dind (docker fedcba987654), in pod ci/runner-1`. `None` if it is none.
    pub fn chain(&self) -> Option<String> {
        if let Some(planned) = &self.planned {
            let around = planned.parent.chain()?;
            return Some(format!("{}, in {around}", self.label()));
        }
        let container = self.container.as_ref()?;
        let (label, short) = (self.label(), container.short());
        let is_named = container.name.is_some() || container.pod_name.is_some();
        let mut chain = match (&container.image, is_named) {
            (Some(image), true) => format!("{label} ({short}, image {image})"),
            (None, true) => format!("{label} ({short})"),
            (Some(image), false) => format!("{label} of image {image}"),
            (None, false) => label,
        };
        if let Some(pod) = container.pod_name.as_ref().or(container.pod.as_ref())
            && container.name.is_some()
        {
            chain.push_str(&format!(", in pod {pod}"));
        }
        if let Some(around) = container.parent.as_ref().and_then(|parent| parent.chain()) {
            chain.push_str(&format!(", in {around}"));
        }
        Some(chain)
    }
}

impl ContainerRef {
    fn new(known: Container, around: impl Fn(NetnsId) -> Option<Box<NetnsRef>>) -> Self {
        Self {
            id: known.id,
            name: known.name,
            image: known.image,
            runtime: known.runtime,
            parent: known.parent.and_then(around),
            pod: known.pod,
            pod_name: known.pod_name,
        }
    }

    /// Engine and identifier as engines show them: `docker 0123456789ab`.
    fn short(&self) -> String {
        let id = self.id.get(..12).unwrap_or(&self.id);
        format!("{} {id}", self.runtime)
    }
}

impl Topology {
    /// The shortest thing a person would call a namespace.
    pub fn label(&self, netns: NetnsId) -> String {
        NetnsRef::new(netns, self).label()
    }
}
