//! Checks the dependencies in Cargo.lock.

use std::path::Path;

/// A package of Cargo.lock, as text.
fn packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("[[package]]\n").skip(1)
}

/// Cargo only warns when a `[patch]` fits nothing any more, and then takes the crate of the registry.
#[test]
fn each_replacement_is_what_the_dependencies_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    assert!(!lock.contains("[[patch.unused]]"), "a [patch] of Cargo.toml is not used");
    let mut replaced = 0;
    for entry in std::fs::read_dir(root.join("replacements")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let named = format!("name = \"{name}\"\n");
        let found: Vec<&str> = packages(&lock).filter(|package| package.starts_with(&named)).collect();
        assert_eq!(found.len(), 1, "there is another {name} besides ours");
        assert!(!found[0].contains("\nsource = "), "{name} comes from the registry");
        let users = packages(&lock).filter(|package| package.contains(&format!("\n \"{name}\",")));
        let of_registry = users.filter(|package| package.contains("\nsource = ")).count();
        assert!(of_registry > 0, "no crate of the registry needs {name} any more: remove it");
        replaced += 1;
    }
    assert!(replaced > 0);
}
