//! rtpdump: what is read can be written and reads the same.
#![no_main]

use kaon_rtc::container::{RtpdumpReader, RtpdumpWriter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = RtpdumpReader::new(data) else { return };
    // Microseconds may be more than a second in the file, and then the seconds may not fit again.
    let Ok(mut writer) = RtpdumpWriter::new(Vec::new(), reader.header()) else { return };
    let mut packets = Vec::new();
    while let Ok(Some(packet)) = reader.read_packet() {
        writer.write_packet(&packet).expect("it was read");
        packets.push((packet.offset, packet.kind, packet.data.to_vec()));
    }
    let written = writer.into_inner();
    let mut again = RtpdumpReader::new(&written[..]).expect("it was written");
    assert_eq!(again.header(), reader.header());
    for (offset, kind, data) in packets {
        let packet = again.read_packet().expect("it was written").expect("it was written");
        assert_eq!((packet.offset, packet.kind, packet.data), (offset, kind, &data[..]));
    }
});
