//! SRTP by itself between two processes over UDP sockets of `std`, with a key that both were given:
//!
//! ```text
//! cargo run --example srtp_only -- receive 127.0.0.1:5004 AEAD_AES_128_GCM KEY
//! cargo run --example srtp_only -- send 127.0.0.1:5004 AEAD_AES_128_GCM KEY
//! ```
//!
//! KEY is master key and master salt in hexadecimal: 28 bytes for AEAD_AES_128_GCM, 44 for AEAD_AES_256_GCM, 30
//! for AES128_CM_HMAC_SHA1_80. `openssl rand -hex 28` makes one; use each for one run only, because the sender
//! begins with the same packet index each time.
//!
//! The sender makes a packet of each line of its standard input, the receiver prints it. The exit code is 2 if
//! the program was called wrongly.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::BufRead;
use std::net::UdpSocket;
use std::process::ExitCode;

use kaon_rtc::crypto::default_provider;
use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::rtp::{Header, Packet, PacketWriter};
use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpProfile, SrtpTransport};

const USAGE: &str = "usage: srtp_only send|receive ADDRESS PROFILE KEY";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, profile, key] = &arguments[..] else { return misuse("four arguments are needed") };
    let run = match role.as_str() {
        "send" => send,
        "receive" => receive,
        _ => return misuse("the role is send or receive"),
    };
    let profile = match profile.parse::<SrtpProfile>() {
        Ok(profile) => profile,
        Err(error) => return misuse(&error.to_string()),
    };
    let Some(key) = master_key(profile, key) else { return misuse("the key is not one of this profile") };
    // One key for both directions is enough where only one side sends.
    let Some(provider) = default_provider() else { return misuse("no crypto provider is built in") };
    let outcome = Context::new(&provider, &key, &key, Config::default())
        .map_err(Into::into)
        .and_then(|context| run(context, address));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn send(mut context: Context, address: &str) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    let mut buffer = [0; 1500];
    for (line, number) in std::io::stdin().lock().lines().zip(0u32..) {
        let header = Header {
            marker: false,
            payload_type: PayloadType::from_low_bits(98),
            sequence_number: SequenceNumber(number as u16),
            timestamp: RtpTimestamp(number.wrapping_mul(3000)),
            ssrc: Ssrc(0x6b61_6f6e),
        };
        let len = PacketWriter::new(&mut buffer, &header, &[])?.payload(line?.as_bytes())?;
        // Encrypted where it stands; the tag goes behind it.
        let len = context.protect_rtp(&mut buffer, len)?;
        socket.send(&buffer[..len])?;
    }
    Ok(())
}

fn receive(mut context: Context, address: &str) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(address)?;
    let mut buffer = [0; 1500];
    loop {
        let (len, sender) = socket.recv_from(&mut buffer)?;
        match context.unprotect_rtp(&mut buffer[..len]) {
            Ok(len) => {
                let packet = Packet::parse(&buffer[..len])?;
                let text = String::from_utf8_lossy(packet.payload());
                println!("{:#010x} {}: {text}", packet.ssrc().0, packet.sequence_number().0);
            }
            // A forged, replayed or broken packet leaves nothing behind.
            Err(error) => eprintln!("from {sender}: {error}"),
        }
    }
}

fn master_key(profile: SrtpProfile, hex: &str) -> Option<MasterKey> {
    let digits = hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8));
    let digits = digits.collect::<Option<Vec<u8>>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let (key, salt) = bytes.split_at_checked(profile.key_len())?;
    MasterKey::new(profile, key, salt).filter(|_| digits.len() % 2 == 0)
}

fn misuse(what: &str) -> ExitCode {
    eprintln!("{what}\n{USAGE}");
    ExitCode::from(2)
}
