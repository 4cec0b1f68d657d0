//! The sources as modules of items, read from the root of each crate along its `mod` declarations.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use proc_macro2::Span;
use syn::{Attribute, File, Item, Meta, Visibility};

/// The crates that users get, and those that are only for us.
const CRATES: [(&str, &str, Part); 9] = [
    ("mtu-trace", "src/lib.rs", Part::Product),
    ("mtu-trace", "src/main.rs", Part::Product),
    ("mtu-trace-common", "src/lib.rs", Part::Product),
    ("mtu-trace-ebpf", "src/main.rs", Part::Product),
    ("mtu-trace", "build.rs", Part::Workshop),
    ("mtu-trace", "tests", Part::Workshop),
    ("tests", "", Part::Workshop),
    ("xtask", "src", Part::Workshop),
    ("fuzz", "", Part::Workshop),
];

/// What a crate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is in what users get.
    Product,
    /// It builds or tests the product.
    Workshop,
}

/// The modules of one crate.
pub struct Crate {
    pub name: &'static str,
    pub part: Part,
    pub modules: Vec<Module>,
}

/// A module: a file, or a part of one.
pub struct Module {
    /// The names that lead to it from the root, which has none.
    pub path: Vec<String>,
    /// Relative to the workspace.
    pub file: PathBuf,
    pub text: String,
    /// Whether it is only there for tests.
    pub is_test: bool,
    /// Whether it is a whole file.
    pub is_file: bool,
    pub items: Vec<Item>,
}

/// A place that does not keep a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offence {
    pub file: PathBuf,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

impl Module {
    pub fn offence(&self, span: Span, what: impl Into<String>) -> Offence {
        Offence {
            file: self.file.clone(),
            line: span.start().line,
            what: what.into(),
        }
    }

    /// Whether it was read without regard to what it declares.
    pub fn is_whole(&self) -> bool {
        self.is_test && self.path.is_empty()
    }

    /// Its path as it is written, without `crate`.
    pub fn name(&self) -> String {
        self.path.join("::")
    }
}

impl Crate {
    /// Its modules that are not only there for tests.
    pub fn product(&self) -> impl Iterator<Item = &Module> {
        let modules = self.modules.iter();
        modules.filter(|module| self.part == Part::Product && !module.is_test)
    }
}

/// Everything there is.
pub fn workspace() -> Vec<Crate> {
    let read = |(name, root, part)| {
        let path = Path::new(name).join(root);
        let modules = if part == Part::Product {
            let mut modules = Vec::new();
            follow(&path, Vec::new(), false, &mut modules);
            modules
        } else {
            files(&path).iter().map(|file| whole(file)).collect()
        };
        Crate {
            name,
            part,
            modules,
        }
    };
    CRATES.map(read).into()
}

/// A product of these modules, each given by its path and its text.
pub fn made_up(modules: &[(&str, &str)]) -> Vec<Crate> {
    let module = |(path, text): &(&str, &str)| Module {
        path: path.split("::").map(str::to_owned).collect(),
        file: path.into(),
        text: (*text).to_owned(),
        is_test: false,
        is_file: true,
        items: syn::parse_file(text).unwrap().items,
    };
    vec![Crate {
        name: "mtu-trace",
        part: Part::Product,
        modules: modules.iter().map(module).collect(),
    }]
}

/// The directory of the workspace.
pub fn top() -> PathBuf {
    // As it is when the test runs: a build of it reads any checkout.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    Path::new(&own).join("..")
}

/// All files in Rust in a directory, or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.extension().is_some_and(|extension| extension == "rs") {
        return vec![path.to_owned()];
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(top().join(path))
        .unwrap()
        .map(|entry| path.join(entry.unwrap().file_name()))
        .filter(|entry| {
            let is_rust = entry.extension().is_some_and(|extension| extension == "rs");
            is_rust || (top().join(entry).is_dir() && !entry.ends_with("target"))
        })
        .collect();
    entries.sort();
    entries.iter().flat_map(|entry| files(entry)).collect()
}

fn parse(file: &Path) -> (String, File) {
    let text = fs::read_to_string(top().join(file)).unwrap();
    let parsed = syn::parse_file(&text);
    let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (text, parsed)
}

/// A file of which it does not matter what is only for tests in it: all is.
fn whole(file: &Path) -> Module {
    let (text, parsed) = parse(file);
    Module {
        path: Vec::new(),
        file: file.to_owned(),
        text,
        is_test: true,
        is_file: true,
        items: parsed.items,
    }
}

/// Reads a file and all the modules it declares.
fn follow(file: &Path, path: Vec<String>, is_test: bool, modules: &mut Vec<Module>) {
    let (text, parsed) = parse(file);
    let is_root = ["lib.rs", "main.rs", "mod.rs"]
        .iter()
        .any(|name| file.file_name().is_some_and(|own| own == *name));
    let directory = if is_root {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    declared(&parsed.items, &directory, file, &path, is_test, modules);
    modules.push(Module {
        path,
        file: file.to_owned(),
        text,
        is_test,
        is_file: true,
        items: parsed.items,
    });
}

/// Takes up the modules that are declared or written out among items.
fn declared(
    items: &[Item],
    directory: &Path,
    file: &Path,
    path: &[String],
    is_test: bool,
    modules: &mut Vec<Module>,
) {
    for item in items {
        let Item::Mod(declaration) = item else {
            continue;
        };
        let name = declaration.ident.to_string();
        let path = [path, std::slice::from_ref(&name)].concat();
        let is_test = is_test || is_for_tests(&declaration.attrs);
        match &declaration.content {
            None => {
                let flat = directory.join(format!("{name}.rs"));
                let nested = directory.join(&name).join("mod.rs");
                let is_flat = top().join(&flat).is_file();
                follow(
                    if is_flat { &flat } else { &nested },
                    path,
                    is_test,
                    modules,
                );
            }
            Some((_, inner)) => {
                declared(inner, &directory.join(&name), file, &path, is_test, modules);
                modules.push(Module {
                    path,
                    file: file.to_owned(),
                    text: String::new(),
                    is_test,
                    is_file: false,
                    items: inner.clone(),
                });
            }
        }
    }
}

/// Whether attributes say that something is there for tests alone.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let words = list.tokens.to_string();
        attribute.path().is_ident("cfg") && (words == "test" || words.contains("(test"))
    })
}

/// Whether others can see it, be it within the crate.
pub fn is_seen(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}
