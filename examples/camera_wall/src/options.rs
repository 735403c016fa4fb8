//! The command line.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::Parser;
use kaon_rtc::net::PortRange;

use crate::feed::FeedCodec;
use crate::own_page::Place;

/// A wall of live cameras in the browser.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    #[command(flatten)]
    pub place: Place,

    /// UDP ports that the media may use; any free port by default.
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_port_range)]
    pub port_range: Option<PortRange>,

    /// How many cameras play the bundled clips; more than four repeat them.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=200))]
    pub cameras: u16,

    /// A camera that sends RTP to a port of this machine: NAME=rtp://127.0.0.1:5004?codec=h264. Codecs are h264,
    /// vp8 and opus; a picture and a sound of the same name are one camera. May be given several times.
    #[arg(long = "camera", value_name = "NAME=URL")]
    pub rtp: Vec<RtpCamera>,

    /// How many viewers may watch at a time.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max_viewers: usize,
}

/// A camera that sends RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpCamera {
    pub name: String,
    /// Where it sends to.
    pub address: SocketAddr,
    pub codec: FeedCodec,
}

const MAX_NAME: usize = 64;

impl FromStr for RtpCamera {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or("expected NAME=rtp://ADDR:PORT?codec=CODEC")?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return Err(format!("a camera's name has 1 to {MAX_NAME} characters"));
        }
        let rest = url.strip_prefix("rtp://").ok_or_else(|| format!("{url} does not begin with rtp://"))?;
        let (address, query) = rest.split_once('?').ok_or("the codec is missing; add ?codec=h264")?;
        let address: SocketAddr =
            address.parse().map_err(|_| format!("{address} is no IP address with a port"))?;
        if address.port() == 0 {
            return Err("port 0 is no port to send to".to_owned());
        }
        let codec = query.strip_prefix("codec=").ok_or("the codec is missing; add ?codec=h264")?;
        let codec = match codec.to_ascii_lowercase().as_str() {
            "h264" => FeedCodec::H264,
            "vp8" => FeedCodec::Vp8,
            "opus" => FeedCodec::Opus,
            _ => return Err(format!("the codec {codec} is not supported; expected h264, vp8 or opus")),
        };
        Ok(Self { name: name.to_owned(), address, codec })
    }
}

fn parse_port_range(text: &str) -> Result<PortRange, String> {
    let parse = |port: &str| port.trim().parse().map_err(|_| format!("{port} is no port"));
    let (first, last) = text.split_once('-').ok_or("expected FIRST-LAST, such as 50000-50099")?;
    PortRange::new(parse(first)?..=parse(last)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_of_the_command_line() {
        let camera: RtpCamera = "Front door=rtp://127.0.0.1:5004?codec=H264".parse().unwrap();
        assert_eq!(camera.name, "Front door");
        assert_eq!((camera.address.port(), camera.codec), (5004, FeedCodec::H264));
        for (bad, why) in [
            ("rtp://127.0.0.1:5004?codec=vp8", "does not begin"),
            ("door", "expected NAME="),
            ("=rtp://127.0.0.1:5004?codec=vp8", "1 to 64"),
            ("a=http://127.0.0.1:5004?codec=vp8", "rtp://"),
            ("a=rtp://127.0.0.1?codec=vp8", "no IP address with a port"),
            ("a=rtp://localhost:1?codec=vp8", "no IP address with a port"),
            ("a=rtp://127.0.0.1:0?codec=vp8", "port 0"),
            ("a=rtp://127.0.0.1:5004", "codec is missing"),
            ("a=rtp://127.0.0.1:5004?codec=av1", "av1 is not supported"),
        ] {
            let error = bad.parse::<RtpCamera>().unwrap_err();
            assert!(error.contains(why) && !error.contains('\n'), "{bad}: {error}");
        }
    }

    #[test]
    fn ranges_of_ports() {
        assert_eq!(parse_port_range("50000-50009").unwrap().len(), 10);
        for bad in ["", "5", "9-5", "0-9", "a-b", "1-99999"] {
            assert!(parse_port_range(bad).is_err(), "{bad}");
        }
    }
}
