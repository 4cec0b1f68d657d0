//! How long things are, and what functions ask for.

use syn::visit::{self, Visit};
use syn::{Block, FnArg, ImplItemFn, ItemFn, Signature, TraitItemFn, Type};

use super::source::{Crate, Module, Offence, Part, is_for_tests};

/// The most lines of a file.
const LONGEST_FILE_LINES: usize = 400;
/// The most lines of a function, from its name to its end.
const LONGEST_FUNCTION_LINES: usize = 80;

/// Files that are too long.
pub fn long_files(crates: &[Crate]) -> Vec<Offence> {
    let modules = crates.iter().flat_map(|it| &it.modules);
    modules
        .filter(|module| module.is_file)
        .map(|module| (module, module.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE_LINES)
        .map(|(module, lines)| {
            module.offence(proc_macro2::Span::call_site(), format!("{lines} lines"))
        })
        .collect()
}

/// Functions that are too long.
pub fn long_functions(crates: &[Crate]) -> Vec<Offence> {
    let modules = crates.iter().flat_map(|it| &it.modules);
    let functions = modules.flat_map(functions);
    functions
        .filter(|function| function.lines > LONGEST_FUNCTION_LINES)
        .map(|function| {
            let name = &function.signature.ident;
            let what = format!("`{name}` has {} lines", function.lines);
            function.module.offence(name.span(), what)
        })
        .collect()
}

/// Functions of the product with a parameter that is a bool.
pub fn bool_parameters(crates: &[Crate]) -> Vec<Offence> {
    let product = crates.iter().filter(|it| it.part == Part::Product);
    let functions = product.flat_map(Crate::product).flat_map(functions);
    functions
        .filter(|function| !function.is_test && function.signature.inputs.iter().any(is_bool))
        .map(|function| {
            let name = &function.signature.ident;
            function.module.offence(name.span(), format!("`{name}`"))
        })
        .collect()
}

fn is_bool(argument: &FnArg) -> bool {
    let FnArg::Typed(argument) = argument else {
        return false;
    };
    matches!(&*argument.ty, Type::Path(of) if of.path.is_ident("bool"))
}

/// A function as it is written.
struct Function<'a> {
    module: &'a Module,
    signature: Signature,
    lines: usize,
    is_test: bool,
}

/// All functions of a file or a written-out module.
fn functions(module: &Module) -> Vec<Function<'_>> {
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
    found: Vec<Function<'a>>,
}

impl Reader<'_> {
    fn note(&mut self, signature: &Signature, body: Option<&Block>, is_test: bool) {
        let first = signature.fn_token.span.start().line;
        let last = body.map_or(first, |body| body.brace_token.span.close().end().line);
        self.found.push(Function {
            module: self.module,
            signature: signature.clone(),
            lines: last - first + 1,
            is_test,
        });
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    /// Modules of the product are read for themselves; those of a file that is read whole are not.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if self.module.is_whole() {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.note(&item.sig, Some(&item.block), is_for_tests(&item.attrs));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.note(&item.sig, Some(&item.block), is_for_tests(&item.attrs));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        let body = item.default.as_ref();
        self.note(&item.sig, body, is_for_tests(&item.attrs));
        visit::visit_trait_item_fn(self, item);
    }
}
