//! TIFF. Its decoder leaves what is missing of a file black; here it is an error.

use super::decode::Failure;
use std::io::Cursor;
use tiff::TiffError;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// Refuses a file that ends before the data of its first page do.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), Failure> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(reason)?;
    for (offsets, counts) in
        [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)]
    {
        if decoder.find_tag(offsets).map_err(reason)?.is_none() {
            continue;
        }
        let offsets = decoder.get_tag_u64_vec(offsets).map_err(reason)?;
        let counts = decoder.get_tag_u64_vec(counts).map_err(reason)?;
        let ends = offsets.iter().zip(&counts).map(|(offset, count)| offset.saturating_add(*count));
        if ends.max() > Some(bytes.len() as u64) {
            return Err(Failure::new("it is cut off"));
        }
    }
    Ok(())
}

fn reason(error: TiffError) -> Failure {
    Failure::new(error.to_string())
}
