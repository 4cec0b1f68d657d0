//! Who may use whom.

use std::collections::HashMap;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemUse, Macro, Path, TraitItem, UseTree, VisRestricted};

use super::source::{Crate, Module, Offence, is_for_tests};

/// The layers of `mtu-trace/src`, the lowest first: each may use itself and those before it.
/// ARCHITECTURE.md has the same list.
pub const LAYERS: [&str; 19] = [
    "base",
    "model",
    "core::firewall",
    "core::graph",
    "core::sites",
    "core::track",
    "core::select",
    "core::verdicts",
    "core::audit",
    "host",
    "kernel",
    "capture",
    "show::report",
    "show::export",
    "show::watch",
    "show::replay",
    "show::tui",
    "cli",
    "commands",
];

/// The rank of the layer that a module is in, `None` if it is in none, as one that only holds others.
pub fn layer(module: &str) -> Option<usize> {
    let is_in = |layer: &str| {
        let rest = module.strip_prefix(layer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    LAYERS.iter().position(|layer| is_in(layer))
}

/// The modules of a crate, by what can be reached through them.
pub struct Map<'a> {
    modules: HashMap<String, Names<'a>>,
}

/// What a module calls things that are elsewhere, and which modules it takes everything from.
struct Names<'a> {
    module: &'a Module,
    imports: HashMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// A path that is written in a module.
pub struct Mention {
    pub path: Vec<String>,
    pub at: Span,
}

/// Every use of a higher layer, and every module without a layer that uses or holds anything.
pub fn upward(crates: &[Crate]) -> Vec<Offence> {
    let product = crates.iter().find(|it| it.name == "mtu-trace").unwrap();
    let map = Map::new(product);
    let mut offences = empty(product);
    for module in product.product() {
        let Some(own) = layer(&module.name()) else {
            offences.extend(strayed(module));
            continue;
        };
        for mention in mentions(module) {
            let Some(home) = map.home(&mention.path, 0) else {
                continue;
            };
            match layer(&home) {
                Some(other) if other <= own => {}
                Some(other) => offences.push(module.offence(
                    mention.at,
                    format!(
                        "{} uses {} ({})",
                        LAYERS[own],
                        LAYERS[other],
                        mention.path.join("::")
                    ),
                )),
                None => offences.push(module.offence(
                    mention.at,
                    format!("{} uses {home}, which has no layer", LAYERS[own]),
                )),
            }
        }
    }
    offences
}

/// Layers in which nothing is.
fn empty(product: &Crate) -> Vec<Offence> {
    let used: Vec<usize> = product
        .product()
        .filter_map(|it| layer(&it.name()))
        .collect();
    let root = product.modules.last().unwrap();
    (0..LAYERS.len())
        .filter(|rank| !used.contains(rank))
        .map(|rank| root.offence(Span::call_site(), format!("nothing is in {}", LAYERS[rank])))
        .collect()
}

/// What a module without a layer has besides modules and names of what is in them.
fn strayed(module: &Module) -> Vec<Offence> {
    let stray = |item: &&Item| !matches!(item, Item::Mod(_) | Item::Use(_));
    let name = module.name();
    module
        .items
        .iter()
        .filter(stray)
        .take(1)
        .map(|_| module.offence(Span::call_site(), format!("`{name}` has no layer")))
        .collect()
}

impl<'a> Map<'a> {
    pub fn new(product: &'a Crate) -> Self {
        let modules = product.product().map(|module| {
            let mut names = Names {
                module,
                imports: HashMap::new(),
                globs: Vec::new(),
            };
            for item in &module.items {
                if let Item::Use(item) = item
                    && !is_for_tests(&item.attrs)
                {
                    for (path, name) in imports(item) {
                        let Some(path) = absolute(module, &path) else {
                            continue;
                        };
                        match name {
                            Some(name) => _ = names.imports.insert(name, path),
                            None => names.globs.push(path),
                        }
                    }
                }
            }
            (module.name(), names)
        });
        Self {
            modules: modules.collect(),
        }
    }

    /// The module in which a path really ends, through whatever it is known by.
    pub fn home(&self, path: &[String], depth: usize) -> Option<String> {
        /// Names that lead to names: more is a circle.
        const DEEPEST: usize = 16;
        let known = (0..=path.len())
            .rev()
            .find(|&length| self.modules.contains_key(&path[..length].join("::")))?;
        let (module, rest) = path.split_at(known);
        let name = module.join("::");
        let names = &self.modules[&name];
        let Some(next) = rest.first().filter(|_| depth < DEEPEST) else {
            return Some(name);
        };
        if let Some(target) = names.imports.get(next) {
            let onward = [target.as_slice(), &rest[1..]].concat();
            return self.home(&onward, depth + 1).or(Some(name));
        }
        let is_own = names.module.items.iter().any(|item| is_called(item, next));
        let mut globs = names.globs.iter().filter(|_| !is_own);
        let through = globs.find_map(|glob| {
            let onward = [glob.as_slice(), rest].concat();
            let home = self.home(&onward, depth + 1)?;
            let items = &self.modules.get(&home)?.module.items;
            items
                .iter()
                .any(|item| is_called(item, next))
                .then_some(home)
        });
        through.or(Some(name))
    }
}

fn is_called(item: &Item, name: &str) -> bool {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return false,
    };
    ident == name
}

/// The paths that a `use` brings in, each with its name here; `None` for all there is.
fn imports(item: &ItemUse) -> Vec<(Vec<String>, Option<String>)> {
    fn grow(tree: &UseTree, path: &[String], found: &mut Vec<(Vec<String>, Option<String>)>) {
        let with = |ident: &syn::Ident| {
            let ident = ident.to_string();
            // `a::{self}` is `a`.
            let own = (ident != "self" || path.is_empty()).then_some(ident);
            path.iter().cloned().chain(own).collect::<Vec<_>>()
        };
        match tree {
            UseTree::Path(tree) => grow(&tree.tree, &with(&tree.ident), found),
            UseTree::Name(tree) => {
                let path = with(&tree.ident);
                let name = path.last().cloned();
                found.push((path, name));
            }
            UseTree::Rename(tree) => {
                found.push((with(&tree.ident), Some(tree.rename.to_string())));
            }
            UseTree::Glob(_) => found.push((path.to_vec(), None)),
            UseTree::Group(tree) => {
                for tree in &tree.items {
                    grow(tree, path, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    grow(&item.tree, &[], &mut found);
    found
}

/// A path from the root of the crate; `None` if it leads out of it.
fn absolute(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let mut base = module.path.as_slice();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => return Some(rest[1..].to_vec()),
        "self" => rest = &rest[1..],
        "super" => {}
        first => {
            let is_child = |item: &Item| matches!(item, Item::Mod(child) if child.ident == first);
            if !module.items.iter().any(is_child) {
                return None;
            }
        }
    }
    while rest.first().is_some_and(|word| word == "super") {
        base = base.split_last()?.1;
        rest = &rest[1..];
    }
    Some([base, rest].concat())
}

/// The paths in a module that lead somewhere in the crate.
pub fn mentions(module: &Module) -> Vec<Mention> {
    let mut reader = Reader {
        module,
        found: Vec::new(),
    };
    for item in &module.items {
        reader.visit_item(item);
    }
    reader.found
}

struct Reader<'a> {
    module: &'a Module,
    found: Vec<Mention>,
}

impl Reader<'_> {
    fn note(&mut self, path: &[String], at: Span) {
        if let Some(path) = absolute(self.module, path) {
            self.found.push(Mention { path, at });
        }
    }

    /// Paths in what a macro is given, which is not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                token => {
                    self.end(&mut path, start);
                    colons = 0;
                    match token {
                        TokenTree::Ident(ident) if ident == "crate" || ident == "super" => {
                            start = ident.span();
                            path.push(ident.to_string());
                        }
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.end(&mut path, start);
    }

    fn end(&mut self, path: &mut Vec<String>, start: Span) {
        if path.len() > 1 {
            self.note(path, start);
        }
        path.clear();
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // A module within is read for itself.
        if !matches!(item, Item::Mod(_)) && !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_test = matches!(item, ImplItem::Fn(item) if is_for_tests(&item.attrs));
        if !is_test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        visit::visit_trait_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let at = item.use_token.span;
        for (path, _) in imports(item) {
            self.note(&path, at);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        if words.len() > 1 {
            self.note(&words, path.segments[0].ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
    }

    /// `pub(super)` uses nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}
