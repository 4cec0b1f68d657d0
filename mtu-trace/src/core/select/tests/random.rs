//! Whatever is given as a filter: an answer or an error, and never more of the stack than there is.

use std::thread;

use proptest::prelude::*;

use crate::core::select::tests::{holds, subject};
use crate::core::select::*;

/// A stack on which any recursion along the input would show.
const SMALL_STACK: usize = 512 << 10;

fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::Builder::new().stack_size(SMALL_STACK).spawn(work);
    thread.expect("a thread").join().expect("no overflow")
}

#[test]
fn deep_nesting_is_refused() {
    for depth in [101, 1_000_000] {
        let text = "(".repeat(depth) + "tcp" + &")".repeat(depth);
        let column = on_a_small_stack(move || Filter::parse(&text).map_err(|error| error.column));
        assert_eq!(column.err(), Some(101), "{depth} parentheses");
    }
    let text = "not (".repeat(100) + "tcp" + &")".repeat(100);
    let tcp = subject(&[(6, "192.0.2.1:1", "192.0.2.2:2")]);
    assert!(on_a_small_stack(move || holds(&text, &tcp)));
}

#[test]
fn long_expressions_are_taken() {
    let tcp = subject(&[(6, "192.0.2.1:1", "192.0.2.2:2")]);
    let many = "udp or ".repeat(200_000) + "tcp";
    let odd = "not ".repeat(500_001) + "tcp";
    let both = on_a_small_stack(move || (holds(&many, &tcp), holds(&odd, &tcp)));
    assert_eq!(both, (true, false));
}

/// An expression as a tree.
#[derive(Clone, Debug)]
enum Tree {
    Port(u16),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Port(port) => format!("port {port}"),
            Self::Not(tree) => format!("not ({})", tree.text()),
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({})||({})", a.text(), b.text()),
        }
    }

    fn holds(&self, ports: [u16; 2]) -> bool {
        match self {
            Self::Port(port) => ports.contains(port),
            Self::Not(tree) => !tree.holds(ports),
            Self::And(a, b) => a.holds(ports) && b.holds(ports),
            Self::Or(a, b) => a.holds(ports) || b.holds(ports),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    (0..4u16)
        .prop_map(Tree::Port)
        .prop_recursive(6, 64, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                inner.prop_map(|tree| Tree::Not(Box::new(tree))),
                two.clone()
                    .prop_map(|(a, b)| Tree::And(Box::new(a), Box::new(b))),
                two.prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
            ]
        })
}

/// Words of the language and some that are not, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "host",
        "net",
        "port",
        "portrange",
        "src",
        "dst",
        "tcp",
        "udp",
        "icmp",
        "icmp6",
        "ip",
        "ip6",
        "and",
        "or",
        "not",
        "(",
        ")",
        "!",
        "&&",
        "||",
        "&",
        "|",
        "80",
        "1-2",
        "0-65536",
        "10.0.0.0/8",
        "192.0.2.1",
        "::1",
        "::/0",
        "1.2.3.4/99",
        "-",
        "ß",
        "é:1",
        "",
    ]);
    (
        prop::collection::vec(words, 0..40),
        prop_oneof![Just(" "), Just("")],
    )
        .prop_map(|(words, between)| words.join(between))
}

fn answers(text: &str) -> Result<(), TestCaseError> {
    let connection = subject(&[(6, "192.0.2.1:80", "192.0.2.2:2")]);
    match Filter::parse(text) {
        Ok(filter) => {
            filter.holds(&connection);
        }
        Err(error) => {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
            prop_assert_eq!(error.pointed().lines().count(), 3);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        answers(&text)?;
    }

    #[test]
    fn any_order_of_words_has_an_answer(text in soup()) {
        answers(&text)?;
    }

    #[test]
    fn expressions_mean_what_they_say(tree in trees(), ports in [0..4u16, 0..4u16]) {
        let [source, destination] = ports.map(|port| format!("192.0.2.1:{port}"));
        let connection = subject(&[(6, &source, &destination)]);
        prop_assert_eq!(holds(&tree.text(), &connection), tree.holds(ports));
    }
}
