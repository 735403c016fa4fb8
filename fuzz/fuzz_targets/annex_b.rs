//! H.264 byte streams: access units joined are the file, and hold the NAL units that the file holds.
#![no_main]

use std::io::Read;

use kaon_rtc::container::AnnexBReader;
use kaon_rtc::rtp::payload::h264::{NalUnits, StreamFormat};
use libfuzzer_sys::fuzz_target;

/// Reads seven bytes at a time.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(7);
        self.0.read(&mut out[..len])
    }
}

fuzz_target!(|data: &[u8]| {
    let mut reader = AnnexBReader::new(Pieces(data));
    let (mut joined, mut units) = (Vec::new(), Vec::new());
    let end = loop {
        match reader.read_access_unit() {
            Ok(Some(unit)) => {
                assert_eq!(unit.offset, joined.len() as u64);
                joined.extend_from_slice(unit.data);
                units.extend(unit.units().map(<[u8]>::to_vec));
            }
            end => break end.map(drop),
        }
    };
    if end.is_ok() {
        assert!(joined == data || data.iter().all(|&byte| byte == 0));
        let expected: Vec<_> = NalUnits::new(data, StreamFormat::AnnexB).map_while(Result::ok).collect();
        assert_eq!(units, expected);
    }
    let mut limited = AnnexBReader::new(data).with_max_access_unit_len(20);
    while let Ok(Some(unit)) = limited.read_access_unit() {
        assert!(unit.data.len() <= 20);
    }
});
