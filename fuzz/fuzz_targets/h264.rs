//! H.264 payloads.
#![no_main]

mod payload;

use kaon_rtc::rtp::payload::h264::{Depacketizer, NalUnits, PacketizationMode, Packetizer, StreamFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, max], rest)) = data.split_first_chunk::<2>() else { return };
    let format = |bit: u8| if flags & bit != 0 { StreamFormat::Avc } else { StreamFormat::AnnexB };
    payload::depacketize(&mut Depacketizer::new(format(1), payload::MAX_FRAME_LEN), rest);
    let mode =
        if flags & 2 != 0 { PacketizationMode::SingleNalUnit } else { PacketizationMode::NonInterleaved };
    let (input, output) = (format(4), format(8));
    let mut packetizer = Packetizer::new(mode, input);
    let mut depacketizer = Depacketizer::new(output, usize::MAX);
    if let Some(received) = payload::round_trip(&mut packetizer, &mut depacketizer, rest, usize::from(max)) {
        // The same units come out, whatever separates them. (A unit in AVC may hold what Annex B takes for a
        // start code, so that they are compared where that cannot be.)
        if output == StreamFormat::Avc || input == StreamFormat::AnnexB {
            let sent = NalUnits::new(rest, input).map(Result::unwrap);
            assert!(sent.eq(NalUnits::new(&received, output).map(Result::unwrap)));
        }
    }
});
