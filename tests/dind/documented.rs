//! What the documentation tells users to do, taken from there, so that what is tested is what is told.

use anyhow::{Context, Result};

/// Where to run mtu-trace, and how.
const DEPLOYMENT: &str = include_str!("../../docs/deployment.md");
/// What the documentation calls the image.
pub const IMAGE: &str = "mtu-trace";

/// The Dockerfile of an image with mtu-trace.
pub fn dockerfile() -> Result<&'static str> {
    block("dockerfile", "")
}

/// The options of `docker run` for that image, but those for a terminal.
pub fn options() -> Result<Vec<&'static str>> {
    let command = block("sh", "docker run ")?;
    let words = command.split_whitespace().filter(|word| *word != "\\");
    let options: Vec<&str> = words
        .skip(2)
        .filter(|word| *word != "-it" && *word != IMAGE)
        .collect();
    Ok(options)
}

/// The first block of code in a language that begins so.
fn block(language: &str, start: &str) -> Result<&'static str> {
    let mut blocks = DEPLOYMENT.split("```").skip(1).step_by(2);
    blocks
        .find_map(|block| {
            let code = block.strip_prefix(language)?.strip_prefix('\n')?;
            code.starts_with(start).then_some(code)
        })
        .with_context(|| format!("docs/deployment.md has no {language} that begins {start:?}"))
}

#[cfg(test)]
mod tests {
    use super::{DEPLOYMENT, block, dockerfile, options};

    /// The capabilities of `docker run`, in the order of the documentation.
    fn capabilities() -> Vec<&'static str> {
        let options = options().unwrap();
        let added = options.iter();
        added
            .filter_map(|option| option.strip_prefix("--cap-add="))
            .collect()
    }

    #[test]
    fn the_image_and_its_options_are_found() {
        assert!(dockerfile().unwrap().starts_with("FROM "));
        assert!(options().unwrap().contains(&"--pid=host"));
        assert!(capabilities().contains(&"NET_ADMIN"));
    }

    #[test]
    fn a_daemonset_has_the_rights_of_the_container_and_the_table_names_them() {
        let capabilities = capabilities();
        let manifest = block("yaml", "apiVersion: apps/v1").unwrap();
        let added = format!("add: [{}]", capabilities.join(", "));
        assert!(manifest.contains(&added), "{added} is not in {manifest}");
        for capability in capabilities {
            assert!(DEPLOYMENT.contains(&format!("| `{capability}` |")));
        }
        for both in ["hostPID: true", "hostNetwork: true", "type: Unconfined"] {
            assert!(manifest.contains(both), "{both}");
        }
    }
}
