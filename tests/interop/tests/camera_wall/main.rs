//! The camera wall as its users see it: in a real browser. And the other example with a page.

mod echo;
mod page;
mod pictures;
mod senders;
mod viewers;
mod wall;
