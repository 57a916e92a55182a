//! Python's pickles, protocols 0 to 5, read as data: nothing that a file names is looked up, and nothing is called.
//!
//! Values lie one after the other in an array, and hold others by their places in it ([`Id`]). So to read, keep and drop
//! them takes no recursion, however deep a file nests them, and no more than a multiple of the file's bytes, however often
//! it takes a value from its memo. (Readers that build trees, as candle's and serde-pickle's, recurse as deep as the file
//! says, at the latest when the tree is dropped, and copy what comes from the memo: a few bytes then take all memory.)
//! Who follows values must not recurse either: a list may hold itself.

mod input;
mod instructions;
mod machine;
#[cfg(test)]
mod tests;
mod text;

use machine::Machine;
use std::borrow::Cow;

/// The place of a value in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u32);

/// What Python would make of a part of a pickle.
#[derive(Debug, PartialEq)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number of up to 64 bits.
    Int(i64),
    /// A `bytes`, or a `str` of Python 2.
    Bytes(Cow<'a, [u8]>),
    /// A `str`.
    Text(Cow<'a, str>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dictionary, also an ordered one: keys and values in the order in which they were set.
    Dict(Vec<(Id, Id)>),
    /// A class or a function, by the names of its module and its own, which are [`Value::Text`].
    Global(Id, Id),
    /// What a class or a function would give for arguments, and the state that it would then be given.
    Object {
        /// Usually a [`Value::Global`].
        callable: Id,
        /// Usually a [`Value::Tuple`].
        arguments: Id,
        /// Usually a [`Value::Dict`] or a [`Value::Tuple`].
        state: Option<Id>,
    },
    /// What lies outside of the pickle, by what it is called there.
    Persistent(Id),
    /// What nothing here asks for: a float, a larger whole number, a set.
    Other,
}

/// Why a pickle can't be read, in words that follow "it can't be read:".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

/// A call of a function or class, taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Call<'p> {
    /// The module and the name of what is called.
    pub function: (&'p str, &'p str),
    /// What it is called with.
    pub arguments: &'p [Id],
    /// The state that the result is given.
    pub state: Option<Id>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle, and moves `bytes` behind its end.
    ///
    /// # Errors
    /// [`Malformed`] when it ends too early, has an instruction that is unknown or can't be carried out, or more than some
    /// millions of values.
    pub fn read(bytes: &mut &'a [u8]) -> Result<Self, Malformed> {
        Machine::run(bytes)
    }

    /// What the pickle is of.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    /// All values, also those that no other holds any more.
    pub fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter()
    }

    /// A number, if it is a whole one.
    pub fn int(&self, id: Id) -> Option<i64> {
        if let Value::Int(number) = self.get(id) { Some(*number) } else { None }
    }

    /// A string.
    pub fn text(&self, id: Id) -> Option<&str> {
        if let Value::Text(text) = self.get(id) { Some(text) } else { None }
    }

    /// What a tuple holds.
    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Value::Tuple(items) = self.get(id) { Some(items) } else { None }
    }

    /// What a list holds.
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        if let Value::List(items) = self.get(id) { Some(items) } else { None }
    }

    /// What a dictionary holds.
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        if let Value::Dict(entries) = self.get(id) { Some(entries) } else { None }
    }

    /// What a dictionary has under a string, which Python 2 wrote as bytes.
    pub fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let is_key = |id: Id| match self.get(id) {
            Value::Text(text) => text == key,
            Value::Bytes(bytes) => **bytes == *key.as_bytes(),
            _ => false,
        };
        // Who sets a key twice has the later value.
        self.dict(dict)?.iter().rev().find(|(name, _)| is_key(*name)).map(|(_, value)| *value)
    }

    /// Bytes. Python 3 writes them in protocols 0 to 2 as the call of a function that makes them from a string.
    pub fn bytes(&self, id: Id) -> Option<Cow<'_, [u8]>> {
        if let Value::Bytes(bytes) = self.get(id) {
            return Some(Cow::Borrowed(bytes));
        }
        let Call { function: ("_codecs", "encode"), arguments: [text, encoding], .. } = self.call(id)? else {
            return None;
        };
        let latin1 = |letter: char| u8::try_from(u32::from(letter)).ok();
        let text = self.text(*text).filter(|_| self.text(*encoding) == Some("latin1"))?;
        text.chars().map(latin1).collect::<Option<_>>().map(Cow::Owned)
    }

    /// The module and the name of a class or a function.
    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        let Value::Global(module, name) = self.get(id) else { return None };
        Some((self.text(*module)?, self.text(*name)?))
    }

    /// The call that an object comes from.
    pub fn call(&self, id: Id) -> Option<Call<'_>> {
        let Value::Object { callable, arguments, state } = self.get(id) else { return None };
        Some(Call { function: self.global(*callable)?, arguments: self.tuple(*arguments)?, state: *state })
    }
}
