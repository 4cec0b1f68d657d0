//! Names of the hooks: tracepoints as the kernel has them, functions by their names.

/// Packets dropped.
pub const DROPS: &str = "skb:kfree_skb";
/// Segments sent again.
pub const RETRANSMITS: &str = "tcp:tcp_retransmit_skb";
/// Handshakes and ends of connections.
pub const STATES: &str = "sock:inet_sock_set_state";
/// ICMP errors generated.
pub const ICMP: &str = "icmp:icmp_send";
/// Packets that come in by boundary devices.
pub const INGRESS: &str = "tc:ingress";
/// Packets that leave by boundary devices.
pub const EGRESS: &str = "tc:egress";
/// ICMPv6 errors generated.
pub const ICMP6: &str = "icmp6_send";
/// Packets that a tunnel turns into messages to their senders.
pub const TUNNEL: &str = "skb_tunnel_check_pmtu";
/// Sockets told of a smaller path MTU, IPv4.
pub const TOLD: &str = "tcp_v4_mtu_reduced";
/// The same, IPv6.
pub const TOLD6: &str = "tcp_v6_mtu_reduced";
/// Routes that keep a smaller path MTU, IPv4.
pub const ROUTE: &str = "__ip_rt_update_pmtu";
/// The same, IPv6.
pub const ROUTE6: &str = "__ip6_rt_update_pmtu";
/// Runs of the retransmission timer.
pub const TIMEOUT: &str = "tcp_retransmit_timer";
/// Tail loss probes.
pub const PROBE: &str = "tcp_send_loss_probe";
/// Everything outstanding taken for lost.
pub const LOSS: &str = "tcp_enter_loss";
