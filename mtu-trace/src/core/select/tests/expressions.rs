//! What expressions mean, and what is said of those that mean nothing.

use crate::core::select::tests::{holds, subject};
use crate::core::select::*;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A connection behind NAT, downloading: data comes from port 443.
fn download() -> Subject {
    subject(&[
        (TCP, "198.51.100.9:443", "192.0.2.2:40000"),
        (TCP, "198.51.100.9:443", "203.0.113.1:61000"),
    ])
}

#[track_caller]
fn all_hold(filters: &[&str], of: &Subject) {
    for filter in filters {
        assert!(holds(filter, of), "{filter}");
    }
}

#[track_caller]
fn none_holds(filters: &[&str], of: &Subject) {
    for filter in filters {
        assert!(!holds(filter, of), "{filter}");
    }
}

#[test]
fn hosts_networks_and_ports_of_any_tuple() {
    let fits = [
        "host 192.0.2.2",
        "host 203.0.113.1",
        "net 192.0.2.0/24",
        "net 192.0.2.99/24",
        "net 0.0.0.0/0",
        "port 443",
        "port 61000",
        "portrange 400-500",
        "portrange 443-443",
        "host 192.0.2.2 and port 61000",
    ];
    all_hold(&fits, &download());
    let others = [
        "host 192.0.2.3",
        "net 192.0.2.2/31 and host 192.0.2.4",
        "net 192.0.3.0/24",
        "net ::/0",
        "port 80",
        "portrange 444-500",
    ];
    none_holds(&others, &download());
}

#[test]
fn source_is_where_the_data_comes_from() {
    let fits = [
        "src port 443",
        "src host 198.51.100.9",
        "src 198.51.100.9",
        "dst net 192.0.2.0/24",
        "dst portrange 60000-62000",
    ];
    all_hold(&fits, &download());
    none_holds(&["dst port 443", "src host 192.0.2.2"], &download());
}

#[test]
fn protocols_stand_alone_and_before_a_question() {
    all_hold(
        &["tcp", "ip", "tcp port 443", "ip host 192.0.2.2"],
        &download(),
    );
    none_holds(&["udp", "ip6", "icmp", "udp port 443"], &download());
    let query = subject(&[(UDP, "[2001:db8::1]:5000", "[2001:db8::53]:53")]);
    let fits = [
        "udp",
        "ip6",
        "udp dst port 53",
        "ip6 net 2001:db8::/32",
        "ip6 and udp",
    ];
    all_hold(&fits, &query);
    none_holds(&["tcp", "ip", "icmp6", "net 0.0.0.0/0"], &query);
}

#[test]
fn protocol_and_port_are_asked_of_one_tuple() {
    let both = subject(&[
        (TCP, "192.0.2.1:1", "192.0.2.2:80"),
        (UDP, "192.0.2.1:2", "192.0.2.2:53"),
    ]);
    assert!(holds("tcp and port 53", &both));
    assert!(!holds("tcp port 53", &both));
}

#[test]
fn messages_about_a_connection_are_its_own() {
    let mut told = download();
    assert!(!holds("icmp", &told));
    told.icmp = true;
    all_hold(
        &["icmp", "icmp and tcp port 443", "icmp host 192.0.2.2"],
        &told,
    );
    none_holds(&["icmp6", "not icmp", "icmp host 192.0.2.3"], &told);
    let mut told = subject(&[(TCP, "[2001:db8::1]:1", "[2001:db8::2]:2")]);
    told.icmp = true;
    assert!(holds("icmp6", &told) && !holds("icmp", &told));
    let message = subject(&[(1, "192.0.2.1:0", "192.0.2.2:0")]);
    assert!(holds("icmp and not tcp", &message));
}

#[test]
fn mapped_addresses_are_ipv4() {
    let socket = subject(&[(TCP, "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:80")]);
    all_hold(&["ip", "host 192.0.2.1", "net 192.0.2.0/24"], &socket);
    assert!(holds("host ::ffff:192.0.2.1", &socket) && !holds("ip6", &socket));
}

#[test]
fn not_excludes_what_is_so_anywhere() {
    none_holds(&["not host 203.0.113.1", "! port 443"], &download());
    all_hold(
        &["not host 203.0.113.2", "!port 80", "not not port 443"],
        &download(),
    );
}

#[test]
fn and_and_or_go_from_left_to_right() {
    // As pcap-filter(7) has it: (port 443 or port 80) and udp.
    none_holds(&["port 443 or port 80 and udp"], &download());
    all_hold(
        &[
            "port 443 or (port 80 and udp)",
            "udp and port 80 or port 443",
            "not udp and port 443",
            "not (udp or port 80)",
        ],
        &download(),
    );
}

#[test]
fn signs_are_words_and_need_no_spaces() {
    all_hold(
        &[
            "(tcp)&&(port 443||port 80)",
            "!udp&&!(port 80)",
            "\ttcp  and\nport 443 ",
        ],
        &download(),
    );
}

#[test]
fn a_value_alone_takes_the_words_before_the_last_one() {
    all_hold(
        &[
            "port 80 or 443",
            "tcp src port 80 or 443",
            "host 192.0.2.9 or 192.0.2.2",
            "not port 80 and 443",
            "net 10.0.0.0/8 or 192.0.2.0/24",
        ],
        &download(),
    );
    none_holds(&["dst port 80 or 443", "udp port 80 or 443"], &download());
}

/// The column and a part of what is said there.
#[track_caller]
fn refused(filter: &str, column: usize, says: &str) {
    let error = Filter::parse(filter).expect_err(filter);
    let shown = error.pointed();
    assert_eq!(error.column, column, "{shown}");
    assert!(shown.contains(says), "{says} is not in: {shown}");
    assert_eq!(shown.lines().count(), 3, "{shown}");
}

#[test]
fn errors_point_at_the_word() {
    refused("docker build .", 1, "`docker`: the filter knows host, net");
    refused("port 80 and greater 100", 13, "`greater`: the filter knows");
    refused("port 80 port 443", 9, "expected and, or");
    refused("port 80 and", 12, "it ends here");
    refused("port", 5, "it ends here; port takes a number");
    refused("port http", 6, "`http`: port takes a number");
    refused("port 65536", 6, "0 to 65535");
    refused("port +80", 6, "port takes a number");
    refused("port 80-90", 6, "write portrange");
    refused("portrange 90-80", 11, "the lower first");
    refused("port and 80", 6, "`and`: port takes a number");
    refused("host example.org", 6, "names are not looked up");
    refused("host 10.0.0.0/8", 6, "write net");
    refused("net 10.0.0.0", 5, "net takes a network");
    refused("net 10.0.0.0/33", 5, "0 to 32 bits");
    refused("net 2001:db8::/129", 5, "0 to 128 bits");
    refused("ip6 host 192.0.2.1", 10, "192.0.2.1 is no IPv6 address");
    refused("icmp port 80", 11, "no ports");
    refused("src", 4, "src and dst need host");
    refused("src or dst port 80", 5, "src and dst need host");
    refused("(port 80", 9, "closing parenthesis");
    refused("(port 80 tcp", 10, "closing parenthesis");
    refused("port 80)", 8, "no parenthesis is open");
    refused("()", 2, "the filter knows");
    refused("tcp & udp", 5, "write and");
    refused("tcp | udp", 5, "write or");
    refused("80", 1, "the filter knows");
    refused("größe 80", 1, "größe");
}

#[test]
fn the_mark_is_under_the_word() {
    let error = Filter::parse("tcp and prot 80").expect_err("a misspelt word");
    let shown = error.pointed();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1], "  tcp and prot 80");
    assert_eq!(lines[2], "          ^");
}

#[test]
fn a_long_filter_is_shown_around_the_error() {
    let long = "port 80 or ".repeat(1000) + "\u{1b}[2J";
    let shown = Filter::parse(&long).expect_err("no word").pointed();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert!(shown.lines().all(|line| line.len() < 400), "{shown}");
}
