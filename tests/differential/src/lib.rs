//! The tests of this package set a layer of Kaon against a crate that does the same.
