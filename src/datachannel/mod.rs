//! Data channels, RFC 8831 and RFC 8832, over anything that is an [`SctpTransport`](crate::layer::SctpTransport).
//!
//! [`DataChannels`] owns the table of channels and no transport: each call that needs the association is handed
//! it. The application feeds it the association's events and asks it for its own.
//!
//! ```
//! # use std::time::Instant;
//! # use bytes::Bytes;
//! use kaon_rtc::datachannel::{ChannelEvent, ChannelInit, DataChannels, MessageKind};
//! use kaon_rtc::layer::{DtlsRole, SctpTransport};
//!
//! # fn run(association: &mut impl SctpTransport) -> Result<(), kaon_rtc::datachannel::DataChannelError> {
//! # let now = Instant::now();
//! let mut channels = DataChannels::default();
//! channels.set_role(association, now, DtlsRole::Client);
//! let chat = channels.open(association, now, ChannelInit::new("chat"))?;
//!
//! // Whenever the association was given a packet or a timeout:
//! while let Some(event) = association.poll_event() {
//!     channels.handle_event(association, now, &event);
//! }
//! while let Some(event) = channels.poll_event(association, now) {
//!     match event {
//!         // Nothing waits for the reader of a channel but the messages of that channel.
//!         ChannelEvent::Readable(id) => {
//!             while let Some(message) = channels.receive(association, now, id) {
//!                 println!("{:?}", message.data);
//!             }
//!         }
//!         event => println!("{event:?}"),
//!     }
//! }
//!
//! channels.send(association, now, chat, MessageKind::Text, Bytes::from("hello"))?;
//! # Ok(())
//! # }
//! ```

mod arrivals;
mod channel;
mod channel_id;
mod channels;
mod dcep;
mod error;
mod establishment;
mod free_streams;
mod inbox;
mod receiving;

pub use channel::{ChannelCounters, ChannelEvent, ChannelInit, ChannelState, MessageKind};
pub use channel_id::ChannelId;
pub use channels::{DataChannels, Limits};
pub use dcep::{Dcep, Open};
pub use error::{DataChannelError, DcepError};
pub use inbox::Message;

#[cfg(test)]
mod tests;
