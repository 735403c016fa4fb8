//! The tests of this package compare Kaon with other implementations of the same protocols.
