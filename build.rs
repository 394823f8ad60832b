//! Finds the rules: every `src/rules/<category>/<rule>.rs` becomes a module and an entry of `RULES`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("src/rules");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    for category in sorted(&root).into_iter().filter(|path| path.is_dir()) {
        println!("cargo::rerun-if-changed={}", category.display());
        files.extend(sorted(&category).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")));
    }
    let (mut modules, mut entries) = (String::new(), String::new());
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let category = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        writeln!(modules, "#[path = {:?}]\npub mod {name};", file.display().to_string()).unwrap();
        writeln!(modules, "const _: () = assert!(is_at_home(&{name}::RULE, {category:?}, {name:?}));").unwrap();
        writeln!(entries, "    &{name}::RULE,").unwrap();
    }
    let generated = format!("{modules}\nstatic RULES: &[&Rule] = &[\n{entries}];\n");
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("rules.rs"), generated).unwrap();
}

fn sorted(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
