//! What each instruction of a pickle does. Python's `pickletools` describes them.

use super::input::Input;
use super::machine::Machine;
use super::{Malformed, Value, text};
use std::borrow::Cow;

/// The newest protocol.
const PROTOCOL: u8 = 5;

impl Machine<'_> {
    /// Carries out an instruction.
    pub fn step(&mut self, instruction: u8) -> Result<(), Malformed> {
        if let Some(value) = plain(&mut self.input, instruction)? {
            self.push(value);
            return Ok(());
        }
        match instruction {
            // The stack and the memo.
            b'(' => self.mark(),
            b'0' => self.drop_top()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.duplicate()?,
            b'p' | b'q' | b'r' | 0x94 => self.memorize(instruction)?,
            b'g' | b'h' | b'j' => self.recall(instruction)?,

            // Values that hold others. (Nobody asks what a set holds.)
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            0x90 => drop(self.pop_to_mark()?),
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Other);
            }

            // Classes, functions, and what they give.
            b'c' => self.push_global()?,
            0x93 => self.push_named_global()?,
            b'R' | 0x81 => self.push_object()?,
            0x92 => {
                let _keywords = self.pop()?;
                self.push_object()?;
            }
            b'i' => {
                let arguments = self.pop_to_mark()?;
                self.push_global()?;
                self.push(Value::Tuple(arguments));
                self.push_object()?;
            }
            b'o' => {
                let items = self.pop_to_mark()?;
                let (callable, arguments) = items.split_first().ok_or_else(|| self.missing())?;
                self.put(*callable);
                self.push(Value::Tuple(arguments.to_vec()));
                self.push_object()?;
            }
            b'b' => self.build()?,
            b'P' => {
                let name = self.input.text_line()?;
                self.push(Value::Text(Cow::Borrowed(name)));
                self.persist()?;
            }
            b'Q' => self.persist()?,

            // What the rest is written in.
            0x80 => match self.input.byte()? {
                0..=PROTOCOL => {}
                protocol => {
                    let known = format!("it has protocol {protocol}; 0 to {PROTOCOL} can be read");
                    return Err(self.input.malformed(known));
                }
            },
            0x95 => {
                // The length of what follows, for who reads from a stream.
                let length = u64::from_le_bytes(self.input.array()?);
                self.input.look(length)?;
            }
            unknown => {
                return Err(self.input.malformed(format!("it has an unknown instruction, {unknown:#04x}")));
            }
        }
        Ok(())
    }
}

/// The value that an instruction is, if it is one that stands for itself.
fn plain<'a>(input: &mut Input<'a>, instruction: u8) -> Result<Option<Value<'a>>, Malformed> {
    Ok(Some(match instruction {
        b'N' => Value::None,
        0x88 => Value::Bool(true),
        0x89 => Value::Bool(false),
        b'I' | b'L' => match (instruction, input.text_line()?) {
            (b'I', "00") => Value::Bool(false),
            (b'I', "01") => Value::Bool(true),
            (_, line) => text::decimal(line).ok_or_else(|| input.malformed("a number is none"))?,
        },
        b'J' => Value::Int(i32::from_le_bytes(input.array()?).into()),
        b'K' => Value::Int(input.byte()?.into()),
        b'M' => Value::Int(u16::from_le_bytes(input.array()?).into()),
        0x8a => text::binary(input.counted::<1>()?),
        0x8b => text::binary(input.counted::<4>()?),
        b'F' => {
            input.line()?;
            Value::Other
        }
        b'G' => {
            input.take(8)?;
            Value::Other
        }
        b'S' => {
            let line = input.line()?;
            let bytes = text::quoted(line);
            let bytes =
                bytes.ok_or_else(|| input.malformed("a string lacks a quote or has a wrong escape"))?;
            Value::Bytes(Cow::Owned(bytes))
        }
        b'U' | b'C' => Value::Bytes(Cow::Borrowed(input.counted::<1>()?)),
        b'T' | b'B' => Value::Bytes(Cow::Borrowed(input.counted::<4>()?)),
        0x8e | 0x96 => Value::Bytes(Cow::Borrowed(input.counted::<8>()?)),
        b'V' => {
            let line = input.line()?;
            let letters = text::raw_unicode(line);
            let letters = letters.ok_or_else(|| input.malformed("a string has a wrong escape"))?;
            Value::Text(Cow::Owned(letters))
        }
        0x8c => Value::Text(Cow::Borrowed(input.counted_text::<1>()?)),
        b'X' => Value::Text(Cow::Borrowed(input.counted_text::<4>()?)),
        0x8d => Value::Text(Cow::Borrowed(input.counted_text::<8>()?)),
        b')' => Value::Tuple(Vec::new()),
        b']' => Value::List(Vec::new()),
        b'}' => Value::Dict(Vec::new()),
        0x8f => Value::Other,
        _ => return Ok(None),
    }))
}
