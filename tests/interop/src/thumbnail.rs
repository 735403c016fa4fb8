use std::path::Path;

use crate::ffmpeg::ffmpeg;

/// A picture made small: what is in it counts, not how exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Red, green and blue of each pixel, row by row.
    rgb: Vec<u8>,
}

const WIDTH: usize = 32;
const HEIGHT: usize = 18;

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// The distance of its left side from that of the picture.
    pub x: u32,
    /// The distance of its upper side from that of the picture.
    pub y: u32,
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

impl Thumbnail {
    /// All pictures of a clip. Its colours are those of BT.709 if it is H.264, as browsers take it where the stream
    /// does not say, else of BT.601. `None` without ffmpeg, as [`missing`](crate::missing) has said.
    pub fn of_clip(path: &Path) -> Option<Vec<Self>> {
        let is_h264 = path.extension().is_some_and(|extension| extension == "h264");
        let matrix = if is_h264 { "bt709" } else { "bt601" };
        Self::all(path, &format!("scale=in_color_matrix={matrix},format=rgb24,"))
    }

    /// A part of a picture. `None` without ffmpeg, as [`missing`](crate::missing) has said.
    pub fn of_part(path: &Path, part: Rectangle) -> Option<Self> {
        let Rectangle { x, y, width, height } = part;
        Self::all(path, &format!("crop={width}:{height}:{x}:{y},"))?.pop()
    }

    /// A black picture.
    pub fn black() -> Self {
        Self { rgb: vec![0; WIDTH * HEIGHT * 3] }
    }

    fn all(path: &Path, filter: &str) -> Option<Vec<Self>> {
        let filter = format!("{filter}scale={WIDTH}:{HEIGHT}:flags=area");
        let arguments =
            ["-i", path.to_str().unwrap(), "-vf", &filter, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
        let bytes = ffmpeg(&arguments)?;
        Some(bytes.chunks_exact(WIDTH * HEIGHT * 3).map(|rgb| Self { rgb: rgb.to_vec() }).collect())
    }

    /// How far colours are from those of another on average: 0 for the same, 255 for black and white.
    pub fn distance(&self, other: &Self) -> f64 {
        let sum: u32 = self.rgb.iter().zip(&other.rgb).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / self.rgb.len() as f64
    }
}
