//! Kernel addresses to function names (`/proc/kallsyms`).

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

/// Where the kernel lists its symbols.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// What is lost without them.
pub const LOST: &str = "places of drops are told by packet lengths alone";

/// Why addresses cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum SymbolError {
    /// The list cannot be read.
    #[error("cannot read {KALLSYMS}: {0}")]
    Unreadable(#[from] io::Error),
    /// The list is there, its addresses are not.
    #[error("{KALLSYMS} hides its addresses: kernel.kptr_restrict is 2, or CAP_SYSLOG is missing")]
    Hidden,
}

/// The kernel's functions, by address.
#[derive(Debug, Default)]
pub struct Symbols {
    /// Start address and position of the name, sorted by address.
    functions: Vec<(u64, u32, u32)>,
    names: String,
    resolved: HashMap<u64, Option<String>>,
}

impl Symbols {
    /// Reads the running kernel's list.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or shows no addresses.
    pub fn load() -> Result<Self, SymbolError> {
        Self::parse(&fs::read_to_string(Path::new(KALLSYMS))?)
    }

    fn parse(text: &str) -> Result<Self, SymbolError> {
        let mut symbols = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let Ok(address) = u64::from_str_radix(address, 16) else {
                continue;
            };
            if address == 0 {
                continue;
            }
            let name = strip(name);
            let (Ok(start), Ok(len)) = (
                u32::try_from(symbols.names.len()),
                u32::try_from(name.len()),
            ) else {
                break;
            };
            symbols.functions.push((address, start, len));
            symbols.names.push_str(name);
        }
        if symbols.functions.is_empty() {
            return Err(SymbolError::Hidden);
        }
        symbols.functions.sort_unstable();
        Ok(symbols)
    }

    /// Whether there is a function of this name, compiler suffixes stripped.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.functions.iter().any(|&(_, start, len)| {
            let (start, len) = (start as usize, len as usize);
            self.names.get(start..start + len) == Some(name)
        })
    }

    /// Name of the function an address lies in, compiler suffixes stripped.
    pub fn function(&mut self, address: u64) -> Option<&str> {
        if !self.resolved.contains_key(&address) {
            let found = self.find(address).map(str::to_owned);
            self.resolved.insert(address, found);
        }
        self.resolved.get(&address)?.as_deref()
    }

    fn find(&self, address: u64) -> Option<&str> {
        let behind = self
            .functions
            .partition_point(|&(start, ..)| start <= address);
        let &(_, start, len) = self.functions.get(behind.checked_sub(1)?)?;
        self.names.get(start as usize..(start + len) as usize)
    }
}

/// `ip_fragment.constprop.0` is `ip_fragment`: the compiler's clones are the same function to a
/// reader.
fn strip(name: &str) -> &str {
    const SUFFIXES: [&str; 5] = [".constprop", ".isra", ".part", ".cold", ".llvm"];
    let end = SUFFIXES
        .iter()
        .filter_map(|suffix| name.find(suffix))
        .min()
        .unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
ffffffff81000000 T _text
ffffffff81000100 t ip_fragment.constprop.0
ffffffff81000200 D some_data
ffffffff81000300 T ip_forward
ffffffffc0000000 t veth_xmit\t[veth]
";

    #[test]
    fn addresses_inside_a_function_have_its_name() {
        let mut symbols = Symbols::parse(LIST).unwrap();
        assert_eq!(symbols.function(0xffff_ffff_8100_0150), Some("ip_fragment"));
        assert_eq!(symbols.function(0xffff_ffff_8100_0300), Some("ip_forward"));
        assert_eq!(symbols.function(0xffff_ffff_c000_0042), Some("veth_xmit"));
        assert_eq!(symbols.function(0x10), None);
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        let hidden = "0000000000000000 T _text\n0000000000000000 t ip_forward\n";
        assert!(matches!(Symbols::parse(hidden), Err(SymbolError::Hidden)));
    }
}
