//! Numbers that decide something: each has a name, and its comment says where it is from.

use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, ImplItemConst, ImplItemFn, Item, ItemConst, ItemFn, Lit, Type,
};

use super::names::comment;
use super::source::{Crate, Module, Offence, is_for_tests};

/// What turns a number into a time.
const TIMES: [&str; 5] = [
    "from_secs",
    "from_millis",
    "from_micros",
    "from_nanos",
    "from_mins",
];
const NUMBERS: [&str; 12] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "isize", "f64",
];
/// What the name of a number has in it that bounds or measures something. The others are the kernel's:
/// types of messages, bits, protocols.
const MEASURES: [&str; 30] = [
    "BYTES",
    "CHARS",
    "COLUMNS",
    "DEEPEST",
    "DEPTH",
    "EVERY",
    "FEWEST",
    "IDLE",
    "INTERVAL",
    "LARGEST",
    "LATEST",
    "LEAST",
    "LIMIT",
    "LINES",
    "LONGEST",
    "MAX",
    "MIN",
    "MOST",
    "MS",
    "NARROWEST",
    "NS",
    "PAUSE",
    "REQUESTS",
    "RETRANSMITS",
    "ROWS",
    "SECS",
    "SEGMENTS",
    "SHARE",
    "SMALLEST",
    "WINDOW",
];

/// Named numbers without a comment, and times without a name.
pub fn unexplained(crates: &[Crate]) -> Vec<Offence> {
    let mut found = Vec::new();
    for module in crates.iter().flat_map(Crate::product) {
        let mut reader = Reader {
            module,
            found: &mut found,
        };
        for item in &module.items {
            reader.visit_item(item);
        }
    }
    found
}

struct Reader<'a> {
    module: &'a Module,
    found: &'a mut Vec<Offence>,
}

impl Reader<'_> {
    fn look(&mut self, attributes: &[Attribute], name: &syn::Ident, of: &Type) {
        let Type::Path(of) = of else {
            return;
        };
        let of = of.path.segments.last().map(|last| last.ident.to_string());
        let is_measure = || {
            let name = name.to_string();
            name.split('_').any(|word| MEASURES.contains(&word))
        };
        let is_threshold = of
            .is_some_and(|of| of == "Duration" || (NUMBERS.contains(&of.as_str()) && is_measure()));
        if is_threshold && comment(attributes).trim().is_empty() {
            let what = format!("`{name}` has no comment");
            self.found.push(self.module.offence(name.span(), what));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // A module within is read for itself.
        if !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    /// What it is made from needs no name of its own.
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.look(&item.attrs, &item.ident, &item.ty);
    }

    fn visit_impl_item_const(&mut self, item: &'ast ImplItemConst) {
        self.look(&item.attrs, &item.ident, &item.ty);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let is_time = matches!(&*call.func, Expr::Path(function) if function
            .path
            .segments
            .last()
            .is_some_and(|last| TIMES.contains(&last.ident.to_string().as_str())));
        let is_number = |argument: &Expr| matches!(argument, Expr::Lit(literal) if matches!(literal.lit, Lit::Int(_)));
        if is_time && call.args.iter().all(is_number) {
            let what = "a time without a name";
            self.found
                .push(self.module.offence(call.paren_token.span.open(), what));
        }
        visit::visit_expr_call(self, call);
    }
}
