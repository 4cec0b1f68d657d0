//! Kernel addresses to function names (`/proc/kallsyms`).

use std::fs;

use anyhow::{Result, bail, ensure};

/// Where the kernel lists its symbols.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// What is lost without them.
pub const LOST: &str = "places of drops are told by packet lengths alone";

/// The kernel's functions, by address.
#[derive(Debug, Default)]
pub struct Symbols {
    /// Start address and position of the name, sorted by address.
    functions: Vec<(u64, u32)>,
    /// A line for each name.
    names: String,
}

impl Symbols {
    /// Reads the running kernel's list.
    pub fn load() -> Result<Self> {
        match fs::read_to_string(KALLSYMS) {
            Ok(text) => Self::parse(&text),
            Err(error) => bail!("cannot read {KALLSYMS}: {error}"),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut symbols = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let address = fields
                .next()
                .and_then(|it| u64::from_str_radix(it, 16).ok());
            let (Some(address @ 1..), Some("t" | "T" | "w" | "W"), Some(name)) =
                (address, fields.next(), fields.next())
            else {
                continue;
            };
            let Ok(start) = u32::try_from(symbols.names.len()) else {
                break;
            };
            symbols.functions.push((address, start));
            symbols.names.push_str(strip(name));
            symbols.names.push('\n');
        }
        ensure!(
            !symbols.functions.is_empty(),
            "{KALLSYMS} hides its addresses: kernel.kptr_restrict is 2, or CAP_SYSLOG is missing"
        );
        symbols.functions.sort_unstable();
        Ok(symbols)
    }

    /// Whether there is a function of this name, compiler suffixes stripped.
    pub fn contains(&self, name: &str) -> bool {
        self.names.lines().any(|known| known == name)
    }

    /// Name of the function an address lies in, compiler suffixes stripped.
    pub fn function(&self, address: u64) -> Option<&str> {
        let after = self.functions.partition_point(|&(at, _)| at <= address);
        let &(_, start) = self.functions.get(after.checked_sub(1)?)?;
        self.names.get(start as usize..)?.lines().next()
    }
}

/// `ip_fragment.constprop.0` is `ip_fragment`: the compiler's clones are the same function to a
/// reader.
fn strip(name: &str) -> &str {
    const SUFFIXES: [&str; 5] = [".constprop", ".isra", ".part", ".cold", ".llvm"];
    let ends = SUFFIXES.iter().filter_map(|suffix| name.find(suffix));
    &name[..ends.min().unwrap_or(name.len())]
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
        let symbols = Symbols::parse(LIST).unwrap();
        assert_eq!(symbols.function(0xffff_ffff_8100_0150), Some("ip_fragment"));
        assert_eq!(symbols.function(0xffff_ffff_8100_0300), Some("ip_forward"));
        assert_eq!(symbols.function(0xffff_ffff_c000_0042), Some("veth_xmit"));
        assert_eq!(symbols.function(0x10), None);
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        let hidden = "0000000000000000 T _text\n0000000000000000 t ip_forward\n";
        let error = Symbols::parse(hidden).unwrap_err().to_string();
        assert!(error.contains("hides its addresses"), "{error}");
    }
}
