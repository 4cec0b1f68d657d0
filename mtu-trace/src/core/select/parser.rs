//! Reads filter expressions: a part of the language of pcap-filter(7), by recursive descent.
//!
//! By hand, not with a parser library: the language is a handful of words, and what costs lines is
//! what no library has, to say in each place what could stand there, and to let an address after `or`
//! inherit the words before the last one.
//!
//! ```text
//! expression = operand { ("and" | "or") operand }          equal precedence, from left to right
//! operand    = { "not" } ( "(" expression ")" | question )
//! question   = [protocol] [ ["src" | "dst"] ["host" | "net" | "port" | "portrange"] value ]
//! protocol   = "ip" | "ip6" | "tcp" | "udp" | "icmp" | "icmp6"
//! ```

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::base::text::printable;
use crate::core::select::expression::{
    DirectionQualifier, EndMatch, Filter, PostfixItem, Primitive, ProtocolQualifier,
};

/// Parentheses open at once. A choice: far more than anybody needs, and far less than the stack has
/// room for.
const MOST_NESTED: usize = 100;

/// The whole language in a sentence, for an expression that is none of it.
const KNOWN: &str = "the filter knows host, net, port, portrange, src, dst, tcp, udp, icmp, icmp6, ip, \
                     ip6, and, or, not and parentheses (a command to record goes after --)";

/// Columns of a filter that are shown before and behind the place of an error. A choice: both fit on a
/// terminal of 80.
const SHOWN: usize = 40;

/// A filter that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter is not understood at column {column}: {problem}")]
pub struct FilterError {
    text: String,
    /// The place of the error, in characters, from 1.
    pub column: usize,
    problem: String,
}

impl FilterError {
    fn new(text: &str, column: usize, problem: String) -> Self {
        Self {
            text: text.to_owned(),
            column,
            problem,
        }
    }

    /// What is wrong, and the filter with a mark under the place: three lines.
    #[must_use]
    pub fn pointed(&self) -> String {
        let before = self.column - 1;
        let skipped = before.saturating_sub(SHOWN);
        let mark = before - skipped;
        let visible = |c: char| if c.is_control() { '?' } else { c };
        let near = self.text.chars().skip(skipped).take(mark + SHOWN);
        let shown: String = near.map(visible).collect();
        format!("{self}\n  {shown}\n  {:mark$}^", "")
    }
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// It is not of the language that `docs/filters.md` describes; the error tells where.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser {
            text,
            words: &words(text)?,
            steps: Vec::new(),
            before: None,
        };
        parser.expression(0)?;
        match parser.next() {
            "" => Ok(Self(parser.steps)),
            ")" => Err(parser.wrong("no parenthesis is open that this one could close")),
            _ => Err(parser.wrong("expected and, or, or the end of the filter")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The words that are still to be read.
    words: &'a [Word<'a>],
    /// The expression as far as it was read, in postfix order.
    steps: Vec<PostfixItem>,
    /// The words before the latest value, which a bare value inherits: `port 80 or 443`.
    before: Option<(Primitive, TypeQualifier)>,
}

/// What kind of value follows, as `pcap-filter(7)` names it.
#[derive(Clone, Copy)]
enum TypeQualifier {
    Host,
    Net,
    Port,
    PortRange,
}

impl<'a> Parser<'a> {
    fn expression(&mut self, nested: usize) -> Result<(), FilterError> {
        self.operand(nested)?;
        loop {
            let step = match self.next() {
                "and" => PostfixItem::And,
                "or" => PostfixItem::Or,
                _ => return Ok(()),
            };
            self.skip();
            self.operand(nested)?;
            self.steps.push(step);
        }
    }

    fn operand(&mut self, nested: usize) -> Result<(), FilterError> {
        let mut negated = false;
        while self.next() == "not" {
            self.skip();
            negated = !negated;
        }
        if self.next() == "(" {
            if nested == MOST_NESTED {
                return Err(self.wrong(&format!(
                    "more than {MOST_NESTED} parentheses are open here"
                )));
            }
            self.skip();
            self.expression(nested + 1)?;
            if self.next() != ")" {
                return Err(self.wrong("expected and, or, or a closing parenthesis"));
            }
            self.skip();
        } else {
            let test = self.question()?;
            self.steps.push(PostfixItem::Primitive(test));
        }
        if negated {
            self.steps.push(PostfixItem::Not);
        }
        Ok(())
    }

    fn question(&mut self) -> Result<Primitive, FilterError> {
        if let (Some(value), Some(before)) = (self.value(), self.before) {
            return self.asked(before, value);
        }
        let protocol = self.take(&[
            ("ip", ProtocolQualifier::Ip),
            ("ip6", ProtocolQualifier::Ip6),
            ("tcp", ProtocolQualifier::Tcp),
            ("udp", ProtocolQualifier::Udp),
            ("icmp", ProtocolQualifier::Icmp),
            ("icmp6", ProtocolQualifier::Icmp6),
        ]);
        let direction = self.take(&[
            ("src", DirectionQualifier::Source),
            ("dst", DirectionQualifier::Destination),
        ]);
        let kind = self.take(&[
            ("host", TypeQualifier::Host),
            ("net", TypeQualifier::Net),
            ("port", TypeQualifier::Port),
            ("portrange", TypeQualifier::PortRange),
        ]);
        let test = Primitive {
            protocol,
            direction,
            wanted: None,
        };
        let kind = match (kind, direction, protocol) {
            (Some(kind), ..) => kind,
            // As pcap has it: an address without a kind is a host's.
            (None, Some(_), _) if self.value().is_some() => TypeQualifier::Host,
            (None, Some(_), _) => {
                return Err(self.wrong("src and dst need host, net, port or portrange behind them"));
            }
            (None, None, Some(_)) => return Ok(test),
            (None, None, None) => return Err(self.wrong(KNOWN)),
        };
        match self.next() {
            "" | "(" | ")" | "not" | "and" | "or" => Err(self.wrong(kind.wants())),
            value => self.asked((test, kind), value),
        }
    }

    /// The question for a value, which is next.
    fn asked(
        &mut self,
        (test, kind): (Primitive, TypeQualifier),
        value: &'a str,
    ) -> Result<Primitive, FilterError> {
        let wanted = wanted(kind, value).map_err(|problem| self.wrong(&problem))?;
        let address = match wanted {
            EndMatch::Net(net) => Some(net.addr()),
            EndMatch::Ports(..) => None,
        };
        let ipv4 = match test.protocol {
            Some(ProtocolQualifier::Icmp | ProtocolQualifier::Icmp6) if address.is_none() => {
                return Err(self.wrong("ICMP messages have no ports"));
            }
            Some(ProtocolQualifier::Ip | ProtocolQualifier::Icmp) => Some(true),
            Some(ProtocolQualifier::Ip6 | ProtocolQualifier::Icmp6) => Some(false),
            Some(ProtocolQualifier::Tcp | ProtocolQualifier::Udp) | None => None,
        };
        if let (Some(ipv4), Some(address)) = (ipv4, address)
            && address.is_ipv4() != ipv4
        {
            let version = if ipv4 { "IPv4" } else { "IPv6" };
            return Err(self.wrong(&format!("{value} is no {version} address")));
        }
        self.skip();
        self.before = Some((test, kind));
        Ok(Primitive {
            wanted: Some(wanted),
            ..test
        })
    }

    /// The next word if it is a value, as addresses and numbers are: none begins with a letter that
    /// has no digit or colon behind it.
    fn value(&self) -> Option<&'a str> {
        let is_value = |word: &&str| {
            word.contains(|c: char| c == ':' || c.is_ascii_digit())
                && !matches!(*word, "ip6" | "icmp6")
        };
        Some(self.next()).filter(is_value)
    }

    /// The meaning of the next word, if it is one of these.
    fn take<T: Copy>(&mut self, known: &[(&str, T)]) -> Option<T> {
        let next = self.next();
        let &(_, meaning) = known.iter().find(|(word, _)| *word == next)?;
        self.skip();
        Some(meaning)
    }

    /// The next word, which is empty at the end.
    fn next(&self) -> &'a str {
        self.words.first().map_or("", |word| word.text)
    }

    fn skip(&mut self) {
        self.words = self.words.get(1..).unwrap_or_default();
    }

    /// The error at the next word, or at the end.
    fn wrong(&self, problem: &str) -> FilterError {
        let Some(word) = self.words.first() else {
            let end = self.text.trim_end().chars().count() + 1;
            return FilterError::new(self.text, end, format!("it ends here; {problem}"));
        };
        let name = printable(word.text.as_bytes());
        FilterError::new(self.text, word.column, format!("`{name}`: {problem}"))
    }
}

impl TypeQualifier {
    fn wants(self) -> &'static str {
        match self {
            Self::Host => "host takes an IP address; names are not looked up",
            Self::Net => "net takes a network such as 10.0.0.0/8 or 2001:db8::/32",
            Self::Port => "port takes a number from 0 to 65535; names are not looked up",
            Self::PortRange => "portrange takes two numbers such as 8000-8080, the lower first",
        }
    }
}

fn wanted(kind: TypeQualifier, value: &str) -> Result<EndMatch, String> {
    let otherwise = || kind.wants().to_owned();
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| otherwise());
    let range = value.split_once('-');
    let range = range.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match kind {
        TypeQualifier::Host if value.contains('/') => {
            Err("this is a network: write net instead of host".to_owned())
        }
        TypeQualifier::Host => Ok(EndMatch::Net(address(value)?.to_canonical().into())),
        TypeQualifier::Net => {
            let (first, length) = value.split_once('/').ok_or_else(otherwise)?;
            let address = address(first)?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let net = number(length).and_then(|length| IpNet::new(address, length).ok());
            net.map(EndMatch::Net)
                .ok_or_else(|| format!("the prefix of this network has 0 to {most} bits"))
        }
        TypeQualifier::Port if range.is_some() => {
            Err("this is a range: write portrange instead of port".to_owned())
        }
        TypeQualifier::Port => number(value)
            .map(|port| EndMatch::Ports(port, port))
            .ok_or_else(otherwise),
        TypeQualifier::PortRange => range
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| EndMatch::Ports(first, last))
            .ok_or_else(otherwise),
    }
}

/// A number in digits alone: `parse` takes a sign too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A word of an expression; a sign that stands for one is that word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    /// The place where it begins, in characters, from 1.
    column: usize,
    text: &'a str,
}

/// Takes an expression apart into its words.
fn words(text: &str) -> Result<Vec<Word<'_>>, FilterError> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (word, bytes) = match first {
            '(' => ("(", 1),
            ')' => (")", 1),
            '!' => ("not", 1),
            '&' if rest.starts_with("&&") => ("and", 2),
            '|' if rest.starts_with("||") => ("or", 2),
            '&' | '|' => {
                let word = if first == '&' { "and" } else { "or" };
                let problem = format!("`{first}` means nothing here; write {word}");
                return Err(FilterError::new(text, column, problem));
            }
            space if space.is_whitespace() => ("", space.len_utf8()),
            _ => {
                let ends = |c: char| c.is_whitespace() || "()!&|".contains(c);
                let bytes = rest.find(ends).unwrap_or(rest.len());
                (&rest[..bytes], bytes)
            }
        };
        if !word.is_empty() {
            words.push(Word { column, text: word });
        }
        column += rest[..bytes].chars().count();
        rest = &rest[bytes..];
    }
    Ok(words)
}
