//! Changes to CBOR that leave it CBOR: other numbers, other names, more or less of a list.

use cbor4ii::core::Value;
use cbor4ii::core::dec::Decode as _;
use cbor4ii::core::enc::Encode as _;
use cbor4ii::core::utils::{BufWriter, SliceReader};
use fastrand::Rng;

/// Numbers at which something may change.
const NUMBERS: [i128; 24] = [
    0,
    1,
    2,
    4,
    6,
    17,
    20,
    28,
    40,
    68,
    576,
    1280,
    1449,
    1450,
    1500,
    65_535,
    65_536,
    1_000_000_000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    -1,
    -0x8000_0000_0000_0000,
];

/// Texts that may do something where they are shown.
const TEXTS: [&str; 6] = [
    "",
    "\u{1b}]0;title\u{7}",
    "a\nb\r\tc",
    "\u{202e}drow",
    "'; $(reboot) `x` | \"y\" \\",
    "eth0",
];

/// Most of a list that is repeated at once.
const MOST_COPIES: usize = 64;

/// The one item that bytes begin with.
#[must_use]
pub fn decoded(bytes: &[u8]) -> Option<Value> {
    Value::decode(&mut SliceReader::new(bytes)).ok()
}

/// An item's bytes.
#[must_use]
pub fn encoded(value: &Value) -> Vec<u8> {
    let mut to = BufWriter::new(Vec::new());
    // Writing to memory fails only where there is none.
    let _ = value.encode(&mut to);
    to.into_inner()
}

/// Changes something in an item; `mutate` changes bytes.
pub fn change(value: &mut Value, rng: &mut Rng, mutate: &mut dyn FnMut(&mut Vec<u8>)) {
    for _ in 0..rng.usize(1..=3) {
        let count = count(value);
        let other = nth(value, &mut rng.usize(..count)).cloned();
        if let Some(found) = nth_mut(value, &mut rng.usize(..count)) {
            change_one(found, other.unwrap_or(Value::Null), rng, mutate);
        }
    }
}

fn change_one(
    value: &mut Value,
    other: Value,
    rng: &mut Rng,
    mutate: &mut dyn FnMut(&mut Vec<u8>),
) {
    if rng.u8(..16) == 0 {
        *value = if rng.bool() { other } else { Value::Null };
        return;
    }
    match value {
        Value::Bool(bool) => *bool = !*bool,
        Value::Integer(integer) => *integer = number(*integer, &other, rng, mutate),
        Value::Text(text) => match rng.u8(..4) {
            0 => TEXTS[rng.usize(..TEXTS.len())].clone_into(text),
            1 => match other {
                Value::Text(other) => *text = other,
                _ => *text = text.repeat(rng.usize(1..9)),
            },
            _ => {
                let mut bytes = std::mem::take(text).into_bytes();
                mutate(&mut bytes);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
        },
        Value::Bytes(bytes) => mutate(bytes),
        Value::Array(items) => change_list(items, other, rng),
        Value::Map(entries) => {
            let key = entries.get(rng.usize(..=entries.len())).map(|(key, _)| key);
            let key = key.cloned().unwrap_or(Value::Text("x".to_owned()));
            // A number is a key of something that has many.
            let key = match key {
                Value::Integer(integer) => {
                    Value::Integer(number(integer, &Value::Null, rng, mutate))
                }
                other => other,
            };
            change_list(entries, (key, other), rng);
        }
        other_kind => *other_kind = other,
    }
}

fn number(
    number: i128,
    other: &Value,
    rng: &mut Rng,
    mutate: &mut dyn FnMut(&mut Vec<u8>),
) -> i128 {
    match (rng.u8(..5), other) {
        (0, _) => number + i128::from(rng.i8(..)),
        (1, _) => NUMBERS[rng.usize(..NUMBERS.len())],
        (2, Value::Integer(other)) => *other,
        (3, _) => i128::from(rng.u64(..) >> rng.u32(..64)),
        _ => {
            // libFuzzer knows what numbers were compared with.
            let mut bytes = (number as u64).to_le_bytes().to_vec();
            mutate(&mut bytes);
            bytes.resize(8, 0);
            i128::from(u64::from_le_bytes(bytes.try_into().unwrap_or_default()))
        }
    }
}

fn change_list<T: Clone>(items: &mut Vec<T>, other: T, rng: &mut Rng) {
    let at = rng.usize(..=items.len());
    match rng.u8(..6) {
        0 => items.insert(at, other),
        1 if !items.is_empty() => {
            items.remove(at.min(items.len() - 1));
        }
        2 if !items.is_empty() => {
            let copy = items[at.min(items.len() - 1)].clone();
            items.insert(at, copy);
        }
        3 if !items.is_empty() => {
            let (at, with) = (at.min(items.len() - 1), rng.usize(..items.len()));
            items.swap(at, with);
        }
        4 => items.truncate(at),
        _ => {
            let copies = rng.usize(..MOST_COPIES);
            let from = items.iter().skip(at).chain(std::iter::once(&other));
            let more: Vec<T> = from.take(8).cloned().collect();
            items.extend(more.into_iter().cycle().take(copies));
        }
    }
}

/// How many items there are, all told.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
        Value::Tag(_, inner) => count(inner),
        _ => 0,
    }
}

/// The item with this number, counted as they are written.
fn nth<'a>(value: &'a Value, number: &mut usize) -> Option<&'a Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter().find_map(|item| nth(item, number)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| nth(value, number)),
        Value::Tag(_, inner) => nth(inner, number),
        _ => None,
    }
}

fn nth_mut<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth_mut(item, number)),
        Value::Map(entries) => entries
            .iter_mut()
            .find_map(|(_, value)| nth_mut(value, number)),
        Value::Tag(_, inner) => nth_mut(inner, number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let list = Value::Array(vec![Value::Integer(1), Value::Bool(true), text("a")]);
        Value::Map(vec![
            (text("list"), list),
            (text("none"), Value::Null),
            (text("bytes"), Value::Bytes(vec![1, 2])),
        ])
    }

    #[test]
    fn each_item_has_its_number() {
        let mut item = item();
        assert_eq!(count(&item), 7);
        let found: Vec<Value> = (0..7)
            .map(|number| nth(&item, &mut { number }).unwrap().clone())
            .collect();
        assert_eq!(found[0], item);
        assert_eq!(found[4], Value::Text("a".to_owned()));
        assert_eq!(found[6], Value::Bytes(vec![1, 2]));
        assert_eq!(nth(&item, &mut 7), None);
        for (number, found) in found.iter().enumerate() {
            assert_eq!(nth_mut(&mut item, &mut { number }).unwrap(), found);
        }
    }

    #[test]
    fn changed_items_are_items_and_seldom_the_same() {
        let mut rng = Rng::with_seed(1);
        let mut same = 0;
        for _ in 0..1000 {
            let mut changed = item();
            change(&mut changed, &mut rng, &mut |bytes| bytes.push(b'x'));
            assert_eq!(decoded(&encoded(&changed)), Some(changed.clone()));
            same += u32::from(changed == item());
        }
        assert!(same < 100, "{same}");
    }
}
