//! The host a capture comes from.

use rustix::system::uname;

/// Kernel release, such as `6.18.44`.
pub fn kernel_release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// Host name.
pub fn hostname() -> String {
    uname().nodename().to_string_lossy().into_owned()
}
