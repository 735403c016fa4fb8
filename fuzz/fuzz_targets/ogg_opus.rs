//! Ogg Opus: any file is read or refused; what is read of it can be written and reads the same.
#![no_main]

use kaon_rtc::container::{OggOpusReader, OggOpusWriter, ReadError};
use libfuzzer_sys::fuzz_target;

const MAX_PACKET_LEN: usize = 2000;

fuzz_target!(|data: &[u8]| {
    // Checksums are not found by chance: let them be right, as far as lengths tell where they are.
    let mut file = data.to_vec();
    fix_checksums(&mut file);
    let Ok(reader) = OggOpusReader::new(&file[..]) else { return };
    let mut reader = reader.with_max_packet_len(MAX_PACKET_LEN);
    let mut writer =
        OggOpusWriter::new(Vec::new(), 7, reader.head(), reader.tags()).expect("the header was valid");
    let mut packets = Vec::new();
    loop {
        match reader.read_packet() {
            Ok(Some(packet)) => {
                assert!(packet.data.len() <= MAX_PACKET_LEN);
                if writer.write_packet(packet.data).is_ok() {
                    packets.push(packet.data.to_vec());
                }
            }
            Ok(None) => break,
            Err(ReadError::TooLong { .. }) => {}
            Err(_) => {
                assert!(matches!(reader.read_packet(), Ok(None)), "nothing is read behind what is malformed");
                break;
            }
        }
    }
    let written = writer.finish().expect("memory does not fail");
    let mut again = OggOpusReader::new(&written[..]).expect("it was written");
    assert_eq!(again.head(), reader.head());
    for packet in packets {
        assert_eq!(again.read_packet().expect("it was written").expect("it was written").data, packet);
    }
    assert!(again.read_packet().expect("it was written").is_none());
});

fn fix_checksums(file: &mut [u8]) {
    let mut at = 0;
    while let Some(&segments) = file.get(at + 26) {
        let table = at + 27;
        let Some(lens) = file.get(table..table + usize::from(segments)) else { return };
        let end = table + lens.len() + lens.iter().map(|&len| usize::from(len)).sum::<usize>();
        let Some(page) = file.get_mut(at..end) else { return };
        page[22..26].fill(0);
        let checksum = page.iter().fold(0u32, |checksum, &byte| {
            (0..8).fold(checksum ^ (u32::from(byte) << 24), |checksum, _| {
                (checksum << 1) ^ if checksum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
}
