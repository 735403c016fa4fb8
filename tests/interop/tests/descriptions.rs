//! Chromium as the judge of descriptions: offers in the manner of many stacks, answered by it and by Kaon, and compared
//! section by section. What differs and is meant to stands in `descriptions/differences.txt`, with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kaon_interop::{Browser, Kind};
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::sdp::{H264Parameters, MediaDescription, SessionDescription, Vp9Parameters};
use kaon_rtc::session::{Description, Session, SessionConfig};
use serde_json::{Value, json};

/// Answers each offer of `args`.
const ANSWER: &str = "
    const answers = [];
    for (const sdp of args) {
        const connection = new RTCPeerConnection();
        try {
            await connection.setRemoteDescription({ type: 'offer', sdp });
            await connection.setLocalDescription();
            answers.push({ sdp: connection.localDescription.sdp });
        } catch (error) {
            answers.push({ error: `${error}` });
        }
        connection.close();
    }
    return answers;
";

/// What is compared of an answer; `Err` is why there is none.
type Answer = Result<Vec<Section>, String>;

#[derive(Debug)]
struct Section {
    accepted: bool,
    profile: String,
    mid: Option<String>,
    direction: String,
    setup: Option<String>,
    /// Payload types and names of what both sides know.
    codecs: Vec<String>,
}

impl Section {
    fn of(sdp: &SessionDescription, media: &MediaDescription) -> Self {
        let accepted = !media.is_rejected();
        Self {
            accepted,
            profile: media.protocol.clone(),
            mid: media.mid().map(|mid| mid.to_string()),
            direction: sdp.direction(media).to_string(),
            setup: sdp.setup(media).map(|setup| setup.to_string()),
            codecs: if accepted { codecs(media) } else { Vec::new() },
        }
    }

    fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'static str, String)> + 'a {
        let both = self.accepted && other.accepted;
        let differ = |what: &'static str, ours: String, theirs: String| {
            (ours != theirs).then(|| (what, format!("{ours}, Chromium {theirs}")))
        };
        [
            differ("accepted", self.accepted.to_string(), other.accepted.to_string()),
            differ("profile", self.profile.clone(), other.profile.clone()),
            differ("mid", format!("{:?}", self.mid), format!("{:?}", other.mid)),
            differ("direction", self.direction.clone(), other.direction.clone()).filter(|_| both),
            differ("setup", format!("{:?}", self.setup), format!("{:?}", other.setup)).filter(|_| both),
            differ("codecs", self.codecs.join(" "), other.codecs.join(" ")).filter(|_| both),
        ]
        .into_iter()
        .flatten()
    }
}

/// Payload types and names, without what only one of the two has: Chromium's G.722, AV1 and H.265, tones, noise and
/// redundancy, and profiles of H.264 and VP9.
fn codecs(media: &MediaDescription) -> Vec<String> {
    let known = media.codecs().filter(|codec| {
        let name = codec.encoding().unwrap_or_default().to_ascii_uppercase();
        let profile = H264Parameters::from(codec.parameters()).profile_level_id;
        match name.as_str() {
            "OPUS" | "PCMU" | "PCMA" | "VP8" => true,
            "VP9" => Vp9Parameters::from(codec.parameters()).profile_id == 0,
            "H264" => profile.profile_idc == 0x42,
            _ => false,
        }
    });
    known
        .map(|codec| {
            let mode = codec.is("H264").then(|| H264Parameters::from(codec.parameters()).packetization_mode);
            let name = codec.encoding().unwrap_or_default().to_ascii_lowercase();
            let mode = mode.map(|mode| format!("/{mode}")).unwrap_or_default();
            let repair = codec.retransmission().map(|rtx| format!("+{rtx}")).unwrap_or_default();
            format!("{}:{name}{mode}{repair}", codec.payload_type())
        })
        .collect()
}

fn sections(text: &str) -> Vec<Section> {
    let sdp: SessionDescription = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    sdp.media.iter().map(|media| Section::of(&sdp, media)).collect()
}

fn kaon(offer: &str, config: &SessionConfig) -> Answer {
    let now = Instant::now();
    let mut session = Session::new(now, config.clone());
    let offer = Description::offer(offer).map_err(|error| error.to_string())?;
    session.set_remote_description(now, &offer).map_err(|error| error.to_string())?;
    session.set_local_description(now, None).unwrap();
    Ok(sections(&session.local_description().unwrap().text()))
}

fn chromium(browser: &mut Browser, offers: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for offers in offers.chunks(20) {
        let batch = browser.eval(ANSWER, json!(offers));
        answers.extend(batch.as_array().unwrap().iter().map(|answer: &Value| match answer["sdp"].as_str() {
            Some(sdp) => Ok(sections(sdp)),
            None => Err(answer["error"].as_str().unwrap().to_owned()),
        }));
    }
    answers
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptions")
}

fn read(name: &str) -> String {
    fs::read_to_string(directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Bytes in the form of a fingerprint.
fn digest(len: usize) -> String {
    (0..len).map(|byte| format!("{:02X}", byte * 7 % 256)).collect::<Vec<_>>().join(":")
}

/// The offers by name, in the order of `oddities.txt`.
fn offers() -> Vec<(String, String)> {
    let mut offers: Vec<(String, String)> = Vec::new();
    let mut names = BTreeSet::new();
    for line in read("oddities.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let is_rule = line == "LF" || line.get(1..2) == Some(" ");
        if is_rule {
            let (name, text) = offers.last_mut().unwrap();
            *text = changed(text, line).unwrap_or_else(|| panic!("{name}: \"{line}\" changes nothing"));
        } else {
            let (name, base) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            assert!(names.insert(name.to_owned()), "{name} twice");
            offers.push((name.to_owned(), read(&format!("{base}.sdp"))));
        }
    }
    for (name, text) in &mut offers {
        let lf = text.ends_with("LF");
        let plain = text.trim_end_matches("LF");
        let plain = if name.contains(".unlisted") { plain.to_owned() } else { listed(plain) };
        let (sha_384, sha_512) = (digest(48), digest(64));
        let plain = plain.replace("$DIGEST384", &sha_384).replace("$DIGEST512", &sha_512);
        let plain = plain.replace("$DIGEST", &digest(32)).replace("$digest", &digest(32).to_lowercase());
        assert!(!plain.contains('$'), "{name}\n{plain}");
        *text = if lf { plain } else { plain.replace('\n', "\r\n") };
    }
    offers
}

/// The text without what is said of payload types that the `m=` line does not have.
fn listed(text: &str) -> String {
    let mut formats: Option<Vec<&str>> = None;
    let mut result = String::new();
    for line in text.lines() {
        if line.starts_with("m=") {
            formats = line.contains("RTP").then(|| line.split(' ').skip(3).collect());
        }
        let of = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().find_map(|name| line.strip_prefix(name));
        let payload_type = of.and_then(|rest| rest.split(' ').next());
        let is_listed = match (&formats, payload_type) {
            (Some(formats), Some(payload_type)) => payload_type == "*" || formats.contains(&payload_type),
            _ => true,
        };
        if is_listed {
            result.push_str(line);
            result.push('\n');
        }
    }
    result
}

/// The text after one rule of `oddities.txt`; `None` if that changes nothing.
fn changed(text: &str, rule: &str) -> Option<String> {
    let unescape = |text: &str| text.replace("\\n", "\n").replace("\\s", " ");
    let rest = rule.get(2..).unwrap_or_default();
    let result = match rule.get(..1)? {
        "-" => {
            let kept = text.lines().filter(|line| !line.starts_with(rest));
            kept.map(|line| format!("{line}\n")).collect()
        }
        "=" => {
            let (old, new) = rest.split_once(" =>").unwrap();
            text.replace(&unescape(old), &unescape(new.strip_prefix(' ').unwrap_or(new)))
        }
        "+" => format!("{text}{}\n", unescape(rest)),
        "^" => {
            let at = text.find("m=").unwrap();
            format!("{}{}\n{}", &text[..at], unescape(rest), &text[at..])
        }
        "!" => {
            let keep: usize = rest.parse().unwrap();
            let at = text.match_indices("\nm=").nth(keep).unwrap().0;
            text[..=at].to_owned()
        }
        "@" => {
            let index: usize = rest.parse().unwrap();
            let mut starts: Vec<usize> = text.match_indices("\nm=").map(|(at, _)| at + 1).collect();
            let head = &text[..starts[0]];
            starts.push(text.len());
            format!("{head}{}", &text[starts[index]..starts[index + 1]])
        }
        "L" => format!("{text}LF"),
        _ => panic!("{rule}"),
    };
    (result != text).then_some(result)
}

/// What may differ, by name and what, with whether it was seen to.
fn meant() -> BTreeMap<(String, String), bool> {
    let text = read("differences.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (key, reason) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            assert!(!reason.is_empty());
            let (name, what) = key.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            ((name.to_owned(), what.to_owned()), false)
        })
        .collect()
}

fn is_meant(meant: &mut BTreeMap<(String, String), bool>, name: &str, what: &str) -> bool {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    let mut is_meant = false;
    for ((pattern, of), seen) in meant.iter_mut() {
        if of == what && fits(pattern) {
            *seen = true;
            is_meant = true;
        }
    }
    is_meant
}

/// All that differs, each with the name of the offer and what it is in.
fn differences(ours: &Answer, theirs: &Answer) -> Vec<(String, String)> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            let sections = ours.iter().zip(theirs).enumerate();
            sections
                .flat_map(|(index, (ours, theirs))| {
                    let told = ours.differences(theirs);
                    told.map(move |(what, detail)| (what.to_owned(), format!("section {index}: {detail}")))
                })
                .collect()
        }
        (Err(_), Err(_)) => Vec::new(),
        (Err(error), Ok(_)) => vec![("refused".to_owned(), error.clone())],
        (Ok(_), Err(error)) => vec![("taken".to_owned(), format!("Chromium: {error}"))],
    }
}

#[test]
fn kaon_answers_as_chromium_does() {
    let offers = offers();
    assert!(offers.len() >= 150, "{}", offers.len());
    let Some(mut browser) = Browser::start(Kind::Chromium) else { return };
    let config = SessionConfig::generate(aws_lc_rs::provider()).unwrap();
    let texts: Vec<String> = offers.iter().map(|(_, text)| text.clone()).collect();
    let judged = chromium(&mut browser, &texts);
    let mut meant = meant();
    let mut wrong = Vec::new();
    for ((name, text), theirs) in offers.iter().zip(&judged) {
        for (what, detail) in differences(&kaon(text, &config), theirs) {
            if !is_meant(&mut meant, name, &what) {
                wrong.push(format!("{name} {what}: {detail}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), offers.len(), wrong.join("\n"));
    let unseen: Vec<_> = meant.iter().filter(|(_, seen)| !**seen).map(|(key, _)| key).collect();
    assert!(unseen.is_empty(), "meant to differ, and do not: {unseen:?}");
}
