//! What a peer may make of a datagram costs as much where there is much besides as where there is little: each path is
//! counted at two sizes under one limit, a tenth above what the dearer took on x86-64 when the limit was set.
//!
//! `cargo bench` in this folder; needs `valgrind` and `gungraun-runner`.

use std::time::Instant;

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use kaon_bench_instructions::{Channels, Hostile, Sources, Strays, arrivals, arrive_late};
use kaon_rtc::media::TransportArrivals;

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

#[library_benchmark(config = at_most(260_000))]
#[bench::of_1000(args = (1000), setup = Hostile::fragments_in_front)]
#[bench::of_16000(args = (16_000), setup = Hostile::fragments_in_front)]
fn sctp_100_fragments_in_front_of_a_tail(mut hostile: Box<Hostile>) -> Box<Hostile> {
    hostile.receive();
    hostile
}

// A block is found among those that were told before, which takes the logarithm of their number.

#[library_benchmark(config = at_most(12_450_000))]
#[bench::of_1000(args = (1000, 300), setup = Hostile::acknowledgements)]
#[bench::of_20000(args = (20_000, 300), setup = Hostile::acknowledgements)]
fn sctp_100_sacks_of_300_blocks(mut hostile: Box<Hostile>) -> Box<Hostile> {
    hostile.receive();
    hostile
}

#[library_benchmark(config = at_most(7_620_000))]
#[bench::of_1000(args = (1000, 2), setup = Hostile::acknowledgements)]
#[bench::of_20000(args = (20_000, 2), setup = Hostile::acknowledgements)]
fn sctp_100_packets_full_of_sacks(mut hostile: Box<Hostile>) -> Box<Hostile> {
    hostile.receive();
    hostile
}

#[library_benchmark(config = at_most(2_370_000))]
#[bench::of_10(args = (10), setup = Channels::open)]
#[bench::of_4000(args = (4000), setup = Channels::open)]
fn session_100_messages_among_channels(mut channels: Box<Channels>) -> Box<Channels> {
    channels.send_messages();
    channels
}

#[library_benchmark(config = at_most(3_790_000))]
#[bench::of_10(args = (10), setup = Channels::open)]
#[bench::of_4000(args = (4000), setup = Channels::open)]
fn session_100_channels_opened_among_channels(mut channels: Box<Channels>) -> Box<Channels> {
    channels.open_more();
    channels
}

#[library_benchmark(config = at_most(114_000))]
#[bench::of_10(args = (10), setup = Sources::requests)]
#[bench::of_1000(args = (1000), setup = Sources::requests)]
fn session_100_requests_for_key_frames(mut sources: Box<Sources>) -> Box<Sources> {
    assert_eq!(sources.receive(), 0);
    sources
}

#[library_benchmark(config = at_most(1_360_000))]
#[bench::of_10(args = (10), setup = Sources::gaps)]
#[bench::of_900(args = (900), setup = Sources::gaps)]
fn session_100_gaps_among_gaps(mut sources: Box<Sources>) -> Box<Sources> {
    assert_eq!(sources.receive_and_ask(), 100);
    sources
}

#[library_benchmark(config = at_most(1_190_000))]
#[bench::of_10(args = (10), setup = Sources::reports)]
#[bench::of_1000(args = (1000), setup = Sources::reports)]
fn session_100_reports_on_streams(mut sources: Box<Sources>) -> Box<Sources> {
    assert_eq!(sources.receive(), 0);
    sources
}

#[library_benchmark(config = at_most(352_000))]
#[bench::of_10(args = (10), setup = Sources::new_sources)]
#[bench::of_1000(args = (1000), setup = Sources::new_sources)]
fn session_100_new_sources(mut sources: Box<Sources>) -> Box<Sources> {
    assert!(sources.receive() >= 50);
    sources
}

// Sections are found by MID in a tree, whose depth is the rest of the growth.
#[library_benchmark(config = at_most(260_000))]
#[bench::of_2(args = (2), setup = Sources::new_sources_of_sections)]
#[bench::of_250(args = (250), setup = Sources::new_sources_of_sections)]
fn session_100_new_sources_among_sections(mut sources: Box<Sources>) -> Box<Sources> {
    assert!(sources.receive() >= 50);
    sources
}

#[library_benchmark(config = at_most(16_000))]
#[bench::of_200(args = (200), setup = arrivals)]
#[bench::of_8000(args = (8000), setup = arrivals)]
fn media_100_late_arrivals(
    mut record: Box<(TransportArrivals, Instant, u16)>,
) -> Box<(TransportArrivals, Instant, u16)> {
    arrive_late(&mut record);
    record
}

#[library_benchmark(config = at_most(39_700))]
#[bench::of_10(args = (10), setup = Strays::answers)]
#[bench::of_2000(args = (2000), setup = Strays::answers)]
fn endpoint_100_answers_to_nothing(mut strays: Box<Strays>) -> Box<Strays> {
    strays.receive();
    strays
}

#[library_benchmark(config = at_most(5_700_000))]
#[bench::of_2(args = (2), setup = Sources::sections)]
#[bench::of_250(args = (250), setup = Sources::sections)]
fn session_100_candidates_among_sections(mut sources: Box<Sources>) -> Box<Sources> {
    sources.take_candidates();
    sources
}

#[library_benchmark(config = at_most(16_500_000))]
#[bench::of_10(args = (10), setup = Sources::counted)]
#[bench::of_1000(args = (1000), setup = Sources::counted)]
fn session_statistics_of_1000_streams(mut sources: Box<Sources>) -> Box<Sources> {
    assert!(sources.report_1000() > 1000);
    sources
}

library_benchmark_group!(
    name = growth,
    benchmarks = [
        sctp_100_fragments_in_front_of_a_tail,
        sctp_100_sacks_of_300_blocks,
        sctp_100_packets_full_of_sacks,
        session_100_messages_among_channels,
        session_100_channels_opened_among_channels,
        session_100_requests_for_key_frames,
        session_100_gaps_among_gaps,
        session_100_reports_on_streams,
        session_100_new_sources,
        session_100_new_sources_among_sections,
        session_100_candidates_among_sections,
        session_statistics_of_1000_streams,
        media_100_late_arrivals,
        endpoint_100_answers_to_nothing,
    ]
);
main!(library_benchmark_groups = growth);
