//! Copying by way of the terminal (xterm's OSC 52), which works over ssh as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What has the terminal put a text into the clipboard.
#[must_use]
pub fn copy(text: &str) -> Vec<u8> {
    format!("\x1b]52;c;{}\x07", STANDARD.encode(text)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_xterm_has_it() {
        assert_eq!(copy("ip link"), b"\x1b]52;c;aXAgbGluaw==\x07");
    }
}
