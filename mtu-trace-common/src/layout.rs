//! The kernel structure members the programs read.
//!
//! Rust programs get no CO-RE relocations, so user space looks every member up in the running
//! kernel's BTF and writes its byte offset into the programs' read-only data before loading. The
//! verifier then sees constants.

/// The offset of a member that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! members {
    ($($(#[$doc:meta])* $variant:ident = $structure:literal, $member:literal;)+) => {
        /// A member of a kernel structure, usable as an index into the offset table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Member {
            $($(#[$doc])* $variant,)+
        }

        /// Structure and member name of each [`Member`], in the order of its variants.
        pub const MEMBERS: &[(Member, &str, &str)] = &[
            $((Member::$variant, $structure, $member),)+
        ];
    };
}

members! {
    /// Start of the packet buffer.
    SkbHead = "sk_buff", "head";
    /// Current start of the data.
    SkbData = "sk_buff", "data";
    /// Length of the data, paged part included.
    SkbLen = "sk_buff", "len";
    /// End of the linear data, as an offset from the head.
    SkbTail = "sk_buff", "tail";
    /// End of the buffer, where `skb_shared_info` begins, as an offset from the head.
    SkbEnd = "sk_buff", "end";
    /// Offset of the network header from the head.
    SkbNetworkHeader = "sk_buff", "network_header";
    /// Offset of the transport header inside a tunnel's packet from the head.
    SkbInnerTransportHeader = "sk_buff", "inner_transport_header";
    /// EtherType in network byte order.
    SkbProtocol = "sk_buff", "protocol";
    /// How many hold the buffer.
    SkbUsers = "sk_buff", "users";
    /// The device; its meaning depends on where the packet is.
    SkbDev = "sk_buff", "dev";
    /// Index of the device the packet came in by.
    SkbIif = "sk_buff", "skb_iif";
    /// The route, with a flag in the lowest bit.
    SkbRefdst = "sk_buff", "_skb_refdst";
    /// The connection in connection tracking, with its state in the lowest three bits.
    SkbNfct = "sk_buff", "_nfct";
    /// The protocol's private area; `tcp_skb_cb` begins with the sequence numbers.
    SkbCb = "sk_buff", "cb";
    /// Payload bytes in each segment of a GSO packet.
    SharedGsoSize = "skb_shared_info", "gso_size";
    /// What kinds of segmentation a GSO packet needs.
    SharedGsoType = "skb_shared_info", "gso_type";
    /// MTU of the device, bytes.
    DevMtu = "net_device", "mtu";
    /// Interface index of the device.
    DevIfindex = "net_device", "ifindex";
    /// The network namespace (`possible_net_t`, a pointer where namespaces are configured).
    DevNet = "net_device", "nd_net";
    /// What kind of device it is; null for physical ones.
    DevLinkOps = "net_device", "rtnl_link_ops";
    /// The driver's private area (6.12 and later; before, it follows the structure).
    DevPriv = "net_device", "priv";
    /// Name of the device kind, such as `veth`.
    LinkOpsKind = "rtnl_link_ops", "kind";
    /// Inode of the namespace, inside `ns_common`.
    NetNs = "net", "ns";
    /// Inode number inside `ns_common`.
    NsInum = "ns_common", "inum";
    /// Unique number of the namespace for this boot.
    NetCookie = "net", "net_cookie";
    /// Device that the route leads to.
    DstDev = "dst_entry", "dev";
    /// The route's metrics, with flags in the lowest two bits.
    DstMetrics = "dst_entry", "_metrics";
    /// What becomes of a received packet on this route.
    DstInput = "dst_entry", "input";
    /// Address family of the socket.
    SockFamily = "sock_common", "skc_family";
    /// TCP state of the socket.
    SockState = "sock_common", "skc_state";
    /// Local port, network byte order. Unlike `skc_num` it is still there at the close
    /// (`inet_put_port` clears that one first).
    InetSport = "inet_sock", "inet_sport";
    /// Remote port, network byte order.
    SockDport = "sock_common", "skc_dport";
    /// Local address of an IPv4 socket.
    SockRcvSaddr = "sock_common", "skc_rcv_saddr";
    /// Remote address of an IPv4 socket.
    SockDaddr = "sock_common", "skc_daddr";
    /// Local address of an IPv6 socket.
    SockV6RcvSaddr = "sock_common", "skc_v6_rcv_saddr";
    /// Remote address of an IPv6 socket.
    SockV6Daddr = "sock_common", "skc_v6_daddr";
    /// The socket's network namespace.
    SockNet = "sock_common", "skc_net";
    /// Transport protocol of the socket.
    SockProtocol = "sock", "sk_protocol";
    /// The error the application will see.
    SockErr = "sock", "sk_err";
    /// Timeouts in a row without an acknowledgement.
    IcskRetransmits = "inet_connection_sock", "icsk_retransmits";
    /// Doublings of the retransmission timeout.
    IcskBackoff = "inet_connection_sock", "icsk_backoff";
    /// Congestion control state, a bit field of five bits.
    IcskCaState = "inet_connection_sock", "icsk_ca_state";
    /// The path MTU the sender works with.
    IcskPmtuCookie = "inet_connection_sock", "icsk_pmtu_cookie";
    /// Segment size in use.
    TcpMssCache = "tcp_sock", "mss_cache";
    /// First byte sent and not acknowledged.
    TcpSndUna = "tcp_sock", "snd_una";
    /// Next byte to send.
    TcpSndNxt = "tcp_sock", "snd_nxt";
    /// Sequence number of the next byte expected.
    TcpRcvNxt = "tcp_sock", "rcv_nxt";
    /// Bytes acknowledged by the peer over the connection's life.
    TcpBytesAcked = "tcp_sock", "bytes_acked";
    /// Bytes received in order over the connection's life.
    TcpBytesReceived = "tcp_sock", "bytes_received";
    /// The MTU that the latest ICMP error about a segment told.
    TcpMtuInfo = "tcp_sock", "mtu_info";
    /// Destination of a flow to route.
    Flowi4Daddr = "flowi4", "daddr";
    /// Number of segments in flight.
    TcpPacketsOut = "tcp_sock", "packets_out";
    /// Segments the peer holds out of order.
    TcpSackedOut = "tcp_sock", "sacked_out";
}

/// Sizes and positions that are not members but are resolved the same way.
pub mod extra {
    use super::MEMBERS;

    /// Index of the `enum skb_drop_reason` argument of `kfree_skb`, or [`super::ABSENT`].
    pub const KFREE_SKB_REASON_ARG: usize = MEMBERS.len();
    /// Distance from a `net_device` to its private area.
    pub const NETDEV_PRIV: usize = MEMBERS.len() + 1;
    /// Offset of `peer` in `veth_priv`.
    pub const VETH_PRIV_PEER: usize = MEMBERS.len() + 2;
    /// The drop reason of what is freed without being dropped, or [`super::ABSENT`].
    pub const CONSUMED: usize = MEMBERS.len() + 3;
    /// Entries in the whole table.
    pub const TABLE_LEN: usize = MEMBERS.len() + 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_order_is_the_variant_order() {
        for (index, (member, ..)) in MEMBERS.iter().enumerate() {
            assert_eq!(*member as usize, index);
        }
    }
}
