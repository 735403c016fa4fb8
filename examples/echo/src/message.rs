//! What server and page tell each other, as JSON over a WebSocket.

use kaon_rtc::peer_connection::IceCandidateInit;
use serde::{Deserialize, Serialize};

/// From the page, which offers, and from the server, which answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Signal {
    Offer { sdp: String },
    Answer { sdp: String },
    Candidate { candidate: CandidateInit },
}

/// W3C `RTCIceCandidateInit`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateInit {
    candidate: String,
    sdp_mid: Option<String>,
    sdp_m_line_index: Option<u16>,
    username_fragment: Option<String>,
}

impl From<IceCandidateInit> for CandidateInit {
    fn from(init: IceCandidateInit) -> Self {
        Self {
            candidate: init.candidate,
            sdp_mid: init.sdp_mid,
            sdp_m_line_index: init.sdp_m_line_index,
            username_fragment: init.username_fragment,
        }
    }
}

impl From<CandidateInit> for IceCandidateInit {
    fn from(init: CandidateInit) -> Self {
        let mut candidate = Self::new(init.candidate);
        candidate.sdp_mid = init.sdp_mid;
        candidate.sdp_m_line_index = init.sdp_m_line_index;
        candidate.username_fragment = init.username_fragment;
        candidate
    }
}
