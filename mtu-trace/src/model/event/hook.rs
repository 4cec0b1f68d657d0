//! Names of the hooks that rules and evidence speak of. Those of other hooks stand in their own files
//! (`kernel::hooks`).

/// The hook that shows packets dropped.
pub const DROPS: &str = "skb:kfree_skb";
/// The hook that shows segments sent again.
pub const RETRANSMITS: &str = "tcp:tcp_retransmit_skb";
/// The hook that shows ICMP errors generated.
pub const ICMP: &str = "icmp:icmp_send";
/// The hook that shows handshakes and ends of connections.
pub const STATES: &str = "sock:inet_sock_set_state";
/// The hook that shows packets that a tunnel turns into messages to their senders.
pub const TUNNEL: &str = "skb_tunnel_check_pmtu";
/// The hook that shows IPv4 sockets told of a smaller path MTU.
pub const TOLD: &str = "tcp_v4_mtu_reduced";
/// The hook that shows IPv6 sockets told of a smaller path MTU.
pub const TOLD6: &str = "tcp_v6_mtu_reduced";
/// The hook that shows IPv4 routes that keep a smaller path MTU.
pub const ROUTE: &str = "__ip_rt_update_pmtu";
/// The hook that shows IPv6 routes that keep a smaller path MTU.
pub const ROUTE6: &str = "__ip6_rt_update_pmtu";
/// The hook that counts runs of the retransmission timer.
pub const TIMEOUT: &str = "tcp_retransmit_timer";
/// The hook that counts tail loss probes.
pub const PROBE: &str = "tcp_send_loss_probe";
/// The hook that counts how often all outstanding was taken for lost.
pub const LOSS: &str = "tcp_enter_loss";
