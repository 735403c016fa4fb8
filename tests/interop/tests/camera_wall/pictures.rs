use std::path::Path;

use kaon_interop::{Browser, Rectangle, Thumbnail};
use serde_json::Value;

use crate::wall::artefact;

/// The clips that the bundled cameras play, by their names.
pub const CLIPS: [(&str, &str); 4] = [
    ("Test card", "test_card.h264"),
    ("Life", "life.ivf"),
    ("Fractal", "fractal.h264"),
    ("Aurora", "aurora.ivf"),
];
/// A picture of a clip that was decoded, scaled and shown is so near to it. Clips are further from each other, from
/// black and from themselves enlarged.
pub const SAME: f64 = 12.0;
/// So near is one without the words that are burnt in, and in the colours of another standard.
pub const ALIKE: f64 = 30.0;

/// Takes a screenshot and looks at its tiles: `expected` tells the clip that each shows. One that is black, cut off
/// or elsewhere is like no picture of its clip.
pub fn look_at_tiles(browser: &mut Browser, name: &str, near: f64, expected: &[(&str, &str)]) {
    let path = artefact(name);
    browser.screenshot(&path);
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/camera_wall/clips");
    let mut pictures = Vec::new();
    for (clip, file) in CLIPS {
        let Some(thumbnails) = Thumbnail::of_clip(&clips.join(file)) else { return };
        pictures.push((clip, thumbnails));
    }
    let places = browser.eval(
        "return Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => {
            const { x, y, width, height } = tile.querySelector('.picture').getBoundingClientRect();
            return [tile.getAttribute('aria-label'), [x, y, width, height].map(Math.round)];
        }));",
        Value::Null,
    );
    let mut seen: Vec<Rectangle> = Vec::new();
    for (camera, clip) in expected {
        let [x, y, width, height] = [0, 1, 2, 3].map(|at| places[camera][at].as_u64().unwrap() as u32);
        let place = Rectangle { x, y, width, height };
        let is_apart = |other: &Rectangle| x.abs_diff(other.x) >= width || y.abs_diff(other.y) >= height;
        assert!(seen.iter().all(is_apart) && (width * 9).abs_diff(height * 16) < 32, "{name}: {places}");
        seen.push(place);
        let shown = Thumbnail::of_part(&path, place).unwrap();
        let nearest = |pictures: &[Thumbnail]| {
            pictures.iter().map(|picture| picture.distance(&shown)).min_by(f64::total_cmp).unwrap()
        };
        let distances: Vec<_> = pictures.iter().map(|(clip, pictures)| (*clip, nearest(pictures))).collect();
        let (best, distance) = distances.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(best == clip && *distance < near, "{name}: {camera} shows {distances:?}");
    }
}
