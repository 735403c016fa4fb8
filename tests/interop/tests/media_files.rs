//! Files of media with ffmpeg: we read what it writes, and it reads what we write; in between, the frames
//! travel as RTP packets that are lost, late and sent again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kaon_interop::missing;
use kaon_rtc::container::{
    AnnexBReader, AnnexBWriter, IvfCodec, IvfHeader, IvfReader, IvfWriter, OggOpusReader, OggOpusWriter,
    OpusTags,
};
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::media::{
    Frame, FrameAssembler, FrameAssemblerConfig, NackConfig, NackGenerator, PacketCache, PacketCacheConfig,
    Retransmission, RtxSender, unwrap_rtx,
};
use kaon_rtc::rtcp::NackEntry;
use kaon_rtc::rtp::payload::h264::StreamFormat;
use kaon_rtc::rtp::payload::{Packetizer, PayloadFormat, PictureId, h264, opus, vp8, vp9};
use kaon_rtc::rtp::{Header, Packet, PacketWriter};

const CLIP: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=2"];
const FRAMES: usize = 60;

/// Whether ffmpeg is there.
fn ffmpeg_is_there() -> bool {
    let there = Command::new("ffmpeg").arg("-version").output();
    if let Err(error) = &there {
        missing("ffmpeg", &error.to_string());
    }
    there.is_ok()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs ffmpeg, which may not complain, and tells what it has written to its output.
fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y"])
        .args(arguments)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{arguments:?}: {complaints}");
    output.stdout
}

/// Encodes the clip.
fn encode(name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = file(name);
    ffmpeg(&[&CLIP[..], arguments, &[path.to_str().unwrap()]].concat());
    std::fs::read(path).unwrap()
}

/// The checksums of the pictures that ffmpeg decodes.
fn pictures(name: &str, bytes: &[u8]) -> Vec<String> {
    let path = file(name);
    std::fs::write(&path, bytes).unwrap();
    let arguments = ["-i", path.to_str().unwrap(), "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let listing = String::from_utf8(ffmpeg(&arguments)).unwrap();
    let lines = listing.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Sends frames as RTP; one packet in ten is lost on the way, each is up to 20 ms late, and what is missed is
/// asked for and sent again.
fn travel(format: PayloadFormat, frames: &[Vec<u8>]) -> Vec<Frame> {
    const RTX: PayloadType = PayloadType::from_low_bits(97);
    const VIDEO: PayloadType = PayloadType::from_low_bits(96);
    let mut packetizer: Box<dyn Packetizer> = match format {
        PayloadFormat::Vp8 => Box::new(vp8::Packetizer::new(vp8::Descriptor {
            picture_id: Some(PictureId::Long(0x7fff)),
            ..vp8::Descriptor::default()
        })),
        PayloadFormat::Vp9 => Box::new(vp9::Packetizer::new(PictureId::Long(5))),
        PayloadFormat::H264 => Box::new(h264::Packetizer::default()),
        _ => Box::new(opus::Packetizer),
    };
    let random = SeededRandom::new(7);
    let start = Instant::now();
    let round_trip_time = Duration::from_millis(40);
    let mut cache = PacketCache::new(PacketCacheConfig::default());
    let mut rtx = RtxSender::new(Ssrc(2), SequenceNumber(65000));
    let mut nack = NackGenerator::new(NackConfig::default());
    let mut assembler = FrameAssembler::new(format, FrameAssemblerConfig::video());
    let mut number = SequenceNumber(65500);
    let mut on_the_way: Vec<(Instant, Vec<u8>)> = Vec::new();
    let mut received = Vec::new();
    let mut lost = 0;
    for millis in 0..frames.len() as u64 * 33 + 2000 {
        let now = start + Duration::from_millis(millis);
        if millis % 33 == 0
            && let Some(frame) = frames.get(millis as usize / 33)
        {
            let timestamp = RtpTimestamp(millis as u32 * 90);
            packetizer
                .packetize(frame, 1100, &mut |payload| {
                    let header = Header {
                        marker: payload.marker,
                        payload_type: VIDEO,
                        sequence_number: number,
                        timestamp,
                        ssrc: Ssrc(1),
                    };
                    let mut bytes = vec![0; 1200];
                    let head = PacketWriter::new(&mut bytes, &header, &[]).unwrap().finish_header();
                    let len = head + payload.write(&mut bytes[head..]).unwrap();
                    bytes.truncate(len);
                    cache.insert(now, number, bytes.len(), bytes.clone());
                    // The stream begins with the first packet that comes, and that the last ones are missing
                    // shows only by those behind them.
                    let spared = number == SequenceNumber(65500) || millis as usize / 33 + 1 == frames.len();
                    let fate = random.next_u64();
                    if spared || !fate.is_multiple_of(10) {
                        let late = if spared { 0 } else { (fate >> 8) & 0xf };
                        on_the_way.push((now + Duration::from_millis(late), bytes));
                    } else {
                        lost += 1;
                    }
                    number = number.wrapping_add(1);
                })
                .unwrap();
        }
        let mut arrived: Vec<_> = on_the_way.extract_if(.., |(at, _)| *at <= now).collect();
        arrived.sort_by_key(|(at, _)| *at);
        for (_, mut bytes) in arrived {
            let is_rtx = Packet::parse(&bytes).unwrap().payload_type() == RTX;
            let packet = match is_rtx {
                true => unwrap_rtx(&mut bytes, Ssrc(1), VIDEO).unwrap().unwrap(),
                false => &mut bytes[..],
            };
            let packet = Packet::parse(packet).unwrap();
            nack.received(now, packet.sequence_number());
            assembler.push(now, &packet);
        }
        received.extend(std::iter::from_fn(|| assembler.poll_frame(now)));
        let mut entries = [NackEntry { first: SequenceNumber(0), following: 0 }; 16];
        let count = nack.poll_nack(now, &mut entries);
        for missed in entries[..count].iter().flat_map(|entry| entry.sequence_numbers()) {
            if let Retransmission::Packet(kept) = cache.retransmit(now, missed, round_trip_time) {
                let mut bytes = vec![0; 1300];
                let len = rtx.wrap(&Packet::parse(kept).unwrap(), RTX, &mut bytes).unwrap();
                bytes.truncate(len);
                if !random.next_u64().is_multiple_of(10) {
                    on_the_way.push((now + round_trip_time, bytes));
                }
            }
        }
    }
    assert!(lost > 5, "something was lost on the way");
    assert!(received.iter().all(|frame| frame.contiguous));
    assert_eq!(received.len(), frames.len());
    received
}

fn ivf_frames(bytes: &[u8]) -> (IvfHeader, Vec<(u64, Vec<u8>)>) {
    let mut reader = IvfReader::new(bytes).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.read_frame().unwrap() {
        frames.push((frame.timestamp, frame.data.to_vec()));
    }
    (*reader.header(), frames)
}

fn ivf_travels(name: &str, codec: IvfCodec, format: PayloadFormat, encoder: &[&str]) {
    if !ffmpeg_is_there() {
        return;
    }
    let original = encode(&format!("{name}.ivf"), encoder);
    let (header, frames) = ivf_frames(&original);
    assert_eq!((header.codec, header.width, header.height), (codec, 320, 240));
    assert_eq!(header.time_base, (1, 30));
    assert!(frames.len() >= FRAMES);

    let data: Vec<_> = frames.iter().map(|(_, data)| data.clone()).collect();
    let received = travel(format, &data);
    assert!(received[0].key_frame);
    let size = received[0].dimensions.unwrap();
    assert_eq!((size.width, size.height), (320, 240));

    let mut writer = IvfWriter::new(std::io::Cursor::new(Vec::new()), &header).unwrap();
    for ((timestamp, _), frame) in frames.iter().zip(&received) {
        writer.write_frame(*timestamp, &frame.data).unwrap();
    }
    let written = writer.finish().unwrap().into_inner();
    let decoded = pictures(&format!("{name}_received.ivf"), &written);
    assert_eq!(decoded.len(), FRAMES);
    assert_eq!(decoded, pictures(&format!("{name}_sent.ivf"), &original));
}

#[test]
fn vp8_in_ivf() {
    let encoder = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "20"];
    ivf_travels("vp8", IvfCodec::Vp8, PayloadFormat::Vp8, &encoder);
}

#[test]
fn vp9_in_ivf() {
    let encoder = [
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-lag-in-frames",
        "0",
        "-b:v",
        "1M",
    ];
    ivf_travels("vp9", IvfCodec::Vp9, PayloadFormat::Vp9, &encoder);
}

#[test]
fn av1_in_ivf() {
    if !ffmpeg_is_there() {
        return;
    }
    let encoder = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-frames:v", "5"];
    let original = encode("av1.ivf", &encoder);
    let (header, frames) = ivf_frames(&original);
    assert_eq!((header.codec, frames.len()), (IvfCodec::Av1, 5));
    let mut writer = IvfWriter::new(Vec::new(), &header).unwrap();
    frames.iter().for_each(|(timestamp, data)| writer.write_frame(*timestamp, data).unwrap());
    let written = writer.into_inner();
    assert_eq!(pictures("av1_written.ivf", &written), pictures("av1_again.ivf", &original));
}

fn annex_b_travels(name: &str, encoder: &[&str]) {
    if !ffmpeg_is_there() {
        return;
    }
    let original = encode(&format!("{name}.h264"), encoder);
    let mut reader = AnnexBReader::new(&original[..]);
    let (mut access_units, mut key_frames, mut offset) = (Vec::new(), 0, 0);
    while let Some(unit) = reader.read_access_unit().unwrap() {
        assert_eq!(unit.offset, offset);
        offset += unit.data.len() as u64;
        key_frames += usize::from(unit.key_frame);
        access_units.push(unit.data.to_vec());
    }
    assert_eq!((access_units.len(), key_frames), (FRAMES, 3));
    assert_eq!(access_units.concat(), original);

    let received = travel(PayloadFormat::H264, &access_units);
    assert_eq!(received.iter().filter(|frame| frame.key_frame).count(), 3);
    let mut writer = AnnexBWriter::new(Vec::new(), StreamFormat::AnnexB);
    received.iter().for_each(|frame| writer.write_access_unit(&frame.data).unwrap());
    let decoded = pictures(&format!("{name}_received.h264"), &writer.into_inner());
    assert_eq!(decoded.len(), FRAMES);
    assert_eq!(decoded, pictures(&format!("{name}_sent.h264"), &original));
}

#[test]
fn h264_byte_streams() {
    let encoder = ["-c:v", "libx264", "-g", "20", "-keyint_min", "20", "-sc_threshold", "0", "-f", "h264"];
    annex_b_travels("x264", &encoder);
}

#[test]
fn h264_with_delimiters_slices_and_no_b_frames() {
    let encoder = [
        "-c:v",
        "libx264",
        "-g",
        "20",
        "-keyint_min",
        "20",
        "-sc_threshold",
        "0",
        "-bf",
        "0",
        "-tune",
        "zerolatency",
        "-x264-params",
        "aud=1:slices=4:repeat-headers=1",
        "-f",
        "h264",
    ];
    annex_b_travels("x264_slices", &encoder);
}

#[test]
fn opus_in_ogg() {
    if !ffmpeg_is_there() {
        return;
    }
    let path = file("tone.ogg");
    let tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3"];
    let encoder = ["-ac", "2", "-c:a", "libopus", "-b:a", "96k", "-metadata", "title=A tone"];
    ffmpeg(&[&tone[..], &encoder, &[path.to_str().unwrap()]].concat());
    let original = std::fs::read(&path).unwrap();
    let mut reader = OggOpusReader::new(&original[..]).unwrap();
    assert_eq!((reader.head().channels, reader.head().input_sample_rate), (2, 48_000));
    assert!(reader.tags().comments.iter().any(|comment| comment == "title=A tone"));
    let head = reader.head().clone();
    let (mut packets, mut last) = (Vec::new(), None);
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data.to_vec());
        last = Some((packet.granule_position, packet.ends_stream));
    }
    assert_eq!(last, Some((Some(3 * 48_000 + u64::from(head.pre_skip)), true)));
    assert!(packets.len() >= 150);

    let received = travel(PayloadFormat::Opus, &packets);
    let mut writer = OggOpusWriter::new(Vec::new(), 0x5eed, &head, &OpusTags::new("kaon")).unwrap();
    received.iter().for_each(|frame| writer.write_packet(&frame.data).unwrap());
    let written = file("tone_received.ogg");
    std::fs::write(&written, writer.finish().unwrap()).unwrap();
    let samples = |path: &Path| ffmpeg(&["-i", path.to_str().unwrap(), "-f", "s16le", "-"]);
    let (sent, received) = (samples(&path), samples(&written));
    assert_eq!(sent.len(), 3 * 48_000 * 4);
    // The end that ffmpeg marks as padding is left in.
    assert!(received.starts_with(&sent) && received.len() - sent.len() < 960 * 4 * 2);
}
