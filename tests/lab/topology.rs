//! Networks with a place for a fault, as functions of what may be wrong in them.

/// Gives a topology that was built its namespaces by their roles.
macro_rules! roles {
    ($topology:ty { $($(#[$doc:meta])* $name:ident: $role:literal,)* }) => {
        impl $topology {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// Never, once built.
                pub fn $name(&self) -> anyhow::Result<&$crate::Netns> {
                    self.lab.netns($role)
                }
            )*
        }
    };
}

/// Gives a topology that was built the transfers between its client and the server, whose address is a
/// function of the IP version.
macro_rules! transfers {
    ($topology:ty, $client:ident, $address:expr) => {
        impl $topology {
            /// The server's address.
            #[must_use]
            pub fn server_address(&self, family: $crate::address::Family) -> std::net::IpAddr {
                let address: fn(&$topology, $crate::address::Family) -> std::net::IpAddr = $address;
                address(self, family)
            }

            /// Opens a connection from the client to the server, for `transfer` to be made on it.
            ///
            /// # Errors
            ///
            /// The connection cannot be opened.
            pub fn open(
                &self,
                transfer: &$crate::traffic::Transfer,
            ) -> anyhow::Result<$crate::connection::Connection> {
                let address = self.server_address(transfer.family);
                $crate::connection::Connection::open(
                    self.$client()?,
                    self.server()?,
                    std::net::SocketAddr::new(address, transfer.port),
                    transfer.limit,
                )
            }

            /// Makes a transfer between the client and the server.
            ///
            /// # Errors
            ///
            /// The connection cannot be opened.
            pub fn run(
                &self,
                transfer: &$crate::traffic::Transfer,
            ) -> anyhow::Result<$crate::traffic::Outcome> {
                $crate::traffic::carry(self.open(transfer)?, transfer)
            }
        }
    };
}

mod asymmetric;
mod deep;
mod encapsulation;
mod macvlan;
mod nested;
mod node;
mod overlay;
mod site_to_site;
mod switched;
mod trunk;
mod wired;

pub use asymmetric::{Asymmetric, AsymmetricLab};
pub use deep::{Deep, DeepLab, Level};
pub use macvlan::{Macvlan, MacvlanLab};
pub use nested::{Nested, NestedLab};
pub use node::{Container, Node, NodeLab};
pub use overlay::{Overlay, OverlayLab};
pub use site_to_site::{By, SiteToSite, SiteToSiteLab};
pub use switched::{Switched, SwitchedLab};
pub use trunk::{Trunk, TrunkLab};
pub use wired::{Wired, WiredLab};
