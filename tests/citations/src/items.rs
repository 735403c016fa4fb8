//! The items of a file and the lines that they are on.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function, a type or whatever else has a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// `Agent::poll_transmit`, without the modules.
    pub(crate) name: String,
    /// With its attributes and documentation.
    pub(crate) lines: RangeInclusive<usize>,
    pub(crate) is_test_code: bool,
    /// Whether it is a function that the test runner calls.
    pub(crate) is_test: bool,
}

/// What stands in a file, from the outside inwards where items hold others.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub(crate) items: Vec<Item>,
    /// Modules in files of their own that are compiled for tests only.
    pub(crate) test_modules: Vec<String>,
    owner: Option<String>,
    is_test_code: bool,
}

impl Items {
    pub(crate) fn read(text: &str) -> syn::Result<Self> {
        let mut items = Self::default();
        items.visit_file(&syn::parse_file(text)?);
        Ok(items)
    }

    /// The innermost item that has the line.
    pub(crate) fn at(&self, line: usize) -> Option<usize> {
        self.items.iter().rposition(|item| item.lines.contains(&line))
    }

    fn add(&mut self, name: &str, item: &impl Spanned, attributes: &[syn::Attribute]) {
        let first = attributes.first().map_or(item.span(), Spanned::span).start().line;
        self.add_lines(
            name,
            first.min(item.span().start().line)..=item.span().end().line,
            is_test(attributes),
        );
    }

    fn add_lines(&mut self, name: &str, lines: RangeInclusive<usize>, is_test: bool) {
        let name = match &self.owner {
            Some(owner) if owner != name => format!("{owner}::{name}"),
            _ => name.to_owned(),
        };
        self.items.push(Item { name, lines, is_test_code: self.is_test_code || is_test, is_test });
    }

    /// Visits what belongs to a type or a trait.
    fn within(&mut self, owner: &str, visit: impl FnOnce(&mut Self)) {
        let outer = self.owner.replace(owner.to_owned());
        visit(self);
        self.owner = outer;
    }

    /// The functions in the body of a macro, such as the properties of `proptest!`.
    fn functions_in(&mut self, tokens: TokenStream) {
        let mut first = None;
        let mut is_test = false;
        let mut name: Option<String> = None;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Ident(word) if word == "fn" => {
                    if let Some(TokenTree::Ident(function)) = tokens.peek() {
                        name = Some(function.to_string());
                    }
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    is_test |= group.stream().to_string().ends_with("test");
                }
                _ => {}
            }
            let begin = *first.get_or_insert(token.span().start().line);
            if let TokenTree::Group(group) = &token
                && group.delimiter() == Delimiter::Brace
            {
                match name.take() {
                    Some(name) => self.add_lines(&name, begin..=group.span_close().end().line, is_test),
                    None => self.functions_in(group.stream()),
                }
                (first, is_test) = (None, false);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_for_tests = is_for_tests(&item.attrs);
        if item.content.is_none() {
            if is_for_tests {
                self.test_modules.push(item.ident.to_string());
            }
            return;
        }
        let outer = self.is_test_code;
        self.is_test_code |= is_for_tests;
        self.add(&item.ident.to_string(), item, &item.attrs);
        visit::visit_item_mod(self, item);
        self.is_test_code = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let name = item.ident.to_string();
        self.add(&name, item, &item.attrs);
        self.within(&name, |items| visit::visit_item_trait(items, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.add(&item.sig.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let syn::Type::Path(path) = &*item.self_ty else { return };
        let Some(last) = path.path.segments.last() else { return };
        let name = last.ident.to_string();
        self.add(&name, item, &item.attrs);
        self.within(&name, |items| visit::visit_item_impl(items, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident.to_string(), item, &item.attrs);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.add(&item.ident.to_string(), item, &item.attrs);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident {
            self.add(&name.to_string(), item, &item.attrs);
        } else {
            self.functions_in(item.mac.tokens.clone());
        }
    }
}

/// Whether the attributes make a function one that the test runner calls: `#[test]`, `#[tokio::test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test"))
}

/// `#[cfg(test)]`, alone or among other conditions that all have to hold.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}
