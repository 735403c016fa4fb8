use super::*;
use crate::dtls::test_provider::provider;

const ALGORITHMS: [AeadAlgorithm; 3] =
    [AeadAlgorithm::Aes128Gcm, AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305];

fn key(algorithm: AeadAlgorithm) -> RecordKey {
    let iv = &[9; 12][..RecordKey::iv_len(algorithm)];
    RecordKey::new(&*provider(1).ciphers, algorithm, &[7; 32][..algorithm.key_len()], iv).unwrap()
}

fn pair(algorithm: AeadAlgorithm) -> (RecordSealer, RecordOpener) {
    (RecordSealer::new(key(algorithm), Epoch(1)), RecordOpener::new(key(algorithm), Epoch(1)))
}

fn open(opener: &mut RecordOpener, mut bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let (record, _) = Record::split(&mut bytes).unwrap();
    opener.open(record).map(|(_, content)| content.to_vec())
}

#[test]
fn records_round_trip_once() {
    for algorithm in ALGORITHMS {
        let (mut sealer, mut opener) = pair(algorithm);
        for content in [&b""[..], b"x", &[3; 1200]] {
            let mut bytes = Vec::new();
            sealer
                .seal(ContentType::ApplicationData, &mut bytes, |out| out.extend_from_slice(content))
                .unwrap();
            assert_eq!(bytes.len(), content.len() + sealer.overhead());
            assert_eq!(open(&mut opener, bytes.clone()).unwrap(), content);
            assert_eq!(open(&mut opener, bytes), Err(Refusal::Replayed));
        }
    }
}

#[test]
fn no_changed_bit_is_accepted() {
    for algorithm in ALGORITHMS {
        let (mut sealer, mut opener) = pair(algorithm);
        let mut bytes = Vec::new();
        sealer.seal(ContentType::ApplicationData, &mut bytes, |out| out.extend_from_slice(b"data")).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok((record, _)) = Record::split(&mut changed) {
                assert!(opener.open(record).is_err(), "bit {bit}");
            }
        }
        assert_eq!(open(&mut opener, bytes).unwrap(), b"data", "refused records change nothing");
    }
}

#[test]
fn the_sequence_ends() {
    let (mut sealer, mut opener) = pair(AeadAlgorithm::Aes128Gcm);
    sealer.skip_to(SequenceNumber::MAX);
    let mut bytes = Vec::new();
    sealer.seal(ContentType::ApplicationData, &mut bytes, |_| {}).unwrap();
    let len = bytes.len();
    assert_eq!(sealer.seal(ContentType::ApplicationData, &mut bytes, |_| {}), Err(SequenceExhausted));
    assert_eq!(bytes.len(), len);
    assert!(open(&mut opener, bytes).is_ok());
}

#[test]
fn nonces_follow_the_record_number() {
    let number = record_number(Epoch(1), SequenceNumber(0x0203_0405_0607));
    assert_eq!(number, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(key(AeadAlgorithm::Aes128Gcm).nonce(number), [9, 9, 9, 9, 0, 1, 2, 3, 4, 5, 6, 7]);
    let chacha = key(AeadAlgorithm::ChaCha20Poly1305).nonce(number);
    assert_eq!(chacha, [9, 9, 9, 9, 9, 8, 11, 10, 13, 12, 15, 14]);
}
