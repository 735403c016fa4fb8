//! The camera wall as its users see it: in a real browser. And the other examples with a page.

mod echo;
mod forward;
mod keyboard;
mod layout;
mod page;
mod pictures;
mod senders;
mod viewers;
mod wall;
mod whip_whep;
