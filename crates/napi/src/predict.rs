//! Pictures of any size and form, and what a network says of them.

use crate::error::{Result, thrown};
use crate::job::{Promise, start};
use crate::model::{Cancel, Model, views};
use crate::options::{choice, whole};
use mobilenet_core::data::Rgb;
use mobilenet_core::data::image::{Limits, Source};
use mobilenet_core::predict::{self, Question, Reading};
use mobilenet_core::{self as core, Error};
use napi::bindgen_prelude::{Either3, Float32Array, Uint8ArraySlice};
use napi_derive::napi;

/// A picture as bytes, rows from the top.
#[napi(object)]
pub struct RawPicture<'a> {
    /// `height * width * channels` bytes, the channels of a pixel together.
    pub data: Uint8ArraySlice<'a>,
    /// In pixels.
    pub width: f64,
    /// In pixels.
    pub height: f64,
    /// 1 (grey), 3 (red, green, blue) or 4 (with alpha, which is ignored); default 3.
    pub channels: Option<f64>,
}

/// How pictures are read.
#[napi(object)]
pub struct ReadingOptions {
    /// What a picture's shorter side is resized to, in pixels, before the middle is cut out; at least the network's
    /// resolution. Default `model.resize`.
    #[napi(ts_type = "number | null")]
    pub resize: Option<f64>,
    /// Most pixels of a picture; a larger one is IMAGE_UNREADABLE, and not decoded. Default 178956970.
    #[napi(ts_type = "number | null")]
    pub max_pixels: Option<f64>,
    /// Views over which logits are averaged: `none` (default), `mirror` or `mirror-shift`. Features have no views.
    #[napi(ts_type = "'none' | 'mirror' | 'mirror-shift' | null")]
    pub tta: Option<String>,
}

/// A picture that could not be read.
#[napi(object)]
pub struct Failure {
    /// Its place among the pictures.
    pub index: u32,
    /// A code of `MobileNetError`.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// What a network says of several pictures.
#[napi(object)]
pub struct Answers {
    /// `[pictures, width]`, zeros for a picture that could not be read.
    pub values: Float32Array,
    /// Values of a picture.
    pub width: u32,
    /// Those that could not be read.
    pub failures: Vec<Failure>,
}

#[napi]
impl Model {
    /// Logits, or pooled features, of pictures of any size: paths, encoded files or raw pixels.
    #[napi(ts_return_type = "Promise<Answers>")]
    pub fn predict(
        &self,
        pictures: Vec<Either3<String, Uint8ArraySlice, RawPicture>>,
        #[napi(ts_arg_type = "'logits' | 'features'")] question: String,
        options: ReadingOptions,
        cancel: &Cancel,
    ) -> Result<Promise<Answers>> {
        let sources = pictures.into_iter().map(source).collect::<core::Result<Vec<_>>>().map_err(thrown)?;
        let question: Question = choice("question", &question).map_err(thrown)?;
        let reading = reading(options).map_err(thrown)?;
        let (model, cancelled) = (self.inner.clone(), cancel.inner.clone());
        Ok(start(move || {
            let answers = predict::predict(&model, &sources, question, &reading, &cancelled)?
                .ok_or_else(|| Error::invalid_option("the work was cancelled"))?;
            let failure = |(index, error): (usize, Error)| Failure {
                index: index as u32,
                code: error.code.as_str().into(),
                message: error.message,
            };
            Ok(Answers {
                values: answers.values.into(),
                width: answers.width as u32,
                failures: answers.failures.into_iter().map(failure).collect(),
            })
        }))
    }
}

fn reading(options: ReadingOptions) -> core::Result<Reading> {
    let limits = match whole("maxPixels", options.max_pixels)? {
        None => Limits::default(),
        Some(pixels) => Limits { pixels: pixels as u64 },
    };
    Ok(Reading { resize: whole("resize", options.resize)?, tta: views(options.tta)?, limits })
}

/// Owned, so that it can go to another thread.
fn source(picture: Either3<String, Uint8ArraySlice, RawPicture>) -> core::Result<Source> {
    match picture {
        Either3::A(path) => Ok(Source::File(path.into())),
        Either3::B(bytes) => Ok(Source::Encoded(bytes.to_vec())),
        Either3::C(raw) => rgb(&raw).map(Source::Pixels),
    }
}

fn rgb(raw: &RawPicture) -> core::Result<Rgb> {
    let width = whole("width", Some(raw.width))?.unwrap_or_default();
    let height = whole("height", Some(raw.height))?.unwrap_or_default();
    let channels = whole("channels", raw.channels)?.unwrap_or(3);
    if !matches!(channels, 1 | 3 | 4) {
        return Err(Error::invalid_option(format!("channels must be 1, 3 or 4, not {channels}")));
    }
    let expected = width.checked_mul(height).and_then(|area| area.checked_mul(channels));
    if width == 0 || height == 0 || expected != Some(raw.data.len()) {
        return Err(Error::invalid_option(format!(
            "a raw picture needs width * height * channels bytes; {width} * {height} * {channels} were promised \
             and {} given",
            raw.data.len()
        )));
    }
    let pixels = match channels {
        1 => raw.data.iter().flat_map(|&grey| [grey; 3]).collect(),
        3 => raw.data.to_vec(),
        _ => raw.data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
    };
    Ok(Rgb { pixels, width, height })
}
