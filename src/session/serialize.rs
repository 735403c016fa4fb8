//! Descriptions and candidates as browsers write them to JSON: the W3C's `RTCSessionDescriptionInit` and
//! `RTCIceCandidateInit`.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::description::{Description, DescriptionKind, IceCandidateInit};

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("RTCSessionDescriptionInit", 2)?;
        members.serialize_field("type", &self.kind)?;
        members.serialize_field("sdp", &self.text())?;
        members.end()
    }
}

/// W3C WebRTC §4.7.2: `sdp` is empty by default.
#[derive(serde::Deserialize)]
#[serde(rename = "RTCSessionDescriptionInit")]
struct DescriptionMembers {
    #[serde(rename = "type")]
    kind: DescriptionKind,
    #[serde(default)]
    sdp: Option<String>,
}

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DescriptionMembers { kind, sdp } = DescriptionMembers::deserialize(deserializer)?;
        Self::parse(kind, sdp.as_deref().unwrap_or_default()).map_err(D::Error::custom)
    }
}

impl Serialize for IceCandidateInit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("RTCIceCandidateInit", 4)?;
        members.serialize_field("candidate", &self.candidate)?;
        members.serialize_field("sdpMid", &self.sdp_mid)?;
        members.serialize_field("sdpMLineIndex", &self.sdp_m_line_index)?;
        members.serialize_field("usernameFragment", &self.username_fragment)?;
        members.end()
    }
}

/// W3C WebRTC §4.8.1.2: `candidate` is empty by default, the others are null.
#[derive(Default, serde::Deserialize)]
#[serde(rename = "RTCIceCandidateInit", rename_all = "camelCase", default)]
struct CandidateMembers {
    candidate: Option<String>,
    sdp_mid: Option<String>,
    #[serde(rename = "sdpMLineIndex")]
    sdp_m_line_index: Option<u16>,
    username_fragment: Option<String>,
}

impl<'de> Deserialize<'de> for IceCandidateInit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = CandidateMembers::deserialize(deserializer)?;
        Ok(Self {
            candidate: members.candidate.unwrap_or_default(),
            sdp_mid: members.sdp_mid,
            sdp_m_line_index: members.sdp_m_line_index,
            username_fragment: members.username_fragment,
        })
    }
}
