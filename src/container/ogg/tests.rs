//! Tests of Ogg Opus.

use proptest::prelude::*;

use super::page::{NO_GRANULE_POSITION, Page};
use super::*;
use crate::container::ReadError;
use crate::container::input::Input;

fn write(packets: &[Vec<u8>]) -> Vec<u8> {
    let tags = OpusTags { vendor: "kaon".into(), comments: vec!["TITLE=x".into()] };
    let mut writer = OggOpusWriter::new(Vec::new(), 0x1234, &OpusHead::new(2), &tags).unwrap();
    packets.iter().for_each(|packet| writer.write_packet(packet).unwrap());
    writer.finish().unwrap()
}

fn pages(file: &[u8]) -> Vec<Page> {
    let mut input = Input::new(file);
    let mut pages = Vec::new();
    let mut page = Page::default();
    while page.read(&mut input).unwrap() {
        pages.push(page.clone());
    }
    pages
}

fn join(pages: &[Page]) -> Vec<u8> {
    let mut file = Vec::new();
    pages.iter().for_each(|page| page.write(&mut file));
    file
}

/// A packet, its granule position, and whether it ends the stream.
type Packet = (Vec<u8>, Option<u64>, bool);

fn packets(file: &[u8]) -> Result<Vec<Packet>, ReadError> {
    let mut reader = OggOpusReader::new(file)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet()? {
        packets.push((packet.data.to_vec(), packet.granule_position, packet.ends_stream));
    }
    Ok(packets)
}

/// A packet of 20 ms.
fn opus(len: usize) -> Vec<u8> {
    let mut packet = vec![0x5a; len];
    packet[0] = 0x78;
    packet
}

// What the first page of a file begins with; two bytes of the serial number differ.
const FIRST_PAGE: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";

#[test]
fn pages_are_about_a_second_and_tell_the_granule_position() {
    let file = write(&vec![opus(100); 120]);
    assert_eq!(file[..22], [&FIRST_PAGE[..14], &[0x34, 0x12], &FIRST_PAGE[16..]].concat());
    let pages = pages(&file);
    let told: Vec<_> =
        pages.iter().map(|page| (page.number, page.segments.len(), page.granule_position)).collect();
    assert_eq!(told, [(0, 1, 0), (1, 1, 0), (2, 50, 48_000), (3, 50, 96_000), (4, 20, 115_200)]);
    assert!(pages[0].begins_stream && pages[4].ends_stream);
    assert_eq!(pages.iter().filter(|page| page.begins_stream || page.ends_stream).count(), 2);

    let read = packets(&file).unwrap();
    assert_eq!(read.len(), 120);
    let positions: Vec<_> = read.iter().filter_map(|(_, position, _)| *position).collect();
    assert_eq!(positions, [48_000, 96_000, 115_200]);
    assert_eq!(read.iter().map(|(_, _, ends)| ends).filter(|ends| **ends).count(), 1);
    let reader = OggOpusReader::new(&file[..]).unwrap();
    assert_eq!(reader.head(), &OpusHead::new(2));
    assert_eq!(reader.tags().comments, ["TITLE=x"]);
}

#[test]
fn a_stream_may_be_empty() {
    assert_eq!(packets(&write(&[])).unwrap(), []);
}

#[test]
fn a_missing_page_costs_its_packets() {
    let file = write(&vec![opus(100); 120]);
    let mut pages = pages(&file);
    pages.remove(3);
    assert_eq!(packets(&join(&pages)).unwrap().len(), 70);
}

#[test]
fn packets_may_span_pages() {
    let mut pages = pages(&write(&[opus(100)]));
    let mut last = pages.pop().unwrap();
    let long = opus(600);
    // 255 | 255, 90 and a packet of 100
    let first = Page {
        granule_position: NO_GRANULE_POSITION,
        segments: vec![255],
        body: long[..255].to_vec(),
        ends_stream: false,
        ..last.clone()
    };
    last.number += 1;
    last.continued = true;
    last.segments = vec![255, 90, 100];
    last.body = [&long[255..], &opus(100)[..]].concat();
    let whole = [&pages[..], &[first.clone(), last.clone()]].concat();
    let read = packets(&join(&whole)).unwrap();
    assert_eq!(read.iter().map(|(data, ..)| data.len()).collect::<Vec<_>>(), [600, 100]);
    assert_eq!(read[0], (long, None, false));
    assert_eq!(read[1].1, Some(960));

    let without_first = [&pages[..], std::slice::from_ref(&last)].concat();
    assert_eq!(packets(&join(&without_first)).unwrap().len(), 1);
    let mut not_following = last.clone();
    not_following.number += 7;
    let with_gap = [&pages[..], &[first.clone(), not_following]].concat();
    assert_eq!(packets(&join(&with_gap)).unwrap().len(), 1);
    let without_last = [&pages[..], &[first]].concat();
    assert_eq!(packets(&join(&without_last)).unwrap(), []);

    let file = join(&whole);
    let mut reader = OggOpusReader::new(&file[..]).unwrap().with_max_packet_len(599);
    assert!(matches!(reader.read_packet(), Err(ReadError::TooLong { max: 599, .. })));
    assert_eq!(reader.read_packet().unwrap().unwrap().data.len(), 100);
}

#[test]
fn other_streams_are_passed_over() {
    let ours = pages(&write(&[opus(10), opus(20)]));
    let mut theirs = ours.clone();
    for page in &mut theirs {
        page.serial = 9;
    }
    theirs[0].body = b"\x01vorbis".to_vec();
    theirs[0].segments = vec![7];
    let mixed: Vec<_> = theirs.iter().zip(&ours).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    assert_eq!(packets(&join(&mixed)).unwrap().len(), 2);
    let only_theirs = packets(&join(&theirs));
    assert!(matches!(only_theirs, Err(ReadError::Malformed { .. })));
}

#[test]
fn comments_may_be_large() {
    let mut comments = vec!["A=b".to_owned()];
    comments.push(format!("METADATA_BLOCK_PICTURE={}", "x".repeat(300_000)));
    let tags = OpusTags { vendor: "v".into(), comments };
    let mut writer = OggOpusWriter::new(Vec::new(), 1, &OpusHead::new(1), &tags).unwrap();
    writer.write_packet(&opus(5)).unwrap();
    let file = writer.finish().unwrap();
    let mut reader = OggOpusReader::new(&file[..]).unwrap();
    assert_eq!(reader.tags().comments, ["A=b"]);
    assert_eq!(reader.read_packet().unwrap().unwrap().data, opus(5));
}

#[test]
fn malformed_files() {
    let file = write(&[opus(30)]);
    for len in 0..file.len() {
        match packets(&file[..len]) {
            Ok(packets) => assert_eq!(packets, [], "cut between pages"),
            Err(ReadError::Truncated { offset, .. }) => assert_eq!(offset, len as u64),
            Err(ReadError::Malformed { .. }) => {
                assert!(pages(&file[..len]).len() < 2, "cut before the comment header");
            }
            Err(error) => panic!("{error}"),
        }
    }
    for at in 0..file.len() {
        let mut file = file.clone();
        file[at] ^= 0x10;
        assert!(packets(&file).is_err(), "the checksum sees every bit; {at}");
    }
    let with_head = |change: fn(&mut Vec<u8>)| {
        let mut pages = pages(&file);
        change(&mut pages[0].body);
        pages[0].segments = vec![pages[0].body.len() as u8];
        packets(&join(&pages)).map(drop)
    };
    assert!(with_head(|_| {}).is_ok());
    for change in [
        (|head| head.truncate(18)) as fn(&mut Vec<u8>),
        |head| head[8] = 16,
        |head| head[9] = 0,
        |head| head[9] = 3,
        |head| head[18] = 1,
        |head| {
            head[18] = 1;
            head.extend([1, 1, 0, 2]);
        },
    ] {
        assert!(matches!(with_head(change), Err(ReadError::Malformed { offset: 0, .. })));
    }
    let surround = |head: &mut Vec<u8>| {
        head[18] = 1;
        head.extend([1, 1, 0, 1]);
    };
    assert!(with_head(surround).is_ok());
}

#[test]
fn nothing_is_read_behind_a_malformed_page() {
    let mut reading = pages(&write(&[opus(30), opus(30)]));
    // The place in the page before is beyond what is there of this one.
    let last = Page { segments: vec![10, 10, 200], body: vec![7; 220], ..reading[2].clone() };
    reading.push(Page { number: 3, ..last });
    reading[2].ends_stream = false;
    let whole = join(&reading);
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for file in [&whole[..whole.len() - 215], &damaged[..]] {
        let mut reader = OggOpusReader::new(file).unwrap();
        assert!(reader.read_packet().unwrap().is_some() && reader.read_packet().unwrap().is_some());
        assert!(reader.read_packet().is_err());
        assert_eq!(reader.read_packet().unwrap(), None);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(lens in proptest::collection::vec(prop_oneof![9 => 1usize..700, 1 => 1usize..60_000], 0..80)) {
        let expected: Vec<_> = lens.into_iter().map(opus).collect();
        let read = packets(&write(&expected)).unwrap();
        let data: Vec<_> = read.iter().map(|(data, ..)| data.clone()).collect();
        prop_assert_eq!(data, expected);
        if let Some((_, position, ends_stream)) = read.last() {
            prop_assert_eq!(*position, Some(960 * read.len() as u64));
            prop_assert!(ends_stream);
        }
    }

    // Lacing of any kind, with right checksums.
    #[test]
    fn any_pages_are_read_or_refused(
        more in proptest::collection::vec((any::<u8>(), any::<u64>(), 0u32..2, 0u32..6, proptest::collection::vec(prop_oneof![Just(255u8), any::<u8>()], 0..6)), 0..12),
        max in 0usize..2000,
    ) {
        let mut pages = pages(&write(&[]));
        pages.pop();
        for (flags, granule_position, other, number, segments) in more {
            let len = segments.iter().map(|&len| usize::from(len)).sum();
            pages.push(Page {
                continued: flags & 1 != 0, begins_stream: flags & 2 != 0, ends_stream: flags & 0xfc == 0xfc,
                granule_position, serial: 0x1234 + other, number, segments, body: vec![7; len], offset: 0,
            });
        }
        let file = join(&pages);
        let mut reader = OggOpusReader::new(&file[..]).unwrap().with_max_packet_len(max);
        loop {
            match reader.read_packet() {
                Ok(Some(packet)) => prop_assert!(packet.data.len() <= max),
                Ok(None) => break,
                Err(error) => prop_assert!(matches!(error, ReadError::TooLong { .. }), "{}", error),
            }
        }
    }
}
