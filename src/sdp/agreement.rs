//! What the parameters of both sides have to have in common, and how those of one side are answered: one row for each
//! payload format.

use super::format::{FormatParameters, H264Parameters, Vp9Parameters};

/// The rules of a payload format.
struct Rules {
    /// Its name in `a=rtpmap`.
    name: &'static str,
    /// Whether either side can decode what the other encodes.
    is_same: fn(&FormatParameters, &FormatParameters) -> bool,
    /// The parameters of ours to answer theirs with.
    answer: fn(&FormatParameters, &FormatParameters) -> FormatParameters,
}

/// The formats whose parameters are more than a declaration of each side for itself.
const RULES: [Rules; 2] = [
    Rules { name: "H264", is_same: is_same_h264, answer: answer_h264 },
    Rules { name: "VP9", is_same: is_same_vp9, answer: |ours, _| ours.clone() },
];

impl Rules {
    fn of(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rules| rules.name.eq_ignore_ascii_case(name))
    }
}

impl FormatParameters {
    /// Whether a payload format of this name in `a=rtpmap` with these parameters is the same as one with `theirs`, so that
    /// either side can decode what the other encodes: profiles and modes have to be equal, what a side declares for itself
    /// has not. The case of the name has no meaning.
    ///
    /// ```
    /// use kaon_rtc::sdp::FormatParameters;
    ///
    /// let ours = FormatParameters::new("packetization-mode=1;profile-level-id=42e01f");
    /// let another_level = FormatParameters::new("packetization-mode=1;profile-level-id=42e034");
    /// assert!(ours.is_same_format("H264", &another_level));
    /// assert!(!ours.is_same_format("H264", &FormatParameters::new("profile-level-id=42e01f")));
    /// ```
    pub fn is_same_format(&self, name: &str, theirs: &Self) -> bool {
        Rules::of(name).is_none_or(|rules| (rules.is_same)(self, theirs))
    }

    /// What of these parameters answers an offer of `offered`, which is of the [same format](Self::is_same_format).
    #[must_use]
    pub fn answer_to(&self, name: &str, offered: &Self) -> Self {
        Rules::of(name).map_or_else(|| self.clone(), |rules| (rules.answer)(self, offered))
    }
}

/// RFC 6184 §8.2.2: the profile and the packetization mode are symmetric, the level is not.
fn is_same_h264(ours: &FormatParameters, theirs: &FormatParameters) -> bool {
    let (ours, theirs) = (H264Parameters::from(ours), H264Parameters::from(theirs));
    ours.packetization_mode == theirs.packetization_mode
        && ours.profile_level_id.same_profile(theirs.profile_level_id)
}

/// RFC 6184 §8.2.2: unless both sides allow it to differ, the level is at most that of the offer.
fn answer_h264(ours: &FormatParameters, offered: &FormatParameters) -> FormatParameters {
    const ASYMMETRY: &str = "level-asymmetry-allowed";
    if ours.flag(ASYMMETRY) && offered.flag(ASYMMETRY) {
        return ours.clone();
    }
    let mut profile = H264Parameters::from(ours).profile_level_id;
    let offered = H264Parameters::from(offered).profile_level_id;
    profile.level_idc = profile.level_idc.min(offered.level_idc);
    let kept = ours.iter().filter(|(name, _)| {
        ![ASYMMETRY, "profile-level-id"].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    let mut text = String::new();
    for (name, value) in kept {
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(value);
        }
        text.push(';');
    }
    text.push_str(&format!("profile-level-id={profile}"));
    FormatParameters::new(text)
}

/// RFC 9628 §6: the profile is that of both directions.
fn is_same_vp9(ours: &FormatParameters, theirs: &FormatParameters) -> bool {
    Vp9Parameters::from(ours) == Vp9Parameters::from(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_modes_are_agreed_on_and_declarations_are_not() {
        let is_same = |name: &str, ours: &str, theirs: &str| {
            let (ours, theirs) = (FormatParameters::new(ours), FormatParameters::new(theirs));
            assert_eq!(ours.is_same_format(name, &theirs), theirs.is_same_format(name, &ours));
            ours.is_same_format(name, &theirs)
        };
        let h264 = "packetization-mode=1;profile-level-id=42e01f";
        assert!(is_same("h264", h264, "profile-level-id=42E034;packetization-mode=1"));
        assert!(!is_same("H264", h264, "profile-level-id=42e01f"));
        assert!(!is_same("H264", h264, "packetization-mode=1;profile-level-id=640c1f"));
        assert!(is_same("vp9", "profile-id=0", ""));
        assert!(!is_same("VP9", "profile-id=0", "profile-id=2"));
        assert!(is_same("opus", "useinbandfec=1", "stereo=1"));
        assert!(is_same("x-unknown", "a=1", "a=2"));
    }

    #[test]
    fn a_level_that_both_share_is_that_of_the_weaker() {
        let answer = |ours: &str, offered: &str| {
            FormatParameters::new(ours).answer_to("H264", &FormatParameters::new(offered)).to_string()
        };
        let ours = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
        assert_eq!(answer(ours, ours), ours);
        assert_eq!(
            answer(ours, "packetization-mode=1;profile-level-id=42e00a"),
            "packetization-mode=1;profile-level-id=42e00a"
        );
        assert_eq!(
            answer(ours, "packetization-mode=1;profile-level-id=42e034"),
            "packetization-mode=1;profile-level-id=42e01f"
        );
        let opus = FormatParameters::new("useinbandfec=1");
        assert_eq!(opus.answer_to("opus", &FormatParameters::new("stereo=1")), opus);
    }
}
