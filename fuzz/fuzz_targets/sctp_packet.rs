//! Every reader of SCTP chunks over arbitrary bytes.

#![no_main]

use kaon_rtc::sctp::wire::{
    Capabilities, Causes, ChunkType, Data, ForwardTsn, Header, Init, Parameters, ReconfigParameter, Sack,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let Ok((_, chunks)) = Header::parse(packet) else { return };
    for chunk in chunks.flatten() {
        match chunk.kind {
            ChunkType::DATA => {
                if let Ok(data) = Data::parse(chunk.flags, chunk.value) {
                    assert!(data.payload.len() < packet.len());
                }
            }
            ChunkType::SACK => {
                if let Ok(sack) = Sack::parse(chunk.value) {
                    assert!(4 * (sack.gaps().count() + sack.duplicates().count()) < packet.len());
                }
            }
            ChunkType::INIT | ChunkType::INIT_ACK => {
                if let Ok(init) = Init::parse(chunk.value) {
                    let mut capabilities = Capabilities::default();
                    for parameter in init.parameters().flatten() {
                        capabilities.note(&parameter);
                    }
                }
            }
            ChunkType::FORWARD_TSN => {
                if let Ok(forward) = ForwardTsn::parse(chunk.value) {
                    forward.skipped().count();
                }
            }
            ChunkType::RE_CONFIG => {
                for parameter in Parameters::new(chunk.value).flatten() {
                    if let Ok(Some(ReconfigParameter::OutgoingReset(reset))) =
                        ReconfigParameter::parse(&parameter)
                    {
                        reset.streams.iter().count();
                    }
                }
            }
            ChunkType::ABORT | ChunkType::ERROR => {
                assert!(Causes::new(chunk.value).describe().len() < 1024);
            }
            _ => {}
        }
    }
});
