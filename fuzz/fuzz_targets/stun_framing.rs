//! Streams of STUN and ChannelData: cut into any pieces they give the same messages, and hold no more than one.
#![no_main]

mod oracle;

use kaon_rtc::stun::{StreamFraming, StreamFramingError};
use libfuzzer_sys::fuzz_target;

/// What a stream gives, in pieces of the sizes that `sizes` says, one after the other.
fn cut(stream: &[u8], sizes: &[u8], max_message: usize) -> (Vec<Vec<u8>>, Option<StreamFramingError>) {
    let cost = oracle::Oracle::new();
    let mut framing = StreamFraming::new(max_message);
    let (mut messages, mut rest) = (Vec::new(), stream);
    let mut of_messages = 0;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = usize::from(*sizes.next().unwrap_or(&255)).max(1).min(rest.len());
        let mut piece = &rest[..size];
        rest = &rest[size..];
        while !piece.is_empty() {
            let taken = framing.push(piece);
            assert!(taken > 0, "there is room when all messages were taken");
            piece = &piece[taken..];
            loop {
                match framing.next_message() {
                    Ok(Some(message)) => {
                        assert!(message.len() <= max_message.max(20));
                        of_messages += message.len() + 128;
                        messages.push(message.to_vec());
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(framing.next_message(), Err(error), "it stays so");
                        return (messages, Some(error));
                    }
                }
            }
            cost.assert_live(8 * max_message.max(64) + 4 * of_messages + (64 << 10));
        }
    }
    (messages, None)
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let Some((&[limit, count], rest)) = data.split_first_chunk::<2>() else { return };
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let max_message = usize::from(limit) * 16 + 20;
    let whole = cut(stream, &[], max_message);
    let pieces = cut(stream, sizes, max_message);
    let single = cut(stream, &[1], max_message);
    assert_eq!(whole.0, pieces.0);
    assert_eq!(whole.0, single.0);
    assert_eq!(whole.1.is_some(), single.1.is_some());
    cost.assert_work(data.len());
});
