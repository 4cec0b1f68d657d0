//! Drains the ring buffer the kernel programs write to.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use bytes::{Bytes, BytesMut};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The records, as they come.
pub struct Records {
    ring: AsyncFd<RingBuf<MapData>>,
    copy: BytesMut,
}

impl Records {
    /// Begins to read a ring-buffer map. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the map is no ring buffer, or the runtime cannot watch it.
    pub fn new(map: Map) -> Result<Self> {
        let ring = RingBuf::try_from(map).context("the map RECORDS is no ring buffer")?;
        // SAFETY: the ring owns its descriptor, never exchanges it, and lives inside the
        // registration, so the descriptor stays open and the same for as long as it is watched.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(std::io::Error::from)
            .context("cannot watch the ring buffer")?;
        Ok(Self {
            ring,
            copy: BytesMut::new(),
        })
    }

    /// Waits until there is at least one record.
    ///
    /// # Errors
    ///
    /// If the runtime's poll fails.
    pub async fn readable(&self) -> std::io::Result<()> {
        // What follows empties the ring, so the readiness is spent here.
        self.ring.readable().await?.clear_ready();
        Ok(())
    }

    /// The next record, copied out of the ring so that it has room again.
    pub fn next(&mut self) -> Option<Bytes> {
        let record = self.ring.get_mut().next()?;
        self.copy.extend_from_slice(&record);
        Some(self.copy.split().freeze())
    }
}
