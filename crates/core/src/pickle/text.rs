//! How protocol 0 writes numbers and strings, as Python's source code would; and whole numbers of any length.

use super::Value;

/// A whole number in digits, with an `L` behind those of Python 2's long ones.
pub fn decimal(line: &str) -> Option<Value<'static>> {
    let digits = line.strip_suffix('L').unwrap_or(line);
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().map_or(Value::Other, Value::Int))
}

/// A whole number in two's complement, the lowest byte first.
pub fn binary(bytes: &[u8]) -> Value<'static> {
    let (low, high) = bytes.split_at(bytes.len().min(8));
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut number = [sign; 8];
    number[..low.len()].copy_from_slice(low);
    let number = i64::from_le_bytes(number);
    let fits = high.iter().all(|byte| *byte == sign) && (number < 0) == (sign != 0);
    if fits { Value::Int(number) } else { Value::Other }
}

/// A string of Python 2 between quotes, with its escapes.
pub fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let (quote @ (b'"' | b'\''), [inside @ .., last]) = line.split_first()? else { return None };
    if quote != last {
        return None;
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                byte @ (b'\\' | b'\'' | b'"') => *byte,
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                b'x' => hexadecimal(&mut rest, 2)? as u8,
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(bytes)
}

/// Text in Latin-1, with `\u` and `\U` for all other letters.
pub fn raw_unicode(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.iter();
    while let Some(byte) = rest.next() {
        let digits = match (byte, rest.as_slice().first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(*byte));
                continue;
            }
        };
        rest.next();
        text.push(char::from_u32(hexadecimal(&mut rest, digits)?)?);
    }
    Some(text)
}

/// A number of at most 8 digits.
fn hexadecimal(rest: &mut std::slice::Iter<'_, u8>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0, |number, _| Some(number << 4 | char::from(*rest.next()?).to_digit(16)?))
}
