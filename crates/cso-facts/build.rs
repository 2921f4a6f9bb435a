//! Packs `facts/` and `kinds/` into the catalogue that the crate embeds.

use std::path::Path;

#[path = "src/pack.rs"]
#[expect(unreachable_pub, reason = "the file is a public module of the crate")]
mod pack;

fn main() -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "Cargo speaks to build scripts through the environment")]
    let variable = |name| std::env::var(name).map_err(std::io::Error::other);
    let crate_dir = variable("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&crate_dir).join("../..");
    for (folder, _) in pack::FOLDERS {
        // A folder that does not exist would run this script on every build.
        if root.join(folder).exists() {
            println!("cargo::rerun-if-changed=../../{folder}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/pack.rs");
    let sections = pack::collect(&root)?;
    std::fs::write(Path::new(&variable("OUT_DIR")?).join("catalog.pack"), pack::write(&sections))
}
