//! RTCP datagrams: what is read can be written and reads the same; feedback is built from any arrivals.
#![no_main]

use std::time::Duration;

use kaon_rtc::layer::{SequenceNumber, Ssrc};
use kaon_rtc::rtcp::{
    CompoundRules, CompoundWriter, Encode, Packet, TransportFeedbackBuilder, WriteError, check_compound,
    packets,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let valid = check_compound(data, CompoundRules::ReducedSize).is_ok();
    let mut count = 0;
    for packet in packets(data) {
        count += 1;
        let Ok(packet) = packet else { continue };
        match packet {
            Packet::Nack(nack) => assert!(nack.sequence_numbers().count() <= 17 * nack.entries.len()),
            Packet::TransportFeedback(feedback) => {
                assert_eq!(feedback.iter().len(), usize::from(feedback.status_count));
                assert!(feedback.arrivals().count() <= data.len());
                if feedback.status_count < 500 {
                    let received = feedback.iter().filter_map(|s| Some((s.sequence_number, s.arrival?)));
                    assert!(received.eq(feedback.arrivals()));
                }
            }
            Packet::SourceDescription(description) => {
                let items = description.chunks.iter().flat_map(|chunk| chunk.items.iter());
                assert!(items.filter_map(|item| item.private()).count() <= data.len() / 3);
            }
            _ => {}
        }
        let mut buffer = vec![0xee; packet.encoded_len()];
        let mut writer = CompoundWriter::new(&mut buffer);
        match writer.push(&packet) {
            Ok(()) => {
                let len = writer.finish();
                let mut again = packets(&buffer[..len]);
                assert_eq!(again.next(), Some(Ok(packet)));
                assert_eq!(again.next(), None);
            }
            // Padding may leave what follows a report unaligned, and so it cannot be written.
            Err(WriteError::Unaligned { .. } | WriteError::TooLong(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(count <= 1 + data.len() / 4);
    assert!(!valid || count > 0);

    let max_len = 40 + data.len() % 1200;
    let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, max_len);
    let mut number = SequenceNumber(0);
    let mut pushed = 0;
    for step in data.chunks_exact(3) {
        number = number.wrapping_add(u16::from(step[0]) << (step[2] & 7));
        let time = Duration::from_micros(50 * u64::from(step[1]) << (step[2] >> 4));
        pushed += usize::from(builder.push(number, time).is_ok());
    }
    if let Some(feedback) = builder.finish() {
        let mut buffer = vec![0; feedback.encoded_len()];
        assert!(buffer.len() <= max_len);
        feedback.encode(&mut buffer).expect("it fits");
        let read = packets(&buffer).next();
        assert_eq!(read, Some(Ok(Packet::TransportFeedback(feedback))));
        assert_eq!(feedback.arrivals().count(), pushed);
    }
});
