//! An opaque wire: a link whose middle is this process, with whatever the world does to packets there.
//!
//! Its ends are two TUN devices. What the wire discards the kernel had handed over as delivered, so
//! no counter of either end, and nothing that watches the kernel's drops, knows of it: the hole is
//! elsewhere, as behind a provider's router.
//!
//! ```text
//!  a                          this process                          b
//!  ┌──────────┐         ┌───────────────────────┐         ┌──────────┐
//!  │    tun ──┼─────────┼─► read  policy  write─┼─────────┼─► tun    │
//!  │    tun ◄─┼─────────┼── write policy  read◄─┼─────────┼── tun    │
//!  └──────────┘         └───────────────────────┘         └──────────┘
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use crate::link::End;

/// What a wire does to the packets it is given, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: every packet arrives once and in order.
    Pass,
    /// Discards every packet of more bytes than this, IP header included, and tells nobody.
    Limit(usize),
    /// Discards this many of a hundred packets, whatever their length; always the same ones.
    Lose {
        /// How many of a hundred.
        percent: u8,
    },
    /// Every packet arrives twice.
    Duplicate,
    /// Every so-many-th packet arrives behind the next two, or when nothing follows it.
    Reorder {
        /// 3 is every third.
        every: u64,
    },
    /// Discards everything.
    Dead,
}

/// How long a packet is held back when nothing follows that could overtake it.
const HELD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: Duration::from_millis(5).subsec_nanos() as _,
};

/// A wire between two namespaces. Its ends vanish when this is dropped.
///
/// It has to be dropped before its lab: an end keeps its namespace alive.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    policy: Mutex<Policy>,
    carried: AtomicU64,
    discarded: AtomicU64,
}

impl Shared {
    fn policy(&self) -> Policy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `packet` on; a device that is down takes nothing.
    fn deliver(&self, to: &OwnedFd, packet: &[u8]) {
        let counter = match rustix::io::write(to, packet) {
            Ok(_) => &self.carried,
            Err(_) => &self.discarded,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wire {
    /// Lays a wire between two devices, which are made, and sets both up. They have no addresses.
    ///
    /// # Errors
    ///
    /// The kernel has no TUN, a name is taken or too long, or an MTU is out of range.
    pub fn new(a: End<'_>, b: End<'_>, policy: Policy) -> Result<Self> {
        let ends = [tun(a)?, tun(b)?];
        let shared = Arc::new(Shared {
            policy: Mutex::new(policy),
            carried: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        });
        let stop = eventfd(0, EventfdFlags::CLOEXEC).context("making an eventfd")?;
        let stopped = stop.try_clone().context("sharing an eventfd")?;
        let thread = thread::Builder::new()
            .name("lab-wire".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || carry(&shared, &ends, &stopped)
            })
            .context("starting the thread of a wire")?;
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// Changes what the wire does, from the next packet on.
    pub fn set(&self, policy: Policy) {
        *self
            .shared
            .policy
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// How many packets it has delivered, duplicates included.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// How many packets it has discarded.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.shared.discarded.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The thread ends before the lab removes the namespaces, so that nothing holds them.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `struct ifreq` as TUNSETIFF reads it: the name, the flags, and the rest of the kernel's union.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// `TUNSETIFF` of `linux/if_tun.h`: `_IOW('T', 202, int)`.
const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
/// A device of IP packets, not of Ethernet frames.
const IFF_TUN: u16 = 0x0001;
/// Without four bytes before each packet.
const IFF_NO_PI: u16 = 0x1000;

/// Makes a TUN device and sets it up; it exists as long as the descriptor.
fn tun(end: End<'_>) -> Result<OwnedFd> {
    let device = end
        .netns
        .run(|| attach(end.name).with_context(|| format!("making the TUN device {}", end.name)))?;
    // Without an address of its own making a device sends nothing that nobody asked for.
    end.netns.ip(&format!(
        "link set {0} mtu {1} addrgenmode none\nlink set {0} up\n",
        end.name, end.mtu
    ))?;
    Ok(device)
}

fn attach(name: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device =
        rustix::fs::open("/dev/net/tun", flags, Mode::empty()).context("opening /dev/net/tun")?;
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    ensure!(name.len() < request.name.len(), "the name is too long");
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, whose size and layout the request has.
    unsafe { ioctl(&device, Updater::<TUNSETIFF, _>::new(&mut request)) }.context("TUNSETIFF")?;
    Ok(device)
}

/// Copies packets between `ends` until `stop` can be read or an end is gone.
fn carry(shared: &Shared, ends: &[OwnedFd; 2], stop: &OwnedFd) {
    let mut lanes = [Lane::new(1), Lane::new(2)];
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut fds = [stop, &ends[0], &ends[1]]
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        let held = lanes.iter().any(|lane| lane.held.is_some());
        match poll(&mut fds, held.then_some(&HELD)) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(0) => {
                for (lane, to) in lanes.iter_mut().zip(ends.iter().rev()) {
                    if let Some(packet) = lane.flush(shared.policy()) {
                        shared.deliver(to, &packet);
                    }
                }
                continue;
            }
            Ok(_) => {}
        }
        if !fds[0].revents().is_empty() {
            return;
        }
        for (index, lane) in lanes.iter_mut().enumerate() {
            if fds[index + 1].revents().is_empty() {
                continue;
            }
            match rustix::io::read(&ends[index], &mut *buffer) {
                Ok(length) => lane.take(shared, &ends[1 - index], &buffer[..length]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // The device is gone, and its namespace with it.
                Err(_) => return,
            }
        }
    }
}

/// One direction of a wire.
struct Lane {
    /// The state of the pseudo-random numbers, never 0.
    random: u64,
    seen: u64,
    held: Option<Held>,
}

/// A packet that others are to overtake.
struct Held {
    packet: Vec<u8>,
    /// By how many, still.
    behind: u8,
}

impl Lane {
    fn new(seed: u64) -> Self {
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            seen: 0,
            held: None,
        }
    }

    fn take(&mut self, shared: &Shared, to: &OwnedFd, packet: &[u8]) {
        let policy = shared.policy();
        if self.discards(policy, packet.len()) {
            shared.discarded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for packet in self.order(policy, packet.to_vec()) {
            shared.deliver(to, &packet);
        }
    }

    fn discards(&mut self, policy: Policy, length: usize) -> bool {
        match policy {
            Policy::Pass | Policy::Duplicate | Policy::Reorder { .. } => false,
            Policy::Limit(bytes) => length > bytes,
            Policy::Lose { percent } => self.next_random() % 100 < u64::from(percent),
            Policy::Dead => true,
        }
    }

    /// What is sent on now that `packet` has come.
    fn order(&mut self, policy: Policy, packet: Vec<u8>) -> Vec<Vec<u8>> {
        match policy {
            Policy::Duplicate => vec![packet.clone(), packet],
            Policy::Reorder { every } => {
                self.seen += 1;
                if let Some(held) = &mut self.held {
                    held.behind -= 1;
                    let overtaken = held.behind == 0;
                    let late = self.held.take_if(|_| overtaken);
                    [packet]
                        .into_iter()
                        .chain(late.map(|held| held.packet))
                        .collect()
                } else if self.seen.is_multiple_of(every) {
                    self.held = Some(Held { packet, behind: 2 });
                    Vec::new()
                } else {
                    vec![packet]
                }
            }
            _ => vec![packet],
        }
    }

    /// What is held back and must wait no longer.
    fn flush(&mut self, policy: Policy) -> Option<Vec<u8>> {
        let held = self.held.take()?;
        (policy != Policy::Dead).then_some(held.packet)
    }

    /// xorshift64*: good enough to lose packets, and the same every time.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Policy};

    #[test]
    fn only_what_is_too_long_is_discarded() {
        let mut lane = Lane::new(1);
        assert!(!lane.discards(Policy::Limit(1400), 1400));
        assert!(lane.discards(Policy::Limit(1400), 1401));
    }

    #[test]
    fn the_same_packets_are_lost_every_time() {
        let lost = || {
            let mut lane = Lane::new(1);
            [(); 1000].map(|()| lane.discards(Policy::Lose { percent: 5 }, 100))
        };
        assert_eq!(lost(), lost());
        let count = lost().into_iter().filter(|lost| *lost).count();
        assert!((30..70).contains(&count), "{count} of 1000");
    }

    #[test]
    fn every_third_packet_is_overtaken_by_two() {
        let mut lane = Lane::new(1);
        let order: Vec<u8> = (1..=7)
            .flat_map(|number| lane.order(Policy::Reorder { every: 3 }, vec![number]))
            .flatten()
            .collect();
        assert_eq!(order, [1, 2, 4, 5, 3, 7]);
        // The sixth is held, and one more has overtaken it.
        assert_eq!(lane.flush(Policy::Pass), Some(vec![6]));
    }
}
