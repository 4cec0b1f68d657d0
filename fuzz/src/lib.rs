//! What the fuzz targets share: how inputs are changed so that they stay inputs, and what must be
//! true of whatever mtu-trace makes of them.
//!
//! A target panics, runs out of time or of memory; libFuzzer then keeps the input.

pub mod capture;
pub mod cbor;
pub mod framing;
pub mod heap;
pub mod kernel;
pub mod run;
pub mod seeds;

/// Bytes that one change may add.
const ROOM_BYTES: usize = 32;

/// libFuzzer's own way to change bytes in place (`mutate`, with their number and the most there may
/// be), with room for more of them.
pub fn grown(mutate: impl Fn(&mut [u8], usize, usize) -> usize) -> impl FnMut(&mut Vec<u8>) {
    move |bytes| {
        let size = bytes.len();
        let most = size + ROOM_BYTES;
        bytes.resize(most, 0);
        let size = mutate(bytes, size, most);
        bytes.truncate(size);
    }
}
