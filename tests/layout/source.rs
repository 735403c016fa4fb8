use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The files of a crate, without its tests.
pub(crate) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

/// Where a file stands in the crate: `["ice", "agent"]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModulePath(Vec<String>);

#[derive(Default)]
struct Module {
    /// Paths that the file names, from `use` and from expressions, as they are written.
    named: Vec<Vec<String>>,
    /// What `pub use` makes visible here: the name and the path behind it.
    re_exports: BTreeMap<String, Vec<String>>,
    /// Child modules that are compiled for tests only.
    test_modules: BTreeSet<String>,
}

/// The files below `src` by their names, with what is in them.
pub(crate) fn files(src: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

impl ModulePath {
    /// The folder of `src/` that the file belongs to.
    pub(crate) fn layer(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    pub(crate) fn is_within(&self, prefix: &str) -> bool {
        let prefix: Vec<_> = prefix.split("::").collect();
        self.0.len() >= prefix.len() && prefix.iter().zip(&self.0).all(|(a, b)| a == b)
    }

    fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    fn of_file(file: &str) -> Self {
        let stem = file.trim_end_matches(".rs");
        let stem = stem.trim_end_matches("/mod");
        Self(stem.split('/').filter(|part| *part != "lib").map(str::to_owned).collect())
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crate::{}", self.0.join("::"))
    }
}

impl fmt::Debug for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Crate {
    /// Reads all files below `src`.
    pub(crate) fn read(src: &Path) -> Self {
        Self::parse(files(src).iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    pub(crate) fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules = BTreeMap::new();
        for (name, text) in files {
            let mut module = Module::default();
            module.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}")));
            modules.insert(ModulePath::of_file(name), module);
        }
        let is_test = |path: &ModulePath| {
            (1..=path.0.len()).any(|len| {
                let ancestor = ModulePath(path.0[..len].to_vec());
                modules
                    .get(&ancestor.parent())
                    .is_some_and(|parent: &Module| parent.test_modules.contains(&ancestor.0[len - 1]))
            })
        };
        let tests: Vec<_> = modules.keys().filter(|path| is_test(path)).cloned().collect();
        tests.iter().for_each(|test| drop(modules.remove(test)));
        Self { modules }
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = &ModulePath> {
        self.modules.keys()
    }

    /// Which file imports which, re-exports followed to where the name is defined.
    pub(crate) fn imports(&self) -> Vec<(ModulePath, ModulePath)> {
        let mut imports = Vec::new();
        for (module, content) in &self.modules {
            for path in &content.named {
                if let Some(target) = self.resolve(module, path, 0) {
                    imports.push((module.clone(), target));
                }
            }
        }
        imports
    }

    /// All paths that files name, as they are written.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&ModulePath, String)> {
        self.modules
            .iter()
            .flat_map(|(module, content)| content.named.iter().map(move |path| (module, path.join("::"))))
    }

    /// The file that defines what `path` names when written in `module`; `None` outside the crate.
    fn resolve(&self, module: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        const DEEPEST: usize = 16;
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (ModulePath(Vec::new()), &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => (module.parent(), &path[1..]),
            child if self.child(module, child).is_some() => (module.clone(), path),
            _ => return None,
        };
        while let Some(segment) = rest.first() {
            if segment == "super" {
                at = at.parent();
            } else if let Some(child) = self.child(&at, segment) {
                at = child;
            } else {
                let behind = self.modules.get(&at)?.re_exports.get(segment);
                return match behind {
                    Some(path) if depth < DEEPEST => self.resolve(&at, path, depth + 1),
                    _ => Some(at),
                };
            }
            rest = &rest[1..];
        }
        Some(at)
    }

    fn child(&self, module: &ModulePath, name: &str) -> Option<ModulePath> {
        let mut child = module.clone();
        child.0.push(name.to_owned());
        self.modules.contains_key(&child).then_some(child)
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            self.test_modules.insert(item.ident.to_string());
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let is_re_export = !matches!(item.vis, syn::Visibility::Inherited);
        let mut leaves = Vec::new();
        expand(&item.tree, Vec::new(), &mut leaves);
        for (name, path) in leaves {
            // A re-export shows a name at another place; it is no dependency of the file that has it.
            if is_re_export {
                self.re_exports.insert(name, path);
            } else {
                self.named.push(path);
            }
        }
    }

    // `pub(super)` names the parent without needing it.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.named.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        paths_in(item.tokens.clone(), &mut self.named);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let tokens = match &attribute.meta {
            syn::Meta::List(list) if is_cfg => list.tokens.clone(),
            _ => return attribute.path().is_ident("test"),
        };
        tokens.into_iter().any(|token| token.to_string() == "test")
    })
}

/// The leaves of a `use` tree: the name that each makes visible, and its path.
fn expand(tree: &syn::UseTree, mut prefix: Vec<String>, leaves: &mut Vec<(String, Vec<String>)>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            expand(&path.tree, prefix, leaves);
        }
        syn::UseTree::Name(name) => {
            // `use a::{self}` names `a`.
            if name.ident != "self" {
                prefix.push(name.ident.to_string());
            }
            leaves.push((prefix.last().cloned().unwrap_or_default(), prefix));
        }
        syn::UseTree::Rename(rename) => {
            prefix.push(rename.ident.to_string());
            leaves.push((rename.rename.to_string(), prefix));
        }
        syn::UseTree::Glob(_) => leaves.push(("*".to_owned(), prefix)),
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| expand(tree, prefix.clone(), leaves));
        }
    }
}

/// Paths among the tokens of a macro's input.
fn paths_in(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    paths.extend((!path.is_empty()).then(|| std::mem::take(&mut path)));
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                paths.extend((!path.is_empty()).then(|| std::mem::take(&mut path)));
                paths_in(group.stream(), paths);
                colons = 0;
            }
            _ => {
                paths.extend((!path.is_empty()).then(|| std::mem::take(&mut path)));
                colons = 0;
            }
        }
    }
    paths.extend((!path.is_empty()).then_some(path));
}
