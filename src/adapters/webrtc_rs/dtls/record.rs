//! Records as they stand in a datagram (RFC 6347 §4.1).

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

pub(super) const HEADER: usize = 13;
/// The epoch of all that is protected: nothing is renegotiated.
pub(super) const PROTECTED: u16 = 1;
/// DTLS 1.2.
const VERSION: [u8; 2] = [0xfe, 0xfd];
/// DTLS 1.0, which a first ClientHello may say (RFC 6347 §4.2.1).
const OLD_VERSION: [u8; 2] = [0xfe, 0xff];

/// A record in a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    /// 48 bits.
    pub(super) sequence: u64,
    pub(super) fragment: &'a [u8],
    /// Header and fragment.
    pub(super) bytes: &'a [u8],
}

/// The records of a datagram, up to the first that is malformed.
pub(super) fn records(mut rest: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let record = Record::first_of(rest)?;
        rest = &rest[record.bytes.len()..];
        Some(record)
    })
}

impl<'a> Record<'a> {
    fn first_of(datagram: &'a [u8]) -> Option<Self> {
        let (header, rest) = datagram.split_first_chunk::<HEADER>()?;
        let [content_type, major, minor, e0, e1, s0, s1, s2, s3, s4, s5, l0, l1] = *header;
        if ![VERSION, OLD_VERSION].contains(&[major, minor]) {
            return None;
        }
        let fragment = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
        Some(Self {
            content_type,
            epoch: u16::from_be_bytes([e0, e1]),
            sequence: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
            fragment,
            bytes: &datagram[..HEADER + fragment.len()],
        })
    }
}

/// A record without protection.
pub(super) fn plaintext(content_type: u8, sequence: u64, fragment: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, VERSION[0], VERSION[1], 0, 0];
    record.extend_from_slice(&sequence.to_be_bytes()[2..]);
    record.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
    record.extend_from_slice(fragment);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_end_at_the_first_malformed() {
        let mut datagram = plaintext(HANDSHAKE, 0x0102_0304_0506, b"one");
        let first = datagram.len();
        datagram.extend(plaintext(ALERT, 7, b""));
        let seen: Vec<_> = records(&datagram).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].content_type, seen[0].epoch, seen[0].sequence), (HANDSHAKE, 0, 0x0102_0304_0506));
        assert_eq!((seen[0].fragment, seen[0].bytes), (&b"one"[..], &datagram[..first]));
        assert_eq!((seen[1].content_type, seen[1].sequence, seen[1].fragment.len()), (ALERT, 7, 0));
        for end in 0..datagram.len() {
            assert_eq!(records(&datagram[..end]).count(), usize::from(end >= first), "{end} bytes");
        }
        datagram[1] = 3;
        assert_eq!(records(&datagram).count(), 0);
    }
}
