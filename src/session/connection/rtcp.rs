//! RTCP that the application sends and reads itself.

use std::time::Instant;

use super::Session;
use crate::session::error::SessionError;
use crate::session::media::{DroppedRtcp, RtcpDatagram, RtcpFeedback};

impl Session {
    /// Sends RTCP of the application beside the reports and the feedback that the session makes: one datagram of one
    /// or more packets, as [`CompoundWriter`](crate::rtcp::CompoundWriter) writes it. It is protected, and sent after
    /// what waits already. Where the peer takes no datagram that does not begin with a report, one without blocks is
    /// put in front, and in front of a packet that names no source, which SRTCP could not protect.
    ///
    /// ```
    /// # use std::time::Instant;
    /// use kaon_rtc::layer::Ssrc;
    /// use kaon_rtc::rtcp::{CompoundWriter, Pli};
    /// use kaon_rtc::session::{Session, SessionError};
    ///
    /// fn ask_for_a_key_frame(session: &mut Session, now: Instant, media: Ssrc) -> Result<(), SessionError> {
    ///     let mut buffer = [0; 100];
    ///     let mut writer = CompoundWriter::new(&mut buffer);
    ///     writer.push(&Pli { sender: Ssrc(1), media }).expect("twelve bytes");
    ///     let len = writer.finish();
    ///     session.send_rtcp(now, &buffer[..len])
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Ended`], [`SessionError::NoMedia`] while none is negotiated, [`SessionError::Rtcp`] if a packet
    /// is malformed, [`SessionError::PacketTooLong`] if the datagram and its protection are longer than
    /// [`mtu`](crate::session::SessionConfig::mtu), [`SessionError::TooMuchRtcp`] if too many wait, and
    /// [`SessionError::Srtp`] if SRTP has refused one before, which is lost then: it counts the datagrams of each source
    /// that is named first, of so many sources at most.
    pub fn send_rtcp(&mut self, now: Instant, datagram: &[u8]) -> Result<(), SessionError> {
        self.advance(now);
        match &self.failure {
            Some(reason) => Err(reason.clone().into()),
            None => self.media.send_rtcp(datagram),
        }
    }

    /// What the peer has told next of what this side sends, oldest first, if
    /// [`max_unread_feedback`](crate::session::RtcpConfig::max_unread_feedback) has it kept. What it says has an
    /// effect on the statistics and retransmission in any case.
    pub fn receive_feedback(&mut self) -> Option<RtcpFeedback> {
        self.media.unread_rtcp().pop_feedback()
    }

    /// The next RTCP datagram of the peer, oldest first, if
    /// [`max_unread_bytes`](crate::session::RtcpConfig::max_unread_bytes) has them kept. The session has acted on what
    /// it understands of it.
    pub fn receive_rtcp(&mut self) -> Option<RtcpDatagram> {
        self.media.unread_rtcp().pop_datagram()
    }

    /// How much feedback and RTCP was dropped because it was not read in time.
    pub fn dropped_rtcp(&self) -> DroppedRtcp {
        self.media.dropped_rtcp()
    }

    /// Whether feedback or RTCP has come since the last call.
    #[cfg(feature = "peer-connection")]
    pub(crate) fn take_rtcp_news(&mut self) -> bool {
        self.media.take_rtcp_news()
    }
}
