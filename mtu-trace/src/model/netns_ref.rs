//! Whose a network namespace is, as reports say it.

use serde::Serialize;

use crate::model::network::{Netns, NetnsId, Topology};

/// A namespace by all its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    pub process: Option<ProcessRef>,
    /// The systemd unit of that process.
    pub unit: Option<String>,
    /// The container whose network it is.
    pub container: Option<ContainerRef>,
    /// What it is, if it is only thought of (`check`): then it has neither of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestRef>,
}

/// A container that nobody has started yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestRef {
    /// The bridge that it would be a port of.
    pub bridge: String,
    /// The namespace of that bridge.
    pub parent: Box<NetnsRef>,
}

/// A process that lives in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessRef {
    /// The process identifier on the host.
    pub pid: i32,
    /// The command name (`/proc/PID/comm`).
    pub comm: String,
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
    #[must_use]
    pub fn new(id: NetnsId, topology: &Topology) -> Self {
        Self::nested(id, topology, MAX_NESTING)
    }

    fn nested(id: NetnsId, topology: &Topology, depth: usize) -> Self {
        let Some(netns) = topology.namespaces.get(&id) else {
            return Self {
                inode: 0,
                cookie: Some(id.0),
                name: None,
                init: false,
                process: None,
                unit: None,
                container: None,
                guest: None,
            };
        };
        Self {
            inode: netns.inode,
            cookie: netns.cookie,
            name: netns.name.clone(),
            init: netns.init,
            process: netns.process.as_ref().map(|process| ProcessRef {
                pid: process.pid,
                comm: process.comm.clone(),
            }),
            unit: netns.unit.clone(),
            container: container(netns, topology, depth),
            guest: netns
                .guest
                .as_ref()
                .filter(|_| depth > 0)
                .map(|guest| GuestRef {
                    bridge: guest.bridge.clone(),
                    parent: Box::new(Self::nested(guest.parent, topology, depth - 1)),
                }),
        }
    }

    /// What the rest of the program knows it by.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        NetnsId(self.cookie.unwrap_or(self.inode))
    }

    /// The shortest thing a person would call it.
    #[must_use]
    pub fn label(&self) -> String {
        if let Some(guest) = &self.guest {
            let parent = guest.parent.label();
            return format!("a new container on {} of {parent}", guest.bridge);
        }
        if let Some(container) = &self.container {
            let name = container.name.clone();
            return name
                .or_else(|| Some(format!("pod {}", container.pod_name.as_ref()?)))
                .unwrap_or_else(|| container.short());
        }
        if let Some(name) = &self.name {
            return name.clone();
        }
        if self.init {
            return "the host".to_owned();
        }
        match (&self.process, &self.unit) {
            (Some(_), Some(unit)) => format!("netns {} ({unit})", self.inode),
            (Some(process), None) => {
                format!("netns {} ({}[{}])", self.inode, process.comm, process.pid)
            }
            _ if self.inode == 0 => format!("netns cookie {}", self.cookie.unwrap_or(0)),
            _ => format!("netns {}", self.inode),
        }
    }

    /// A container with all that is around it, from the inside out: `build (docker 0123456789ab,
    /// image ruby:3), in dind (docker fedcba987654), in pod ci/runner-1`. `None` if it is none.
    #[must_use]
    pub fn chain(&self) -> Option<String> {
        if let Some(guest) = &self.guest {
            let around = guest.parent.chain()?;
            return Some(format!("{}, in {around}", self.label()));
        }
        let container = self.container.as_ref()?;
        let mut chain = self.label();
        let image = container
            .image
            .as_ref()
            .map_or_else(String::new, |image| format!(", image {image}"));
        if container.name.is_some() || container.pod_name.is_some() {
            chain.push_str(&format!(" ({}{image})", container.short()));
        } else {
            chain.push_str(image.replacen(", ", " of ", 1).as_str());
        }
        if let Some(pod) = container.pod_name.as_ref().or(container.pod.as_ref())
            && container.name.is_some()
        {
            chain.push_str(&format!(", in pod {pod}"));
        }
        if let Some(around) = container.parent.as_ref().and_then(|parent| parent.chain()) {
            chain.push_str(", in ");
            chain.push_str(&around);
        }
        Some(chain)
    }
}

impl ContainerRef {
    /// Engine and identifier as engines show them: `docker 0123456789ab`.
    fn short(&self) -> String {
        let id = self.id.get(..12).unwrap_or(&self.id);
        format!("{} {id}", self.runtime)
    }
}

/// Containers in containers that are followed; a cycle in what `/proc` says must not hang us.
const MAX_NESTING: usize = 8;

fn container(netns: &Netns, topology: &Topology, depth: usize) -> Option<ContainerRef> {
    let container = netns.container.as_ref()?;
    Some(ContainerRef {
        id: container.id.clone(),
        name: container.name.clone(),
        image: container.image.clone(),
        runtime: container.runtime.clone(),
        parent: container
            .parent
            .filter(|_| depth > 0)
            .map(|parent| Box::new(NetnsRef::nested(parent, topology, depth - 1))),
        pod: container.pod.clone(),
        pod_name: container.pod_name.clone(),
    })
}
