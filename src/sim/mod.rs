//! A seeded virtual network on a virtual clock.
