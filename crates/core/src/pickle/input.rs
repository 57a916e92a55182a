//! The bytes of a pickle, taken from the front.

use super::Malformed;

/// What is left of a pickle. Nothing is ever made room for that isn't there.
pub struct Input<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error that says what is wrong, and how far the pickle was read then.
    pub fn malformed(&self, what: impl std::fmt::Display) -> Malformed {
        Malformed(format!("{what} (before byte {} of the pickle)", self.length - self.rest.len()))
    }

    /// So many bytes.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let head = self.look(count)?;
        self.rest = &self.rest[head.len()..];
        Ok(head)
    }

    /// So many bytes, which stay.
    pub fn look(&self, count: u64) -> Result<&'a [u8], Malformed> {
        let head = usize::try_from(count).ok().and_then(|count| self.rest.get(..count));
        head.ok_or_else(|| {
            self.malformed(format!(
                "it ends too early: {count} bytes should follow, and {} do",
                self.rest.len()
            ))
        })
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N as u64)?;
        Ok(std::array::from_fn(|place| bytes[place]))
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// As many bytes as the number before them says, which has `N` bytes.
    pub fn counted<const N: usize>(&mut self) -> Result<&'a [u8], Malformed> {
        let mut count = [0; 8];
        count[..N].copy_from_slice(&self.array::<N>()?);
        self.take(u64::from_le_bytes(count))
    }

    /// The same as text.
    pub fn counted_text<const N: usize>(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.counted::<N>()?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("a string is not UTF-8"))
    }

    /// The bytes up to the end of a line, without that.
    pub fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Err(self.malformed("it ends within a line"));
        };
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The same as text.
    pub fn text_line(&mut self) -> Result<&'a str, Malformed> {
        let line = self.line()?;
        std::str::from_utf8(line).map_err(|_| self.malformed("a line is not UTF-8"))
    }
}
