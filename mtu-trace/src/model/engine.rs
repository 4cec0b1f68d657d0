//! Container engines that run.

/// An engine with a default network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerd {
    /// Process identifier of the engine.
    pub pid: i32,
    /// Inode number of the network namespace that it runs in.
    pub netns_inode: u64,
    /// The bridge of its default network, made printable.
    pub bridge: String,
    /// MTU that it gives to the interfaces of containers there, bytes.
    pub mtu_bytes: u32,
    /// Where it has that from.
    pub mtu_from: MtuFrom,
}

/// Where an engine has its MTU from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MtuFrom {
    /// `--mtu` in its command line.
    Flag,
    /// `mtu` in this file of settings, as the engine sees it, made printable.
    Settings(String),
    /// Neither: it is the one it has by default.
    Default,
}
