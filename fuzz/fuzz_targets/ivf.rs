//! IVF: what is read can be written and reads the same.
#![no_main]

use kaon_rtc::container::{IvfReader, IvfWriter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = IvfReader::new(data) else { return };
    let mut reader = reader.with_max_frame_len(1000);
    let mut writer = IvfWriter::new(Vec::new(), reader.header()).expect("memory does not fail");
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = reader.read_frame() {
        assert!(frame.data.len() <= 1000);
        writer.write_frame(frame.timestamp, frame.data).expect("memory does not fail");
        frames.push((frame.timestamp, frame.data.to_vec()));
    }
    let written = writer.into_inner();
    let mut again = IvfReader::new(&written[..]).expect("it was written");
    assert_eq!(again.header(), reader.header());
    for (timestamp, data) in frames {
        let frame = again.read_frame().expect("it was written").expect("it was written");
        assert_eq!((frame.timestamp, frame.data), (timestamp, &data[..]));
    }
    assert!(again.read_frame().expect("it was written").is_none());
});
