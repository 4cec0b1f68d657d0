//! Modules of one layer that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;

use super::layers::{LAYERS, Map, layer, mentions};
use super::source::{Crate, Offence};

/// Every circle of uses between the modules of one layer. A layer's own module is left out: it puts
/// its children together, and holds what they share.
pub fn circles(crates: &[Crate]) -> Vec<Offence> {
    let product = crates.iter().find(|it| it.name == "mtu-trace").unwrap();
    let map = Map::new(product);
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in product.product() {
        let Some(own) = part(&module.name()) else {
            continue;
        };
        let homes = mentions(module).into_iter();
        let homes = homes.filter_map(|mention| part(&map.home(&mention.path, 0)?));
        let others = homes.filter(|other| *other != own && layer(other) == layer(&own));
        uses.entry(own.clone()).or_default().extend(others);
    }
    let root = product.modules.last().unwrap();
    let circles = strongly_connected(&uses).into_iter();
    circles
        .map(|circle| {
            root.offence(
                Span::call_site(),
                format!("in a circle: {}", circle.join(", ")),
            )
        })
        .collect()
}

/// The part of a layer that a module is: the layer's child that holds it, `None` for a layer's own
/// module and for what is in no layer.
fn part(module: &str) -> Option<String> {
    let layer = LAYERS[layer(module)?];
    let child = module.strip_prefix(layer)?.strip_prefix("::")?;
    let child = child.split("::").next()?;
    Some(format!("{layer}::{child}"))
}

/// The groups of two or more that all lead to each other.
fn strongly_connected(uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = uses
        .keys()
        .map(|start| {
            let (mut seen, mut queue) = (BTreeSet::new(), vec![start]);
            while let Some(next) = queue.pop() {
                queue.extend(
                    uses.get(next)
                        .into_iter()
                        .flatten()
                        .filter(|it| seen.insert(*it)),
                );
            }
            (start, seen)
        })
        .collect();
    let group = |start: &&String| {
        let back = |other: &&&String| reached.get(**other).is_some_and(|it| it.contains(*start));
        let group = reached[*start].iter().filter(back);
        group.map(|it| (*it).clone()).collect::<Vec<_>>()
    };
    let groups = reached.keys().map(group);
    groups.filter(|group| group.len() > 1).collect()
}

#[test]
fn circles_are_found() {
    let uses = [
        ("a", vec!["b"]),
        ("b", vec!["c", "d"]),
        ("c", vec!["a"]),
        ("d", vec![]),
    ];
    let owned = |word: &str| word.to_owned();
    let uses = uses.map(|(name, uses)| (owned(name), uses.into_iter().map(owned).collect()));
    let circle = ["a", "b", "c"].map(owned).to_vec();
    assert_eq!(strongly_connected(&uses.into()), BTreeSet::from([circle]));
    let parts = ["core::track::state::older", "core::track", "core"].map(part);
    assert_eq!(parts, [Some(owned("core::track::state")), None, None]);
}
