//! What server and page tell each other, as JSON over a WebSocket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// From the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToPage<'a> {
    /// The cameras there are.
    Hello { cameras: Vec<CameraInfo<'a>> },
    /// An offer, and what its media sections show.
    Offer { sdp: String, tiles: Vec<TileInfo<'a>> },
    /// After an answer: the tiles whose codec the page does not take.
    Unsupported { tiles: Vec<u32> },
    /// A candidate of the server.
    Candidate { candidate: CandidateInit },
    /// What the connection is too slow for: tiles that are sent at key frames only, and not at all.
    Reduced { slow: Vec<u32>, paused: Vec<u32> },
    /// Every second: how many watch, and which cameras send nothing, and why.
    Status { viewers: usize, complaints: BTreeMap<&'a str, String> },
    /// Something was asked that cannot be done.
    Refused { reason: String },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraInfo<'a> {
    pub name: &'a str,
    pub picture: Option<&'static str>,
    pub sound: Option<&'static str>,
}

/// A camera on the wall of this viewer.
#[derive(Debug, Serialize)]
pub struct TileInfo<'a> {
    pub tile: u32,
    pub camera: &'a str,
    /// The tags of its media sections.
    pub video: Option<String>,
    pub audio: Option<String>,
}

/// From the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromPage {
    /// Begins: these cameras, or all of them.
    Watch {
        cameras: Option<Vec<String>>,
    },
    Answer {
        sdp: String,
    },
    Candidate {
        candidate: CandidateInit,
    },
    /// Puts a camera on the wall.
    Add {
        camera: String,
    },
    /// Takes a tile off the wall.
    Remove {
        tile: u32,
    },
    /// The tiles that are in sight; nothing is sent for the others.
    Visible {
        tiles: Vec<u32>,
    },
    /// The tiles whose sound is on; no sound is sent for the others.
    Audible {
        tiles: Vec<u32>,
    },
}

/// W3C `RTCIceCandidateInit`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateInit {
    pub candidate: String,
    pub sdp_mid: Option<String>,
    pub sdp_m_line_index: Option<u16>,
    pub username_fragment: Option<String>,
}
