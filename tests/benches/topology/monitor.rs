//! When the kernel told of a link: the zero of every time measured here.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::Netns;
use mtu_trace::testing::monotonic_ns;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// `RTNLGRP_LINK`.
const LINKS: u32 = 1;
/// `RTM_NEWLINK`, at this offset of a message's header.
const NEW_LINK: [u8; 2] = 16u16.to_ne_bytes();
const TYPE_AT: std::ops::Range<usize> = 4..6;
/// How long after the deed its notification may come.
const LIMIT: Duration = Duration::from_secs(5);

/// Listens to the links of one namespace.
pub struct Monitor {
    expected: Arc<Mutex<Option<Expected>>>,
}

struct Expected {
    name: Vec<u8>,
    tell: mpsc::Sender<u64>,
}

impl Monitor {
    /// Starts listening. The thread ends with the process, and keeps the namespace until then.
    pub fn start(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| {
            let mut socket = Socket::new(NETLINK_ROUTE).context("a netlink socket")?;
            socket.bind(&SocketAddr::new(0, 0)).context("binding it")?;
            socket.add_membership(LINKS).context("joining the group")?;
            Ok(socket)
        })?;
        let expected: Arc<Mutex<Option<Expected>>> = Arc::default();
        let shared = Arc::clone(&expected);
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(length) = socket.recv(&mut &mut buffer[..], 0) {
                let now_ns = monotonic_ns();
                let message = buffer.get(..length).unwrap_or_default();
                let mut expected = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let found = expected.as_ref().is_some_and(|it| {
                    message.get(TYPE_AT) == Some(&NEW_LINK)
                        && message.windows(it.name.len()).any(|part| part == it.name)
                });
                if found && let Some(it) = expected.take() {
                    let _nobody_waits = it.tell.send(now_ns);
                }
            }
        });
        Ok(Self { expected })
    }

    /// Does `deed` and returns what it returns, with the time at which the kernel told first of a
    /// link of this name.
    pub fn time<T>(&self, name: &str, deed: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
        let (tell, told) = mpsc::channel();
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Expected { name, tell });
        let done = deed()?;
        let told_ns = told
            .recv_timeout(LIMIT)
            .context("the kernel did not tell of the link")?;
        Ok((done, told_ns))
    }
}
