//! What of a handshake the crate is given. It ends a handshake for any record that it does not understand, where
//! RFC 6347 §4.1.2.7 has it ignored, keeps records that come early without a limit, stands still when application
//! data does, and joins the fragments of a message by a recursion as deep as there are fragments.

use super::alert::Alert;
use super::protection::MIN_FRAGMENT;
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, PROTECTED, Record};

/// What is to be done with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the crate's.
    Give,
    /// It waits for the end of the handshake.
    Keep,
    /// A plaintext alert that may be the peer's, or anybody's.
    Note(Alert),
    /// It is of no use.
    Ignore(&'static str),
}

/// Counts what the crate was given in one handshake, of which it may keep all.
#[derive(Debug)]
pub(super) struct Screen {
    bytes_left: usize,
    fragments_left: usize,
}

/// The type, length, sequence number, offset and length of the fragment (RFC 6347 §4.2.2).
const MESSAGE_HEADER: usize = 12;
/// The longest message, room for a chain of certificates.
const MAX_MESSAGE: usize = 16 << 10;
/// Pieces of messages in one handshake, those sent again included: about ten at a time for a minute.
const MAX_FRAGMENTS: usize = 512;
const CLIENT_HELLO: u8 = 1;

impl Screen {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { bytes_left: max_bytes, fragments_left: MAX_FRAGMENTS }
    }

    /// Whether a server may begin with it.
    pub(super) fn is_client_hello(record: &Record<'_>) -> bool {
        record.content_type == HANDSHAKE
            && record.epoch == 0
            && record.fragment.first() == Some(&CLIENT_HELLO)
    }

    pub(super) fn judge(&mut self, record: &Record<'_>) -> Verdict {
        let fragment = record.fragment;
        let fragments = match (record.content_type, record.epoch) {
            (CHANGE_CIPHER_SPEC, 0) if fragment == [1] => 0,
            (HANDSHAKE, 0) => match incomplete_messages(fragment) {
                Some(count) => count,
                None => return Verdict::Ignore("malformed handshake message"),
            },
            (HANDSHAKE, PROTECTED) if fragment.len() > MIN_FRAGMENT => 0,
            (ALERT, 0) => {
                return Alert::decode(fragment).map_or(Verdict::Ignore("malformed alert"), Verdict::Note);
            }
            (ALERT | APPLICATION_DATA, PROTECTED) => return Verdict::Keep,
            _ => return Verdict::Ignore("no record of a handshake"),
        };
        match (self.bytes_left.checked_sub(record.bytes.len()), self.fragments_left.checked_sub(fragments)) {
            (Some(bytes), Some(fragments)) => {
                (self.bytes_left, self.fragments_left) = (bytes, fragments);
                Verdict::Give
            }
            _ => Verdict::Ignore("more than a handshake takes"),
        }
    }
}

/// How many of the messages in a record are pieces only; `None` if one is malformed. The crate takes whatever
/// follows a piece for its rest, so that a piece must be the last.
fn incomplete_messages(mut rest: &[u8]) -> Option<usize> {
    let mut count = 0;
    if rest.is_empty() {
        return None;
    }
    while let Some((header, body)) = rest.split_first_chunk::<MESSAGE_HEADER>() {
        let number = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]) as usize;
        let (length, offset, piece) = (number(1), number(6), number(9));
        if length > MAX_MESSAGE || offset + piece > length || (piece == 0 && length != 0) {
            return None;
        }
        rest = body.get(piece..)?;
        if piece < length {
            count += 1;
            if !rest.is_empty() {
                return None;
            }
        }
    }
    rest.is_empty().then_some(count)
}

#[cfg(test)]
mod tests {
    use super::super::record::{plaintext, records};
    use super::*;

    fn message(length: u32, offset: u32, piece: &[u8]) -> Vec<u8> {
        let u24 = |number: u32| number.to_be_bytes()[1..].to_vec();
        [&[CLIENT_HELLO][..], &u24(length), &[0, 0], &u24(offset), &u24(piece.len() as u32), piece].concat()
    }

    fn judge(screen: &mut Screen, content_type: u8, epoch: u16, fragment: &[u8]) -> Verdict {
        let mut bytes = plaintext(content_type, 0, fragment);
        bytes[3..5].copy_from_slice(&epoch.to_be_bytes());
        screen.judge(&records(&bytes).next().unwrap())
    }

    #[test]
    fn the_crate_is_given_what_it_understands() {
        let mut screen = Screen::new(1 << 20);
        let mut judge = |kind, epoch, fragment: &[u8]| judge(&mut screen, kind, epoch, fragment);
        let whole = message(3, 0, b"abc");
        assert_eq!(judge(HANDSHAKE, 0, &whole), Verdict::Give);
        assert_eq!(judge(HANDSHAKE, 0, &[&whole[..], &message(9, 3, b"abc")].concat()), Verdict::Give);
        assert_eq!(judge(HANDSHAKE, 1, &[0; MIN_FRAGMENT + 1]), Verdict::Give);
        assert_eq!(judge(CHANGE_CIPHER_SPEC, 0, &[1]), Verdict::Give);
        assert_eq!(judge(APPLICATION_DATA, 1, b"data"), Verdict::Keep);
        assert_eq!(judge(ALERT, 1, b"alert"), Verdict::Keep);
        assert_eq!(judge(ALERT, 0, &[2, 40]), Verdict::Note(Alert::decode(&[2, 40]).unwrap()));
        for (kind, epoch, fragment) in [
            (HANDSHAKE, 0, &whole[..whole.len() - 1]),
            (HANDSHAKE, 0, &[]),
            (HANDSHAKE, 0, &message(3, 0, b"")),
            (HANDSHAKE, 0, &message(3, 1, b"abc")),
            (HANDSHAKE, 0, &message(1 << 20, 0, b"abc")),
            (HANDSHAKE, 0, &[message(9, 3, b"abc"), whole.clone()].concat()),
            (HANDSHAKE, 1, &[0; MIN_FRAGMENT]),
            (HANDSHAKE, 2, &[0; 100]),
            (CHANGE_CIPHER_SPEC, 0, &[2]),
            (CHANGE_CIPHER_SPEC, 1, &[1]),
            (ALERT, 0, &[3, 0]),
            (APPLICATION_DATA, 0, b"data"),
            (99, 0, b"data"),
        ] {
            let verdict = judge(kind, epoch, fragment);
            assert!(matches!(verdict, Verdict::Ignore(_)), "{kind}, {epoch}, {fragment:?}: {verdict:?}");
        }
    }

    #[test]
    fn what_the_crate_may_keep_is_bounded() {
        let mut screen = Screen::new(100);
        let whole = message(3, 0, b"abc");
        let given = (0..10).filter(|_| judge(&mut screen, HANDSHAKE, 0, &whole) == Verdict::Give).count();
        assert_eq!(given, 100 / (13 + whole.len()));
        let mut screen = Screen::new(1 << 20);
        let piece = message(9000, 0, b"a");
        let given = (0..9000).filter(|_| judge(&mut screen, HANDSHAKE, 0, &piece) == Verdict::Give).count();
        assert_eq!(given, MAX_FRAGMENTS);
        assert_eq!(judge(&mut screen, HANDSHAKE, 0, &whole), Verdict::Give, "whole messages pass on");
    }
}
