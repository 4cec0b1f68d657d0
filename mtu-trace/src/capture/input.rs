//! Where a capture is read from: a file or standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// What gzip files begin with (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// What zstd frames begin with (RFC 8878, section 3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The bytes of a capture.
pub type Input = Box<dyn Read>;

/// Opens a capture; `-` is standard input.
pub fn open(path: &Path) -> io::Result<Input> {
    if path.as_os_str() == "-" {
        return unpacked(io::stdin().lock());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    unpacked(file)
}

/// The file itself where it can be read from any place: it is a regular one and not compressed.
pub fn open_plain(path: &Path) -> io::Result<Option<File>> {
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut start = [0; ZSTD.len()];
    let read = file.read_at(&mut start, 0)?;
    let start = &start[..read];
    let plain = !start.starts_with(GZIP) && !start.starts_with(ZSTD);
    Ok(plain.then_some(file))
}

/// What is in a stream, whether or not it is compressed.
pub fn unpacked(mut from: impl Read + 'static) -> io::Result<Input> {
    // A pipe may hand over less than was asked for.
    let mut start = Vec::new();
    from.by_ref()
        .take(ZSTD.len() as u64)
        .read_to_end(&mut start)?;
    let (gzip, zstd) = (start.starts_with(GZIP), start.starts_with(ZSTD));
    let whole = Cursor::new(start).chain(from);
    if !gzip && !zstd {
        return Ok(Box::new(whole));
    }
    let whole = BufReader::with_capacity(BUFFER_BYTES, whole);
    Ok(match gzip {
        true => Box::new(MultiGzDecoder::new(whole)),
        false => Box::new(ZstdFrames::Between(whole)),
    })
}

/// A row of zstd frames, which is what concatenated files and parallel compressors make.
enum ZstdFrames<R: BufRead> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Ended,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(self, Self::Ended) {
                Self::Ended => return Ok(0),
                Self::Between(mut from) => {
                    if !from.fill_buf()?.is_empty() {
                        let frame = StreamingDecoder::new(from).map_err(io::Error::other)?;
                        *self = Self::Within(Box::new(frame));
                    }
                }
                Self::Within(mut frame) => match frame.read(to)? {
                    0 => *self = Self::Between(frame.into_inner()),
                    read => {
                        *self = Self::Within(frame);
                        return Ok(read);
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(from: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut to = Vec::new();
        unpacked(Cursor::new(from))?
            .read_to_end(&mut to)
            .map(|_| to)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn compressed_or_not_is_the_same() {
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(read(bytes.clone()).unwrap(), bytes);
        assert_eq!(read(gzip(&bytes)).unwrap(), bytes);
        assert_eq!(read(zstd(&bytes)).unwrap(), bytes);
        assert_eq!(read(Vec::new()).unwrap(), b"");
        assert_eq!(read(vec![0x28]).unwrap(), [0x28]);
    }

    #[test]
    fn concatenated_files_are_one_after_the_other() {
        for compress in [gzip, zstd] {
            let both = [compress(b"first "), compress(b"second")].concat();
            assert_eq!(read(both).unwrap(), b"first second");
        }
    }

    #[test]
    fn what_ends_early_is_an_error_after_what_was_good() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        for whole in [gzip(&bytes), zstd(&bytes)] {
            let mut input = unpacked(Cursor::new(whole[..whole.len() / 2].to_vec())).unwrap();
            let mut to = Vec::new();
            assert!(input.read_to_end(&mut to).is_err());
            assert!(!to.is_empty() && bytes.starts_with(&to));
        }
    }
}
