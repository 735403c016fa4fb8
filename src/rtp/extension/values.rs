//! All known extensions of a packet at once: one row each.

use super::{
    AbsSendTime, AudioLevel, Extension, ExtensionId, ExtensionMap, HeaderExtension, RepairedRid,
    TransportSequenceNumber, VideoOrientation,
};
use crate::layer::{Mid, Rid};

/// Makes the values of their rows: each with its type, whose [`HeaderExtension::KIND`] says what it is.
macro_rules! extension_values {
    (
        connection { $($(#[$connection_doc:meta])* $connection:ident: $connection_value:ty,)* }
        content { $($(#[$content_doc:meta])* $content:ident: $content_value:ty,)* }
    ) => {
        /// The values of the extensions that a packet has or shall have.
        ///
        /// ```
        /// # use kaon_rtc::rtp::{AudioLevel, ExtensionValues};
        /// let mut values = ExtensionValues::default();
        /// values.audio_level = Some(AudioLevel { voice: true, dbov: 12 });
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct ExtensionValues {
            $($(#[$connection_doc])* pub $connection: Option<$connection_value>,)*
            $($(#[$content_doc])* pub $content: Option<$content_value>,)*
        }

        impl ExtensionValues {
            /// Reads the elements that `map` knows; malformed ones are left out, the last of several counts.
            pub fn read<'a>(elements: impl Iterator<Item = Extension<'a>>, map: &ExtensionMap) -> Self {
                let mut values = ExtensionValues::default();
                for Extension { id, data } in elements {
                    match map.kind(id) {
                        $(Some(<$connection_value as HeaderExtension>::KIND) => {
                            values.$connection = <$connection_value>::parse(data).or(values.$connection);
                        })*
                        $(Some(<$content_value as HeaderExtension>::KIND) => {
                            values.$content = <$content_value>::parse(data).or(values.$content);
                        })*
                        None => {}
                    }
                }
                values
            }

            /// Hands the id and the data of every value that `map` knows an id for to `element`, until one fails.
            ///
            /// # Errors
            /// What `element` failed with.
            pub fn encode_each<E>(
                &self,
                map: &ExtensionMap,
                mut element: impl FnMut(ExtensionId, &[u8]) -> Result<(), E>,
            ) -> Result<(), E> {
                $(if let (Some(value), Some(id)) = (&self.$connection, map.id(<$connection_value>::KIND)) {
                    element(id, value.encode().as_ref())?;
                })*
                self.content().encode_each(map, element)
            }

            /// Those that say something of the packet's content.
            pub fn content(&self) -> ContentExtensions {
                ContentExtensions { $($content: self.$content,)* }
            }
        }

        /// The values of the extensions that say something of a packet's content, and go with it wherever it is
        /// forwarded. The others belong to the connection: times, numbers, and names of streams.
        ///
        /// ```
        /// # use kaon_rtc::rtp::{AudioLevel, ContentExtensions};
        /// let mut values = ContentExtensions::default();
        /// assert!(values.is_empty());
        /// values.audio_level = Some(AudioLevel { voice: true, dbov: 12 });
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct ContentExtensions {
            $($(#[$content_doc])* pub $content: Option<$content_value>,)*
        }

        impl ContentExtensions {
            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                $(self.$content.is_none())&&*
            }

            /// Hands the id and the data of every value that `map` knows an id for to `element`, until one fails.
            ///
            /// # Errors
            /// What `element` failed with.
            pub fn encode_each<E>(
                &self,
                map: &ExtensionMap,
                mut element: impl FnMut(ExtensionId, &[u8]) -> Result<(), E>,
            ) -> Result<(), E> {
                $(if let (Some(value), Some(id)) = (&self.$content, map.id(<$content_value>::KIND)) {
                    element(id, value.encode().as_ref())?;
                })*
                Ok(())
            }
        }
    };
}

extension_values! {
    connection {
        /// When the packet left the sender.
        abs_send_time: AbsSendTime,
        /// Its transport-wide sequence number.
        transport_sequence_number: TransportSequenceNumber,
        /// The media section that it belongs to.
        mid: Mid,
        /// The restriction identifier of its stream.
        rid: Rid,
        /// The restriction identifier of the stream that it repairs.
        repaired_rid: RepairedRid,
    }
    content {
        /// How loud its audio is.
        audio_level: AudioLevel,
        /// How its picture is turned.
        video_orientation: VideoOrientation,
    }
}
