//! RTP packets: what is read can be written and reads the same; rewriting a header keeps the packet whole.
#![no_main]

use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::rtp::{
    ExtensionForm, ExtensionId, ExtensionKind, ExtensionMap, Header, Packet, PacketMut, PacketWriter,
    RtxPayload,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::parse(data) else { return };
    assert_eq!(packet.header_len() + packet.payload().len() + packet.padding_len(), data.len());
    RtxPayload::parse(packet.payload());

    let mut map = ExtensionMap::new();
    for (id, kind) in (1..).filter_map(ExtensionId::new).zip(ExtensionKind::ALL) {
        map.insert(id, kind);
    }
    let values = packet.extension_values(&map);

    let csrcs: Vec<Ssrc> = packet.csrcs().collect();
    let mut buffer = vec![0xee; 2 * data.len() + 64];
    let mut writer = PacketWriter::new(&mut buffer, &Header::from(packet), &csrcs).expect("it fits");
    for element in packet.extensions() {
        writer.extension_data(element.id, element.data).expect("it fits");
    }
    let padding = packet.padding_len() as u8;
    let len = if padding == 0 {
        writer.payload(packet.payload())
    } else {
        writer.padded_payload(packet.payload(), padding)
    };
    let written = Packet::parse(&buffer[..len.expect("it fits")]).expect("what is written is valid");
    assert_eq!(Header::from(written), Header::from(packet));
    assert!(written.csrcs().eq(csrcs));
    assert!(written.extensions().eq(packet.extensions()));
    assert_eq!(written.extension_values(&map), values);
    assert_eq!((written.payload(), written.padding_len()), (packet.payload(), packet.padding_len()));

    let mut bytes = data.to_vec();
    let mut rewritten = PacketMut::parse(&mut bytes).expect("it was valid");
    rewritten.set_marker(true);
    rewritten.set_payload_type(PayloadType::from_low_bits(data[1] ^ 1));
    rewritten.set_sequence_number(SequenceNumber(1));
    rewritten.set_timestamp(RtpTimestamp(2));
    rewritten.set_ssrc(Ssrc(3));
    let elements = packet.extensions().count();
    let one_byte = packet.extensions().form() == ExtensionForm::OneByte;
    let result = rewritten.rewrite_extension_ids(|id| ExtensionId::new(id.value().wrapping_add(1).max(1)));
    assert!(result.is_ok() || one_byte);
    assert_eq!(rewritten.as_packet().extensions().count(), elements);
    rewritten.rewrite_extension_ids(|_| None).expect("nothing is left");
    assert_eq!(rewritten.as_packet().extensions().count(), 0);
    assert_eq!(rewritten.as_packet().payload(), packet.payload());
});
