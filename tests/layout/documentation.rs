//! What the documentation says of each item, read off the source.

use std::collections::BTreeMap;
use std::path::Path;

use syn::visit::{self, Visit};

use crate::source::files;

/// A public struct, enum, trait or module with what is written about it.
#[derive(Debug, Default)]
pub(crate) struct Documented {
    /// By path in the source, such as `ice::agent::Agent`.
    items: BTreeMap<String, String>,
    /// Public fields of configurations that do not say what they are unless set.
    pub(crate) without_default: Vec<String>,
}

impl Documented {
    /// Reads all files below `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut documented = Self::default();
        files(src).iter().for_each(|(name, text)| documented.add(name, text));
        documented
    }

    pub(crate) fn add(&mut self, file: &str, text: &str) {
        let stem = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.items.insert(stem.clone(), documentation(&syntax.attrs));
        Reader { module: &stem, documented: self }.visit_file(&syntax);
    }

    /// Whether the item of this name in the folder `layer`, or the module of this name, has an example.
    pub(crate) fn has_example(&self, layer: &str, name: &str) -> bool {
        let is_it = |path: &str| {
            path.split("::").next() == Some(layer) && path.rsplit("::").next() == Some(name)
                || name.is_empty() && path == layer
        };
        self.items.iter().any(|(path, text)| is_it(path) && text.contains("```"))
    }
}

struct Reader<'a> {
    module: &'a str,
    documented: &'a mut Documented,
}

impl Reader<'_> {
    fn item(&mut self, name: &syn::Ident, attributes: &[syn::Attribute]) {
        self.documented.items.insert(format!("{}::{name}", self.module), documentation(attributes));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.item(&item.ident, &item.attrs);
        let name = item.ident.to_string();
        let is_public = matches!(item.vis, syn::Visibility::Public(_));
        if !is_public || !(name.ends_with("Config") || name.ends_with("Limits")) {
            return;
        }
        for field in &item.fields {
            let (syn::Visibility::Public(_), Some(field_name)) = (&field.vis, &field.ident) else { continue };
            let says = documentation(&field.attrs).to_lowercase();
            if is_measured(&field.ty) && !says.contains("default") {
                self.documented.without_default.push(format!("{}::{name}::{field_name}", self.module));
            }
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.item(&item.ident, &item.attrs);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.item(&item.ident, &item.attrs);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Tests have no readers of documentation.
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
}

/// Whether a field has a number or a time, which have units and a value that is right for most.
fn is_measured(field: &syn::Type) -> bool {
    const MEASURED: [&str; 8] = ["Duration", "usize", "u8", "u16", "u32", "u64", "f64", "Bitrate"];
    let syn::Type::Path(path) = field else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    match &last.arguments {
        syn::PathArguments::AngleBracketed(arguments) if last.ident == "Option" => arguments
            .args
            .iter()
            .any(|argument| matches!(argument, syn::GenericArgument::Type(inner) if is_measured(inner))),
        _ => MEASURED.iter().any(|measured| last.ident == measured),
    }
}

/// The text of `///`, `//!`, `#[doc = …]` and `#[cfg_attr(…, doc = …)]`.
fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => {
                if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value {
                    text += &line.value();
                }
            }
            syn::Meta::List(list) if list.path.is_ident("cfg_attr") => text += &list.tokens.to_string(),
            _ => {}
        }
        text.push('\n');
    }
    text
}
