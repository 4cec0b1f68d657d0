//! Why a socket sends again: its retransmission timer (RFC 6298) or a tail loss probe (RFC 8985,
//! section 7), and whether it then takes all that is outstanding for lost.

use mtu_trace_common::map::{TimerCounts, counter};

use crate::call::{Called, at_entry};
use crate::maps::TIMERS;
use crate::{ring, socket};

at_entry! {
    /// `void tcp_retransmit_timer(struct sock *sk)` (Linux 6.18).
    (tcp_retransmit_timer_fentry, tcp_retransmit_timer_kprobe) =
        |call| count(call, |timers| timers.timeouts += 1)
}

at_entry! {
    /// `void tcp_send_loss_probe(struct sock *sk)` (Linux 6.18).
    (tcp_send_loss_probe_fentry, tcp_send_loss_probe_kprobe) =
        |call| count(call, |timers| timers.probes += 1)
}

at_entry! {
    /// `void tcp_enter_loss(struct sock *sk)` (Linux 6.18).
    (tcp_enter_loss_fentry, tcp_enter_loss_kprobe) =
        |call| count(call, |timers| timers.losses += 1)
}

/// Counts for the socket that is the first argument. It is locked meanwhile: nobody else counts for
/// it.
#[inline(always)]
fn count(call: &impl Called, add: impl FnOnce(&mut TimerCounts)) -> Option<()> {
    let key = socket::key(call.argument(0)?)?;
    if let Some(known) = TIMERS.get_ptr_mut(&key) {
        // SAFETY: the map's value stays valid while the program runs.
        add(unsafe { &mut *known });
        return Some(());
    }
    let mut first = TimerCounts::default();
    add(&mut first);
    if TIMERS.insert(&key, &first, 0).is_err() {
        ring::count(counter::MAP_FULL);
    }
    Some(())
}
