//! What things are called, and what is said of them.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::{
    Attribute, Expr, Field, Fields, ImplItem, Item, Lit, Meta, TraitItem, Variant, Visibility,
};

use super::source::{Crate, Module, Offence, is_for_tests, is_seen};

/// A comment with fewer words is no sentence.
const FEWEST_WORDS: usize = 4;
/// What clap derives: there a doc comment is the help that users read.
const CLAP: [&str; 5] = ["Args", "Parser", "Subcommand", "ValueEnum", "clap"];

/// Types of one name that more than one module shows to others.
pub fn with_two_meanings(crates: &[Crate]) -> Vec<Offence> {
    let mut homes: BTreeMap<String, Vec<Offence>> = BTreeMap::new();
    for it in crates {
        for module in it.product() {
            for item in &module.items {
                if let Some((name, at)) = shown_type(item) {
                    let what = format!("type {name} in {} {}", it.name, module.name());
                    let of_name = homes.entry(name).or_default();
                    // Variants of one type for different targets are one.
                    if of_name.iter().all(|home| home.what != what) {
                        of_name.push(module.offence(at, what));
                    }
                }
            }
        }
    }
    let several = homes.into_values().filter(|homes| homes.len() > 1);
    several.flatten().collect()
}

/// The name of a type that others can see.
fn shown_type(item: &Item) -> Option<(String, Span)> {
    let (ident, visibility, attributes) = match item {
        Item::Enum(item) => (&item.ident, &item.vis, &item.attrs),
        Item::Struct(item) => (&item.ident, &item.vis, &item.attrs),
        Item::Trait(item) => (&item.ident, &item.vis, &item.attrs),
        Item::Type(item) => (&item.ident, &item.vis, &item.attrs),
        Item::Union(item) => (&item.ident, &item.vis, &item.attrs),
        _ => return None,
    };
    let is_shown = is_seen(visibility) && !is_for_tests(attributes);
    is_shown.then(|| (ident.to_string(), ident.span()))
}

/// Doc comments of what others can see that are too short to say anything.
pub fn fragments(crates: &[Crate]) -> Vec<Offence> {
    let mut found = Vec::new();
    for module in crates.iter().flat_map(Crate::product) {
        let mut comments = Comments {
            module,
            found: &mut found,
        };
        for item in &module.items {
            comments.item(item);
        }
    }
    found
}

struct Comments<'a> {
    module: &'a Module,
    found: &'a mut Vec<Offence>,
}

impl Comments<'_> {
    fn look(&mut self, attributes: &[Attribute], visibility: &Visibility, name: &syn::Ident) {
        if !is_seen(visibility) || is_for_tests(attributes) {
            return;
        }
        let text = comment(attributes);
        let words = text.split_whitespace().count();
        if (1..FEWEST_WORDS).contains(&words) {
            let what = format!("`{name}`: {}", text.trim());
            self.found.push(self.module.offence(name.span(), what));
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Const(it) => self.look(&it.attrs, &it.vis, &it.ident),
            Item::Enum(it) if !is_of_clap(&it.attrs) => {
                self.look(&it.attrs, &it.vis, &it.ident);
                for variant in &it.variants {
                    self.variant(variant, &it.vis);
                }
            }
            Item::Fn(it) => self.look(&it.attrs, &it.vis, &it.sig.ident),
            Item::Impl(it) if it.trait_.is_none() && !is_for_tests(&it.attrs) => {
                for item in &it.items {
                    match item {
                        ImplItem::Const(it) => self.look(&it.attrs, &it.vis, &it.ident),
                        ImplItem::Fn(it) => self.look(&it.attrs, &it.vis, &it.sig.ident),
                        _ => {}
                    }
                }
            }
            Item::Mod(it) => self.look(&it.attrs, &it.vis, &it.ident),
            Item::Static(it) => self.look(&it.attrs, &it.vis, &it.ident),
            Item::Struct(it) if !is_of_clap(&it.attrs) => {
                self.look(&it.attrs, &it.vis, &it.ident);
                self.fields(&it.fields);
            }
            Item::Trait(it) => {
                self.look(&it.attrs, &it.vis, &it.ident);
                for item in &it.items {
                    match item {
                        TraitItem::Const(item) => self.look(&item.attrs, &it.vis, &item.ident),
                        TraitItem::Fn(item) => self.look(&item.attrs, &it.vis, &item.sig.ident),
                        TraitItem::Type(item) => self.look(&item.attrs, &it.vis, &item.ident),
                        _ => {}
                    }
                }
            }
            Item::Type(it) => self.look(&it.attrs, &it.vis, &it.ident),
            Item::Union(it) => self.look(&it.attrs, &it.vis, &it.ident),
            _ => {}
        }
    }

    fn variant(&mut self, variant: &Variant, visibility: &Visibility) {
        self.look(&variant.attrs, visibility, &variant.ident);
        for field in &variant.fields {
            self.field(field, visibility);
        }
    }

    fn fields(&mut self, fields: &Fields) {
        for field in fields {
            self.field(field, &field.vis);
        }
    }

    fn field(&mut self, field: &Field, visibility: &Visibility) {
        if let Some(name) = &field.ident {
            self.look(&field.attrs, visibility, name);
        }
    }
}

/// The text of a doc comment; empty without one.
pub fn comment(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join("\n")
}

/// Whether a type is a part of the command line.
fn is_of_clap(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => list
            .tokens
            .clone()
            .into_iter()
            .any(|token| CLAP.contains(&token.to_string().as_str())),
        _ => false,
    })
}
