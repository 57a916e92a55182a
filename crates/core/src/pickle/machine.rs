//! The machine that a pickle is a program for: a stack with marks in it, and a memo.

use super::input::Input;
use super::{Id, Malformed, Pickle, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// The most values, and the most on the stack or in the memo; they take some hundred megabytes. A batch of CIFAR-10 has
/// some ten thousands, a state dict some thousands.
const MOST: usize = 1 << 22;
/// Calls of these give a dictionary, whatever they are called with.
const DICTIONARIES: [&str; 2] = ["OrderedDict", "defaultdict"];

pub struct Machine<'a> {
    pub input: Input<'a>,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Carries out the program in front of `bytes`, and moves them behind it.
    pub fn run(bytes: &mut &'a [u8]) -> Result<Pickle<'a>, Malformed> {
        let mut machine = Self {
            input: Input::new(bytes),
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            let instruction = machine.input.byte()?;
            if instruction == b'.' {
                let root = machine.pop()?;
                *bytes = machine.input.rest();
                return Ok(Pickle { values: machine.values, root });
            }
            machine.step(instruction)?;
            let Self { values, stack, marks, memo, input } = &machine;
            if [values.len(), stack.len(), marks.len(), memo.len()].iter().any(|count| *count > MOST) {
                return Err(
                    input.malformed(format!("it holds more than {MOST} values, the most that are read"))
                );
            }
        }
    }

    /// An error: there is nothing where something should be taken from.
    pub fn missing(&self) -> Malformed {
        self.input.malformed("it takes a value where there is none")
    }

    /// Adds a value, and puts it on the stack.
    pub fn push(&mut self, value: Value<'a>) {
        self.stack.push(Id(self.values.len() as u32));
        self.values.push(value);
    }

    /// Puts a value that there is on the stack.
    pub fn put(&mut self, id: Id) {
        self.stack.push(id);
    }

    /// Takes the topmost value from the stack, if it is above the last mark.
    pub fn pop(&mut self) -> Result<Id, Malformed> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Id, Malformed> {
        let base = self.marks.last().copied().unwrap_or(0);
        self.stack[base..].last().copied().ok_or_else(|| self.missing())
    }

    /// Takes all that is above the last mark, and that.
    pub fn pop_to_mark(&mut self) -> Result<Vec<Id>, Malformed> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.input.malformed("it goes back to a mark that is not there"))?;
        Ok(self.stack.split_off(mark))
    }

    pub fn mark(&mut self) {
        self.marks.push(self.stack.len());
    }

    /// Forgets the topmost value, or a mark, if that is on top.
    pub fn drop_top(&mut self) -> Result<(), Malformed> {
        match self.marks.last() {
            Some(mark) if *mark == self.stack.len() => drop(self.marks.pop()),
            _ => drop(self.pop()?),
        }
        Ok(())
    }

    pub fn duplicate(&mut self) -> Result<(), Malformed> {
        let top = self.top()?;
        self.stack.push(top);
        Ok(())
    }

    /// The place in the memo that an instruction is about.
    fn place(&mut self, instruction: u8) -> Result<u32, Malformed> {
        match instruction {
            b'q' | b'h' => self.input.byte().map(u32::from),
            b'r' | b'j' => self.input.array().map(u32::from_le_bytes),
            0x94 => Ok(self.memo.len() as u32),
            _ => {
                let line = self.input.text_line()?;
                line.parse().map_err(|_| self.input.malformed("a place in the memo is no number"))
            }
        }
    }

    pub fn memorize(&mut self, instruction: u8) -> Result<(), Malformed> {
        let place = self.place(instruction)?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    pub fn recall(&mut self, instruction: u8) -> Result<(), Malformed> {
        let place = self.place(instruction)?;
        let Some(id) = self.memo.get(&place) else {
            return Err(self
                .input
                .malformed(format!("it asks for number {place} of its memo, which is not there")));
        };
        self.stack.push(*id);
        Ok(())
    }

    pub fn push_tuple(&mut self, count: usize) -> Result<(), Malformed> {
        let mut items = vec![Id(0); count];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// Adds to the list on top. Of what is no list, what it holds is of no interest (Python would call its method).
    pub fn append(&mut self, items: &[Id]) -> Result<(), Malformed> {
        let top = self.top()?;
        match &mut self.values[top.0 as usize] {
            Value::List(list) => list.extend_from_slice(items),
            Value::Object { .. } => {}
            _ => return Err(self.input.malformed("it appends to what is no list")),
        }
        Ok(())
    }

    /// Adds keys and values, by turns, to the dictionary on top. The same holds for what is none.
    pub fn set(&mut self, items: &[Id]) -> Result<(), Malformed> {
        let (pairs, rest) = items.as_chunks::<2>();
        let top = self.top()?;
        match &mut self.values[top.0 as usize] {
            _ if !rest.is_empty() => return Err(self.input.malformed("it sets a key without a value")),
            Value::Dict(entries) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            Value::Object { .. } => {}
            _ => return Err(self.input.malformed("it sets a key of what is no dictionary")),
        }
        Ok(())
    }

    /// What the next two lines name.
    pub fn push_global(&mut self) -> Result<(), Malformed> {
        for _ in 0..2 {
            let name = self.input.text_line()?;
            self.push(Value::Text(Cow::Borrowed(name)));
        }
        self.push_named_global()
    }

    /// What two strings on the stack name.
    pub fn push_named_global(&mut self) -> Result<(), Malformed> {
        let name = self.pop()?;
        let module = self.pop()?;
        if [module, name].iter().any(|id| !matches!(self.values[id.0 as usize], Value::Text(_))) {
            return Err(self.input.malformed("a class is named by what is no string"));
        }
        self.push(Value::Global(module, name));
        Ok(())
    }

    /// What a callable gives for arguments, which lie above it.
    pub fn push_object(&mut self) -> Result<(), Malformed> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        self.push(match self.is_dictionary(callable) {
            true => Value::Dict(Vec::new()),
            false => Value::Object { callable, arguments, state: None },
        });
        Ok(())
    }

    fn is_dictionary(&self, callable: Id) -> bool {
        let Value::Global(module, name) = self.values[callable.0 as usize] else { return false };
        let is = |id: Id, expected: &str| matches!(&self.values[id.0 as usize], Value::Text(text) if text == expected);
        is(module, "collections") && DICTIONARIES.iter().any(|expected| is(name, expected))
    }

    /// Gives the state on top to the object below it. (To a dictionary it gives attributes, as a state dict's `_metadata`.)
    pub fn build(&mut self) -> Result<(), Malformed> {
        let given = self.pop()?;
        let object = self.top()?;
        if let Value::Object { state, .. } = &mut self.values[object.0 as usize] {
            *state = Some(given);
        }
        Ok(())
    }

    /// What lies outside of the pickle, by the value on top.
    pub fn persist(&mut self) -> Result<(), Malformed> {
        let name = self.pop()?;
        self.push(Value::Persistent(name));
        Ok(())
    }
}
